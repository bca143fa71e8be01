//! Requests within a step: their machine is told, and deposit and queue follow it.

use bitcoin::Amount;
use grail_flow::{
    AlarmSubject, ReclaimCode, RequestDuty, RequestEvent, RequestSituation, RequestState,
    SettlementEvent, worth,
};
use grail_store::{DepositState, PAGE_ROWS_MAX, Request, StoreError, Subject};
use grail_types::RequestId;
use serde_json::json;

use super::{Step, Told};
use crate::queue;

impl Step<'_> {
    pub(super) async fn apply_to_request(
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
}
