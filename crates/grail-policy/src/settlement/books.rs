//! The books: what the requests do to vault and supply.

use bitcoin::Amount;
use grail_bridge_contract::RosterState;

use super::ItemOutcome;
use crate::refusal::Refusal;

/// What a request, or all of them, do to the books, satoshis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effect {
    pub minted: u64,
    pub burned: u64,
    pub share: Amount,
}

impl Effect {
    /// The sum over all requests.
    pub(super) fn total(items: &[ItemOutcome]) -> Result<Self, Refusal> {
        let add = |sum: u64, value: u64| sum.checked_add(value).ok_or(Refusal::Overflow);
        let nothing = Self {
            minted: 0,
            burned: 0,
            share: Amount::ZERO,
        };
        items.iter().try_fold(nothing, |total, item| {
            Ok(Self {
                minted: add(total.minted, item.minted)?,
                burned: add(total.burned, item.burned)?,
                share: total
                    .share
                    .checked_add(item.fee_share)
                    .ok_or(Refusal::Overflow)?,
            })
        })
    }
}

/// `vault' - vault == minted - burned == supply' - supply`.
pub(super) fn check_books(
    before: &RosterState,
    after: &RosterState,
    vault_in: Amount,
    vault_out: Option<Amount>,
    total: Effect,
) -> Result<(), Refusal> {
    let follow = |start: u64| {
        start
            .checked_add(total.minted)
            .and_then(|sum| sum.checked_sub(total.burned))
            .ok_or(Refusal::Overflow)
    };
    let expected = Amount::from_sat(follow(vault_in.to_sat())?);
    let got = vault_out.unwrap_or(Amount::ZERO);
    if got != expected {
        return Err(if vault_out.is_none() {
            Refusal::VaultMissing(expected)
        } else {
            Refusal::VaultMismatch { expected, got }
        });
    }
    let expected = follow(before.supply)?;
    if after.supply != expected {
        return Err(Refusal::SupplyMismatch {
            expected,
            got: after.supply,
        });
    }
    Ok(())
}
