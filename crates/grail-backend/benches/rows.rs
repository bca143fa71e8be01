//! Rows on their way into a table, many in a statement.

use sqlx::{AssertSqlSafe, SqliteConnection, query::Query, sqlite::SqliteArguments};

/// Parameters of a statement, about.
const PARAMETERS: usize = 400;

/// A value of a column.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of values, each of its own type.
macro_rules! row {
    ($($value:expr),* $(,)?) => {
        [$($crate::rows::Value::from($value)),*]
    };
}
pub(crate) use row;

/// Rows for one table that are not written yet.
pub struct Rows {
    table: &'static str,
    columns: &'static str,
    width: usize,
    waiting: Vec<Value>,
    /// Rows so far.
    pub count: u64,
}

impl Rows {
    /// For a table; `columns` separated by commas.
    pub fn new(table: &'static str, columns: &'static str) -> Self {
        Self {
            table,
            columns,
            width: columns.split(',').count(),
            waiting: Vec::new(),
            count: 0,
        }
    }

    pub async fn add(&mut self, to: &mut SqliteConnection, row: impl IntoIterator<Item = Value>) {
        let before = self.waiting.len();
        self.waiting.extend(row);
        assert_eq!(self.waiting.len() - before, self.width, "{}", self.table);
        self.count += 1;
        if self.waiting.len() >= PARAMETERS {
            self.write(to).await;
        }
    }

    /// Writes what waits.
    pub async fn write(&mut self, to: &mut SqliteConnection) {
        let rows = self.waiting.len() / self.width;
        if rows == 0 {
            return;
        }
        let one = format!("({})", vec!["?"; self.width].join(", "));
        let (table, columns) = (self.table, self.columns);
        let values = vec![one; rows].join(", ");
        let statement = format!("INSERT INTO {table} ({columns}) VALUES {values}");
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for value in self.waiting.drain(..) {
            query = bind(query, value);
        }
        query.execute(to).await.unwrap();
    }
}

fn bind(
    query: Query<'_, sqlx::Sqlite, SqliteArguments>,
    value: Value,
) -> Query<'_, sqlx::Sqlite, SqliteArguments> {
    match value {
        Value::Null => query.bind(None::<i64>),
        Value::Number(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
        Value::Bytes(bytes) => query.bind(bytes),
    }
}
