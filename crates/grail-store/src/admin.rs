//! What people asked of the backend by hand, and what of it stands: a pause, blocks to read again.
//! Who may ask, and what an action does, is the caller's; here it is recorded, in the step that
//! does it.

use grail_flow::named_enum;

use crate::{
    Reader, StoreError, StoreTx,
    column::{Columns, after, at_most, integer, page, printable},
    db::DbRow,
};

/// Longest reason that a person may give.
pub const REASON_CHARS_MAX: usize = 500;
/// Longest subject kept: as long as a job's key, and to spare.
const SUBJECT_CHARS_MAX: usize = 300;

named_enum! {
    /// What a person may ask for.
    pub enum AdminAction {
        /// Plan no settlement and take no request until [`AdminAction::Resume`].
        Pause = "pause",
        /// End the pause.
        Resume = "resume",
        /// Call a settlement off.
        Cancel = "cancel",
        /// Do a job no more.
        DiscardJob = "discard-job",
        /// Take note of an alarm.
        Acknowledge = "acknowledge",
        /// Read blocks again.
        Rescan = "rescan",
    }
}

/// An action to record.
#[derive(Clone, Copy, Debug)]
pub struct NewAction<'a> {
    /// What is done.
    pub action: AdminAction,
    /// To what; empty where there is one thing it can be done to.
    pub subject: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
    /// User of the machine who asked.
    pub uid: u32,
    /// The time, unix seconds.
    pub now: u64,
}

/// An action as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoneAction {
    /// Its number.
    pub id: u64,
    /// When, unix seconds.
    pub at: u64,
    /// User of the machine who asked.
    pub uid: u32,
    /// What was done, by name: a newer version may know more than [`AdminAction`].
    pub action: String,
    /// To what.
    pub subject: String,
    /// Why.
    pub reason: Option<String>,
}

const PAUSE: &str = "pause";
const RESCAN: &str = "rescan";

impl Reader {
    /// Actions, newest first, before number `before` (none: from the newest).
    pub async fn admin_actions(
        &mut self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<DoneAction>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, at, uid, action, subject, reason FROM admin_actions WHERE id < $1 \
             ORDER BY id DESC LIMIT $2",
        )
        .bind(after(before.unwrap_or(u64::MAX)))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// The pause that stands: who asked for it, when and why.
    pub async fn pause(&mut self) -> Result<Option<DoneAction>, StoreError> {
        let row = sqlx::query(
            "SELECT a.id, a.at, a.uid, a.action, a.subject, a.reason FROM controls AS c \
             JOIN admin_actions AS a ON a.id = c.action WHERE c.name = $1",
        )
        .bind(PAUSE)
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The height from which blocks are to be read again.
    pub async fn rescan_from(&mut self) -> Result<Option<u32>, StoreError> {
        let row = sqlx::query("SELECT from_height FROM controls WHERE name = $1")
            .bind(RESCAN)
            .fetch_optional(self.connection())
            .await?;
        row.map(|row| row.u32("from_height")).transpose()
    }
}

impl StoreTx {
    /// Records what is done in this step, and gives it a number.
    ///
    /// # Errors
    /// [`StoreError::OutOfRange`] when the reason is too long.
    pub async fn record_action(&mut self, new: &NewAction<'_>) -> Result<u64, StoreError> {
        if let Some(reason) = new.reason {
            let chars = reason.chars().count();
            at_most("length of the reason", chars, REASON_CHARS_MAX)?;
        }
        let id = self.next_number("admin-action").await?;
        sqlx::query(
            "INSERT INTO admin_actions (id, at, uid, action, subject, reason) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id)
        .bind(integer("now", new.now)?)
        .bind(i64::from(new.uid))
        .bind(new.action.name())
        .bind(printable(new.subject, SUBJECT_CHARS_MAX))
        .bind(new.reason.map(|reason| printable(reason, REASON_CHARS_MAX)))
        .execute(self.connection())
        .await?;
        u64::try_from(id).map_err(|error| StoreError::corrupt("counters.value", error))
    }

    /// Makes a recorded action the pause that stands.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when one stands already.
    pub async fn begin_pause(&mut self, action: u64) -> Result<(), StoreError> {
        self.put_control(PAUSE, action, None).await
    }

    /// Ends the pause.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when none stands.
    pub async fn end_pause(&mut self) -> Result<(), StoreError> {
        self.remove_control(PAUSE).await
    }

    /// Asks the scanner, by a recorded action, to read blocks again from a height.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it has yet to begin with another one.
    pub async fn ask_rescan(&mut self, action: u64, from_height: u32) -> Result<(), StoreError> {
        self.put_control(RESCAN, action, Some(from_height)).await
    }

    /// Takes note, in the step that undoes the blocks, that they are being read again.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when nobody asks for it.
    pub async fn begin_rescan(&mut self) -> Result<(), StoreError> {
        self.remove_control(RESCAN).await
    }

    async fn put_control(
        &mut self,
        name: &'static str,
        action: u64,
        from_height: Option<u32>,
    ) -> Result<(), StoreError> {
        let changed = sqlx::query(
            "INSERT INTO controls (name, action, from_height) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(after(action))
        .bind(from_height.map(i64::from))
        .execute(self.connection())
        .await?
        .rows_affected();
        changed_one(name, changed)
    }

    async fn remove_control(&mut self, name: &'static str) -> Result<(), StoreError> {
        let changed = sqlx::query("DELETE FROM controls WHERE name = $1")
            .bind(name)
            .execute(self.connection())
            .await?
            .rows_affected();
        changed_one(name, changed)
    }
}

fn changed_one(what: &'static str, changed: u64) -> Result<(), StoreError> {
    if changed == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale { what })
    }
}

fn read(row: &DbRow) -> Result<DoneAction, StoreError> {
    Ok(DoneAction {
        id: row.u64("id")?,
        at: row.u64("at")?,
        uid: row.u32("uid")?,
        action: row.text("action")?,
        subject: row.text("subject")?,
        reason: row.maybe_text("reason")?,
    })
}
