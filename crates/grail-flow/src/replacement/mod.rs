//! Whether the settlements that wait for a block are to be replaced by one that pays more, and what
//! that one has to pay (ADR 17).
//!
//! Owns the arithmetic alone: what nodes ask of a replacement, what users are asked for at most,
//! how often it is tried. Trusts no mempool: what is replaced is reckoned from the books, and what
//! a node knows beside them only adds to it.

#[cfg(test)]
mod history;
#[cfg(test)]
mod tests;

use bitcoin::{Amount, FeeRate, Weight};
use grail_types::Params;

use crate::named_enum;

/// What nodes ask for beyond the fees of what is replaced, for the replacement's own size
/// (`-incrementalrelayfee` until Bitcoin Core 29; later a tenth of it).
pub const INCREMENTAL_RATE: FeeRate = FeeRate::from_sat_per_kwu(250);
/// Replacements of one output of the NFT: each costs a proof and a round of operators. Rates grow
/// by a quarter at least and go to the day's estimate at once, so one is enough unless fees spike
/// again and again, or somebody pins.
pub const REPLACEMENTS_MAX: u32 = 6;
/// The time of the blocks that a settlement's fee is meant for, seconds: until then it counts
/// neither as outbid nor as dropped.
pub const PATIENCE_SECONDS: u64 = 60 * 60;
/// Settlements that are handed to a node together at most: a parent and its child.
const PACKAGE: usize = 2;
/// Rates tried for one replacement: each that does not suffice drops payers, or is the last.
const TRIES_MAX: u32 = 32;

/// Fees, and what they are paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The fees.
    pub fee: Amount,
    /// The size, vbytes.
    pub vsize: u64,
}

impl Bundle {
    /// Both together; at the limits where that is past them.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            fee: self.fee.checked_add(other.fee).unwrap_or(Amount::MAX_MONEY),
            vsize: self.vsize.saturating_add(other.vsize),
        }
    }

    /// The rate, rounded up: one above it is above it.
    pub fn rate(self) -> FeeRate {
        let per_kwu = match u128::from(self.vsize) {
            0 => 0,
            vsize => u128::from(self.fee.to_sat())
                .saturating_mul(250)
                .div_ceil(vsize),
        };
        FeeRate::from_sat_per_kwu(u64::try_from(per_kwu).unwrap_or(u64::MAX))
    }
}

/// A settlement that waits for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What it pays, by the books.
    pub bundle: Bundle,
    /// Since when it is published, seconds.
    pub age: u64,
    /// Holds a deposit that is too close to its reclaim.
    pub is_late: bool,
}

/// Those that wait, and what stands against replacing them.
#[derive(Clone, Copy, Debug)]
pub struct Lane<'a> {
    /// Oldest first; each builds on the one before.
    pub waiting: &'a [Waiting],
    /// The node has not the oldest: it comes back alone, or with the one that builds on it
    /// (ADR 25).
    pub is_dropped: bool,
    /// What others have built on them, as far as a node knows.
    pub strangers: Bundle,
    /// Other signed settlements that spend the same NFT: any node may have one of them instead.
    pub rivals: &'a [Bundle],
    /// Replacements begun for this NFT.
    pub begun: u32,
    /// The height at which the last of them was.
    pub begun_at: Option<u32>,
}

/// What a settlement has to pay these days.
#[derive(Clone, Copy, Debug)]
pub struct Market {
    /// To be mined soon; never below what the node takes, clamped to the parameters.
    pub target: FeeRate,
    /// Below this the node takes nothing.
    pub floor: FeeRate,
    /// Height of the newest block.
    pub tip_height: u32,
}

named_enum! {
    /// Why those that wait should not wait any longer.
    pub enum Cause {
        /// One of them holds a deposit that is too close to its reclaim: unmined it would make the
        /// user's way out dearer, since that has to outbid it.
        Late = "late",
        /// Nodes drop it, and it does not come back by itself.
        BelowFloor = "below-floor",
        /// Miners are paid more by others, by half at least.
        Outbid = "outbid",
    }
}

named_enum! {
    /// Why they wait all the same. A person is told.
    pub enum WaitReason {
        /// It would cost more than twice the estimate, or than the parameters allow.
        TooDear = "too-dear",
        /// Nobody's cap bears it.
        NobodyPays = "nobody-pays",
        /// It was tried as often as it may be.
        TooOften = "too-often",
        /// Something waits with them that was not made here, or that is no settlement.
        Foreign = "foreign",
    }
}

/// What is to be done about those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, or not yet.
    Keep,
    /// Replace them.
    Replace(Bid),
    /// Nothing can be done, and it should.
    Wait(WaitReason),
}

/// What a replacement has to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bid {
    /// Why.
    pub cause: Cause,
    /// The fees of what it replaces: it pays them, and for its own size.
    pub replaced: Amount,
    /// The rate to begin with.
    pub rate: FeeRate,
    /// The highest.
    pub rate_max: FeeRate,
}

/// Whether those that wait are to be replaced.
pub fn decide(lane: &Lane<'_>, market: &Market, params: &Params) -> Decision {
    let Some(cause) = cause(lane, market) else {
        return Decision::Keep;
    };
    // Of one block one estimate: more is known with the next one.
    if lane.begun_at.is_some_and(|at| at >= market.tip_height) {
        return Decision::Keep;
    }
    if lane.begun >= REPLACEMENTS_MAX {
        return Decision::Wait(WaitReason::TooOften);
    }
    let replaced = lane
        .rivals
        .iter()
        .fold(total(lane).fee, |most, rival| most.max(rival.fee));
    let rate = rate_min(lane)
        .max(market.floor)
        .max(market.target)
        .max(params.fee_rate_min);
    let twice = FeeRate::from_sat_per_kwu(market.target.to_sat_per_kwu().saturating_mul(2));
    let rate_max = twice.min(params.fee_rate_max);
    if rate > rate_max {
        return Decision::Wait(WaitReason::TooDear);
    }
    Decision::Replace(Bid {
        cause,
        replaced,
        rate,
        rate_max,
    })
}

/// Why the lane should not wait any longer, if so.
pub fn cause(lane: &Lane<'_>, market: &Market) -> Option<Cause> {
    let oldest = lane.waiting.first()?;
    if lane.waiting.iter().any(|waiting| waiting.is_late) {
        return Some(Cause::Late);
    }
    // A floor that rises for a moment falls again, and what was dropped comes back.
    if oldest.age < PATIENCE_SECONDS {
        return None;
    }
    let front = front_rate(lane);
    let taken = if lane.is_dropped {
        prefixes(lane).take(PACKAGE).max()
    } else {
        Some(front)
    };
    if taken < Some(market.floor) {
        return Some(Cause::BelowFloor);
    }
    let half_more = FeeRate::from_sat_per_kwu(front.to_sat_per_kwu().saturating_mul(3) / 2);
    (market.target > half_more).then_some(Cause::Outbid)
}

fn total(lane: &Lane<'_>) -> Bundle {
    let ours = lane.waiting.iter().map(|waiting| waiting.bundle);
    ours.fold(lane.strangers, Bundle::with)
}

/// The rate at which miners take the oldest: its own, or with those behind it that pay for it.
fn front_rate(lane: &Lane<'_>) -> FeeRate {
    let all = prefixes(lane).chain([total(lane).rate()]);
    all.max().unwrap_or(FeeRate::ZERO)
}

/// The rates of the oldest, of the two oldest, and so on.
fn prefixes(lane: &Lane<'_>) -> impl Iterator<Item = FeeRate> {
    let sums = lane.waiting.iter().scan(Bundle::default(), |sum, waiting| {
        *sum = sum.with(waiting.bundle);
        Some(*sum)
    });
    sums.map(Bundle::rate)
}

/// The least rate of a replacement. A step above what miners see, and above what was to replace the
/// same; and above that of each transaction which it conflicts with, which is what nodes ask for
/// until Bitcoin Core 31 and no reason for a step: one may pay for those under it.
fn rate_min(lane: &Lane<'_>) -> FeeRate {
    let rivals = lane.rivals.iter().map(|rival| rival.rate());
    let seen = rivals.fold(front_rate(lane), FeeRate::max);
    let singles = lane.waiting.iter().map(|waiting| waiting.bundle.rate());
    singles
        .map(just_above)
        .fold(a_quarter_above(seen), FeeRate::max)
}

fn just_above(rate: FeeRate) -> FeeRate {
    FeeRate::from_sat_per_kwu(rate.to_sat_per_kwu().saturating_add(1))
}

/// A step that is worth a proof, and that no node takes for none.
fn a_quarter_above(rate: FeeRate) -> FeeRate {
    let per_kwu = rate.to_sat_per_kwu().saturating_mul(5).div_ceil(4);
    FeeRate::from_sat_per_kwu(per_kwu)
}

/// What a plan comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What miners get.
    pub fee: Amount,
    /// Its signed weight, at its most.
    pub weight: Weight,
}

impl Bid {
    /// The least fee at which nodes take a replacement of this size for those that it replaces.
    /// None past all money.
    pub fn fee_min(&self, weight: Weight) -> Option<Amount> {
        let own = INCREMENTAL_RATE.fee_vb(weight.to_vbytes_ceil())?;
        self.replaced.checked_add(own)
    }

    /// Plans at higher and higher rates until nodes would take it. The fewer are left to pay at
    /// one, the more each of them has to.
    ///
    /// # Errors
    /// Why it is not to be had; whatever `plan` ends with.
    pub fn settle<P, E>(
        &self,
        mut plan: impl FnMut(FeeRate) -> Result<Option<P>, E>,
        comes_to: impl Fn(&P) -> Planned,
    ) -> Result<Result<P, WaitReason>, E> {
        let mut rate = self.rate;
        for _ in 0..TRIES_MAX {
            if rate > self.rate_max {
                return Ok(Err(WaitReason::TooDear));
            }
            let Some(planned) = plan(rate)? else {
                return Ok(Err(WaitReason::NobodyPays));
            };
            let Planned { fee, weight } = comes_to(&planned);
            let Some(fee_min) = self.fee_min(weight) else {
                return Ok(Err(WaitReason::TooDear));
            };
            let vsize = weight.to_vbytes_ceil();
            let own = self.rate.fee_vb(vsize).unwrap_or(Amount::MAX_MONEY);
            let least = fee_min.max(own);
            if fee >= least {
                return Ok(Ok(planned));
            }
            let needed = Bundle { fee: least, vsize }.rate();
            let next = rate.to_sat_per_kwu().saturating_add(1);
            rate = needed.max(FeeRate::from_sat_per_kwu(next));
        }
        Ok(Err(WaitReason::TooDear))
    }
}
