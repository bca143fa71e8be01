//! What is particular to one of the two databases: which one a URL names, connections, what errors
//! mean, and the few words of SQL that differ (ADR 41).

mod migrations;
mod postgres;
mod sqlite;
mod url;

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Pool, SqlSafeStr,
    any::{AnyConnectOptions, AnyPoolOptions},
    error::{DatabaseError, ErrorKind},
    postgres::PgDatabaseError,
};

pub use self::url::{Engine, UrlError};
use crate::{Conflict, StoreError};

/// The database.
pub(crate) type Db = sqlx::Any;
/// A connection to it.
pub(crate) type Connection = sqlx::AnyConnection;
/// A row of it.
pub(crate) type DbRow = sqlx::any::AnyRow;

/// A statement put together from this program's own constants. Values of rows and of the world are
/// bound, never put in here.
pub(crate) fn sql(statement: String) -> impl SqlSafeStr {
    AssertSqlSafe(statement)
}

/// Values for [`Engine::is_listed_text`] and [`Engine::is_listed_number`].
pub(crate) fn list<T: Into<serde_json::Value>>(values: impl IntoIterator<Item = T>) -> String {
    serde_json::Value::from_iter(values).to_string()
}

/// How long a caller waits for a connection of this process.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections that read at the same time.
const READERS_MAX: u32 = 8;
/// Tries to open: of processes that start together on one new database, each may find it locked
/// while another switches its journal, or its tables made in between.
const OPEN_TRIES_MAX: u32 = 8;
/// Pause after the first try; it grows with each.
const OPEN_PAUSE: Duration = Duration::from_millis(50);

impl Engine {
    /// A condition on a column of text: it has one of the values bound as `$1`, which [`list`]
    /// makes of them. However many there are, they are one statement.
    pub(crate) const fn is_listed_text(self) -> &'static str {
        match self {
            Self::Sqlite => "IN (SELECT value FROM json_each($1))",
            Self::Postgres => "IN (SELECT json_array_elements_text(CAST($1 AS JSON)))",
        }
    }

    /// The same for a column of integers.
    pub(crate) const fn is_listed_number(self) -> &'static str {
        match self {
            Self::Sqlite => "IN (SELECT value FROM json_each($1))",
            Self::Postgres => {
                "IN (SELECT CAST(json_array_elements_text(CAST($1 AS JSON)) AS BIGINT))"
            }
        }
    }

    /// Begins a transaction that writes. On SQLite it takes the write lock at once, so that what it
    /// reads cannot change before it writes; on PostgreSQL [`Engine::take_turn`] comes next, and
    /// sees whatever was committed while it waited.
    pub(crate) const fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }

    /// Begins a transaction that reads one state of everything.
    pub(crate) const fn begin_read(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// Waits until no other step is under way; the database's time after that, where it has one.
    pub(crate) async fn take_turn(
        self,
        connection: &mut Connection,
    ) -> Result<Option<i64>, StoreError> {
        match self {
            Self::Sqlite => Ok(None),
            Self::Postgres => postgres::take_turn(connection).await.map(Some),
        }
    }

    /// Claims a database that others can reach for one backend, for as long as `connection` lives.
    ///
    /// # Errors
    /// [`Conflict::Claimed`] when somebody else has.
    pub(crate) async fn claim(self, connection: &mut Connection) -> Result<(), StoreError> {
        match self {
            Self::Sqlite => Ok(()),
            Self::Postgres if postgres::claim_hub(connection).await? => Ok(()),
            Self::Postgres => Err(Conflict::Claimed.into()),
        }
    }

    /// Makes sure that a step can still be committed: PostgreSQL answers a COMMIT of a step that
    /// an error has spoiled with "done", and undoes it.
    pub(crate) async fn hold(self, connection: &mut Connection) -> Result<(), StoreError> {
        if self == Self::Postgres {
            sqlx::query("SELECT 1").execute(connection).await?;
        }
        Ok(())
    }
}

/// The connections of one process. There is one step at a time: a pool of one queues them fairly.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    pub(crate) engine: Engine,
    pub(crate) writer: Pool<Db>,
    pub(crate) readers: Pool<Db>,
    pub(crate) options: AnyConnectOptions,
}

impl Pools {
    /// Opens `url`, creates a SQLite file when it is missing, and migrates.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let (engine, options) =
            url::read(url).map_err(|error| StoreError::Database(error.into()))?;
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::try_open(engine, &options).await {
                Err(StoreError::Transient(_)) if tries < OPEN_TRIES_MAX => {}
                Err(StoreError::Database(_))
                    if engine == Engine::Sqlite && tries < OPEN_TRIES_MAX => {}
                outcome => return outcome,
            }
            tokio::time::sleep(OPEN_PAUSE * tries).await;
        }
    }

    async fn try_open(engine: Engine, options: &AnyConnectOptions) -> Result<Self, StoreError> {
        // By itself: a pool tries until its time is over and does not say what stood in the way.
        let mut first = connect(engine, options).await?;
        if engine == Engine::Postgres {
            postgres::check(&mut first).await?;
        }
        sqlx::Connection::close(first).await?;
        let pool = |size: u32, setting: &'static str| {
            AnyPoolOptions::new()
                .max_connections(size)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .after_connect(move |connection, _| Box::pin(set(connection, setting)))
                .connect_with(options.clone())
        };
        let (of_writer, of_readers) = match engine {
            Engine::Sqlite => (sqlite::WRITER, sqlite::READER),
            Engine::Postgres => (postgres::WRITER, postgres::READER),
        };
        let writer = pool(1, of_writer).await?;
        migrations::migrate(engine, &writer).await?;
        let readers = pool(READERS_MAX, of_readers).await?;
        let options = options.clone();
        Ok(Self {
            engine,
            writer,
            readers,
            options,
        })
    }
}

/// One connection, set up to read.
pub(crate) async fn connect(
    engine: Engine,
    options: &AnyConnectOptions,
) -> Result<Connection, StoreError> {
    let mut connection = sqlx::ConnectOptions::connect(options).await?;
    let setting = match engine {
        Engine::Sqlite => sqlite::READER,
        Engine::Postgres => postgres::READER,
    };
    set(&mut connection, setting).await?;
    Ok(connection)
}

async fn set(connection: &mut Connection, settings: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(settings).execute(connection).await?;
    Ok(())
}

/// What an error of the database means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Transient,
    Constraint,
    Corrupt,
    Other,
}

/// Sorts what a database says.
pub(crate) fn classify(error: &(dyn DatabaseError + 'static)) -> Failure {
    match error.kind() {
        ErrorKind::UniqueViolation
        | ErrorKind::ForeignKeyViolation
        | ErrorKind::NotNullViolation
        | ErrorKind::CheckViolation
        | ErrorKind::ExclusionViolation => return Failure::Constraint,
        _ => {}
    }
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<PgDatabaseError>().is_some() {
        postgres::classify(&code)
    } else {
        sqlite::classify(&code)
    }
}
