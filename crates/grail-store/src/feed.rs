//! The feed of events that users follow. Appended in the step that it tells of, never changed.

use grail_flow::SettlementId;
use grail_types::RequestId;
use serde_json::Value;

use crate::{
    Reader, StoreError, StoreTx,
    column::{Columns, after, at_most, integer, json, page},
    db::DbRow,
};

/// Longest body of an event, as JSON.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A request.
    Request(RequestId),
    /// A settlement.
    Settlement(SettlementId),
    /// The rotation of this announcement, by its number.
    Rotation(u64),
}

/// An event to append.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    /// What it is about.
    pub subject: Subject,
    /// Stable name of what happened.
    pub kind: &'a str,
    /// More, for readers.
    pub body: &'a Value,
    /// The time, unix seconds.
    pub now: u64,
}

/// An event of the feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its place in the feed: where a reader goes on.
    pub id: u64,
    /// When, unix seconds.
    pub at: u64,
    /// What it is about.
    pub subject: Subject,
    /// Stable name of what happened.
    pub kind: String,
    /// More, for readers.
    pub body: Value,
}

impl Subject {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::Settlement(_) => "settlement",
            Self::Rotation(_) => "rotation",
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Request(id) => id.to_string(),
            Self::Settlement(id) => id.to_string(),
            Self::Rotation(attempt) => attempt.to_string(),
        }
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, at, subject_kind, subject, kind, body FROM events ",
            $rest
        )
    };
}

impl Reader {
    /// Events after `after_id` (0: from the start), oldest first. None is ever added before one
    /// that was read.
    pub async fn events_after(
        &mut self,
        after_id: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let rows = sqlx::query(select!("WHERE id > $1 ORDER BY id LIMIT $2"))
            .bind(after(after_id))
            .bind(page(limit))
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Events about one subject after `after_id`, oldest first.
    pub async fn events_about(
        &mut self,
        subject: Subject,
        after_id: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let rows = sqlx::query(select!(
            "WHERE subject_kind = $1 AND subject = $2 AND id > $3 ORDER BY id LIMIT $4"
        ))
        .bind(subject.kind())
        .bind(subject.name())
        .bind(after(after_id))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// The newest event about a subject, if one is kept.
    pub async fn newest_event_about(
        &mut self,
        subject: Subject,
    ) -> Result<Option<Event>, StoreError> {
        let row = sqlx::query(select!(
            "WHERE subject_kind = $1 AND subject = $2 ORDER BY id DESC LIMIT 1"
        ))
        .bind(subject.kind())
        .bind(subject.name())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// Number of the oldest event that is kept; none when there is none.
    pub async fn first_event_id(&mut self) -> Result<Option<u64>, StoreError> {
        let row = sqlx::query("SELECT MIN(id) AS first FROM events")
            .fetch_one(self.connection())
            .await?;
        row.maybe_u64("first")
    }

    /// Number of the newest event; 0 when there is none.
    pub async fn last_event_id(&mut self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT MAX(id) AS last FROM events")
            .fetch_one(self.connection())
            .await?;
        Ok(row.maybe_u64("last")?.unwrap_or(0))
    }
}

impl StoreTx {
    /// Appends an event; its number.
    pub async fn append_event(&mut self, event: &NewEvent<'_>) -> Result<u64, StoreError> {
        let body = json("events.body", event.body)?;
        at_most("length of the event", body.len(), BODY_BYTES_MAX)?;
        let at = integer("now", event.now)?;
        let id = self.next_number("event").await?;
        sqlx::query(
            "INSERT INTO events (id, at, subject_kind, subject, kind, body) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id)
        .bind(at)
        .bind(event.subject.kind())
        .bind(event.subject.name())
        .bind(event.kind)
        .bind(body)
        .execute(self.connection())
        .await?;
        u64::try_from(id).map_err(|error| StoreError::corrupt("counters.value", error))
    }
}

fn read(row: &DbRow) -> Result<Event, StoreError> {
    let subject = match row.text("subject_kind")?.as_str() {
        "request" => Subject::Request(row.parsed("subject")?),
        "settlement" => Subject::Settlement(SettlementId(row.parsed("subject")?)),
        "rotation" => Subject::Rotation(row.parsed("subject")?),
        other => return Err(StoreError::corrupt("events.subject_kind", other)),
    };
    Ok(Event {
        id: row.u64("id")?,
        at: row.u64("at")?,
        subject,
        kind: row.text("kind")?,
        body: row.json("body")?,
    })
}
