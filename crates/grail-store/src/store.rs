//! Opening the database; reading and writing it in transactions.

use std::ops::{Deref, DerefMut};

use sqlx::{Row as _, Transaction};

use crate::{
    StoreError,
    db::{BEGIN_WRITE, Connection, Db, Pools},
};

/// The database, for as many tasks as like to share it. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Store {
    pools: Pools,
}

/// A snapshot to read from. Methods are in the modules of their tables.
#[derive(Debug)]
pub struct Reader {
    tx: Transaction<'static, Db>,
}

/// One step: what it writes is there after [`StoreTx::commit`], all of it; dropping it leaves
/// nothing. It reads what [`Reader`] reads. There is one at a time: holding one while asking for
/// another waits until it times out.
#[derive(Debug)]
#[must_use = "dropping it undoes its writes"]
pub struct StoreTx {
    reader: Reader,
}

impl Store {
    /// Opens `url`, `sqlite:<path>`, creating file and tables as needed.
    ///
    /// # Errors
    /// [`StoreError::Transient`] when the file cannot be opened now, [`StoreError::Database`] when
    /// it is no database of this program or of a newer version.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Ok(Self {
            pools: Pools::open(url).await?,
        })
    }

    /// Begins a step. Waits for other steps to end.
    pub async fn begin(&self) -> Result<StoreTx, StoreError> {
        let tx = self.pools.writer.begin_with(BEGIN_WRITE).await?;
        Ok(StoreTx {
            reader: Reader { tx },
        })
    }

    /// Begins reading; sees nothing of steps that commit later.
    pub async fn read(&self) -> Result<Reader, StoreError> {
        Ok(Reader {
            tx: self.pools.readers.begin().await?,
        })
    }

    /// Waits for all transactions to end and closes all connections.
    pub async fn close(&self) {
        self.pools.readers.close().await;
        self.pools.writer.close().await;
    }
}

impl Reader {
    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.tx
    }
}

impl StoreTx {
    /// Makes the step's writes permanent.
    ///
    /// # Errors
    /// On any error nothing of the step is to be relied upon: read again.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.reader.tx.commit().await?)
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
