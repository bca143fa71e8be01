//! Until when a deposit may be settled, and from when its user may take it back.

use grail_flow::{SettlementId, reclaim_height, sweep_end_height};
use grail_store::{Reader, SettlementItem, StoreError};
use grail_types::Params;

/// The heights that end what a settlement may do with a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// From this tip on nobody begins to settle it.
    pub sweep_end: u32,
    /// The first block that may hold the user's reclaim.
    pub reclaim: u32,
}

impl Ends {
    /// Whether the next block may hold the reclaim: what spends the deposit too is not handed to
    /// the network again, for the reclaim would have to outbid it.
    pub const fn is_reclaimable(self, tip_height: u32) -> bool {
        tip_height.saturating_add(1) >= self.reclaim
    }
}

/// Those of an item's deposit; none while the deposit is in no block, or its request in no row.
pub async fn ends(
    params: &Params,
    reader: &mut Reader,
    item: &SettlementItem,
) -> Result<Option<Ends>, StoreError> {
    let Some(request) = reader.request(&item.request).await? else {
        return Ok(None);
    };
    let row = reader.deposit(&item.deposit).await?;
    let mined = row.and_then(|row| Some((row.block?.height, row.deposit.origin)));
    let delay = request.terms.reclaim_delay;
    Ok(mined.map(|(height, origin)| Ends {
        sweep_end: sweep_end_height(params, height, delay, origin),
        reclaim: reclaim_height(height, delay, origin),
    }))
}

/// Whether a settlement holds a deposit that is too close to its reclaim to be settled.
pub async fn any_late(
    params: &Params,
    reader: &mut Reader,
    id: SettlementId,
    tip_height: u32,
) -> Result<bool, StoreError> {
    let least = params.reclaim_delay_min.saturating_sub(params.sweep_margin);
    any(params, reader, (id, least), |ends| {
        tip_height >= ends.sweep_end
    })
    .await
}

/// Whether a settlement holds a deposit that its user can take back in the next block.
pub async fn any_reclaimable(
    params: &Params,
    reader: &mut Reader,
    id: SettlementId,
    tip_height: u32,
) -> Result<bool, StoreError> {
    let least = params.reclaim_delay_min;
    any(params, reader, (id, least), |ends| {
        ends.is_reclaimable(tip_height)
    })
    .await
}

/// Whether it has ended for one of a settlement's deposits. It does not before so many blocks on a
/// deposit's own, so that most of the time the oldest one tells.
async fn any(
    params: &Params,
    reader: &mut Reader,
    (id, least): (SettlementId, u16),
    has_ended: impl Fn(Ends) -> bool,
) -> Result<bool, StoreError> {
    let Some(oldest) = reader.oldest_deposit_height(id).await? else {
        return Ok(false);
    };
    let first = oldest.saturating_add(least.into());
    let soonest = Ends {
        sweep_end: first,
        reclaim: first,
    };
    if !has_ended(soonest) {
        return Ok(false);
    }
    for item in reader.settlement_items(id).await? {
        let ends = ends(params, reader, &item).await?;
        if ends.is_some_and(&has_ended) {
            return Ok(true);
        }
    }
    Ok(false)
}
