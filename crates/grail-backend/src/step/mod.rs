//! One step: machines are told what happened, and their rows, jobs and events commit together (I6).

mod request;
mod settlement;

use std::collections::VecDeque;

use grail_flow::{
    Alarm, AlarmSubject, RequestEvent, SettlementEvent, SettlementId, SettlementState, Unexpected,
    UnexpectedKind,
};
use grail_store::{
    Enqueued, JobId, JobState, NewEvent, NewJob, StoreError, StoreTx, Subject, Work,
};
use grail_types::{Params, RequestId};
use serde_json::json;

use crate::{alarm, backend::Backend, clock};

/// Events of one step at most: every item of every unconfirmed settlement, several times over. More
/// means a loop.
const EVENTS_MAX: usize = 100_000;

/// Name of the event that tells of a settlement that these rows did not make.
const ADOPTED: &str = "adopted";

impl std::fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Step")
            .field("tip_height", &self.tip_height)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

enum Told {
    Request(RequestId, RequestEvent),
    Settlement(SettlementId, SettlementEvent),
}

/// A database transaction with the machines' events in it. Dropped, it leaves nothing.
#[must_use = "dropping it undoes its writes"]
pub struct Step<'a> {
    backend: &'a Backend,
    /// The transaction, for writes that belong to the step.
    pub tx: StoreTx,
    tip_height: u32,
    now: u64,
    told: VecDeque<Told>,
    wakes_build: bool,
}

impl<'a> Step<'a> {
    /// Begins a step, as of the newest block taken.
    pub async fn begin(backend: &'a Backend) -> Result<Self, StoreError> {
        let mut tx = backend.store.begin().await?;
        let tip_height = tx
            .last_block()
            .await?
            .map_or(backend.deployment.start_height, |block| block.height);
        let now = tx.now(clock::now());
        Ok(Self {
            backend,
            tx,
            tip_height,
            now,
            told: VecDeque::new(),
            wakes_build: false,
        })
    }

    /// The time of the step, unix seconds.
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// Height of the newest block taken.
    pub const fn tip_height(&self) -> u32 {
        self.tip_height
    }

    /// Protocol parameters.
    pub fn params(&self) -> &'a Params {
        self.backend.params()
    }

    /// Takes note that a block was connected or undone within the step.
    pub fn set_tip_height(&mut self, height: u32) {
        self.tip_height = height;
    }

    /// Tells a request what happened.
    pub async fn tell_request(
        &mut self,
        id: RequestId,
        event: RequestEvent,
    ) -> Result<(), StoreError> {
        self.told.push_back(Told::Request(id, event));
        self.settle().await
    }

    /// Tells a settlement what happened.
    pub async fn tell_settlement(
        &mut self,
        id: SettlementId,
        event: SettlementEvent,
    ) -> Result<(), StoreError> {
        self.told.push_back(Told::Settlement(id, event));
        self.settle().await
    }

    /// Commits, then wakes who may have work.
    pub async fn commit(self) -> Result<(), StoreError> {
        let Self {
            backend,
            tx,
            wakes_build,
            ..
        } = self;
        tx.commit().await?;
        backend.hints.jobs.notify_waiters();
        backend.hints.feed.notify_waiters();
        if wakes_build {
            backend.hints.build.notify_one();
        }
        Ok(())
    }

    /// Puts in a job.
    pub async fn enqueue(&mut self, work: Work, run_after: u64) -> Result<JobId, StoreError> {
        let job = NewJob {
            work,
            run_after,
            now: self.now,
        };
        match self.tx.enqueue(&job).await? {
            Enqueued::New(id) | Enqueued::Existing(id) => Ok(id),
        }
    }

    /// Puts in the job that proves a settlement, and its record.
    pub async fn enqueue_proving(&mut self, settlement: SettlementId) -> Result<(), StoreError> {
        let now = self.now;
        let job = self.enqueue(Work::Prove { settlement }, now).await?;
        self.tx.queue_proof(settlement, job, now).await
    }

    /// Puts in a job that publishes a settlement, unless one waits already. One that is done, or
    /// under way, may have looked before what happened now, so it does not count.
    pub async fn enqueue_publish(&mut self, settlement: SettlementId) -> Result<(), StoreError> {
        let mut turn = self.now;
        loop {
            let work = Work::Publish { settlement, turn };
            match self.tx.job_by_key(&work.key()).await? {
                None => return self.enqueue(work, self.now).await.map(|_| ()),
                Some(job) if job.state == JobState::Ready => return Ok(()),
                Some(_) => turn = turn.saturating_add(1),
            }
        }
    }

    /// Tells the feed that a settlement was read from a block.
    pub async fn note_adopted(&mut self, id: SettlementId) -> Result<(), StoreError> {
        let body = json!({ "to": SettlementState::Broadcast {}.name() });
        self.append(Subject::Settlement(id), ADOPTED, &body).await
    }

    async fn settle(&mut self) -> Result<(), StoreError> {
        for _ in 0..EVENTS_MAX {
            match self.told.pop_front() {
                Some(Told::Request(id, event)) => self.apply_to_request(id, event).await?,
                Some(Told::Settlement(id, event)) => self.apply_to_settlement(id, event).await?,
                None => return Ok(()),
            }
        }
        self.told.clear();
        self.raise(&Alarm::EventLoop).await
    }

    /// Raises an alarm that commits with the step.
    pub async fn raise(&mut self, alarm: &Alarm) -> Result<(), StoreError> {
        alarm::raise(&mut self.tx, alarm, self.now).await
    }

    async fn unexpected(
        &mut self,
        subject: AlarmSubject,
        unexpected: Unexpected,
    ) -> Result<(), StoreError> {
        match unexpected.kind {
            UnexpectedKind::Superseded => Ok(()),
            UnexpectedKind::Impossible => {
                let alarm = Alarm::ImpossibleEvent {
                    subject,
                    unexpected,
                };
                self.raise(&alarm).await
            }
        }
    }

    async fn append(
        &mut self,
        subject: Subject,
        kind: &str,
        body: &serde_json::Value,
    ) -> Result<(), StoreError> {
        self.tx
            .append_event(&NewEvent {
                subject,
                kind,
                body,
                now: self.now,
            })
            .await
            .map(|_| ())
    }
}
