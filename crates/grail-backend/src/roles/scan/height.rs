//! What follows from the height alone: deadlines, confirmations, the margin before a reclaim.

use anyhow::Context;
use grail_flow::{
    ReclaimCode, RequestEvent, RequestStage, SettlementEvent, SettlementStage, sweep_end_height,
};
use grail_store::StoreError;
use grail_types::RequestId;

use super::{PAGE, Scanner};
use crate::step::Step;

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
        for stage in RequestStage::those(RequestStage::is_moved_by_height) {
            let mut after = 0;
            loop {
                let page = step.tx.requests_in_state(stage, after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after = last.number;
                for request in page {
                    let Some(outpoint) = request.state.deposit() else {
                        continue;
                    };
                    let Some(row) = step.tx.deposit(&outpoint).await? else {
                        continue;
                    };
                    let Some(block) = row.block else { continue };
                    let end = sweep_end_height(
                        self.backend.params(),
                        block.height,
                        request.terms.reclaim_delay,
                        row.deposit.origin,
                    );
                    let event = if height >= end && is_too_dear(step, &request.id).await? {
                        RequestEvent::DepositUnacceptable {
                            deposit: outpoint,
                            code: ReclaimCode::FeeAboveCap,
                        }
                    } else if height >= end {
                        RequestEvent::TooCloseToReclaim { deposit: outpoint }
                    } else {
                        RequestEvent::DepositConfirmed {
                            deposit: row.deposit,
                            height: block.height,
                        }
                    };
                    step.tell_request(request.id, event).await?;
                }
            }
        }
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
                    let request = step
                        .tx
                        .request(&item.request)
                        .await?
                        .context("an item without its request")?;
                    let row = step.tx.deposit(&item.deposit).await?;
                    let mined = row.and_then(|row| Some((row.block?, row.deposit.origin)));
                    let is_late = mined.is_some_and(|(block, origin)| {
                        let delay = request.terms.reclaim_delay;
                        let params = self.backend.params();
                        height >= sweep_end_height(params, block.height, delay, origin)
                    });
                    if is_late {
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
