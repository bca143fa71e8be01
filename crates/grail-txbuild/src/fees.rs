//! Who pays how much of a settlement's fee.

use bitcoin::{Amount, FeeRate, Weight};

/// Splits a fee so that each payer covers its own weight and an equal part of what all share; every
/// part is rounded up, so that the sum never falls below the rate. An equal part of what the prover
/// may take comes on top.
pub(crate) fn shares(
    fee_rate: FeeRate,
    shared: Weight,
    own: &[Weight],
    prover_fee: Amount,
) -> Option<Vec<Amount>> {
    let payers = u64::try_from(own.len()).ok()?.max(1);
    let base = shared.to_wu().div_ceil(payers);
    let for_prover = Amount::from_sat(prover_fee.to_sat().div_ceil(payers));
    own.iter()
        .map(|weight| {
            fee_rate
                .fee_wu(Weight::from_wu(weight.to_wu().checked_add(base)?))?
                .checked_add(for_prover)
        })
        .collect()
}

/// The rate to split a fee by, at most `wanted`: low enough that the fee stays within `allowed`
/// even if the transaction turns out as light as `lightest` and the prover takes nothing of
/// `prover_fee`. The parts are reckoned from `heaviest`, and each payer rounds up, for the prover's
/// part too.
pub(crate) fn rate_within(
    wanted: FeeRate,
    allowed: FeeRate,
    heaviest: Weight,
    lightest: Weight,
    payers: usize,
    prover_fee: Amount,
) -> Option<FeeRate> {
    let payers = u64::try_from(payers).ok()?;
    let most = allowed
        .to_sat_per_kwu()
        .checked_mul(lightest.to_wu())?
        .checked_div(1_000)?;
    let for_prover = match prover_fee {
        Amount::ZERO => 0,
        prover_fee => prover_fee.to_sat().checked_add(payers)?,
    };
    let reckoned = heaviest.to_wu().checked_add(payers)?;
    let rate = most
        .saturating_sub(payers)
        .saturating_sub(for_prover)
        .checked_mul(1_000)?
        .checked_div(reckoned)?;
    Some(wanted.min(FeeRate::from_sat_per_kwu(rate)))
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
        let total: Amount = shares(rate, shared, &own, Amount::ZERO)
            .unwrap()
            .into_iter()
            .sum();
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
            Amount::ZERO,
        )
        .unwrap();
        assert_eq!(parts, [Amount::from_sat(60), Amount::from_sat(70)]);
    }

    #[test]
    fn the_fee_stays_within_the_highest_rate_of_the_lightest_outcome() {
        let allowed = FeeRate::from_sat_per_kwu(75_000);
        let own = [Weight::from_wu(1_701); 13];
        let (heaviest, lightest) = (Weight::from_wu(30_017), Weight::from_wu(29_001));
        let shared = heaviest - own.iter().copied().sum::<Weight>();
        let rate = rate_within(
            FeeRate::MAX,
            allowed,
            heaviest,
            lightest,
            own.len(),
            Amount::ZERO,
        )
        .unwrap();
        let fee: Amount = shares(rate, shared, &own, Amount::ZERO)
            .unwrap()
            .into_iter()
            .sum();
        assert!(fee <= allowed.fee_wu(lightest).unwrap());
        // And it gives little away.
        assert!(fee + Amount::from_sat(2_000) >= allowed.fee_wu(lightest).unwrap());
    }

    #[test]
    fn a_rate_well_below_the_highest_is_left_as_it_is() {
        let wanted = FeeRate::from_sat_per_kwu(1_000);
        let allowed = FeeRate::from_sat_per_kwu(75_000);
        let weight = Weight::from_wu(10_000);
        assert_eq!(
            rate_within(wanted, allowed, weight, weight, 3, Amount::ZERO),
            Some(wanted)
        );
    }

    #[test]
    fn the_provers_fee_is_borne_in_equal_parts_rounded_up() {
        let rate = FeeRate::from_sat_per_kwu(1_000);
        let (shared, own) = (Weight::from_wu(90), [Weight::from_wu(10); 3]);
        let without = shares(rate, shared, &own, Amount::ZERO).unwrap();
        let with = shares(rate, shared, &own, Amount::from_sat(1_000)).unwrap();
        for (without, with) in without.into_iter().zip(with) {
            assert_eq!(with, without + Amount::from_sat(334));
        }
    }

    #[test]
    fn what_the_prover_leaves_stays_within_the_highest_rate() {
        let allowed = FeeRate::from_sat_per_kwu(75_000);
        let own = [Weight::from_wu(1_701); 7];
        let (heaviest, lightest) = (Weight::from_wu(30_017), Weight::from_wu(29_001));
        let shared = heaviest - own.iter().copied().sum::<Weight>();
        let prover_fee = Amount::from_sat(50_000);
        let rate = rate_within(
            FeeRate::MAX,
            allowed,
            heaviest,
            lightest,
            own.len(),
            prover_fee,
        )
        .unwrap();
        let fee: Amount = shares(rate, shared, &own, prover_fee)
            .unwrap()
            .into_iter()
            .sum();
        assert!(fee <= allowed.fee_wu(lightest).unwrap());
    }
}
