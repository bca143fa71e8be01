//! The roster to come: what is announced must be something that can take over, and go on.

use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{Secp256k1, Verification},
};
use grail_bridge_contract::RosterState;
use grail_script::{InternalKey, VaultTree};
use grail_types::{Bridge, Epoch, Network, Params};
use grail_wire::Succession;

use crate::refusal::Refusal;

/// The state after the execution: of the roster to come, one serial and one epoch on, with nothing
/// announced. Its vault is derived and not believed: an address of somebody's own under a genuine
/// roster has another hash. Whatever it leads to by the contract's rules stays as it is before:
/// supply, outflow, attempts.
pub fn successor<C: Verification>(
    secp: &Secp256k1<C>,
    bridge: &Bridge,
    before: &RosterState,
    succession: &Succession,
) -> Result<RosterState, Refusal> {
    let Succession {
        roster,
        governance,
        params,
        spell_min,
        spell_max,
    } = succession;
    let vault = VaultTree::new(secp, InternalKey::Nums, roster, governance);
    let keys = roster.signers().iter();
    Ok(RosterState {
        epoch: roster.epoch().0,
        serial: before.serial.checked_add(1).ok_or(Refusal::Overflow)?,
        signers: keys.map(XOnlyPublicKey::serialize).collect(),
        threshold: roster.threshold().0,
        vault_script: vault.script_pubkey.into_bytes(),
        supply: before.supply,
        params_hash: params.hash(bridge).0,
        governance: governance.hash(),
        attempt: before.attempt,
        next: None,
        outflow: before.outflow,
        spell_min: *spell_min,
        spell_max: *spell_max,
    })
}

/// Rules about a roster to come that a state by itself does not show: those of
/// [`check_to_come`] and of [`check_reachable`].
pub fn check_succession(
    network: Network,
    before: &RosterState,
    today: &Params,
    succession: &Succession,
) -> Result<(), Refusal> {
    check_to_come(network, Epoch(before.epoch), succession)?;
    check_reachable(before, today, succession)
}

/// Those of the rules that are about what today's roster leads to.
pub fn check_reachable(
    before: &RosterState,
    today: &Params,
    succession: &Succession,
) -> Result<(), Refusal> {
    // The NFT's coin never changes, and its next holders would take it for another's.
    if succession.params.nft_carrier != today.nft_carrier {
        let reason = "it has another carrier of the NFT";
        return Err(Refusal::SuccessionUnfit(reason));
    }
    // The execution is a spell of a version that today's images verify.
    if succession.spell_min > before.spell_max {
        let reason = "no spell of today can hand over to it";
        return Err(Refusal::SuccessionUnfit(reason));
    }
    Ok(())
}

/// Those of the rules that need no state: what whoever signs offline can check.
pub fn check_to_come(
    network: Network,
    before: Epoch,
    succession: &Succession,
) -> Result<(), Refusal> {
    let Succession {
        roster,
        governance,
        params,
        spell_min,
        spell_max,
    } = succession;
    let follows = before.0.checked_add(1) == Some(roster.epoch().0);
    let notice = params.notice >= network.notice_min();
    let rules = [
        (follows, "its epoch is not the next"),
        (notice, "its notice is below what the network demands"),
        (spell_min <= spell_max, "it knows no spells"),
    ];
    if let Some((_, reason)) = rules.into_iter().find(|(holds, _)| !holds) {
        return Err(Refusal::SuccessionUnfit(reason));
    }
    Ok(governance.check_share(roster)?)
}
