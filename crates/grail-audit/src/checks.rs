//! Rules that need no more than two states and a transaction.

use bitcoin::{OutPoint, Transaction, Txid, XOnlyPublicKey};
use grail_bridge_contract::RosterState;
use grail_charms::explain_strict;
use grail_types::{Epoch, ParamsHash, Roster, Threshold};

use crate::books::Books;
use crate::finding::Finding;
use crate::limits::Pinned;
use crate::reading::{Reader, Reading};
use crate::step::{PegTotal, RosterChange};

pub(crate) fn check_params(pinned: &Pinned, state: &RosterState, findings: &mut Vec<Finding>) {
    if !pinned.is_empty() && pinned.named_by(state).is_none() {
        findings.push(Finding::ParamsHash {
            expected: pinned.hashes().join(" or "),
            got: ParamsHash(state.params_hash).to_string(),
        });
    }
}

pub(crate) fn check_strict(
    reader: &Reader,
    transaction: &Transaction,
    findings: &mut Vec<Finding>,
) {
    if let Err(error) = reader.strict(transaction) {
        findings.push(Finding::Spell {
            code: error.code(),
            reason: explain_strict(transaction, &error),
        });
    }
}

/// The one NFT of a reading. Of several the first is followed.
pub(crate) fn the_nft(
    reading: &Reading,
    findings: &mut Vec<Finding>,
) -> Option<(u32, RosterState)> {
    let got = reading.nfts.len();
    if got != 1 {
        findings.push(Finding::NftCount { got });
    }
    let (vout, state) = reading.nfts.first()?;
    match state {
        Ok(state) => Some((*vout, state.clone())),
        Err(error) => {
            findings.push(Finding::StateUnreadable {
                reason: error.to_string(),
            });
            None
        }
    }
}

pub(crate) fn check_place(
    transaction: &Transaction,
    vout: u32,
    state: &RosterState,
    findings: &mut Vec<Finding>,
) {
    let at_vault = usize::try_from(vout)
        .ok()
        .and_then(|index| transaction.output.get(index))
        .is_some_and(|output| output.script_pubkey.as_bytes() == state.vault_script);
    if vout != 0 || !at_vault {
        findings.push(Finding::NftMisplaced { vout, at_vault });
    }
}

pub(crate) fn check_succession(old: &RosterState, new: &RosterState, findings: &mut Vec<Finding>) {
    let expected = old.serial.saturating_add(1);
    if new.serial != expected {
        findings.push(Finding::Serial {
            expected,
            got: new.serial,
        });
    }
    let (from, to) = (old.epoch, new.epoch);
    if from != to && from.checked_add(1) != Some(to) {
        findings.push(Finding::Epoch { from, to });
    }
    if from != to {
        check_execution(old, new, findings);
        return;
    }
    let step = match (&old.next, &new.next) {
        // Nothing is announced or taken back: a settlement.
        (before, after) if before == after => old.attempt == new.attempt,
        (None, Some(next)) => {
            let counted = old.attempt.checked_add(1) == Some(new.attempt);
            counted && next.serial == new.serial && is_quiet(old, new)
        }
        (Some(_), None) => old.attempt == new.attempt && is_quiet(old, new),
        _ => false,
    };
    let changed = [
        ("next", !step),
        ("governance", old.governance != new.governance),
        ("spell_min", old.spell_min != new.spell_min),
        ("spell_max", old.spell_max != new.spell_max),
        ("signers", old.signers != new.signers),
        ("threshold", old.threshold != new.threshold),
        ("vault_script", old.vault_script != new.vault_script),
        ("params_hash", old.params_hash != new.params_hash),
    ];
    findings.extend(changed.into_iter().filter_map(|(field, changed)| {
        changed.then_some(Finding::ChangedInEpoch { field, epoch: from })
    }));
}

/// Announced is what is executed, and nothing else changes with it.
fn check_execution(old: &RosterState, new: &RosterState, findings: &mut Vec<Finding>) {
    let announced = old.next.as_ref().map(|next| next.hash);
    let is_announced = announced == Some(new.next_hash());
    let is_kept = old.attempt == new.attempt && new.next.is_none() && is_quiet(old, new);
    if old.epoch.checked_add(1) == Some(new.epoch) && !(is_announced && is_kept) {
        let epoch = new.epoch;
        findings.push(Finding::RotationNotAnnounced { epoch });
    }
}

/// Only a settlement changes these.
fn is_quiet(old: &RosterState, new: &RosterState) -> bool {
    old.supply == new.supply && old.outflow == new.outflow
}

pub(crate) fn roster_of(state: &RosterState) -> Option<Roster> {
    let signers = state
        .signers
        .iter()
        .map(|key| XOnlyPublicKey::from_slice(key).ok())
        .collect::<Option<Vec<_>>>()?;
    Roster::new(Epoch(state.epoch), signers, Threshold(state.threshold)).ok()
}

pub(crate) fn roster_change(old: &RosterState, new: &RosterState) -> RosterChange {
    let without = |from: &RosterState, other: &RosterState| {
        let mut keys = from.signers.clone();
        keys.retain(|key| !other.signers.contains(key));
        keys
    };
    RosterChange {
        threshold: (old.threshold, new.threshold),
        signer_count: (old.signers.len(), new.signers.len()),
        added: without(new, old),
        removed: without(old, new),
    }
}

pub(crate) fn note_tokens(txid: Txid, reading: &Reading, books: &mut Books) -> u64 {
    let made = reading.tokens.iter();
    books
        .tokens
        .extend(made.map(|(vout, amount)| (OutPoint::new(txid, *vout), *amount)));
    reading.tokens_out()
}

/// Outputs that the spell speaks of and that carry BTC alone, away from the vault.
pub(crate) fn payouts(
    transaction: &Transaction,
    reading: &Reading,
    state: &RosterState,
) -> PegTotal {
    let carries = |vout: u32| {
        reading.tokens.iter().any(|(at, _)| *at == vout)
            || reading.nfts.iter().any(|(at, _)| *at == vout)
    };
    total(
        (0_u32..)
            .zip(&transaction.output)
            .take(reading.charm_outputs)
            .filter(|(vout, output)| {
                !carries(*vout) && output.script_pubkey.as_bytes() != state.vault_script
            })
            .map(|(_, output)| output.value.to_sat()),
    )
}

pub(crate) fn total(amounts: impl Iterator<Item = u64>) -> PegTotal {
    amounts.fold(PegTotal::default(), |mut total, sat| {
        total.add(sat);
        total
    })
}

pub(crate) fn delta(from: u64, to: u64) -> i128 {
    i128::from(to).saturating_sub(i128::from(from))
}
