//! Work that follows from a step: outbox and queue in one table. A job is put in with the state
//! change that asks for it, leased with a fencing token, and ends done or dead; a dead one stands
//! in nobody's way.

use grail_flow::named_enum;
use grail_types::TaggedHasher;

use crate::{
    JobKind, Reader, Store, StoreError, StoreTx, Work,
    column::{Columns, after, integer, json, listed, page, printable},
    db::{DbRow, sql},
};

/// Leases of one job before it is dead: with the backoff about an hour.
pub const ATTEMPTS_MAX: u64 = 20;
/// Longest wait between two attempts.
pub const BACKOFF_MAX_SECONDS: u64 = 300;
/// Wait after the first failure, before jitter; it doubles with each further one.
const BACKOFF_FIRST_SECONDS: u64 = 2;
/// Longest error kept; the rest is cut.
const ERROR_CHARS_MAX: usize = 1_000;

/// Number of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A job to put in.
#[derive(Clone, Copy, Debug)]
pub struct NewJob {
    /// What is to be done; gives the job its key.
    pub work: Work,
    /// Earliest lease, unix seconds.
    pub run_after: u64,
    /// The time, unix seconds.
    pub now: u64,
}

/// Whether a job is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is.
    New(JobId),
    /// The key was known: this is its job.
    Existing(JobId),
}

/// A job as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// Its name.
    pub idempotency_key: String,
    /// What is to be done; none when a newer process wrote it, whose job it is.
    pub work: Option<Work>,
    /// Where it stands.
    pub state: JobState,
    /// Leases so far.
    pub attempts: u64,
    /// When it may be leased: for a leased job when its lease ends.
    pub due_at: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

named_enum! {
    /// Where a job stands.
    pub enum JobState {
        /// Waits for a worker.
        Ready = "ready",
        /// Has one.
        Leased = "leased",
        /// Done.
        Done = "done",
        /// Given up; a person may revive it.
        Dead = "dead",
    }
}

impl JobState {
    /// Will be leased again, unless it is done or given up first.
    pub const fn is_waiting(self) -> bool {
        match self {
            Self::Ready | Self::Leased => true,
            Self::Done | Self::Dead => false,
        }
    }

    /// Not done: there is work left, though for a dead one only once somebody revives it.
    pub const fn is_left(self) -> bool {
        match self {
            Self::Ready | Self::Leased | Self::Dead => true,
            Self::Done => false,
        }
    }
}

const READY: &str = JobState::Ready.name();
const LEASED: &str = JobState::Leased.name();
const DONE: &str = JobState::Done.name();
const DEAD: &str = JobState::Dead.name();

fn waiting() -> String {
    listed(JobState::those(JobState::is_waiting).map(JobState::name))
}

/// The right to do a job, until `due_at` of the job. A later lease makes it void.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// The job.
    pub job: Job,
    /// Proves who holds the lease; grows with every lease of any job.
    pub token: u64,
}

/// What became of a failed job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// Another attempt will be made.
    Retry {
        /// Not before this, unix seconds.
        run_after: u64,
    },
    /// It was the last attempt.
    Dead,
}

macro_rules! columns {
    () => {
        "id, kind, idempotency_key, payload, state, attempts, due_at, last_error"
    };
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), " FROM jobs ", $rest)
    };
}

impl Store {
    /// Leases the job of a kind that is due longest, in a step of its own. See
    /// [`StoreTx::lease_job`].
    pub async fn lease_job(
        &self,
        kind: JobKind,
        now: u64,
        lease_seconds: u64,
    ) -> Result<Option<Lease>, StoreError> {
        let mut tx = self.begin().await?;
        let lease = tx.lease_job(kind, now, lease_seconds).await?;
        tx.commit().await?;
        Ok(lease)
    }
}

impl Reader {
    /// A job.
    pub async fn job(&mut self, id: JobId) -> Result<Option<Job>, StoreError> {
        let row = sqlx::query(select!("WHERE id = $1"))
            .bind(after(id.0))
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The job of this name.
    pub async fn job_by_key(&mut self, idempotency_key: &str) -> Result<Option<Job>, StoreError> {
        let row = sqlx::query(select!("WHERE idempotency_key = $1"))
            .bind(idempotency_key)
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Jobs in a state, in order of creation, after `after_id` (0: from the start).
    pub async fn jobs_in_state(
        &mut self,
        state: JobState,
        after_id: u64,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        let rows = sqlx::query(select!("WHERE state = $1 AND id > $2 ORDER BY id LIMIT $3"))
            .bind(state.name())
            .bind(after(after_id))
            .bind(page(limit))
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Jobs that are not done, in order of creation, after `after_id` (0: from the start).
    pub async fn jobs_left(&mut self, after_id: u64, limit: u32) -> Result<Vec<Job>, StoreError> {
        let rows = sqlx::query(sql(format!(
            select!("WHERE state IN ({}) AND id > $1 ORDER BY id LIMIT $2"),
            listed(JobState::those(JobState::is_left).map(JobState::name))
        )))
        .bind(after(after_id))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// When the next job of a kind is due, unix seconds; a worker without a hint sleeps until then.
    pub async fn next_job_due_at(&mut self, kind: JobKind) -> Result<Option<u64>, StoreError> {
        let row = sqlx::query(sql(format!(
            "SELECT MIN(due_at) AS due FROM jobs WHERE kind = $1 AND state IN ({})",
            waiting()
        )))
        .bind(kind.name())
        .fetch_one(self.connection())
        .await?;
        row.maybe_u64("due")
    }
}

impl StoreTx {
    /// Puts a job in, with the state change that asks for it.
    pub async fn enqueue(&mut self, new: &NewJob) -> Result<Enqueued, StoreError> {
        let key = new.work.key();
        let payload = json("jobs.payload", &new.work)?;
        let run_after = integer("run after", new.run_after)?;
        let now = integer("now", new.now)?;
        if let Some(known) = self.job_by_key(&key).await? {
            return Ok(Enqueued::Existing(known.id));
        }
        let id = self.next_number("job").await?;
        sqlx::query(sql(format!("INSERT INTO jobs (id, kind, idempotency_key, payload, state, attempts, due_at, token, created_at, \
             updated_at) VALUES ($1, $2, $3, $4, '{READY}', 0, $5, 0, $6, $6)")))
        .bind(id)
        .bind(new.work.kind().name())
        .bind(key)
        .bind(payload)
        .bind(run_after)
        .bind(now)
        .execute(self.connection())
        .await?;
        u64::try_from(id)
            .map(|id| Enqueued::New(JobId(id)))
            .map_err(|error| StoreError::corrupt("counters.value", error))
    }

    /// Leases the job of a kind that is due longest: a ready one, or one whose lease has ended. One
    /// whose leases are used up is dead, and the next one is looked at: it may be what ends the
    /// process of its worker.
    pub async fn lease_job(
        &mut self,
        kind: JobKind,
        now: u64,
        lease_seconds: u64,
    ) -> Result<Option<Lease>, StoreError> {
        let until = integer("end of the lease", now.saturating_add(lease_seconds))?;
        let at = integer("now", now)?;
        sqlx::query(sql(format!(
            "UPDATE jobs SET state = '{DEAD}', updated_at = $2, \
             last_error = COALESCE(last_error, 'no worker ended its attempt') \
             WHERE kind = $1 AND state IN ({}) AND due_at <= $2 AND attempts >= $3",
            waiting()
        )))
        .bind(kind.name())
        .bind(at)
        .bind(integer("attempts", ATTEMPTS_MAX)?)
        .execute(self.connection())
        .await?;
        let due = sqlx::query(sql(format!(
            "SELECT id FROM jobs WHERE kind = $1 AND state IN ({}) AND due_at <= $2 \
             ORDER BY due_at, id LIMIT 1",
            waiting()
        )))
        .bind(kind.name())
        .bind(at)
        .fetch_optional(self.connection())
        .await?;
        let Some(due) = due else { return Ok(None) };
        let id = JobId(due.u64("id")?);
        let token = self.next_number("lease").await?;
        let leased = sqlx::query(sql(format!(
            "UPDATE jobs SET state = '{LEASED}', attempts = attempts + 1, due_at = $2, token = $3, \
             updated_at = $4 WHERE id = $1 RETURNING {}",
            columns!()
        )))
        .bind(after(id.0))
        .bind(until)
        .bind(token)
        .bind(at)
        .fetch_one(self.connection())
        .await?;
        let job = read(&leased)?;
        let token =
            u64::try_from(token).map_err(|error| StoreError::corrupt("counters.value", error))?;
        Ok(Some(Lease { job, token }))
    }

    /// Prolongs a lease.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the lease is void.
    pub async fn extend_lease(
        &mut self,
        id: JobId,
        token: u64,
        now: u64,
        lease_seconds: u64,
    ) -> Result<(), StoreError> {
        let until = integer("end of the lease", now.saturating_add(lease_seconds))?;
        let changed = sqlx::query(sql(format!("UPDATE jobs SET due_at = $3, updated_at = $4 WHERE id = $1 AND token = $2 AND state = '{LEASED}'")))
        .bind(after(id.0))
        .bind(after(token))
        .bind(until)
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        held(changed)
    }

    /// Makes sure that a lease still holds, for a step that writes what only its holder may write.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the lease is void.
    pub async fn hold_lease(&mut self, lease: &Lease, now: u64) -> Result<(), StoreError> {
        // A write, so that on any database the row is ours until the step ends.
        let changed = sqlx::query(sql(format!(
            "UPDATE jobs SET updated_at = $3 WHERE id = $1 AND token = $2 AND state = '{LEASED}'"
        )))
        .bind(after(lease.job.id.0))
        .bind(after(lease.token))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        held(changed)
    }

    /// Ends a job as done, in the step that its work belongs to.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the lease is void: somebody else has or had the job, so drop the
    /// step.
    pub async fn complete_job(
        &mut self,
        id: JobId,
        token: u64,
        now: u64,
    ) -> Result<(), StoreError> {
        let changed = sqlx::query(sql(format!("UPDATE jobs SET state = '{DONE}', updated_at = $3 WHERE id = $1 AND token = $2 AND state = '{LEASED}'")))
        .bind(after(id.0))
        .bind(after(token))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        held(changed)
    }

    /// Gives a job back after a failed attempt: for later, with growing, jittered waits, or dead
    /// after the last one.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the lease is void.
    pub async fn fail_job(
        &mut self,
        id: JobId,
        token: u64,
        error: &str,
        now: u64,
    ) -> Result<Failed, StoreError> {
        let job = self
            .job(id)
            .await?
            .ok_or(StoreError::NotFound { what: "job" })?;
        if job.attempts >= ATTEMPTS_MAX {
            self.poison_job(id, token, error, now).await?;
            return Ok(Failed::Dead);
        }
        let run_after = now.saturating_add(backoff_seconds(id, job.attempts));
        let changed = sqlx::query(sql(format!(
            "UPDATE jobs SET state = '{READY}', due_at = $3, last_error = $4, updated_at = $5 \
             WHERE id = $1 AND token = $2 AND state = '{LEASED}'"
        )))
        .bind(after(id.0))
        .bind(after(token))
        .bind(integer("run after", run_after)?)
        .bind(cut(error))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        held(changed)?;
        Ok(Failed::Retry { run_after })
    }

    /// Gives a job back unharmed: what it needs is not there now (a node that is down, operators
    /// that are away), which is no fault of the job, so the attempt does not count.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the lease is void.
    pub async fn defer_job(
        &mut self,
        id: JobId,
        token: u64,
        reason: &str,
        run_after: u64,
        now: u64,
    ) -> Result<(), StoreError> {
        let changed = sqlx::query(sql(format!("UPDATE jobs SET state = '{READY}', attempts = attempts - 1, due_at = $3, last_error = $4, \
             updated_at = $5 WHERE id = $1 AND token = $2 AND state = '{LEASED}'")))
        .bind(after(id.0))
        .bind(after(token))
        .bind(integer("run after", run_after)?)
        .bind(cut(reason))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        held(changed)
    }

    /// Ends a job that can never succeed as dead.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the lease is void.
    pub async fn poison_job(
        &mut self,
        id: JobId,
        token: u64,
        error: &str,
        now: u64,
    ) -> Result<(), StoreError> {
        let changed = sqlx::query(sql(format!(
            "UPDATE jobs SET state = '{DEAD}', last_error = $3, updated_at = $4 \
             WHERE id = $1 AND token = $2 AND state = '{LEASED}'"
        )))
        .bind(after(id.0))
        .bind(after(token))
        .bind(cut(error))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        held(changed)
    }

    /// Ends a job that nobody is to do any more, whoever is at it: his lease is void. It counts as
    /// done, so that it is neither revived nor put in again.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is done already.
    pub async fn discard_job(&mut self, id: JobId, note: &str, now: u64) -> Result<(), StoreError> {
        let changed = sqlx::query(sql(format!(
            "UPDATE jobs SET state = '{DONE}', last_error = $2, updated_at = $3 \
             WHERE id = $1 AND state <> '{DONE}'"
        )))
        .bind(after(id.0))
        .bind(cut(note))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        if changed == 1 {
            Ok(())
        } else {
            Err(StoreError::Stale { what: "job" })
        }
    }

    /// Gives a dead job all its attempts back.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such dead job.
    pub async fn revive_job(&mut self, id: JobId, now: u64) -> Result<(), StoreError> {
        let changed = sqlx::query(sql(format!(
            "UPDATE jobs SET state = '{READY}', attempts = 0, due_at = $2, updated_at = $2 \
             WHERE id = $1 AND state = '{DEAD}'"
        )))
        .bind(after(id.0))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        if changed == 1 {
            Ok(())
        } else {
            Err(StoreError::NotFound { what: "dead job" })
        }
    }
}

fn held(changed: u64) -> Result<(), StoreError> {
    if changed == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale { what: "lease" })
    }
}

pub(crate) fn cut(error: &str) -> String {
    printable(error, ERROR_CHARS_MAX)
}

/// Seconds to wait after attempt number `attempts`: doubling up to the cap, of which a half to the
/// whole is taken by a hash of job and attempt, so that jobs that failed together do not come back
/// together.
fn backoff_seconds(id: JobId, attempts: u64) -> u64 {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    let whole = 2_u64
        .saturating_pow(doublings)
        .saturating_mul(BACKOFF_FIRST_SECONDS)
        .min(BACKOFF_MAX_SECONDS);
    let half = whole / 2;
    let [byte, ..] = TaggedHasher::new("grail/job-jitter/v1")
        .u64(id.0)
        .u64(attempts)
        .finish();
    half + (whole - half) * u64::from(byte) / 255
}

fn read(row: &DbRow) -> Result<Job, StoreError> {
    Ok(Job {
        id: JobId(row.u64("id")?),
        idempotency_key: row.text("idempotency_key")?,
        work: Work::read(&row.text("kind")?, row.json("payload")?),
        state: row.parsed("state")?,
        attempts: row.u64("attempts")?,
        due_at: row.u64("due_at")?,
        last_error: row.maybe_text("last_error")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_one_or_two_seconds_up_to_the_cap() {
        let bounds = [
            (1, 1, 2),
            (2, 2, 4),
            (5, 16, 32),
            (9, 150, 300),
            (u64::MAX, 150, 300),
        ];
        for (attempts, least, most) in bounds {
            for id in 0..200 {
                let wait = backoff_seconds(JobId(id), attempts);
                assert!((least..=most).contains(&wait), "attempt {attempts}: {wait}");
            }
        }
    }

    #[test]
    fn waits_of_jobs_that_failed_together_differ() {
        let waits: std::collections::BTreeSet<_> =
            (0..50).map(|id| backoff_seconds(JobId(id), 9)).collect();
        assert!(waits.len() > 25, "{}", waits.len());
    }
}
