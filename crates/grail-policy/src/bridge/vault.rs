//! The vault: one coin, which each settlement spends and makes anew.

use bitcoin::{Amount, OutPoint};
use grail_bridge_contract::RosterState;
use grail_script::VaultTree;
use grail_spell::BridgeCharms;

use super::Case;
use crate::{
    outline::{Outline, Spent},
    refusal::Refusal,
};

/// The vault's coin, if there is one: output 1 of the transaction that made the NFT's output, at
/// the vault's script and without charms. *That* coin, not any coin at that address: a stray coin
/// could stand in for it, settlement after settlement, until the backing lay in more pieces than
/// anybody can pay to move.
pub(crate) fn coin<'a>(outline: &'a Outline, vault: &VaultTree) -> Option<&'a Spent> {
    let (_, spent) = coin_at(outline, vault)?;
    Some(spent)
}

fn coin_at<'a>(outline: &'a Outline, vault: &VaultTree) -> Option<(OutPoint, &'a Spent)> {
    let (outpoint, spent) = outline.after_first.as_ref()?;
    let is_vault =
        spent.output.script_pubkey == vault.script_pubkey && spent.carried == BridgeCharms::Nothing;
    is_vault.then_some((*outpoint, spent))
}

/// Input 1 is the vault's coin wherever there is one, and there is one wherever there is supply.
pub(crate) fn check_spent(
    case: &Case<'_>,
    before: &RosterState,
    vault: &VaultTree,
) -> Result<(), Refusal> {
    match coin_at(&case.outline, vault) {
        Some((expected, _)) => {
            let second = case.transaction.input.get(1);
            if second.is_some_and(|input| input.previous_output == expected) {
                Ok(())
            } else {
                Err(Refusal::VaultNotSpent)
            }
        }
        None if before.supply > 0 => Err(Refusal::VaultNotSpent),
        None => Ok(()),
    }
}

/// The vault's output, if the transaction has one: output 1 exactly when the spell commits to one
/// more output than the NFT and the `others` need.
pub(crate) fn output(
    case: &Case<'_>,
    vault: &VaultTree,
    others: usize,
) -> Result<Option<Amount>, Refusal> {
    let without_vault = others.saturating_add(1);
    let got = case.framed.committed;
    if got == without_vault {
        return Ok(None);
    }
    let expected = without_vault.saturating_add(1);
    let output = match case.transaction.output.get(1) {
        Some(output) if got == expected => output,
        _ => {
            return Err(Refusal::WrongCount {
                what: "outputs",
                expected,
                got,
            });
        }
    };
    let is_vault = output.script_pubkey == vault.script_pubkey
        && case.output_charms(1)? == BridgeCharms::Nothing;
    if !is_vault {
        return Err(Refusal::VaultMissing(output.value));
    }
    if output.value < output.script_pubkey.minimal_non_dust() {
        return Err(Refusal::VaultDust(output.value));
    }
    Ok(Some(output.value))
}
