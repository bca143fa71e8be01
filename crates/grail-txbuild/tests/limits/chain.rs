//! A chain as far as a limit sees it: settlements in blocks, each with what it may claim.

use grail_types::Age;
use proptest::prelude::*;

/// A settlement as it was mined.
#[derive(Clone, Copy, Debug)]
pub struct Mined {
    pub height: u64,
    pub minted: u64,
    pub burned: u64,
}

/// What whoever builds settlements does next, wishing to take out as much as can be.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Blocks since the last settlement's; none: in the same block.
    pub blocks: u64,
    /// Part of the age that is claimed, in 256ths. More than all is not final and cannot be mined.
    pub claimed: u8,
    pub minted: u64,
    /// What is burned: as much as the limit lets through, or less.
    pub burned: u64,
}

pub fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let blocks = prop_oneof![3 => Just(0_u64), 3 => Just(1), 2 => 0..20_u64, 1 => 0..80_000_u64];
    let turn = (blocks, any::<u8>(), 0..3_000_u64, 0..6_000_u64);
    let turn = turn.prop_map(|(blocks, claimed, minted, burned)| Turn {
        blocks,
        claimed,
        minted: if minted < 1_500 { 0 } else { minted },
        burned,
    });
    proptest::collection::vec(turn, 1..40)
}

impl Turn {
    /// The age that is claimed of a coin that lies there for so many blocks.
    pub fn age(&self) -> Age {
        let most = self.blocks.min(u64::from(u16::MAX));
        let claimed = if self.claimed > 127 {
            most
        } else {
            most * u64::from(self.claimed) / 128
        };
        Age(u16::try_from(claimed).unwrap())
    }
}

/// The most that left on balance within `blocks` blocks, and that, over all windows: pairs of the
/// window's length and the sum.
pub fn windows(history: &[Mined]) -> impl Iterator<Item = (u64, i128)> + '_ {
    (0..history.len()).flat_map(move |first| {
        let start = history[first].height;
        let mut net = 0_i128;
        history[first..].iter().map(move |it| {
            net += i128::from(it.burned) - i128::from(it.minted);
            (it.height - start + 1, net)
        })
    })
}
