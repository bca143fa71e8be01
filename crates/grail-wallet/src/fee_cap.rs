//! How much of a fee a request offers: by default a rung of a short ladder, so that whoever has
//! only the words of a wallet can try them all.

use bitcoin::{Amount, FeeRate};

/// What default caps are, lowest first. The lowest that makes sense of a peg-out is about the
/// first; the last is [`FEE_CAP_VBYTES`] at the highest rate that a settlement ever has.
pub const FEE_CAP_RUNGS: [Amount; 8] = [
    Amount::from_sat(1_000),
    Amount::from_sat(4_000),
    Amount::from_sat(10_000),
    Amount::from_sat(20_000),
    Amount::from_sat(50_000),
    Amount::from_sat(150_000),
    Amount::from_sat(400_000),
    Amount::from_sat(1_200_000),
];
/// Lowest fee cap offered by default: about what a settlement of one request costs at 3 sat/vB.
const FEE_CAP_DEFAULT_MIN: Amount = Amount::from_sat(10_000);
/// Virtual size that a request may have to pay for alone: a settlement of one request, with a
/// margin.
const FEE_CAP_VBYTES: u64 = 4_000;

/// The lowest rung that is enough for a settlement of this request alone, and never more than half
/// of what is at stake: then the highest rung below that, or where there is none, half.
pub fn default_fee_cap(amount: Amount, fee_rate: FeeRate) -> Amount {
    let alone = fee_rate.fee_vb(FEE_CAP_VBYTES).unwrap_or(Amount::MAX_MONEY);
    let (wanted, half) = (alone.max(FEE_CAP_DEFAULT_MIN), amount / 2);
    let affordable = || FEE_CAP_RUNGS.into_iter().filter(|rung| *rung <= half);
    affordable()
        .find(|rung| *rung >= wanted)
        .or_else(|| affordable().next_back())
        .unwrap_or(half)
}

/// The rungs on both sides of a cap that is none: what else could be chosen. `None` for a rung.
pub fn rungs_beside(cap: Amount) -> Option<(Option<Amount>, Option<Amount>)> {
    if FEE_CAP_RUNGS.contains(&cap) {
        return None;
    }
    let below = FEE_CAP_RUNGS.into_iter().rfind(|rung| *rung < cap);
    let above = FEE_CAP_RUNGS.into_iter().find(|rung| *rung > cap);
    Some((below, above))
}
