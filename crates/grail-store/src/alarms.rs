//! Facts that cannot be. While one is open nothing is signed; a person acknowledges it.

use crate::{
    Reader, StoreError, StoreTx,
    column::{Columns, after, integer, page},
    db::DbRow,
};

/// Longest details kept; the rest is cut, for an alarm must not fail on its own length.
const DETAILS_CHARS_MAX: usize = 4_000;

/// An alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Its number.
    pub id: u64,
    /// When it was raised, unix seconds.
    pub at: u64,
    /// Stable name of what cannot be.
    pub code: String,
    /// What was seen.
    pub details: String,
    /// When a person acknowledged it, unix seconds.
    pub acknowledged_at: Option<u64>,
}

impl Reader {
    /// Alarms in the order raised, from behind `after_id` (0: from the start).
    pub async fn alarms(&mut self, after_id: u64, limit: u32) -> Result<Vec<Alarm>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, at, code, details, acknowledged_at FROM alarms WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(after(after_id))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// How many alarms nobody has acknowledged.
    pub async fn open_alarm_count(&mut self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS total FROM alarms WHERE acknowledged_at IS NULL")
            .fetch_one(self.connection())
            .await?;
        row.u64("total")
    }
}

impl StoreTx {
    /// Raises an alarm. When the step that met the fact is to be dropped, raise it in a step of its own.
    pub async fn raise_alarm(
        &mut self,
        code: &str,
        details: &str,
        now: u64,
    ) -> Result<u64, StoreError> {
        let at = integer("now", now)?;
        let id = self.next_number("alarm").await?;
        sqlx::query("INSERT INTO alarms (id, at, code, details) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(at)
            .bind(code)
            .bind(details.chars().take(DETAILS_CHARS_MAX).collect::<String>())
            .execute(self.connection())
            .await?;
        u64::try_from(id).map_err(|error| StoreError::corrupt("counters.value", error))
    }

    /// Acknowledges an open alarm.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not open.
    pub async fn acknowledge_alarm(&mut self, id: u64, now: u64) -> Result<(), StoreError> {
        let changed = sqlx::query(
            "UPDATE alarms SET acknowledged_at = $2 WHERE id = $1 AND acknowledged_at IS NULL",
        )
        .bind(after(id))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        if changed == 1 {
            Ok(())
        } else {
            Err(StoreError::NotFound { what: "open alarm" })
        }
    }
}

fn read(row: &DbRow) -> Result<Alarm, StoreError> {
    Ok(Alarm {
        id: row.u64("id")?,
        at: row.u64("at")?,
        code: row.text("code")?,
        details: row.text("details")?,
        acknowledged_at: row.maybe_u64("acknowledged_at")?,
    })
}
