//! What a person must see, until that person acknowledges it. What each alarm means is
//! `grail_flow`'s.

use grail_flow::{Alarm, AlarmCode, AlarmSubject, Severity};

use crate::{
    Reader, StoreError, StoreTx,
    column::{Columns, after, integer, listed, page, printable},
    db::{DbRow, sql},
};

/// Longest details kept; the rest is cut, for an alarm must not fail on its own length.
const DETAILS_CHARS_MAX: usize = 4_000;
/// Longest subject kept: as long as a job's key, and to spare.
const SUBJECT_CHARS_MAX: usize = 300;

/// An alarm as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAlarm {
    /// Its number.
    pub id: u64,
    /// Which one it is.
    pub code: StoredCode,
    /// What it is about; empty in rows of before there were subjects.
    pub subject: String,
    /// What was seen last.
    pub details: String,
    /// How often it was raised while open.
    pub seen: u64,
    /// When it was first raised, unix seconds.
    pub at: u64,
    /// When it was last raised, unix seconds.
    pub last_at: u64,
    /// When a person acknowledged it, unix seconds.
    pub acknowledged_at: Option<u64>,
}

/// The code of a stored alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredCode {
    /// One that this version raises.
    Known(AlarmCode),
    /// One of a newer version.
    Other(String),
}

impl StoredCode {
    /// As stored.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(code) => code.name(),
            Self::Other(name) => name,
        }
    }

    /// What it asks of the backend. What a newer version found worth an alarm is not for this one
    /// to pass over.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Known(code) => code.severity(),
            Self::Other(_) => Severity::Stop,
        }
    }
}

/// Which alarms a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmScope {
    /// Those that nobody has acknowledged.
    Open,
    /// All that there ever were.
    All,
}

/// How many alarms nobody has acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenAlarms {
    /// Those that stop building and signing.
    pub stop: u64,
    /// Those that are only shown.
    pub look: u64,
}

impl Reader {
    /// Alarms in the order first raised, after number `after_id` (0: from the start).
    pub async fn alarms(
        &mut self,
        after_id: u64,
        limit: u32,
    ) -> Result<Vec<StoredAlarm>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, at, code, subject, details, seen, last_at, acknowledged_at FROM alarms \
             WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(after(after_id))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Alarms, the one first raised last in front, before number `before` (none: from the newest).
    pub async fn newest_alarms(
        &mut self,
        scope: AlarmScope,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredAlarm>, StoreError> {
        let open = match scope {
            AlarmScope::Open => "AND acknowledged_at IS NULL",
            AlarmScope::All => "",
        };
        let rows = sqlx::query(sql(format!(
            "SELECT id, at, code, subject, details, seen, last_at, acknowledged_at FROM alarms \
             WHERE id < $1 {open} ORDER BY id DESC LIMIT $2"
        )))
        .bind(after(before.unwrap_or(u64::MAX)))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// How many alarms of each code nobody has acknowledged, by code as stored.
    pub async fn open_alarms_by_code(&mut self) -> Result<Vec<(StoredCode, u64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT code, COUNT(*) AS total FROM alarms WHERE acknowledged_at IS NULL \
             GROUP BY code ORDER BY code",
        )
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| Ok((code(&row.text("code")?), row.u64("total")?)))
            .collect()
    }

    /// How many alarms nobody has acknowledged, by severity. A code that this version does not
    /// know is a stop.
    pub async fn open_alarms(&mut self) -> Result<OpenAlarms, StoreError> {
        let look = listed(AlarmCode::names_of(Severity::Look));
        let row = sqlx::query(sql(format!(
            "SELECT COUNT(*) AS total, \
             COALESCE(SUM(CASE WHEN code IN ({look}) THEN 1 ELSE 0 END), 0) AS look \
             FROM alarms WHERE acknowledged_at IS NULL"
        )))
        .fetch_one(self.connection())
        .await?;
        let look = row.u64("look")?;
        Ok(OpenAlarms {
            stop: row.u64("total")?.saturating_sub(look),
            look,
        })
    }

    /// The number of the open alarm of this code and subject.
    pub async fn open_alarm(
        &mut self,
        code: AlarmCode,
        subject: &AlarmSubject,
    ) -> Result<Option<u64>, StoreError> {
        let row = sqlx::query(
            "SELECT id FROM alarms WHERE code = $1 AND subject = $2 AND acknowledged_at IS NULL",
        )
        .bind(code.name())
        .bind(subject_text(subject))
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| row.u64("id")).transpose()
    }

    /// How often alarms were raised, acknowledged or not, gone or not, by code as stored.
    pub async fn alarm_totals(&mut self) -> Result<Vec<(StoredCode, u64)>, StoreError> {
        let rows = sqlx::query("SELECT code, seen AS total FROM alarm_totals ORDER BY code")
            .fetch_all(self.connection())
            .await?;
        rows.iter()
            .map(|row| Ok((code(&row.text("code")?), row.u64("total")?)))
            .collect()
    }
}

impl StoreTx {
    /// Raises an alarm, or counts it with the one that is open for the same fact. When the step
    /// that met the fact is to be dropped, raise it in a step of its own.
    pub async fn raise_alarm(&mut self, alarm: &Alarm, now: u64) -> Result<u64, StoreError> {
        let at = integer("now", now)?;
        let details = printable(&alarm.to_string(), DETAILS_CHARS_MAX);
        if let Some(open) = self.open_alarm(alarm.code(), &alarm.subject()).await? {
            sqlx::query(
                "UPDATE alarms SET seen = seen + 1, last_at = $2, details = $3 WHERE id = $1",
            )
            .bind(after(open))
            .bind(at)
            .bind(details)
            .execute(self.connection())
            .await?;
            return Ok(open);
        }
        let id = self.next_number("alarm").await?;
        sqlx::query(
            "INSERT INTO alarms (id, at, last_at, code, subject, details) \
             VALUES ($1, $2, $2, $3, $4, $5)",
        )
        .bind(id)
        .bind(at)
        .bind(alarm.code().name())
        .bind(subject_text(&alarm.subject()))
        .bind(details)
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

fn subject_text(subject: &AlarmSubject) -> String {
    printable(&subject.to_string(), SUBJECT_CHARS_MAX)
}

fn code(name: &str) -> StoredCode {
    name.parse()
        .map_or_else(|_| StoredCode::Other(name.to_owned()), StoredCode::Known)
}

fn read(row: &DbRow) -> Result<StoredAlarm, StoreError> {
    let at = row.u64("at")?;
    Ok(StoredAlarm {
        id: row.u64("id")?,
        code: code(&row.text("code")?),
        subject: row.text("subject")?,
        details: row.text("details")?,
        seen: row.u64("seen")?,
        at,
        last_at: row.maybe_u64("last_at")?.unwrap_or(at),
        acknowledged_at: row.maybe_u64("acknowledged_at")?,
    })
}
