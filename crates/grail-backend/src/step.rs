//! One step: machines are told what happened, and their rows, jobs and events commit together (I6).

use std::collections::VecDeque;

use bitcoin::{Amount, OutPoint};
use grail_flow::{
    Alarm, AlarmSubject, DepositStanding, ReclaimCode, RequestDuty, RequestEvent, RequestSituation,
    RequestState, SettlementDuty, SettlementEvent, SettlementId, SettlementSituation,
    SettlementState, Unexpected, UnexpectedKind, worth,
};
use grail_store::{
    Conflict, DepositState, Enqueued, JobId, JobState, NewEvent, NewJob, PAGE_ROWS_MAX, Request,
    Settlement, SettlementItem, StoreError, StoreTx, Subject, Work,
};
use grail_types::{Params, RequestId};
use serde_json::json;

use crate::{alarm, backend::Backend, clock, queue, roles::lane, sweep};

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
        Ok(Self {
            backend,
            tx,
            tip_height,
            now: clock::now(),
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

    /// Tells a settlement that the node has it. If it stood by, those in whose place it comes end
    /// first: whom it pays goes over to it, the others are ready again or, too close to their
    /// reclaim, their users'.
    pub async fn take_place(
        &mut self,
        id: SettlementId,
        event: SettlementEvent,
    ) -> Result<(), StoreError> {
        let settlement = self.tx.settlement(id).await?;
        let Some(settlement) = settlement.filter(Settlement::stands_by) else {
            return self.tell_settlement(id, event).await;
        };
        let replaced = lane::holders(&mut self.tx, settlement.nft_input).await?;
        // The newest first: nobody is told that a parent was given up.
        for old in replaced.iter().rev() {
            let ends = if old.state.stage().is_unsigned() {
                SettlementEvent::Cancelled
            } else {
                SettlementEvent::Replaced
            };
            self.tell_settlement(old.id, ends).await?;
        }
        self.tell_settlement(id, event).await?;
        for old in &replaced {
            for item in self.tx.known_items(old.id).await? {
                let params = self.backend.params();
                let ends = sweep::ends(params, &mut self.tx, &item).await?;
                if ends.is_some_and(|ends| self.tip_height >= ends.sweep_end) {
                    let deposit = item.deposit;
                    // Of those who are not settling by now.
                    let request = self.tx.request(&item.request).await?;
                    if request.is_some_and(|row| row.state == RequestState::Ready { deposit }) {
                        let late = RequestEvent::TooCloseToReclaim { deposit };
                        self.tell_request(item.request, late).await?;
                    }
                }
            }
        }
        Ok(())
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

    async fn apply_to_request(
        &mut self,
        id: RequestId,
        event: RequestEvent,
    ) -> Result<(), StoreError> {
        let Some(request) = self.tx.request(&id).await? else {
            return Err(StoreError::NotFound { what: "request" });
        };
        let least = match event {
            RequestEvent::DepositSeen { .. } | RequestEvent::DepositConfirmed { .. } => {
                queue::least(self.backend, &request)
            }
            // No deposit to be judged.
            RequestEvent::DepositUnconfirmed { .. }
            | RequestEvent::DepositVanished { .. }
            | RequestEvent::DepositSpentByUser { .. }
            | RequestEvent::ReclaimUnconfirmed { .. }
            | RequestEvent::DepositTaken { .. }
            | RequestEvent::TakingUnconfirmed { .. }
            | RequestEvent::DepositUnacceptable { .. }
            | RequestEvent::TooCloseToReclaim { .. }
            | RequestEvent::DeadlinePassed
            | RequestEvent::Included { .. }
            | RequestEvent::SettlementConfirmed { .. }
            | RequestEvent::SettlementUnconfirmed { .. }
            | RequestEvent::SettlementAbandoned { .. } => Amount::ZERO,
        };
        let situation = RequestSituation {
            params: self.backend.params(),
            kind: request.terms.kind,
            deadline_height: request.deadline_height,
            tip_height: self.tip_height,
            least,
            own: self.worth_of_other(&request.state, &event).await?,
        };
        let (next, duties) = match request.state.apply(&event, &situation) {
            Ok(step) => step,
            Err(error) => {
                self.mirror_other(&request.state, &event).await?;
                return self.unexpected(AlarmSubject::Request(id), error).await;
            }
        };
        if next != request.state {
            self.tx
                .set_request_state(&id, &request.state, &next, self.now)
                .await?;
            self.mirror_deposit(&request.state, &next).await?;
            self.place_in_queue(&request, &next).await?;
            // The count of blocks for which fees were too high is of one stay in *ready*.
            if !matches!(next, RequestState::Ready { .. }) {
                self.tx.end_fee_wait(&id).await?;
            }
            let code = next.code().map(ReclaimCode::code);
            tracing::info!(request = %id, from = request.state.name(), to = next.name(), event = event.name(), code);
            let body = json!({ "from": request.state.name(), "to": next.name(), "code": code });
            self.append(Subject::Request(id), event.name(), &body)
                .await?;
        }
        for duty in duties {
            match duty {
                RequestDuty::Build => self.wakes_build = true,
                RequestDuty::OfferReclaim { deposit, code } => {
                    self.tx
                        .set_deposit_state(
                            &deposit,
                            DepositState::Reclaimable,
                            Some(code),
                            self.now,
                        )
                        .await?;
                }
                RequestDuty::Reelect => self.reelect(id).await?,
                RequestDuty::AbandonSettlement { settlement } => {
                    self.told
                        .push_back(Told::Settlement(settlement, SettlementEvent::ConflictFound));
                }
                RequestDuty::RecheckSettlement { settlement } => {
                    self.enqueue_publish(settlement).await?;
                }
            }
        }
        Ok(())
    }

    /// What the deposit that a request goes by is worth, where another one is told of.
    async fn worth_of_other(
        &mut self,
        state: &RequestState,
        event: &RequestEvent,
    ) -> Result<Option<Amount>, StoreError> {
        let RequestEvent::DepositConfirmed { deposit, .. } = event else {
            return Ok(None);
        };
        let Some(own) = state.deposit().filter(|own| *own != deposit.outpoint) else {
            return Ok(None);
        };
        let row = self.tx.deposit(&own).await?;
        Ok(row.map(|row| worth(&row.deposit)))
    }

    /// Tells a request, whose deposit is gone, of every other one that is known: those in blocks by
    /// height, then those of the mempool. One that is not there any more is found out by the next
    /// look.
    async fn reelect(&mut self, id: RequestId) -> Result<(), StoreError> {
        let mut rows = self.tx.deposits_of(&id, None, PAGE_ROWS_MAX).await?;
        rows.retain(|row| match row.state {
            DepositState::Unconfirmed | DepositState::Ready | DepositState::Reclaimable => true,
            DepositState::Settling
            | DepositState::Settled
            | DepositState::Reclaimed
            | DepositState::Taken
            | DepositState::Vanished => false,
        });
        rows.sort_by_key(|row| row.block.map_or(u32::MAX, |block| block.height));
        for row in rows {
            let deposit = row.deposit;
            let event = match row.block {
                Some(block) => RequestEvent::DepositConfirmed {
                    deposit,
                    height: block.height,
                },
                None => RequestEvent::DepositSeen { deposit },
            };
            self.told.push_back(Told::Request(id, event));
        }
        Ok(())
    }

    /// The queue's row follows the request, which is in `state` by now.
    pub(crate) async fn place_in_queue(
        &mut self,
        request: &Request,
        state: &RequestState,
    ) -> Result<(), StoreError> {
        let queued = match state {
            RequestState::Ready { deposit } => Some((deposit, true)),
            RequestState::Unconfirmed {
                deposit,
                height: Some(_),
            } => Some((deposit, false)),
            RequestState::Unconfirmed { height: None, .. } | RequestState::Settling { .. } => None,
            RequestState::AwaitingDeposit {}
            | RequestState::Paid { .. }
            | RequestState::Reclaimable { .. }
            | RequestState::Reclaimed { .. }
            | RequestState::Taken { .. }
            | RequestState::Expired {} => {
                self.tx.clear_suspect(&request.id).await?;
                None
            }
        };
        let mut place = None;
        if let Some((deposit, is_ready)) = queued
            && let Some(row) = self.tx.deposit(deposit).await?
            && let Some(block) = row.block
        {
            let (backend, deposit) = (self.backend, &row.deposit);
            place = Some(queue::place(backend, request, deposit, block, is_ready));
        }
        self.tx.set_queue_place(request, place.as_ref()).await
    }

    /// The deposit's row follows the request that goes by it.
    async fn mirror_deposit(
        &mut self,
        before: &RequestState,
        after: &RequestState,
    ) -> Result<(), StoreError> {
        let (deposit, state) = match after {
            RequestState::AwaitingDeposit {} | RequestState::Expired {} => match before.deposit() {
                Some(gone) => (gone, DepositState::Vanished),
                None => return Ok(()),
            },
            RequestState::Unconfirmed { deposit, .. } => (*deposit, DepositState::Unconfirmed),
            RequestState::Ready { deposit } => (*deposit, DepositState::Ready),
            RequestState::Settling { deposit, .. } => (*deposit, DepositState::Settling),
            RequestState::Paid { deposit, .. } => (*deposit, DepositState::Settled),
            RequestState::Reclaimable { deposit, .. } => (*deposit, DepositState::Reclaimable),
            RequestState::Reclaimed { deposit, .. } => (*deposit, DepositState::Reclaimed),
            RequestState::Taken { deposit, .. } => (*deposit, DepositState::Taken),
        };
        self.tx
            .set_deposit_state(&deposit, state, after.code(), self.now)
            .await
    }

    /// Of two deposits of a request that are settled, the one that the request does not go by: its
    /// row follows its settlement.
    async fn mirror_other(
        &mut self,
        request: &RequestState,
        event: &RequestEvent,
    ) -> Result<(), StoreError> {
        let taken = [DepositState::Settling, DepositState::Settled];
        let (deposit, next) = match event {
            RequestEvent::Included { deposit, .. }
            | RequestEvent::SettlementUnconfirmed { deposit, .. } => {
                (deposit, DepositState::Settling)
            }
            RequestEvent::SettlementConfirmed { deposit, .. } => (deposit, DepositState::Settled),
            RequestEvent::SettlementAbandoned { deposit, .. } => {
                (deposit, DepositState::Reclaimable)
            }
            _ => return Ok(()),
        };
        let Some(row) = self.tx.deposit(deposit).await? else {
            return Ok(());
        };
        let is_given_back = next == DepositState::Reclaimable;
        if request.deposit() == Some(*deposit) || is_given_back && !taken.contains(&row.state) {
            return Ok(());
        }
        let code = is_given_back.then_some(ReclaimCode::DuplicateDeposit);
        self.tx
            .set_deposit_state(deposit, next, code, self.now)
            .await
    }

    async fn apply_to_settlement(
        &mut self,
        id: SettlementId,
        event: SettlementEvent,
    ) -> Result<(), StoreError> {
        let Some(settlement) = self.tx.settlement(id).await? else {
            return Err(StoreError::NotFound { what: "settlement" });
        };
        let situation = SettlementSituation {
            params: self.backend.params(),
            tip_height: self.tip_height,
            hold: settlement.hold(),
        };
        let (next, duties) = match settlement.state.apply(&event, &situation) {
            Ok(step) => step,
            Err(error) => return self.unexpected(AlarmSubject::Settlement(id), error).await,
        };
        if next != settlement.state {
            match self
                .tx
                .set_settlement_state(id, &settlement.state, &next, self.now)
                .await
            {
                Ok(()) => {}
                // The chain revived a settlement whose place another one took. The row stays as it
                // is: two live settlements must not hold one deposit, whichever is right.
                Err(StoreError::Conflict(
                    Conflict::NftSpent { by }
                    | Conflict::DepositUsed { by }
                    | Conflict::RequestServed { by }
                    | Conflict::TransactionTaken { by },
                )) => {
                    let alarm = Alarm::SettlementConflict {
                        settlement: id,
                        other: by,
                    };
                    return self.raise(&alarm).await;
                }
                Err(error) => return Err(error),
            }
            // Nobody else will: its proving job finds another state and ends.
            if matches!(next, SettlementState::Abandoned { .. }) {
                self.tx.abandon_proof(id, self.now).await?;
            }
            tracing::info!(
                settlement = id.0,
                from = settlement.state.name(),
                to = next.name(),
                event = event.name()
            );
            let body = json!({ "from": settlement.state.name(), "to": next.name() });
            self.append(Subject::Settlement(id), event.name(), &body)
                .await?;
            self.wakes_build = true;
        }
        for duty in duties {
            self.settlement_duty(id, settlement.nft_output, duty)
                .await?;
        }
        Ok(())
    }

    async fn settlement_duty(
        &mut self,
        id: SettlementId,
        nft_output: Option<OutPoint>,
        duty: SettlementDuty,
    ) -> Result<(), StoreError> {
        match duty {
            SettlementDuty::DryRun => {
                let work = Work::DryRun { settlement: id };
                self.enqueue(work, self.now).await.map(|_| ())
            }
            SettlementDuty::Ask { round } => {
                let work = Work::Ask {
                    settlement: id,
                    round,
                };
                self.enqueue(work, self.now).await.map(|_| ())
            }
            SettlementDuty::Publish => self.enqueue_publish(id).await,
            SettlementDuty::SignalIncluded => {
                self.signal(id, |item| RequestEvent::Included {
                    settlement: id,
                    deposit: item.deposit,
                })
                .await
            }
            SettlementDuty::SignalConfirmed => {
                self.signal(id, |item| RequestEvent::SettlementConfirmed {
                    settlement: id,
                    deposit: item.deposit,
                })
                .await
            }
            SettlementDuty::SignalUnconfirmed => {
                self.signal(id, |item| RequestEvent::SettlementUnconfirmed {
                    settlement: id,
                    deposit: item.deposit,
                })
                .await
            }
            SettlementDuty::SignalAbandoned { .. } => {
                // A child spends this one's NFT and can never be mined without it, nor can what
                // stands by to take the child's place.
                if let Some(nft) = nft_output {
                    let child = self.tx.settlement_spending_nft(&nft).await?;
                    let stands_by = self.tx.replacement_of(&nft).await?;
                    for orphan in child.into_iter().chain(stands_by) {
                        let event = SettlementEvent::ParentAbandoned;
                        self.told.push_back(Told::Settlement(orphan.id, event));
                    }
                }
                for item in self.tx.known_items(id).await? {
                    let row = self.tx.deposit(&item.deposit).await?;
                    let standing = row.map_or(DepositStanding::Unconfirmed, |row| row.standing());
                    let event = RequestEvent::SettlementAbandoned {
                        settlement: id,
                        deposit: item.deposit,
                        standing,
                    };
                    self.told.push_back(Told::Request(item.request, event));
                }
                Ok(())
            }
        }
    }

    async fn signal(
        &mut self,
        id: SettlementId,
        event: impl Fn(&SettlementItem) -> RequestEvent,
    ) -> Result<(), StoreError> {
        for item in self.tx.known_items(id).await? {
            self.told
                .push_back(Told::Request(item.request, event(&item)));
        }
        Ok(())
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
