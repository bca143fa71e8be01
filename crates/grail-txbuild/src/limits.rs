//! What a builder adds to the outflow limit: the age that it claims, and when what is refused now
//! passes.

use bitcoin::Sequence;
use grail_types::{Age, OutflowLimit};

/// The sequence number that claims an age. Each may be replaced (BIP 125).
pub fn claim(age: Age) -> Sequence {
    match age.0 {
        0 => Sequence::ENABLE_RBF_NO_LOCKTIME,
        blocks => Sequence::from_height(blocks),
    }
}

/// The fewest blocks of age that let so many satoshis go: when what is so much above the cap
/// passes, if the level before it is as high.
pub fn blocks_to_let_go(limit: &OutflowLimit, excess: u64) -> u64 {
    excess.div_ceil(limit.rate.to_sat().max(1))
}

/// The age to claim of a coin with so many confirmations: all that it has, but no more than empties
/// the level. A coin in no block has none, and whoever claims more waits for nothing.
pub fn age_to_claim(limit: &OutflowLimit, level: u64, confirmations: u32) -> Age {
    let needed = blocks_to_let_go(limit, level);
    let most = needed
        .min(u64::from(confirmations))
        .min(u64::from(u16::MAX));
    Age(u16::try_from(most).unwrap_or(u16::MAX))
}

/// Blocks between the announcement of a rotation and its execution: `notice`, and as many as the
/// whole supply needs to leave. `None` if a coin cannot wait so long.
pub fn wait(limit: &OutflowLimit, notice: u16, supply: u64) -> Option<u16> {
    let blocks = u16::try_from(blocks_to_let_go(limit, supply)).ok()?;
    Some(blocks.max(notice))
}
