//! The notice coin: Bitcoin counts its age, so that nobody who signs or builds can shorten the
//! wait, and no settlement in between can lengthen it.

use std::sync::Arc;

use bitcoin::{
    Amount,
    secp256k1::{Secp256k1, Verification},
};
use grail_bridge_contract::{Next, RosterState};
use grail_script::{NoticeTree, Spend};
use grail_spell::BridgeCharms;
use grail_types::{Age, Bridge, Network, Params, Roster, notice_commitment};

use crate::{
    approve::SigningInput,
    bridge::{Case, Held},
    outline::{Outline, Spent},
    refusal::Refusal,
};

/// What a notice coin holds: the least that relay takes.
pub const NOTICE_COIN: Amount = Amount::from_sat(330);

/// Blocks between an announcement and its execution, while `supply` satoshis of zkBTC exist: no
/// fewer than the parameters say, no fewer than this program demands on the network, and so many
/// that everybody may have left by the limit on what leaves.
pub fn wait_of(network: Network, params: &Params, supply: u64) -> Result<u16, Refusal> {
    let limit = params.outflow_limit();
    let least = params.notice.max(network.notice_min());
    let too_long = || Refusal::WaitTooLong(limit.blocks_to_let_go(supply));
    limit.wait(least, supply).ok_or_else(too_long)
}

/// The notice coin's output for a state whose rotation is announced, held by the roster of that
/// state.
pub fn notice_tree<C: Verification>(
    secp: &Secp256k1<C>,
    bridge: &Bridge,
    roster: &Roster,
    next: &Next,
) -> NoticeTree {
    let commitment = notice_commitment(bridge, roster.epoch(), next.serial, &next.hash);
    NoticeTree::new(secp, roster, next.wait, commitment)
}

/// The announcement makes its coin.
pub(super) fn check_output<C: Verification>(
    secp: &Secp256k1<C>,
    case: &Case<'_>,
    held: &Held,
    after: &RosterState,
    index: usize,
) -> Result<(), Refusal> {
    let next = super::announced(after)?;
    let output = case.transaction.output.get(index);
    let output = output.ok_or(Refusal::NoticeCoin("there is none"))?;
    if output.script_pubkey != notice_tree(secp, case.bridge, &held.roster, next).script_pubkey {
        return Err(Refusal::NoticeCoin("its script is another"));
    }
    if output.value != NOTICE_COIN {
        return Err(Refusal::NoticeCoin("its amount is another"));
    }
    if case.output_charms(index)? != BridgeCharms::Nothing {
        return Err(Refusal::NoticeCoin("it carries charms"));
    }
    Ok(())
}

/// The execution spends the coin that the announcement made: not any coin at its address, which
/// anybody can make before there is an announcement.
pub(super) fn check_input<C: Verification>(
    secp: &Secp256k1<C>,
    case: &Case<'_>,
    held: &Held,
    index: usize,
) -> Result<SigningInput, Refusal> {
    let next = super::announced(&held.before)?;
    let tree = notice_tree(secp, case.bridge, &held.roster, next);
    let spent = case.outline.spent.get(index);
    let spent = spent.ok_or(Refusal::NoticeCoin("there is none"))?;
    if spent.output.script_pubkey != tree.script_pubkey {
        return Err(Refusal::NoticeCoin("its script is another"));
    }
    if spent.output.value != NOTICE_COIN {
        return Err(Refusal::NoticeCoin("its amount is another"));
    }
    if spent.carried != BridgeCharms::Nothing {
        return Err(Refusal::NoticeCoin("it carries charms"));
    }
    check_maker(&case.outline, index, next)?;
    let input = case.transaction.input.get(index);
    let age = input.and_then(|input| Age::from_sequence(input.sequence));
    if age != Some(Age(next.wait)) {
        return Err(Refusal::NoticeAge { wait: next.wait });
    }
    Ok(SigningInput {
        spend: Spend::Leaf(tree.leaf),
        roster: Arc::clone(&held.roster),
    })
}

/// The transaction that made the coin is the announcement: its output 0 is the NFT of that serial
/// with that very rotation announced. One transaction with that serial can be mined, and the age is
/// consensus's only for a coin that is.
fn check_maker(outline: &Outline, index: usize, next: &Next) -> Result<(), Refusal> {
    let Some(Spent {
        carried: BridgeCharms::Nft(Ok(state)),
        ..
    }) = outline.first_of(index)
    else {
        return Err(Refusal::NoticeCoin("no announcement made it"));
    };
    let state = state.clone().for_signing();
    if state.serial == next.serial && state.next.as_ref() == Some(next) {
        Ok(())
    } else {
        Err(Refusal::NoticeCoin("another announcement made it"))
    }
}
