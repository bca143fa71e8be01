//! Moving all rows from a SQLite file to a PostgreSQL database (ADR 41).
//!
//! The file is marked as moved before a row is copied: were both to be opened, both would be the
//! truth. All is copied in one transaction, which is kept only when count and digest of every table
//! are the same on both sides.

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use sqlx::Row as _;

use crate::{
    JobState, Reader, Store, StoreError, StoreTx,
    column::Columns,
    db::{Connection, Db, DbRow, Engine, sql},
    store::MOVED,
};

/// All tables, each behind those that it points to. Sums come last: while rows are put in, the
/// database adds them up itself, without what was forgotten before.
const TABLES: [&str; 30] = [
    "counters",
    "facts",
    "blocks",
    "transactions",
    "requests",
    "deposits",
    "settlements",
    "settlement_items",
    "settlement_bodies",
    "answers",
    "jobs",
    "proofs",
    "events",
    "alarms",
    "vault_outputs",
    "fee_waits",
    "handovers",
    "signer_evidence",
    "queue",
    "suspects",
    "admin_actions",
    "controls",
    "rotations",
    "rotation_steps",
    "former_settlements",
    "merges",
    "request_totals",
    "settlement_totals",
    "proof_totals",
    "alarm_totals",
];

/// A table as it was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedTable {
    /// Its name.
    pub name: &'static str,
    /// Rows that it holds.
    pub rows: u64,
    /// SHA-256 of all its rows in order of their key, the same on both sides.
    pub digest: sha256::Hash,
    /// Texts of which a NUL was replaced by U+FFFD, since PostgreSQL holds none.
    pub cleaned: u64,
}

/// What was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Every table, in the order in which they were copied.
    pub tables: Vec<MovedTable>,
    /// Jobs that somebody had a lease of: they are there for anybody to take.
    pub leases_ended: u64,
}

/// Why nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The only way is from a SQLite file to a PostgreSQL database.
    #[error("expected to move from sqlite: to postgres:")]
    Direction,
    /// Somebody has used the database to move to.
    #[error("the database to move to is not empty: it has rows in {table}")]
    NotEmpty {
        /// The first table with rows.
        table: &'static str,
    },
    /// The file's rows are elsewhere already.
    #[error("the rows were moved to {to} before")]
    MovedElsewhere {
        /// Where.
        to: String,
    },
    /// What was copied does not read as what there was.
    #[error("table {table} did not come out as it was")]
    Differs {
        /// The table.
        table: &'static str,
    },
    /// The last answer is missing: the rows may be there. Look whether they are; the file stays
    /// marked.
    #[error("nobody knows whether the rows were kept: look into the database moved to")]
    Unknown(#[source] StoreError),
    /// A database failed. The file may be used as before.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Moves all rows from the file at `from` to the empty database at `to`, and marks the file.
///
/// # Errors
/// [`MoveError`]; but for [`MoveError::Unknown`] the file is as it was.
pub async fn move_rows(from: &str, to: &str) -> Result<Moved, MoveError> {
    let is_way = Engine::of(from) == Ok(Engine::Sqlite) && Engine::of(to) == Ok(Engine::Postgres);
    if !is_way {
        return Err(MoveError::Direction);
    }
    let source = Store::open_moved(from).await?;
    let target = Store::open(to).await?;
    let name = to.split('?').next().unwrap_or(to);
    let mut into = target.begin().await?;
    // A scan of the file may keep this side waiting.
    sqlx::query("SET LOCAL idle_in_transaction_session_timeout = '10min'")
        .execute(into.connection())
        .await
        .map_err(StoreError::from)?;
    is_empty(&mut into).await?;
    mark(&source, name).await?;
    let copied = async {
        // Nobody writes meanwhile.
        let mut out = source.begin().await?;
        copy_all(&mut out, &mut into).await
    };
    let moved = match copied.await {
        Ok(moved) => moved,
        Err(error) => {
            drop(into);
            unmark(&source).await?;
            return Err(error);
        }
    };
    into.commit().await.map_err(MoveError::Unknown)?;
    target.close().await;
    source.close().await;
    Ok(moved)
}

async fn is_empty(into: &mut StoreTx) -> Result<(), MoveError> {
    for table in TABLES {
        // Counters are there from the start.
        let used = if table == "counters" {
            "WHERE value > 0"
        } else {
            ""
        };
        let row = sqlx::query(sql(format!("SELECT 1 FROM {table} {used} LIMIT 1")))
            .fetch_optional(into.connection())
            .await
            .map_err(StoreError::from)?;
        if row.is_some() {
            return Err(MoveError::NotEmpty { table });
        }
    }
    Ok(())
}

async fn mark(source: &Store, name: &str) -> Result<(), MoveError> {
    let mut tx = source.begin().await?;
    match tx.fact(MOVED).await? {
        Some(to) if to != name => return Err(MoveError::MovedElsewhere { to }),
        _ => tx.put_fact(MOVED, name).await?,
    }
    Ok(tx.commit().await?)
}

async fn unmark(source: &Store) -> Result<(), StoreError> {
    let mut tx = source.begin().await?;
    sqlx::query("DELETE FROM facts WHERE name = $1")
        .bind(MOVED)
        .execute(tx.connection())
        .await?;
    tx.commit().await
}

async fn copy_all(out: &mut StoreTx, into: &mut StoreTx) -> Result<Moved, MoveError> {
    let mut tables = Vec::new();
    for name in TABLES {
        let shape = Shape::of(name, out).await?;
        let moved = copy(&shape, out, into.connection()).await?;
        let came_out = read_through(&shape, into).await?;
        if (came_out.rows, came_out.digest) != (moved.rows, moved.digest) {
            return Err(MoveError::Differs { table: name });
        }
        tables.push(moved);
    }
    let leases_ended = sqlx::query("UPDATE jobs SET state = $1 WHERE state = $2")
        .bind(JobState::Ready.name())
        .bind(JobState::Leased.name())
        .execute(into.connection())
        .await
        .map_err(StoreError::from)?
        .rows_affected();
    Ok(Moved {
        tables,
        leases_ended,
    })
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Integer,
    Text,
    Bytes,
}

/// Columns of a table, and its key.
struct Shape {
    table: &'static str,
    columns: Vec<(String, Kind)>,
    /// Its first columns.
    key: usize,
}

impl Shape {
    /// As the file has it.
    async fn of(table: &'static str, out: &mut Reader) -> Result<Self, StoreError> {
        let rows = sqlx::query(
            "SELECT name, type AS kind, pk FROM pragma_table_info($1) ORDER BY pk = 0, pk, cid",
        )
        .bind(table)
        .fetch_all(out.connection())
        .await?;
        let (mut columns, mut key) = (Vec::new(), 0_usize);
        for row in rows {
            let name = row.text("name")?;
            let kind = match row.text("kind")?.as_str() {
                "BIGINT" => Kind::Integer,
                "TEXT" => Kind::Text,
                "BLOB" => Kind::Bytes,
                other => return Err(StoreError::corrupt("schema", other)),
            };
            if row.u64("pk")? > 0 {
                key = key.saturating_add(1);
            }
            columns.push((name, kind));
        }
        Ok(Self {
            table,
            columns,
            key,
        })
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }

    /// A page of rows in order of their key: from the start, or behind the key that is bound.
    fn select(&self, is_first: bool) -> String {
        let keys = self
            .columns
            .iter()
            .take(self.key)
            .map(|(name, _)| name.as_str());
        let key = keys.collect::<Vec<_>>().join(", ");
        let behind = if is_first {
            "1 = 1".to_owned()
        } else {
            format!("({key}) > ({})", numbered(self.key))
        };
        // The mark belongs to the file alone.
        let but = if self.table == "facts" {
            format!("AND name <> '{MOVED}'")
        } else {
            String::new()
        };
        let (table, names) = (self.table, self.names());
        format!("SELECT {names} FROM {table} WHERE {behind} {but} ORDER BY {key} LIMIT {PAGE}")
    }

    fn insert(&self) -> String {
        let (table, names, values) = (self.table, self.names(), numbered(self.columns.len()));
        format!("INSERT INTO {table} ({names}) VALUES ({values})")
    }

    fn read(&self, row: &DbRow) -> Result<Vec<Cell>, StoreError> {
        let cell = |name: &str, kind| {
            Ok(match kind {
                Kind::Integer => Cell::Integer(row.try_get(name)?),
                Kind::Text => Cell::Text(row.try_get(name)?),
                Kind::Bytes => Cell::Bytes(row.try_get(name)?),
            })
        };
        let cells = self.columns.iter().map(|(name, kind)| cell(name, *kind));
        cells.collect()
    }
}

/// `$1, $2, …`
fn numbered(count: usize) -> String {
    let places: Vec<_> = (1..=count).map(|number| format!("${number}")).collect();
    places.join(", ")
}

/// A value.
#[derive(Clone)]
enum Cell {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl Cell {
    /// Replaces what the other database cannot hold; whether there was any.
    fn clean(&mut self) -> bool {
        match self {
            Self::Text(Some(text)) if text.contains('\0') => {
                *text = text.replace('\0', "\u{fffd}");
                true
            }
            _ => false,
        }
    }

    /// Puts it into a digest, so that no two rows look the same.
    fn digest(&self, engine: &mut sha256::HashEngine) {
        let integer;
        let (kind, bytes) = match self {
            Self::Integer(Some(value)) => {
                integer = value.to_be_bytes();
                (1, integer.as_slice())
            }
            Self::Text(Some(text)) => (2, text.as_bytes()),
            Self::Bytes(Some(bytes)) => (3, bytes.as_slice()),
            Self::Integer(None) | Self::Text(None) | Self::Bytes(None) => (0, [].as_slice()),
        };
        engine.input(&[kind]);
        engine.input(&(bytes.len() as u64).to_be_bytes());
        engine.input(bytes);
    }
}

/// Rows on their way, counted and hashed.
#[derive(Default)]
struct Through {
    rows: u64,
    cleaned: u64,
    engine: sha256::HashEngine,
}

impl Through {
    fn take(&mut self, cells: &[Cell]) {
        self.rows = self.rows.saturating_add(1);
        for cell in cells {
            cell.digest(&mut self.engine);
        }
    }

    fn done(self, name: &'static str) -> MovedTable {
        MovedTable {
            name,
            rows: self.rows,
            digest: sha256::Hash::from_engine(self.engine),
            cleaned: self.cleaned,
        }
    }
}

/// Rows read at a time: by their place, so that a page is in memory and never a table.
const PAGE: usize = 500;

type BoundQuery = sqlx::query::Query<'static, Db, sqlx::any::AnyArguments>;

fn bound(statement: String, cells: Vec<Cell>) -> BoundQuery {
    let query = sqlx::query(sql(statement));
    cells.into_iter().fold(query, |query, cell| match cell {
        Cell::Integer(value) => query.bind(value),
        Cell::Text(value) => query.bind(value),
        Cell::Bytes(value) => query.bind(value),
    })
}

/// A walk over all rows of a table.
struct Pages<'a> {
    shape: &'a Shape,
    /// Key of the last row read.
    last: Option<Vec<Cell>>,
    is_end: bool,
}

impl<'a> Pages<'a> {
    const fn of(shape: &'a Shape) -> Self {
        Self {
            shape,
            last: None,
            is_end: false,
        }
    }

    async fn next(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Option<Vec<Vec<Cell>>>, StoreError> {
        if self.is_end {
            return Ok(None);
        }
        let statement = self.shape.select(self.last.is_none());
        let query = bound(statement, self.last.take().unwrap_or_default());
        let rows = query.fetch_all(connection).await?;
        self.is_end = rows.len() < PAGE;
        let rows = rows
            .iter()
            .map(|row| self.shape.read(row))
            .collect::<Result<Vec<_>, _>>()?;
        let key = |row: &Vec<Cell>| row.iter().take(self.shape.key).cloned().collect();
        self.last = rows.last().map(key);
        Ok(Some(rows))
    }
}

async fn copy(
    shape: &Shape,
    out: &mut Reader,
    into: &mut Connection,
) -> Result<MovedTable, StoreError> {
    // Of the start, or what the database added up meanwhile.
    sqlx::query(sql(format!("DELETE FROM {}", shape.table)))
        .execute(&mut *into)
        .await?;
    let mut through = Through::default();
    let insert = shape.insert();
    let mut reading = Pages::of(shape);
    while let Some(rows) = reading.next(out.connection()).await? {
        for mut cells in rows {
            for cell in &mut cells {
                through.cleaned = through.cleaned.saturating_add(cell.clean().into());
            }
            through.take(&cells);
            bound(insert.clone(), cells).execute(&mut *into).await?;
        }
    }
    Ok(through.done(shape.table))
}

async fn read_through(shape: &Shape, from: &mut Reader) -> Result<MovedTable, StoreError> {
    let mut through = Through::default();
    let mut reading = Pages::of(shape);
    while let Some(rows) = reading.next(from.connection()).await? {
        for cells in rows {
            through.take(&cells);
        }
    }
    Ok(through.done(shape.table))
}
