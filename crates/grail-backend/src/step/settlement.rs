//! Settlements within a step: their machine is told, and whom they pay, jobs, and what builds on
//! them follow it.

use bitcoin::OutPoint;
use grail_flow::{
    Alarm, AlarmSubject, DepositStanding, RequestEvent, RequestState, SettlementDuty,
    SettlementEvent, SettlementId, SettlementSituation, SettlementState,
};
use grail_store::{Conflict, Settlement, SettlementItem, StoreError, Subject, Work};
use serde_json::json;

use super::{Step, Told};
use crate::{roles::lane, sweep};

impl Step<'_> {
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

    pub(super) async fn apply_to_settlement(
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
}
