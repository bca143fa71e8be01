//! Until when a deposit may be settled, and from when its user may take it back.

use grail_flow::{reclaim_height, sweep_end_height};
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
    pub const fn is_reclaimable(&self, tip_height: u32) -> bool {
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

/// Whether one of the items can be taken back by its user in the next block.
pub async fn any_reclaimable(
    params: &Params,
    reader: &mut Reader,
    items: &[SettlementItem],
    tip_height: u32,
) -> Result<bool, StoreError> {
    for item in items {
        let ends = ends(params, reader, item).await?;
        if ends.is_some_and(|ends| ends.is_reclaimable(tip_height)) {
            return Ok(true);
        }
    }
    Ok(false)
}
