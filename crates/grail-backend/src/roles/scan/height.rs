//! What follows from the height alone: deadlines, confirmations, the margin before a reclaim.

use std::collections::BTreeSet;

use grail_flow::{ReclaimCode, RequestEvent, SettlementEvent, SettlementStage, sweep_end_height};
use grail_store::{Request, StoreError};
use grail_types::RequestId;

use super::{PAGE, Scanner};
use crate::{step::Step, sweep};

impl Scanner<'_> {
    /// What follows from the height alone.
    pub(super) async fn tell_of_tip(&self, step: &mut Step<'_>, height: u32) -> anyhow::Result<()> {
        for request in step.tx.requests_past_deadline(height, PAGE).await? {
            step.tell_request(request.id, RequestEvent::DeadlinePassed)
                .await?;
        }
        // First, so that what comes free of it is judged in the same step: nobody may settle it
        // again in between.
        self.cancel_late_settlements(step, height).await?;
        self.move_the_queue(step, height).await?;
        for settlement in step
            .tx
            .settlements_in_state(SettlementStage::Confirmed, 0, PAGE)
            .await?
        {
            if let Some(block) = settlement.block {
                step.tell_settlement(settlement.id, SettlementEvent::Mined { block })
                    .await?;
            }
        }
        Ok(())
    }

    /// Deposits that the height confirms, and those that it brings too close to their reclaim.
    async fn move_the_queue(&self, step: &mut Step<'_>, height: u32) -> anyhow::Result<()> {
        let mut told = BTreeSet::new();
        loop {
            let mut due = step.tx.queue_due(height, PAGE).await?;
            due.retain(|request| told.insert(request.id));
            if due.is_empty() {
                return Ok(());
            }
            for request in due {
                if let Some(event) = self.due_event(step, &request, height).await? {
                    step.tell_request(request.id, event).await?;
                }
                // The event moves it on, unless its place was of before its deposit's row changed.
                let now = step.tx.request(&request.id).await?;
                if let Some(now) = now.filter(|now| now.state == request.state) {
                    step.place_in_queue(&now, &now.state).await?;
                }
            }
        }
    }

    async fn due_event(
        &self,
        step: &mut Step<'_>,
        request: &Request,
        height: u32,
    ) -> anyhow::Result<Option<RequestEvent>> {
        let Some(outpoint) = request.state.deposit() else {
            return Ok(None);
        };
        let Some(row) = step.tx.deposit(&outpoint).await? else {
            return Ok(None);
        };
        let Some(block) = row.block else {
            return Ok(None);
        };
        let end = sweep_end_height(
            self.backend.params(),
            block.height,
            request.terms.reclaim_delay,
            row.deposit.origin,
        );
        Ok(Some(if height < end {
            RequestEvent::DepositConfirmed {
                deposit: row.deposit,
                height: block.height,
            }
        } else if is_too_dear(step, &request.id).await? {
            RequestEvent::DepositUnacceptable {
                deposit: outpoint,
                code: ReclaimCode::FeeAboveCap,
            }
        } else {
            RequestEvent::TooCloseToReclaim { deposit: outpoint }
        }))
    }

    /// A settlement that operators have not signed when one of its deposits comes close to its
    /// reclaim is called off, so that the two never race.
    async fn cancel_late_settlements(
        &self,
        step: &mut Step<'_>,
        height: u32,
    ) -> anyhow::Result<()> {
        for stage in SettlementStage::those(SettlementStage::is_unsigned) {
            for settlement in step.tx.settlements_in_state(stage, 0, PAGE).await? {
                for item in step.tx.settlement_items(settlement.id).await? {
                    let ends = sweep::ends(self.backend.params(), &mut step.tx, &item).await?;
                    if ends.is_some_and(|ends| height >= ends.sweep_end) {
                        step.tell_settlement(settlement.id, SettlementEvent::Cancelled)
                            .await?;
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether fees were what kept a request from its settlement when it was last looked at.
async fn is_too_dear(step: &mut Step<'_>, request: &RequestId) -> Result<bool, StoreError> {
    Ok(step.tx.fee_wait(request).await?.is_some())
}
