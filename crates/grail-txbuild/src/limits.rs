//! What a builder adds to the outflow limit: the age that it claims, what that leaves room for, and
//! when what is refused now passes.

use bitcoin::{Amount, Sequence};
use grail_types::{Age, OutflowLimit};

/// The sequence number that claims an age. Each may be replaced (BIP 125).
pub fn claim(age: Age) -> Sequence {
    match age.0 {
        0 => Sequence::ENABLE_RBF_NO_LOCKTIME,
        blocks => Sequence::from_height(blocks),
    }
}

/// The age to claim of a coin with so many confirmations: all that it has, but no more than empties
/// the level. A coin in no block has none, and whoever claims more waits for nothing.
pub fn age_to_claim(limit: &OutflowLimit, level: u64, confirmations: u32) -> Age {
    let needed = limit.blocks_to_let_go(level);
    let most = needed
        .min(u64::from(confirmations))
        .min(u64::from(u16::MAX));
    Age(u16::try_from(most).unwrap_or(u16::MAX))
}

/// What the limit lets leave in a settlement that is made now, as the builder makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutflowRoom {
    limit: OutflowLimit,
    left: u64,
}

impl OutflowRoom {
    /// At so high a level in the NFT's state, satoshis, of whose coin so many confirmations are to
    /// be had.
    pub fn new(limit: OutflowLimit, level: u64, confirmations: u32) -> Self {
        let age = age_to_claim(&limit, level, confirmations);
        let left = limit.after(level, age, 0, 0);
        Self { limit, left }
    }

    /// What may leave on balance.
    pub fn may_leave(&self) -> Amount {
        let room = self.limit.cap.to_sat().saturating_sub(self.left);
        Amount::from_sat(room)
    }

    /// The fewest blocks to come after which so much may leave, if nothing moves before; none for
    /// now. `None` for what is above the cap: only with others that come in.
    pub fn blocks_until(&self, amount: Amount) -> Option<u64> {
        let most_left = self.limit.cap.checked_sub(amount)?.to_sat();
        let excess = self.left.saturating_sub(most_left);
        Some(self.limit.blocks_to_let_go(excess))
    }

    /// The same for a satoshi more than may leave now; `None` where that is the cap already.
    pub fn blocks_until_more(&self) -> Option<u64> {
        let more = self.may_leave().checked_add(Amount::ONE_SAT)?;
        self.blocks_until(more)
    }

    /// The same for all that may leave at once.
    pub fn blocks_until_empty(&self) -> u64 {
        self.limit.blocks_to_let_go(self.left)
    }
}
