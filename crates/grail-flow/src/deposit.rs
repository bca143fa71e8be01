//! A deposit and whether it can be served.

use bitcoin::{Amount, OutPoint};
use grail_types::{Kind, Params, Terms};
use serde::{Deserialize, Serialize};

use crate::viability::worth;

/// An output at a request's deposit address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deposit {
    /// Where it is.
    pub outpoint: OutPoint,
    /// Its coin.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub value: Amount,
    /// Its charms, as a verified spell tells.
    pub charms: DepositCharms,
    /// What made it.
    pub origin: DepositOrigin,
}

/// What kind of transaction made a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DepositOrigin {
    /// One that spends other coins.
    Payment,
    /// A block's own: mining pools pay to deposit addresses, too. Consensus lets nobody spend it
    /// before [`COINBASE_MATURITY_BLOCKS`].
    Coinbase,
}

/// Confirmations from which a coinbase may be spent in the next block (Bitcoin Core
/// `COINBASE_MATURITY`).
pub const COINBASE_MATURITY_BLOCKS: u16 = 100;

/// Confirmations that a deposit needs before it can be settled.
pub fn confirmations_needed(params: &Params, origin: DepositOrigin) -> u32 {
    match origin {
        DepositOrigin::Payment => params.deposit_confirmations,
        // A settlement that spends it sooner is in no block, and holds up all that build on it.
        DepositOrigin::Coinbase => params
            .deposit_confirmations
            .max(COINBASE_MATURITY_BLOCKS.into()),
    }
}

/// What charms a deposit carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DepositCharms {
    /// None: a plain coin, or a spell that does not verify.
    None,
    /// This much zkBTC and nothing else.
    ZkBtc(#[serde(with = "bitcoin::amount::serde::as_sat")] Amount),
    /// Any other charm, alone or beside zkBTC.
    Other,
}

/// Why a deposit is not served, and the user takes it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReclaimCode {
    /// Less than `Params::deposit_min`.
    BelowMinimum,
    /// More than `Params::deposit_max`.
    AboveMaximum,
    /// Charms in a peg-in, none or others than zkBTC in a peg-out.
    WrongCharms,
    /// Not in a block up to the request's deadline.
    Late,
    /// The request has another deposit already.
    DuplicateDeposit,
    /// Its share of the fee stayed above what the terms allow.
    FeeAboveCap,
    /// Not settled before the margin ahead of its reclaim.
    TooCloseToReclaim,
    /// The operators' policy refuses it.
    Refused,
}

/// The text is no [`ReclaimCode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown reclaim code")]
pub struct UnknownCode;

impl ReclaimCode {
    /// All codes.
    pub const ALL: [Self; 8] = [
        Self::BelowMinimum,
        Self::AboveMaximum,
        Self::WrongCharms,
        Self::Late,
        Self::DuplicateDeposit,
        Self::FeeAboveCap,
        Self::TooCloseToReclaim,
        Self::Refused,
    ];

    /// Stable name, the same in JSON, SQL and API.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BelowMinimum => "below-minimum",
            Self::AboveMaximum => "above-maximum",
            Self::WrongCharms => "wrong-charms",
            Self::Late => "late",
            Self::DuplicateDeposit => "duplicate-deposit",
            Self::FeeAboveCap => "fee-above-cap",
            Self::TooCloseToReclaim => "too-close-to-reclaim",
            Self::Refused => "refused",
        }
    }
}

impl std::str::FromStr for ReclaimCode {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL
            .into_iter()
            .find(|code| code.code() == text)
            .ok_or(UnknownCode)
    }
}

/// Whether a deposit's amount and charms can serve a request of `kind`. A peg-in is measured by its
/// coin, a peg-out by its zkBTC; and each must be worth the `least` that its request can be settled
/// with at all ([`crate::least_worth`]), or it would wait for ever.
///
/// # Errors
/// The code under which the user takes it back.
pub fn acceptable(
    params: &Params,
    kind: Kind,
    deposit: &Deposit,
    least: Amount,
) -> Result<(), ReclaimCode> {
    let (amount, min) = match (kind, deposit.charms) {
        (Kind::PegIn, DepositCharms::None) => (deposit.value, params.deposit_min),
        (Kind::PegOut, DepositCharms::ZkBtc(amount)) => (amount, Amount::ONE_SAT),
        // Its whole coin goes to the miners: no least but dust, which no wallet can pay.
        (
            Kind::SponsorAnnounce | Kind::SponsorCancel | Kind::SponsorExecute | Kind::SponsorMerge,
            DepositCharms::None,
        ) => (deposit.value, Amount::ONE_SAT),
        _ => return Err(ReclaimCode::WrongCharms),
    };
    if amount < min || worth(deposit) < least {
        Err(ReclaimCode::BelowMinimum)
    } else if amount > params.deposit_max {
        Err(ReclaimCode::AboveMaximum)
    } else {
        Ok(())
    }
}

/// Whether operators would serve a request with these terms and this deposit by the parameters of
/// today. Of a former roster's they were others when it was made.
///
/// # Errors
/// The code under which the user takes it back.
pub fn served_today(
    params: &Params,
    terms: &Terms,
    deposit: &Deposit,
    least: Amount,
) -> Result<(), ReclaimCode> {
    let delays = params.reclaim_delay_min..=params.reclaim_delay_max;
    if !delays.contains(&terms.reclaim_delay) {
        return Err(ReclaimCode::Refused);
    }
    acceptable(params, terms.kind, deposit, least)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use grail_fixtures::script::terms;

    use super::*;
    use crate::request::tests_support::params;

    fn deposit(value_sat: u64, charms: DepositCharms) -> Deposit {
        Deposit {
            outpoint: OutPoint::null(),
            value: Amount::from_sat(value_sat),
            charms,
            origin: DepositOrigin::Payment,
        }
    }

    #[test]
    fn a_coinbase_needs_its_maturity_and_what_every_deposit_needs() {
        let needed = |deposit_confirmations, origin| {
            let params = params()
                .with(|values| values.deposit_confirmations = deposit_confirmations)
                .unwrap();
            confirmations_needed(&params, origin)
        };
        for (asked, expected) in [(1, 100), (99, 100), (100, 100), (101, 101)] {
            assert_eq!(needed(asked, DepositOrigin::Payment), asked);
            assert_eq!(needed(asked, DepositOrigin::Coinbase), expected);
        }
    }

    #[test]
    fn terms_of_other_parameters_are_served_within_the_delays_of_today() {
        let params = params();
        let check = |reclaim_delay| {
            let terms = Terms {
                reclaim_delay,
                ..terms()
            };
            let deposit = deposit(50_000, DepositCharms::None);
            served_today(&params, &terms, &deposit, Amount::ZERO)
        };
        let (least, most) = (params.reclaim_delay_min, params.reclaim_delay_max);
        assert_eq!(check(least - 1), Err(ReclaimCode::Refused));
        assert_eq!((check(least), check(most)), (Ok(()), Ok(())));
        assert_eq!(check(most + 1), Err(ReclaimCode::Refused));
        let small = deposit(19_999, DepositCharms::None);
        let served = served_today(&params, &terms(), &small, Amount::ZERO);
        assert_eq!(served, Err(ReclaimCode::BelowMinimum));
    }

    #[test]
    fn a_peg_in_is_measured_by_its_coin_with_both_edges() {
        let check = |sat| {
            acceptable(
                &params(),
                Kind::PegIn,
                &deposit(sat, DepositCharms::None),
                Amount::ZERO,
            )
        };
        assert_eq!(check(0), Err(ReclaimCode::BelowMinimum));
        assert_eq!(check(19_999), Err(ReclaimCode::BelowMinimum));
        assert_eq!(check(20_000), Ok(()));
        assert_eq!(check(100_000_000_000), Ok(()));
        assert_eq!(check(100_000_000_001), Err(ReclaimCode::AboveMaximum));
        assert_eq!(check(u64::MAX), Err(ReclaimCode::AboveMaximum));
    }

    #[test]
    fn a_peg_out_is_measured_by_its_zkbtc_with_both_edges() {
        let check = |sat| {
            let charms = DepositCharms::ZkBtc(Amount::from_sat(sat));
            acceptable(&params(), Kind::PegOut, &deposit(330, charms), Amount::ZERO)
        };
        assert_eq!(check(0), Err(ReclaimCode::BelowMinimum));
        assert_eq!(check(1), Ok(()));
        assert_eq!(check(100_000_000_000), Ok(()));
        assert_eq!(check(100_000_000_001), Err(ReclaimCode::AboveMaximum));
    }

    #[test]
    fn coin_and_zkbtc_together_must_be_worth_the_least_that_can_be_settled() {
        let least = Amount::from_sat(30_000);
        let check = |kind, deposit| acceptable(&params(), kind, &deposit, least);
        for (value, outcome) in [(29_999, Err(ReclaimCode::BelowMinimum)), (30_000, Ok(()))] {
            let peg_in = deposit(value, DepositCharms::None);
            assert_eq!(check(Kind::PegIn, peg_in), outcome);
            let charms = DepositCharms::ZkBtc(Amount::from_sat(value - 330));
            assert_eq!(check(Kind::PegOut, deposit(330, charms)), outcome);
        }
    }

    #[test]
    fn charms_of_the_wrong_kind_are_not_served() {
        let zkbtc = DepositCharms::ZkBtc(Amount::from_sat(50_000));
        for (kind, charms) in [
            (Kind::PegIn, zkbtc),
            (Kind::PegIn, DepositCharms::Other),
            (Kind::PegOut, DepositCharms::None),
            (Kind::PegOut, DepositCharms::Other),
        ] {
            assert_eq!(
                acceptable(&params(), kind, &deposit(50_000, charms), Amount::ZERO),
                Err(ReclaimCode::WrongCharms)
            );
        }
    }

    #[test]
    fn codes_are_the_same_in_json_and_text() {
        for code in ReclaimCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.code());
            assert_eq!(code.code().parse(), Ok(code));
        }
        assert_eq!("".parse::<ReclaimCode>(), Err(UnknownCode));
    }
}
