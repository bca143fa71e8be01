//! Opening the database; reading and writing it in transactions.

use std::ops::{Deref, DerefMut};

use sqlx::{Row as _, Transaction};

use crate::{
    StoreError,
    db::{Connection, Db, Engine, Pools},
};

/// The fact of a database whose rows went on in another one; its value says where.
pub(crate) const MOVED: &str = "moved";

/// The database, for as many tasks as like to share it. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Store {
    pools: Pools,
}

/// A snapshot to read from. Methods are in the modules of their tables.
#[derive(Debug)]
pub struct Reader {
    engine: Engine,
    tx: Transaction<'static, Db>,
}

/// One step: what it writes is there after [`StoreTx::commit`], all of it; dropping it leaves
/// nothing. It reads what [`Reader`] reads. There is one at a time: holding one while asking for
/// another waits until it times out.
#[derive(Debug)]
#[must_use = "dropping it undoes its writes"]
pub struct StoreTx {
    reader: Reader,
    /// The database's time as the step began, unix seconds, where it has one.
    time: Option<u64>,
}

impl Store {
    /// Opens `url`: `sqlite:<path>`, or `postgres://<user>@<host>/<database>`, a database that is
    /// there. Creates a SQLite file, and tables, as needed.
    ///
    /// # Errors
    /// [`StoreError::Transient`] when the file cannot be opened or the server not be reached now;
    /// [`StoreError::Database`] when there is no such database, it lets nobody in, or it is none of
    /// this program; [`StoreError::Newer`] when it is of a newer version; [`StoreError::Moved`]
    /// when its rows went on elsewhere.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let store = Self::open_moved(url).await?;
        match store.read().await?.fact(MOVED).await? {
            None => Ok(store),
            Some(to) => Err(StoreError::Moved { to }),
        }
    }

    /// Opens one whatever became of it.
    pub(crate) async fn open_moved(url: &str) -> Result<Self, StoreError> {
        Ok(Self {
            pools: Pools::open(url).await?,
        })
    }

    pub(crate) const fn pools(&self) -> &Pools {
        &self.pools
    }

    /// Which kind of database it is.
    pub const fn engine(&self) -> Engine {
        self.pools.engine
    }

    /// Begins a step. Waits for other steps to end.
    pub async fn begin(&self) -> Result<StoreTx, StoreError> {
        let engine = self.pools.engine;
        let mut tx = self.pools.writer.begin_with(engine.begin_write()).await?;
        let time = engine.take_turn(&mut tx).await?;
        let time = time
            .map(|time| u64::try_from(time).map_err(|error| StoreError::corrupt("time", error)))
            .transpose()?;
        Ok(StoreTx {
            reader: Reader { engine, tx },
            time,
        })
    }

    /// Begins reading; sees nothing of steps that commit later.
    pub async fn read(&self) -> Result<Reader, StoreError> {
        let engine = self.pools.engine;
        let tx = self.pools.readers.begin_with(engine.begin_read()).await?;
        Ok(Reader { engine, tx })
    }

    /// Waits for all transactions to end and closes all connections.
    pub async fn close(&self) {
        self.pools.readers.close().await;
        self.pools.writer.close().await;
    }
}

impl Reader {
    pub(crate) const fn engine(&self) -> Engine {
        self.engine
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.tx
    }
}

impl StoreTx {
    /// Makes the step's writes permanent.
    ///
    /// # Errors
    /// On any error nothing of the step is to be relied upon: read again. With a server its answer
    /// alone may be lost, so a step that failed here may have been kept: nobody does it anew
    /// without having looked.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        let engine = self.reader.engine;
        engine.hold(self.connection()).await?;
        Ok(self.reader.tx.commit().await?)
    }

    /// The time of the step, unix seconds: the database's, which is one for all that share it, or
    /// else `here`, this machine's.
    pub fn now(&self, here: u64) -> u64 {
        self.time.unwrap_or(here)
    }

    /// The next number of a counter, from 1.
    pub(crate) async fn next_number(&mut self, counter: &'static str) -> Result<i64, StoreError> {
        let row =
            sqlx::query("UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING value")
                .bind(counter)
                .fetch_one(self.connection())
                .await?;
        Ok(row.try_get("value")?)
    }
}

impl Deref for StoreTx {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl DerefMut for StoreTx {
    fn deref_mut(&mut self) -> &mut Reader {
        &mut self.reader
    }
}
