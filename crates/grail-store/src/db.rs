//! All that is particular to SQLite; a second database brings a second module like this one.

use std::{str::FromStr, time::Duration};

use sqlx::{
    AssertSqlSafe, Pool, SqlSafeStr,
    error::{DatabaseError, ErrorKind},
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::StoreError;

/// The database.
pub(crate) type Db = sqlx::Sqlite;
/// A connection to it.
pub(crate) type Connection = sqlx::SqliteConnection;
/// A row of it.
pub(crate) type DbRow = sqlx::sqlite::SqliteRow;

/// A statement put together from this program's own constants. Values of rows and of the world are
/// bound, never put in here.
pub(crate) fn sql(statement: String) -> impl SqlSafeStr {
    AssertSqlSafe(statement)
}

/// A condition on a column: it has one of the values bound as `$1`, which [`list`] makes of them.
/// However many there are, they are one statement.
pub(crate) const IS_LISTED: &str = "IN (SELECT value FROM json_each($1))";

/// Values for [`IS_LISTED`].
pub(crate) fn list<T: Into<serde_json::Value>>(values: impl IntoIterator<Item = T>) -> String {
    serde_json::Value::from_iter(values).to_string()
}

/// Begins a transaction that writes: takes the write lock at once, so that what it reads cannot
/// change before it writes.
pub(crate) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a caller waits for a connection of this process.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// What the one writer keeps of the file in memory, KiB below zero: the upper levels of every index
/// of millions of rows, which a block asks thousands of questions.
const WRITER_CACHE: &str = "-16384";
/// Connections that read at the same time. SQLite has a thread for each.
const READERS_MAX: u32 = 8;
/// Tries to open: of processes that start together on one new file, each may find it locked while
/// another switches its journal, or its tables made in between.
const OPEN_TRIES_MAX: u32 = 8;
/// Pause after the first try; it grows with each.
const OPEN_PAUSE: Duration = Duration::from_millis(50);

const MIGRATIONS: [(i64, &str, &str); 18] = [
    (
        1,
        "start",
        include_str!("../migrations/sqlite/0001_start.sql"),
    ),
    (
        2,
        "vault_outputs",
        include_str!("../migrations/sqlite/0002_vault_outputs.sql"),
    ),
    (
        3,
        "proofs",
        include_str!("../migrations/sqlite/0003_proofs.sql"),
    ),
    (
        4,
        "fee_waits",
        include_str!("../migrations/sqlite/0004_fee_waits.sql"),
    ),
    (
        5,
        "alarms",
        include_str!("../migrations/sqlite/0005_alarms.sql"),
    ),
    (
        6,
        "drafts",
        include_str!("../migrations/sqlite/0006_drafts.sql"),
    ),
    (
        7,
        "coinbase_deposits",
        include_str!("../migrations/sqlite/0007_coinbase_deposits.sql"),
    ),
    (
        8,
        "attempts",
        include_str!("../migrations/sqlite/0008_attempts.sql"),
    ),
    (
        9,
        "epochs",
        include_str!("../migrations/sqlite/0009_epochs.sql"),
    ),
    (
        10,
        "queue",
        include_str!("../migrations/sqlite/0010_queue.sql"),
    ),
    (
        11,
        "stages",
        include_str!("../migrations/sqlite/0011_stages.sql"),
    ),
    (
        12,
        "adoption",
        include_str!("../migrations/sqlite/0012_adoption.sql"),
    ),
    (
        13,
        "replacements",
        include_str!("../migrations/sqlite/0013_replacements.sql"),
    ),
    (
        14,
        "admin",
        include_str!("../migrations/sqlite/0014_admin.sql"),
    ),
    (
        15,
        "retention",
        include_str!("../migrations/sqlite/0015_retention.sql"),
    ),
    (
        16,
        "rotations",
        include_str!("../migrations/sqlite/0016_rotations.sql"),
    ),
    (
        17,
        "former",
        include_str!("../migrations/sqlite/0017_former.sql"),
    ),
    (
        18,
        "sponsors",
        include_str!("../migrations/sqlite/0018_sponsors.sql"),
    ),
];

/// The connections of one process. SQLite has one writer at a time: a pool of one queues them
/// fairly.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    pub(crate) writer: Pool<Db>,
    pub(crate) readers: Pool<Db>,
}

impl Pools {
    /// Opens `url` (`sqlite:<path>`), creates the file when it is missing, and migrates.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::try_open(url).await {
                Err(StoreError::Transient(_) | StoreError::Database(_))
                    if tries < OPEN_TRIES_MAX =>
                {
                    tokio::time::sleep(OPEN_PAUSE * tries).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_open(url: &str) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With WAL the default of `NORMAL` may lose the newest commits with the power; what was
            // told to others must not be forgotten.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.clone().pragma("cache_size", WRITER_CACHE))
            .await?;
        migrate(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await?;
        Ok(Self { writer, readers })
    }
}

async fn migrate(pool: &Pool<Db>) -> Result<(), StoreError> {
    let migrations = MIGRATIONS
        .into_iter()
        .map(|(version, name, sql)| {
            Migration::new(
                version,
                name.into(),
                MigrationType::Simple,
                sql.into_sql_str(),
                false,
            )
        })
        .collect();
    let migrator = Migrator::with_migrations(migrations);
    migrator.run(pool).await.map_err(|error| match error {
        // Rows of a schema that this program has never seen are not its to read, still less to
        // write.
        MigrateError::VersionMissing(version) => StoreError::Newer {
            what: "the database's schema",
            version: u8::try_from(version).unwrap_or(u8::MAX),
        },
        error => StoreError::Database(error.into()),
    })
}

/// What an error of the database means.
pub(crate) enum Failure {
    Transient,
    Constraint,
    Corrupt,
    Other,
}

/// Sorts SQLite's result codes (<https://www.sqlite.org/rescode.html>).
pub(crate) fn classify(error: &(dyn DatabaseError + 'static)) -> Failure {
    match error.kind() {
        ErrorKind::UniqueViolation
        | ErrorKind::ForeignKeyViolation
        | ErrorKind::NotNullViolation
        | ErrorKind::CheckViolation
        | ErrorKind::ExclusionViolation => return Failure::Constraint,
        _ => {}
    }
    let code = error
        .code()
        .and_then(|code| code.parse::<u32>().ok())
        .unwrap_or(0);
    // The low byte is the primary code: BUSY, LOCKED, IOERR, FULL, CANTOPEN; CORRUPT, NOTADB.
    match code & 0xff {
        5 | 6 | 10 | 13 | 14 => Failure::Transient,
        11 | 26 => Failure::Corrupt,
        _ => Failure::Other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_migration_of_the_folder_is_applied_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let applied = MIGRATIONS.map(|(version, name, _)| format!("{version:04}_{name}.sql"));
        assert_eq!(files, applied);
    }
}
