//! Naming a block.

use bitcoin::BlockHash;
use serde::{Deserialize, Serialize};

/// A block by height and hash: the hash decides, the height alone names nothing across a reorg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockRef {
    /// Blocks below it.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
}

impl std::fmt::Display for BlockRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.hash, self.height)
    }
}

/// Confirmations of something mined at `height` when the tip is at `tip_height`: 1 in the tip
/// itself, 0 above it.
pub fn confirmations(tip_height: u32, height: u32) -> u32 {
    tip_height
        .checked_sub(height)
        .map_or(0, |above| above.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_confirmations_at_one_below_at_and_above() {
        // A rule "k confirmations" with k = 6 on a block at 100 holds from tip 105 on.
        assert_eq!(confirmations(104, 100), 5);
        assert_eq!(confirmations(105, 100), 6);
        assert_eq!(confirmations(106, 100), 7);
    }

    #[test]
    fn the_tip_has_one_confirmation_and_the_future_none() {
        assert_eq!(confirmations(100, 99), 2);
        assert_eq!(confirmations(100, 100), 1);
        assert_eq!(confirmations(100, 101), 0);
        assert_eq!(confirmations(u32::MAX, 0), u32::MAX);
    }
}
