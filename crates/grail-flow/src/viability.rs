//! What a request must bring to be settled at all, and up to which fee rate it can be.
//!
//! Reckoned for the best case: a full batch, in which each request answers for its own weight and
//! for the smallest part of what all share. So these numbers keep hopeless requests out of the way
//! and never one that could be served; whether one fits into a batch, its plan says.

use bitcoin::{Amount, FeeRate, Weight};
use grail_script::{DepositTree, weight};
use grail_types::{Kind, Params, Terms};

use crate::{Deposit, DepositCharms};

/// Fewer bytes than any settlement's spell has, its proof included: it names both apps and the
/// roster's state. Measured at 1,298 (`docs/performance.md`).
const SPELL_BYTES_LEAST: u64 = 1_000;

/// The least weight that a request answers for in a settlement: its own input and output, and its
/// part of the NFT's input and output and of the spell in a full batch.
pub fn least_weight(params: &Params, deposit: &DepositTree, terms: &Terms) -> Weight {
    let input = weight::INPUT + deposit.leaf.witness_weight();
    let own = input + weight::output(terms.destination.script());
    let shared =
        input + weight::P2TR_OUTPUT + Weight::from_non_witness_data_size(SPELL_BYTES_LEAST);
    let payers = u64::from(params.roster_inputs_max).max(1);
    own + Weight::from_wu(shared.to_wu() / payers)
}

/// The least fee that a request of this weight ever pays.
pub fn least_fee(params: &Params, weight: Weight) -> Amount {
    params.fee_rate_min.fee_wu(weight).unwrap_or(Amount::MAX)
}

/// What must be left of a deposit after the fee: a coin that carries at least one satoshi of
/// zkBTC, or a payout that nodes relay.
pub fn least_rest(params: &Params, terms: &Terms) -> Amount {
    match terms.kind {
        Kind::PegIn => params
            .carrier
            .checked_add(Amount::ONE_SAT)
            .unwrap_or(Amount::MAX),
        Kind::PegOut => terms.destination.script().minimal_non_dust(),
        Kind::SponsorAnnounce | Kind::SponsorCancel | Kind::SponsorExecute | Kind::SponsorMerge => {
            Amount::ZERO
        }
    }
}

/// The least that a deposit must be worth, coin and zkBTC together, to be settled at the lowest fee
/// rate.
pub fn least_worth(params: &Params, terms: &Terms, weight: Weight) -> Amount {
    least_rest(params, terms)
        .checked_add(least_fee(params, weight))
        .unwrap_or(Amount::MAX)
}

/// The highest fee rate at which a request of this weight can be settled with this deposit: its
/// part of the fee is within its cap, and enough is left. Rounded down; zero when at none.
pub fn viable_rate(params: &Params, terms: &Terms, deposit: &Deposit, weight: Weight) -> FeeRate {
    let spare = worth(deposit)
        .checked_sub(least_rest(params, terms))
        .unwrap_or(Amount::ZERO);
    let most = spare.min(terms.fee_cap).to_sat();
    let per_kwu = most
        .saturating_mul(1_000)
        .checked_div(weight.to_wu())
        .unwrap_or(0);
    FeeRate::from_sat_per_kwu(per_kwu)
}

/// What a deposit is worth: coin and zkBTC together.
pub fn worth(deposit: &Deposit) -> Amount {
    let token = match deposit.charms {
        DepositCharms::ZkBtc(amount) => amount,
        DepositCharms::None | DepositCharms::Other => Amount::ZERO,
    };
    deposit.value.checked_add(token).unwrap_or(Amount::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::{OutPoint, secp256k1::Secp256k1};
    use grail_fixtures::script::{roster, terms};
    use grail_script::InternalKey;

    use super::*;
    use crate::{DepositOrigin, request::tests_support::params};

    fn weight_of(terms: &Terms) -> Weight {
        let (_, roster) = roster();
        let secp = Secp256k1::verification_only();
        let deposit = DepositTree::new(&secp, InternalKey::Nums, terms, &roster);
        least_weight(&params(), &deposit, terms)
    }

    fn deposit(value_sat: u64, charms: DepositCharms) -> Deposit {
        Deposit {
            outpoint: OutPoint::null(),
            value: Amount::from_sat(value_sat),
            charms,
            origin: DepositOrigin::Payment,
        }
    }

    #[test]
    fn what_is_worth_the_least_is_viable_at_the_lowest_rate_and_no_less() {
        let params = params();
        for kind in [Kind::PegIn, Kind::PegOut] {
            let terms = Terms {
                kind,
                fee_cap: Amount::from_sat(1_000_000),
                ..terms()
            };
            let weight = weight_of(&terms);
            let least = least_worth(&params, &terms, weight).to_sat();
            let rate = |value| {
                viable_rate(
                    &params,
                    &terms,
                    &deposit(value, DepositCharms::None),
                    weight,
                )
            };
            assert!(rate(least) >= params.fee_rate_min, "{kind:?}");
            assert!(rate(least - 1) < params.fee_rate_min, "{kind:?}");
        }
    }

    #[test]
    fn the_cap_bounds_the_rate_as_what_is_left_does() {
        let params = params();
        let terms = Terms {
            fee_cap: Amount::from_sat(5_000),
            ..terms()
        };
        let weight = weight_of(&terms);
        let rich = deposit(u64::MAX, DepositCharms::None);
        let rate = viable_rate(&params, &terms, &rich, weight);
        assert!(rate.fee_wu(weight).unwrap() <= terms.fee_cap);
        let next = FeeRate::from_sat_per_kwu(rate.to_sat_per_kwu() + 1);
        assert!(next.fee_wu(weight).unwrap() > terms.fee_cap);
        let nothing = deposit(0, DepositCharms::Other);
        assert_eq!(
            viable_rate(&params, &terms, &nothing, weight),
            FeeRate::ZERO
        );
    }
}
