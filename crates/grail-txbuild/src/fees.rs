//! Who pays how much of a settlement's fee.

use bitcoin::{Amount, FeeRate, Weight};

/// Splits a fee so that each payer covers its own weight and an equal part of what all share; every part is rounded
/// up, so that the sum never falls below the rate.
pub(crate) fn shares(fee_rate: FeeRate, shared: Weight, own: &[Weight]) -> Option<Vec<Amount>> {
    let payers = u64::try_from(own.len()).ok()?;
    let base = shared.to_wu().div_ceil(payers.max(1));
    own.iter()
        .map(|weight| fee_rate.fee_wu(Weight::from_wu(weight.to_wu().checked_add(base)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_shares_cover_the_fee_of_the_whole() {
        let rate = FeeRate::from_sat_per_kwu(333);
        let own = [
            Weight::from_wu(1_001),
            Weight::from_wu(1_601),
            Weight::from_wu(7),
        ];
        let shared = Weight::from_wu(4_444);
        let total: Amount = shares(rate, shared, &own).unwrap().into_iter().sum();
        let weight = own.iter().copied().sum::<Weight>() + shared;
        assert!(total >= rate.fee_wu(weight).unwrap());
        assert!(total <= rate.fee_wu(weight).unwrap() + Amount::from_sat(6));
    }

    #[test]
    fn a_heavier_request_pays_more() {
        let rate = FeeRate::from_sat_per_kwu(1_000);
        let parts = shares(
            rate,
            Weight::from_wu(100),
            &[Weight::from_wu(10), Weight::from_wu(20)],
        )
        .unwrap();
        assert_eq!(parts, [Amount::from_sat(60), Amount::from_sat(70)]);
    }
}
