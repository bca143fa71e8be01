//! The roster NFT: the state that it brings, and the state that it takes on.

use grail_bridge_contract::{RosterState, StateError};
use grail_script::VaultTree;
use grail_spell::BridgeCharms;
use grail_types::{Epoch, ParamsHash, Roster};

use super::Case;
use crate::{
    outline::{Outline, Spent},
    refusal::Refusal,
    roster::roster_of,
};

/// The state on the NFT that input 0 spends, bound to the parameters that the proposal shows.
pub(crate) fn state(case: &Case<'_>) -> Result<RosterState, Refusal> {
    let Some(Spent {
        output,
        carried: BridgeCharms::Nft(state),
    }) = case.outline.spent.first()
    else {
        return Err(Refusal::NftMissing);
    };
    // A claim that anybody can have proven: it counts for signing the very spend of it, which is
    // what is decided here.
    let state = state.clone().map_err(invalid)?.for_signing();
    // The parameters came with the proposal. Here they become the bridge's: whoever changes one, or
    // shows another bridge's, has another hash than the state that the quorum of the last
    // settlement signed.
    let expected = case.proposal.params.hash(case.bridge);
    let got = ParamsHash(state.params_hash);
    if got != expected {
        return Err(Refusal::NftParams { expected, got });
    }
    // So do the administrators.
    let (expected, got) = (case.proposal.governance.hash(), state.governance);
    if got != expected {
        return Err(Refusal::NftGovernance { expected, got });
    }
    // Its coin neither grows nor shrinks, so it takes no part in the books.
    if output.value != case.proposal.params.nft_carrier {
        return Err(Refusal::NftStateInvalid(format!(
            "its coin is {}, not the carrier",
            output.value
        )));
    }
    Ok(state)
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the shape that `map_err` takes"
)]
fn invalid(error: StateError) -> Refusal {
    Refusal::NftStateInvalid(error.to_string())
}

/// The roster that a state names, which must be of the declared epoch.
pub(crate) fn roster(state: &RosterState, declared: Epoch) -> Result<Roster, Refusal> {
    let roster = roster_of(state).map_err(Refusal::NftStateInvalid)?;
    // The declared epoch is in the proposal's name, and so in every answer: an answer of one epoch
    // says nothing in another.
    if roster.epoch() != declared {
        return Err(Refusal::WrongEpoch {
            expected: roster.epoch(),
            got: declared,
        });
    }
    Ok(roster)
}

/// The contract does no curve arithmetic: that its `vault_script` is the roster's address is
/// checked here.
pub(crate) fn check_vault_script(
    outline: &Outline,
    state: &RosterState,
    vault: &VaultTree,
) -> Result<(), Refusal> {
    if state.vault_script != vault.script_pubkey.as_bytes() {
        return Err(Refusal::NftStateInvalid(
            "the vault script is not the roster's address".to_owned(),
        ));
    }
    match outline.spent.first() {
        Some(nft) if nft.output.script_pubkey == vault.script_pubkey => Ok(()),
        _ => Err(Refusal::UnknownTemplate { input_index: 0 }),
    }
}

/// The NFT on output 0: at the vault, with its coin and one serial on, by a spell of a version that
/// the state before allows. What else of its state changes is for the action to say.
pub(crate) fn output(
    case: &Case<'_>,
    before: &RosterState,
    vault: &VaultTree,
) -> Result<RosterState, Refusal> {
    let output = case
        .transaction
        .output
        .first()
        .ok_or(Refusal::NftOutput("there is no output"))?;
    if output.script_pubkey != vault.script_pubkey {
        return Err(Refusal::NftOutput("it is not at the Grail address"));
    }
    if output.value != case.proposal.params.nft_carrier {
        return Err(Refusal::NftOutput("its coin changes"));
    }
    let BridgeCharms::Nft(after) = case.output_charms(0)? else {
        return Err(Refusal::NftOutput("it does not carry the NFT alone"));
    };
    let after = after.map_err(invalid)?.for_signing();
    // With the next serial the NFT's state differs from the one before, so no checker lets it pass
    // as a plain move: the contract ran.
    let expected = before.serial.checked_add(1).ok_or(Refusal::Overflow)?;
    if after.serial != expected {
        return Err(Refusal::SerialMismatch {
            expected,
            got: after.serial,
        });
    }
    let version = case.framed.spell.version();
    if !(before.spell_min..=before.spell_max).contains(&version) {
        return Err(Refusal::SpellVersion(version));
    }
    Ok(after)
}
