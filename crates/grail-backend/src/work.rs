//! Jobs: leased, done in the step that their work belongs to, given back or parked when they fail.

use std::{future::Future, time::Duration};

use anyhow::Context;
use grail_broker::BrokerError;
use grail_chain::{ChainError, ErrorKind, SendError};
use grail_flow::SettlementId;
use grail_store::{Lease, StoreError};

use crate::{backend::Backend, clock, step::Step};

/// Longest sleep without a hint.
const JOB_POLL: Duration = Duration::from_millis(500);

/// Seconds until a job is tried again that something outside kept from its work.
const DEFER_SECONDS: u64 = 3;

/// Why a job was not done.
#[derive(Debug)]
pub enum JobError {
    /// Worth another attempt.
    Retry(anyhow::Error),
    /// Never going to work.
    Poison(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for JobError {
    fn from(error: E) -> Self {
        Self::Retry(error.into())
    }
}

/// What a job comes to: a step to commit with the job's end.
pub type JobOutcome<'a> = Result<Step<'a>, JobError>;

/// The settlement that a job is about.
pub fn settlement_of(lease: &Lease) -> Result<SettlementId, JobError> {
    field(lease, "settlement").map(SettlementId)
}

/// A number in a job's payload.
pub fn field(lease: &Lease, name: &str) -> Result<u64, JobError> {
    let value = lease
        .job
        .payload
        .get(name)
        .and_then(serde_json::Value::as_u64);
    value
        .with_context(|| format!("the job has no {name}"))
        .map_err(JobError::Poison)
}

/// Does the jobs of a kind, one after the other, until the database fails.
pub async fn run<'a, F, Fut>(backend: &'a Backend, kind: &str, work: F) -> anyhow::Result<()>
where
    F: Fn(&'a Backend, Lease) -> Fut,
    Fut: Future<Output = JobOutcome<'a>>,
{
    let lease_seconds = backend.config.lease_seconds;
    loop {
        let hint = backend.hints.jobs.notified();
        match backend
            .store
            .lease_job(kind, clock::now(), lease_seconds)
            .await?
        {
            Some(lease) => finish(backend, &lease, work(backend, lease.clone()).await).await?,
            None => {
                let _ = tokio::time::timeout(JOB_POLL, hint).await;
            }
        }
    }
}

/// Ends a job with what its work came to, in one step: done, given back, or parked. A lease that somebody else has by now
/// leaves no trace.
pub async fn finish(
    backend: &Backend,
    lease: &Lease,
    outcome: JobOutcome<'_>,
) -> anyhow::Result<()> {
    let job = &lease.job;
    let done = match outcome {
        Ok(mut step) => {
            let now = step.now();
            match step.tx.complete_job(job.id, lease.token, now).await {
                Ok(()) => step.commit().await,
                Err(error) => Err(error),
            }
        }
        Err(JobError::Retry(error)) => {
            tracing::warn!(job = job.idempotency_key, attempt = job.attempts, error = %format!("{error:#}"), "job failed");
            let mut tx = backend.store.begin().await?;
            let (now, reason) = (clock::now(), format!("{error:#}"));
            let given_back = if is_outage(&error) {
                let run_after = now.saturating_add(DEFER_SECONDS);
                tx.defer_job(job.id, lease.token, &reason, run_after, now)
                    .await
            } else {
                tx.fail_job(job.id, lease.token, &reason, now)
                    .await
                    .map(|_| ())
            };
            match given_back {
                Ok(()) => tx.commit().await,
                Err(error) => Err(error),
            }
        }
        Err(JobError::Poison(error)) => {
            let mut tx = backend.store.begin().await?;
            let details = format!("{}: {error:#}", job.idempotency_key);
            tx.raise_alarm("dead-job", &details, clock::now()).await?;
            match tx
                .poison_job(job.id, lease.token, &details, clock::now())
                .await
            {
                Ok(()) => tx.commit().await,
                Err(error) => Err(error),
            }
        }
    };
    match done {
        // Somebody else has the job by now, or the row moved on: what we did left no trace, and theirs counts.
        Err(StoreError::Stale { what }) => {
            tracing::debug!(job = job.idempotency_key, what, "superseded");
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Whether something outside is merely away: that costs a job none of its attempts.
fn is_outage(error: &anyhow::Error) -> bool {
    let chain = error
        .downcast_ref::<ChainError>()
        .is_some_and(|error| error.kind() == ErrorKind::Transient);
    let send = error.downcast_ref::<SendError>().is_some_and(
        |error| matches!(error, SendError::Chain(inner) if inner.kind() == ErrorKind::Transient),
    );
    let store = matches!(
        error.downcast_ref::<StoreError>(),
        Some(StoreError::Transient(_))
    );
    chain || send || store || error.is::<BrokerError>()
}
