//! What a new settlement pays for those under it that wait for a block (ADR 25).
//!
//! Owns the arithmetic alone: what the lane pays too little, and how that is spread over payers who
//! have all been served already. So it leaves nobody out: it is borne wholly, or not at all.

#[cfg(test)]
mod tests;

use bitcoin::{Amount, FeeRate};

use crate::replacement::{Bundle, Lane};

/// The part of its share that a request pays for others at most: the second. A lane is outbid when
/// the estimate is more than half above what it pays, so what replaces it at the estimate pays more
/// for each vbyte than the one with the surcharge.
const PART_MAX: u64 = 2;
/// Parts of its share, in thousandths, that are tried.
const THOUSANDTHS: u64 = 1_000;

/// What the settlements that wait pay too little to be mined at `target` with a child that pays it
/// for itself. What one pays more than that counts for those before it, since they are mined
/// together, and not for those after it.
///
/// Nothing while one of them holds a deposit that is too close to its reclaim: those are to be
/// replaced, and to be outbid by their users. Nothing either where strangers pay it.
pub fn deficit(lane: &Lane<'_>, target: FeeRate) -> Amount {
    if lane.waiting.iter().any(|waiting| waiting.is_late) {
        return Amount::ZERO;
    }
    let ours = lane.waiting.iter().fold(Amount::ZERO, |under, waiting| {
        let owed = under.checked_add(due(waiting.bundle, target));
        owed.unwrap_or(Amount::MAX_MONEY)
            .checked_sub(waiting.bundle.fee)
            .unwrap_or(Amount::ZERO)
    });
    let others = lane.strangers.fee.checked_sub(due(lane.strangers, target));
    if others.is_some_and(|others| others >= ours) {
        return Amount::ZERO;
    }
    ours
}

/// What this much of a block costs.
fn due(bundle: Bundle, target: FeeRate) -> Amount {
    let due = target.fee_vb(bundle.vsize);
    due.unwrap_or(Amount::MAX_MONEY).min(Amount::MAX_MONEY)
}

/// A request that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payer {
    /// Its part of what miners get.
    pub share: Amount,
    /// What its cap and its deposit leave beside all that it pays.
    pub room: Amount,
}

impl Payer {
    /// The most that it pays for others.
    fn most(self) -> u64 {
        self.share
            .to_sat()
            .div_euclid(PART_MAX)
            .min(self.room.to_sat())
    }

    /// So many thousandths of its share, rounded up, or the most.
    fn part(self, thousandths: u64) -> u64 {
        let share = self.share.to_sat().saturating_mul(thousandths);
        share.div_ceil(THOUSANDTHS).min(self.most())
    }
}

/// What each pays beside its share, in order, so that together they make up for a deficit: for all
/// the same part of the share, and the most for whom that would be too much. None when there is
/// nothing to make up for, or when they cannot.
pub fn surcharges(deficit: Amount, payers: &[Payer]) -> Option<Vec<Amount>> {
    if deficit == Amount::ZERO {
        return None;
    }
    let parts = |thousandths| payers.iter().map(move |payer| payer.part(thousandths));
    let is_enough = |thousandths: &u64| {
        let sum = parts(*thousandths).fold(0, u64::saturating_add);
        sum >= deficit.to_sat()
    };
    let least = (1..=THOUSANDTHS.div_ceil(PART_MAX)).find(is_enough)?;
    Some(parts(least).map(Amount::from_sat).collect())
}
