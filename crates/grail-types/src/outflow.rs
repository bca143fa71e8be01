//! The limit on what leaves: a leaky bucket that needs neither memory nor a clock.
//!
//! The level is in the NFT's state, the time is the age of the NFT's coin: its input claims blocks
//! by its sequence number, and consensus holds the claim to what has passed (BIP 68). So over any
//! `T` blocks no more than `cap + rate * T` leaves on balance, in whatever order settlements are
//! made, held back or mined (ADR 24).

use bitcoin::{Amount, Sequence};

/// Blocks that a coin is shown to have lain in the chain: none, or 1 to 65,535. A coin that is in
/// no block yet has none to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age(pub u16);

impl Age {
    /// The age that an input claims. `None` for whatever says it in another way, or says a time:
    /// one age has one sequence number.
    pub fn from_sequence(sequence: Sequence) -> Option<Self> {
        if sequence == Sequence::ENABLE_RBF_NO_LOCKTIME {
            return Some(Self(0));
        }
        let blocks = u16::try_from(sequence.to_consensus_u32()).ok()?;
        (blocks > 0).then_some(Self(blocks))
    }
}

/// How much zkBTC may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutflowLimit {
    /// Most that may leave at once.
    pub cap: Amount,
    /// What may leave besides with every block.
    pub rate: Amount,
}

/// More would leave than may. It passes with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an outflow of {got} sat is above the cap of {cap}")]
pub struct OutflowAboveCap {
    /// The cap.
    pub cap: Amount,
    /// The level that there would be, satoshis.
    pub got: u64,
}

impl OutflowLimit {
    /// The level after a settlement that mints and burns so much, satoshis.
    pub fn after(&self, before: u64, age: Age, minted: u64, burned: u64) -> u64 {
        let decayed = self.rate.to_sat().saturating_mul(u64::from(age.0));
        let left = before.saturating_sub(decayed);
        left.saturating_add(burned).saturating_sub(minted)
    }

    /// The fewest blocks of age that let so many satoshis go: when what is so much above the cap
    /// passes, if the level before it is as high.
    pub fn blocks_to_let_go(&self, excess: u64) -> u64 {
        excess.div_ceil(self.rate.to_sat().max(1))
    }

    /// Blocks between the announcement of a rotation and its execution: `notice`, and as many as
    /// the whole supply needs to leave. `None` if a coin cannot wait so long.
    pub fn wait(&self, notice: u16, supply: u64) -> Option<u16> {
        let blocks = u16::try_from(self.blocks_to_let_go(supply)).ok()?;
        Some(blocks.max(notice))
    }

    /// Whether a settlement that mints and burns so much may leave the level at `got`. What nets
    /// in may always: it lowers the level, also where a rotation has lowered the cap below it.
    pub fn check(&self, got: u64, minted: u64, burned: u64) -> Result<(), OutflowAboveCap> {
        let cap = self.cap;
        if burned <= minted || got <= cap.to_sat() {
            Ok(())
        } else {
            Err(OutflowAboveCap { cap, got })
        }
    }
}
