//! Jobs: leased for as long as their work takes, done in the step that the work belongs to, given
//! back or parked when they fail.

use std::time::Duration;

use anyhow::Context;
use grail_broker::BrokerError;
use grail_chain::{ChainError, ErrorKind, SendError};
use grail_flow::{Alarm, SettlementId, SettlementStage};
use grail_store::{Job, JobKind, Lease, Reader, Settlement, StoreError, StoreTx, Work};

use crate::{
    alarm,
    backend::Backend,
    clock,
    roles::{prove, publish, sign},
    step::Step,
};

/// Longest sleep without a hint.
const JOB_POLL: Duration = Duration::from_millis(500);

/// Seconds until a job is tried again that something outside kept from its work.
const DEFER_SECONDS: u64 = 3;

/// Seconds for which a job of a newer process is left alone: that process, or a new version of this
/// one, may take it meanwhile.
const NOT_OURS_SECONDS: u64 = 30;

/// Shortest pause between two prolongations of a lease.
const PROLONG_MIN: Duration = Duration::from_millis(100);

/// Why a job was not done.
#[derive(Debug)]
pub enum JobError<'a> {
    /// Worth another attempt.
    Retry(anyhow::Error),
    /// Worth another attempt; the step has what is to be remembered of this one.
    RetryWith(Box<Step<'a>>, anyhow::Error),
    /// Never going to work.
    Poison(anyhow::Error),
    /// Work of a newer process, in a form that this one does not know.
    NotOurs,
}

impl<E: Into<anyhow::Error>> From<E> for JobError<'_> {
    fn from(error: E) -> Self {
        Self::Retry(error.into())
    }
}

/// Outcome of a job: a step to commit with the job's end.
pub type JobOutcome<'a> = Result<Step<'a>, JobError<'a>>;

/// The settlement that a job is about, if it still stands where the job expects it: other work, or
/// the chain, may have moved it on since the job was put in, and then there is nothing left to do.
pub async fn settlement_at(
    reader: &mut Reader,
    id: SettlementId,
    stages: &[SettlementStage],
) -> Result<Option<Settlement>, JobError<'static>> {
    let settlement = reader.settlement(id).await?;
    let settlement = settlement.context("the settlement is gone")?;
    Ok(Some(settlement).filter(|settlement| stages.contains(&settlement.state.stage())))
}

/// The outcome of a job that finds nothing to do: a step that only ends it.
pub async fn nothing_to_do(backend: &Backend) -> JobOutcome<'_> {
    Ok(Step::begin(backend).await?)
}

/// Does what a job asks for.
pub async fn perform<'a>(backend: &'a Backend, lease: &Lease) -> JobOutcome<'a> {
    match lease.job.work {
        Some(Work::Prove { settlement }) => prove::prove(backend, lease, settlement).await,
        Some(Work::DryRun { settlement }) => prove::dry_run(backend, settlement).await,
        Some(Work::Ask { settlement, round }) => sign::ask(backend, settlement, round).await,
        Some(Work::AskTimeout { settlement, round }) => {
            sign::ask_timeout(backend, settlement, round).await
        }
        Some(Work::Publish { settlement, .. }) => publish::publish(backend, settlement).await,
        // A newer process put it in and knows what it is: not ours to do, nor to end.
        None => Err(JobError::NotOurs),
    }
}

/// Does the jobs of a kind, one after the other, until the database fails or the backend stops. A
/// lease is prolonged for as long as its work takes; work whose lease somebody else has is dropped,
/// and so is work at a stop, which gives its job back for anybody to take at once.
pub async fn run(backend: &Backend, kind: JobKind) -> anyhow::Result<()> {
    while !backend.is_stopping() {
        let hint = backend.hints.jobs.notified();
        let lease = lease(backend, kind).await?;
        let Some(lease) = lease else {
            tokio::select! {
                _ = tokio::time::timeout(JOB_POLL, hint) => {}
                () = backend.stopping() => {}
            }
            continue;
        };
        // The work may hold the one write connection while the lease is to be prolonged, so both
        // must go on together.
        tokio::select! {
            outcome = perform(backend, &lease) => finish(backend, &lease, outcome).await?,
            () = prolong(backend, &lease) => {
                tracing::warn!(job = lease.job.idempotency_key, "lease lost, work dropped");
            }
            () = backend.stopping() => give_back(backend, &lease).await?,
        }
    }
    Ok(())
}

/// Leases the job of a kind that is due longest. When it is due and until when it is leased go by
/// the database's time, which is one for all processes on it.
async fn lease(backend: &Backend, kind: JobKind) -> Result<Option<Lease>, StoreError> {
    let mut tx = backend.store.begin().await?;
    let now = tx.now(clock::now());
    let lease = tx.lease_job(kind, now, lease_seconds(backend)).await?;
    tx.commit().await?;
    Ok(lease)
}

/// Instants are cut to seconds, so that a lease may end almost one sooner than it says.
fn lease_seconds(backend: &Backend) -> u64 {
    backend.config.lease_seconds.saturating_add(1)
}

/// Prolongs a lease for as long as it is polled; ends when somebody else has the job.
async fn prolong(backend: &Backend, lease: &Lease) {
    let pause = Duration::from_secs(backend.config.lease_seconds) / 3;
    loop {
        tokio::time::sleep(pause.max(PROLONG_MIN)).await;
        match prolong_once(backend, lease).await {
            Ok(()) => {}
            Err(StoreError::Stale { .. }) => return,
            // The lease goes on for a while; should it end before the database is back, somebody
            // else's counts.
            Err(error) => {
                tracing::warn!(job = lease.job.idempotency_key, %error, "lease not prolonged");
            }
        }
    }
}

async fn prolong_once(backend: &Backend, lease: &Lease) -> Result<(), StoreError> {
    let mut tx = backend.store.begin().await?;
    let now = tx.now(clock::now());
    tx.extend_lease(lease.job.id, lease.token, now, lease_seconds(backend))
        .await?;
    tx.commit().await
}

/// Gives a job back that was begun and not ended, at no cost to it: the backend stops.
async fn give_back(backend: &Backend, lease: &Lease) -> anyhow::Result<()> {
    let job = &lease.job;
    let mut tx = backend.store.begin().await?;
    let now = tx.now(clock::now());
    if let Some(Work::Prove { settlement }) = job.work {
        tx.requeue_proof(settlement, None).await?;
    }
    let given_back = tx
        .defer_job(job.id, lease.token, "the backend stopped", now, now)
        .await;
    end(job, given_back, tx).await
}

/// Ends a job with the outcome of its work, in one step: done, given back, or parked. A lease that
/// somebody else has by now leaves no trace.
pub async fn finish(
    backend: &Backend,
    lease: &Lease,
    outcome: JobOutcome<'_>,
) -> anyhow::Result<()> {
    let job = &lease.job;
    match outcome {
        Ok(mut step) => {
            let now = step.now();
            let completed = step.tx.complete_job(job.id, lease.token, now).await;
            match completed {
                Ok(()) => superseded(job, step.commit().await),
                error => superseded(job, error),
            }
        }
        Err(JobError::Retry(error)) => {
            let tx = backend.store.begin().await?;
            retry(lease, tx, &error).await
        }
        Err(JobError::RetryWith(step, error)) => retry(lease, step.tx, &error).await,
        Err(JobError::NotOurs) => {
            let mut tx = backend.store.begin().await?;
            let (now, reason) = (tx.now(clock::now()), "of a newer version");
            let run_after = now.saturating_add(NOT_OURS_SECONDS);
            let deferred = tx
                .defer_job(job.id, lease.token, reason, run_after, now)
                .await;
            end(job, deferred, tx).await
        }
        Err(JobError::Poison(error)) => {
            let mut tx = backend.store.begin().await?;
            let (now, error) = (tx.now(clock::now()), format!("{error:#}"));
            let alarm = Alarm::DeadJob {
                job: job.idempotency_key.clone(),
                error: error.clone(),
            };
            alarm::raise(&mut tx, &alarm, now).await?;
            let poisoned = tx.poison_job(job.id, lease.token, &error, now).await;
            end(job, poisoned, tx).await
        }
    }
}

/// Gives a job back for another attempt.
async fn retry(lease: &Lease, mut tx: StoreTx, error: &anyhow::Error) -> anyhow::Result<()> {
    let job = &lease.job;
    tracing::warn!(job = job.idempotency_key, attempt = job.attempts, error = %format!("{error:#}"), "job failed");
    let (now, reason) = (tx.now(clock::now()), format!("{error:#}"));
    let given_back = if is_outage(error) {
        let run_after = now.saturating_add(DEFER_SECONDS);
        tx.defer_job(job.id, lease.token, &reason, run_after, now)
            .await
    } else {
        tx.fail_job(job.id, lease.token, &reason, now)
            .await
            .map(|_| ())
    };
    end(job, given_back, tx).await
}

/// Commits what ends a job, unless it failed.
async fn end(job: &Job, outcome: Result<(), StoreError>, tx: StoreTx) -> anyhow::Result<()> {
    match outcome {
        Ok(()) => superseded(job, tx.commit().await),
        error => superseded(job, error),
    }
}

/// Somebody else has the job by now, or the row moved on: what we did left no trace, and theirs
/// counts.
fn superseded(job: &Job, done: Result<(), StoreError>) -> anyhow::Result<()> {
    match done {
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
        Some(StoreError::Transient(_) | StoreError::Newer { .. })
    );
    chain || send || store || error.is::<BrokerError>()
}
