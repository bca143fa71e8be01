//! Requests whose part of a settlement's fee stays above their cap.
//!
//! Fees rise and fall, so such a request waits; but not until its time is over without a word. When
//! every look for so many blocks has found its part above the cap, it becomes reclaimable with the
//! code `fee-above-cap`. A look that finds it within the cap, before that, begins the count anew.

use bitcoin::{FeeRate, OutPoint};
use grail_flow::{ReclaimCode, RequestEvent, RequestState};
use grail_store::StoreError;
use grail_txbuild::{LeftOut, LeftOutReason};
use grail_types::{Epoch, Params, RequestId};

use crate::{backend::Backend, step::Step};

/// Blocks for which fees may be too high before a request is given up: a day. Peaks of the fee
/// market are mostly shorter.
const WAIT_BLOCKS_MAX: u32 = 144;

/// Blocks for which a request with this reclaim delay waits for lower fees: half of the time for
/// which its deposit can be swept, and a day at most.
pub fn wait_blocks(params: &Params, reclaim_delay: u16) -> u32 {
    let swept_for = reclaim_delay.saturating_sub(params.sweep_margin);
    u32::from(swept_for / 2).clamp(1, WAIT_BLOCKS_MAX)
}

/// Rows worked off in one look.
const PAGE: u32 = 500;

/// Takes note of the ready requests that `rate` shuts out even in a full batch, and gives up those
/// that have waited for as long as they do. Whether there are any. Bounded: whoever is not reached
/// in this look is in the next.
pub async fn note_shut_out(
    backend: &Backend,
    epoch: Epoch,
    rate: FeeRate,
) -> Result<bool, StoreError> {
    let mut reader = backend.store.read().await?;
    if !reader.is_anybody_shut_out(epoch, rate).await? {
        return Ok(false);
    }
    drop(reader);
    let mut step = Step::begin(backend).await?;
    let height = step.tip_height();
    let newly = step.tx.newly_too_dear(epoch, rate, PAGE).await?;
    for request in &newly {
        let _ = step.tx.begin_fee_wait(request, height).await?;
    }
    let too_long = step
        .tx
        .too_dear_for_too_long(epoch, rate, height, PAGE)
        .await?;
    for request in too_long {
        let state = step
            .tx
            .request(&request)
            .await?
            .map(|request| request.state);
        if let Some(RequestState::Ready { deposit }) = state {
            give_up(&mut step, request, deposit).await?;
        }
    }
    step.commit().await?;
    Ok(true)
}

/// Takes note of what a plan left out, and gives up what has been too dear for too long.
pub async fn note(backend: &Backend, left_out: &[LeftOut]) -> Result<(), StoreError> {
    let is_looked_at = |left: &LeftOut| left.reason != LeftOutReason::BatchFull;
    if !left_out.iter().any(is_looked_at) {
        return Ok(());
    }
    let mut step = Step::begin(backend).await?;
    for left in left_out {
        match left.reason {
            LeftOutReason::BatchFull => {}
            LeftOutReason::FeeAboveCap => note_too_dear(backend, &mut step, left).await?,
            LeftOutReason::TooSmall
            | LeftOutReason::VaultDust
            | LeftOutReason::VaultShort
            | LeftOutReason::OutflowLimit
            | LeftOutReason::SupplyLimit => {
                step.tx.end_fee_wait(&left.request).await?;
            }
        }
    }
    step.commit().await
}

async fn note_too_dear(
    backend: &Backend,
    step: &mut Step<'_>,
    left: &LeftOut,
) -> Result<(), StoreError> {
    let Some(request) = step.tx.request(&left.request).await? else {
        return Ok(());
    };
    // Blocks may have come or gone since the plan's rows were read.
    let RequestState::Ready { deposit } = request.state else {
        return Ok(());
    };
    let tip_height = step.tip_height();
    let since = step.tx.begin_fee_wait(&left.request, tip_height).await?;
    let wait = wait_blocks(backend.params(), request.terms.reclaim_delay);
    if tip_height < since.saturating_add(wait) {
        return Ok(());
    }
    give_up(step, left.request, deposit).await
}

async fn give_up(
    step: &mut Step<'_>,
    request: RequestId,
    deposit: OutPoint,
) -> Result<(), StoreError> {
    let event = RequestEvent::DepositUnacceptable {
        deposit,
        code: ReclaimCode::FeeAboveCap,
    };
    step.tell_request(request, event).await
}

#[cfg(test)]
mod tests {
    use grail_types::{ImagesHash, Network};

    use super::*;

    #[test]
    fn a_request_waits_for_half_its_time_and_a_day_at_most() {
        let params = Params::preset(Network::Regtest, ImagesHash([1; 32]));
        for (delay, blocks) in [
            (0, 1),
            (params.sweep_margin, 1),
            (24, 9),
            (params.sweep_margin + 287, 143),
            (params.sweep_margin + 288, 144),
            (u16::MAX, 144),
        ] {
            assert_eq!(wait_blocks(&params, delay), blocks, "{delay}");
        }
    }
}
