//! `migrate`: moves the rows of a SQLite file to a PostgreSQL database, all or none.

use anyhow::Context as _;
use grail_store::{MoveError, StoreError, move_rows};

use super::exit::Fault;
use crate::admin::{self, AskError, protocol::Request};

/// Arguments of `migrate`.
#[derive(Clone, Debug, clap::Args)]
pub struct MigrateArgs {
    /// The database to move from, `sqlite:PATH`. No backend runs on it, and none will again.
    from: String,
    /// The database to move to, `postgres://USER@HOST/DATABASE`. It is there, and empty.
    to: String,
}

/// Runs `migrate`. Prints a line for each table, and one at the end.
pub async fn migrate(args: MigrateArgs) -> anyhow::Result<()> {
    nobody_runs(&args.from).await?;
    let moved = move_rows(&args.from, &args.to).await.map_err(of_move)?;
    for table in &moved.tables {
        let line = serde_json::json!({
            "table": table.name,
            "rows": table.rows,
            "sha256": table.digest.to_string(),
            "cleaned": table.cleaned,
        });
        println!("{line}");
    }
    let line = serde_json::json!({ "moved": true, "leases_ended": moved.leases_ended });
    println!("{line}");
    Ok(())
}

/// A backend that runs on the file would go on to write there.
async fn nobody_runs(from: &str) -> anyhow::Result<()> {
    let Some(socket) = admin::socket_of(from) else {
        return Ok(());
    };
    match admin::ask(&socket, &Request::Status {}).await {
        Err(AskError::NotRunning(_)) => Ok(()),
        _ => Err(anyhow::anyhow!(
            "a backend runs on the database: stop it first"
        ))
        .context("backend-runs")
        .context(Fault::Refused),
    }
}

/// With the code of what went wrong, and whether another try may do.
fn of_move(error: MoveError) -> anyhow::Error {
    let (code, fault) = match &error {
        MoveError::Direction => ("direction", Some(Fault::Configuration)),
        MoveError::NotEmpty { .. } => ("not-empty", Some(Fault::Refused)),
        MoveError::MovedElsewhere { .. } => ("moved-elsewhere", Some(Fault::Refused)),
        MoveError::Differs { .. } => ("differs", Some(Fault::Database)),
        MoveError::Unknown(_) => ("unknown", Some(Fault::Database)),
        MoveError::Store(StoreError::Transient(_)) => ("transient", None),
        MoveError::Store(error) => (error.code(), Some(Fault::Database)),
    };
    let error = anyhow::Error::new(error).context(code);
    match fault {
        Some(fault) => error.context(fault),
        None => error,
    }
}
