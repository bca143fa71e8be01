//! The books: what the requests do to vault and supply.

use bitcoin::Amount;
use grail_bridge_contract::RosterState;
use grail_types::Age;

use super::ItemOutcome;
use crate::{bridge::Case, refusal::Refusal};

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

/// How much zkBTC may exist, and how much may leave by now: the level follows from what leaves and
/// from the age that the NFT's input claims (ADR 24).
pub(super) fn check_limits(
    case: &Case<'_>,
    before: &RosterState,
    after: &RosterState,
    Effect { minted, burned, .. }: Effect,
) -> Result<(), Refusal> {
    let params = &case.proposal.params;
    if minted > burned && after.supply > params.supply_max.to_sat() {
        return Err(Refusal::SupplyAboveMax(after.supply));
    }
    let sequence = case.transaction.input.first().map(|input| input.sequence);
    // The outline has let no other sequences through.
    let age = sequence.and_then(Age::from_sequence).unwrap_or_default();
    let limit = params.outflow_limit();
    let (expected, got) = (
        limit.after(before.outflow, age, minted, burned),
        after.outflow,
    );
    if got != expected {
        return Err(Refusal::OutflowMismatch { expected, got });
    }
    Ok(limit.check(got, minted, burned)?)
}
