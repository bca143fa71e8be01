//! One backend at a time on a database that others can reach: operators are on the hub in its
//! process, and another's would not hear them (ADR 41). Holds nobody back from writing: every step
//! is right whoever does it.

use std::time::Duration;

use crate::{
    Store, StoreError,
    db::{self, Connection, Engine},
};

/// Longest wait for an answer: a network that swallows everything gives none.
const PATIENCE: Duration = Duration::from_secs(10);

/// The claim of one backend. It ends with its connection.
#[derive(Debug)]
pub struct Claim {
    store: Store,
    connection: Option<Connection>,
}

impl Store {
    /// Claims the database. On SQLite, whose file is this machine's, everybody may.
    ///
    /// # Errors
    /// [`Conflict::Claimed`](crate::Conflict::Claimed) while another backend has it.
    pub async fn claim(&self) -> Result<Claim, StoreError> {
        let mut claim = Claim {
            store: self.clone(),
            connection: None,
        };
        claim.hold().await?;
        Ok(claim)
    }
}

impl Claim {
    /// Looks whether the claim stands, and claims again when its connection is gone.
    ///
    /// # Errors
    /// [`Conflict::Claimed`](crate::Conflict::Claimed) when another backend has it now, or the
    /// server has not noticed yet that the connection is gone; [`StoreError::Transient`] while
    /// nobody can say.
    pub async fn hold(&mut self) -> Result<(), StoreError> {
        let pools = self.store.pools();
        if pools.engine == Engine::Sqlite {
            return Ok(());
        }
        if let Some(connection) = &mut self.connection {
            let answer = sqlx::query("SELECT 1").execute(connection);
            if matches!(tokio::time::timeout(PATIENCE, answer).await, Ok(Ok(_))) {
                return Ok(());
            }
        }
        self.connection = None;
        let mut connection = db::connect(pools.engine, &pools.options).await?;
        pools.engine.claim(&mut connection).await?;
        self.connection = Some(connection);
        Ok(())
    }
}
