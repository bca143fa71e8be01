//! What a settlement must be, from first principles: no word of the policy's code is used here.
//!
//! Sums over scripts and charms, with no regard to positions: whoever holds a script may be in any
//! place.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, Txid};
use charms_data::{Charms, Data, TxId};
use grail_bridge_contract::{RosterState, check};
use grail_charms::{PrevTx, roster_state, token_amount};
use grail_prover::charms_transaction;
use grail_spell::{nft_app, read_strict, token_app};
use grail_types::{Kind, MockAllowed, Network, Roster};

use super::{Proposal, World};

/// What moved, by script.
#[derive(Default)]
struct Purse {
    sats: u64,
    tokens: u64,
}

/// Whether signing `proposal` keeps every satoshi where it belongs. Says what is wrong.
pub fn judge(world: &World, proposal: &Proposal) -> Result<(), String> {
    let transaction = &proposal.transaction;
    let bridge = &world.bridge.app;
    let (nft, token) = (nft_app(bridge), token_app(bridge));
    let mock = MockAllowed::on(Network::Regtest);

    let previous: BTreeMap<Txid, PrevTx> = proposal
        .previous
        .iter()
        .map(|made| (made.compute_txid(), PrevTx::read(made.clone(), mock)))
        .collect();
    let spell = read_strict(transaction, mock).map_err(|error| error.to_string())?;

    let mut before = None;
    let mut after = None;
    let mut ins: BTreeMap<ScriptBuf, Purse> = BTreeMap::new();
    let mut outs: BTreeMap<ScriptBuf, Purse> = BTreeMap::new();
    let mut seen = BTreeSet::<OutPoint>::new();
    for input in &transaction.input {
        let outpoint = input.previous_output;
        if !seen.insert(outpoint) {
            return Err("spent twice".to_owned());
        }
        let made = previous.get(&outpoint.txid).ok_or("unknown input")?;
        let spent = made.output(outpoint.vout).ok_or("unknown output")?;
        let charms = made.charms_at(outpoint.vout);
        note(&mut ins, &mut before, spent, &charms, world)?;
    }
    let vouts = 0_u32..;
    for (vout, paid) in vouts.zip(&transaction.output) {
        note(&mut outs, &mut after, paid, &spell.charms_at(vout), world)?;
    }
    let (before, after) = (before.ok_or("no NFT in")?, after.ok_or("no NFT out")?);

    // Only serial, supply and outflow follow.
    let expected = RosterState {
        serial: before.serial + 1,
        supply: after.supply,
        outflow: after.outflow,
        ..before.clone()
    };
    if after != expected || before != world.state {
        return Err("the roster changes".to_owned());
    }
    outflow(world, transaction, &before, &after)?;
    let total = |purses: &BTreeMap<ScriptBuf, Purse>, of: fn(&Purse) -> u64| {
        purses.values().map(of).map(i128::from).sum::<i128>()
    };
    let minted = total(&outs, |purse| purse.tokens) - total(&ins, |purse| purse.tokens);
    if i128::from(after.supply) - i128::from(before.supply) != minted {
        return Err("the supply does not follow the tokens".to_owned());
    }
    let at_vault = |purses: &BTreeMap<ScriptBuf, Purse>| {
        let purse = purses.get(&world.vault.script_pubkey);
        purse.map_or(0, |purse| i128::from(purse.sats))
    };
    if at_vault(&outs) - at_vault(&ins) != minted {
        return Err("the vault does not follow the tokens".to_owned());
    }

    // Everything else that goes in is a deposit, each explained by one request, which gets it back
    // less its share.
    let mut owed: BTreeMap<ScriptBuf, i128> = BTreeMap::new();
    let mut caps: BTreeMap<ScriptBuf, i128> = BTreeMap::new();
    let mut explained = BTreeSet::from([world.vault.script_pubkey.clone()]);
    for terms in &proposal.requests {
        let script = world.deposit_script(terms);
        let purse = ins.get(&script).ok_or("a request without deposit")?;
        if !explained.insert(script) {
            return Err("a deposit serves two requests".to_owned());
        }
        if (terms.kind == Kind::PegIn) != (purse.tokens == 0) {
            return Err("charms of the wrong kind".to_owned());
        }
        let destination = terms.destination.script().to_owned();
        *owed.entry(destination.clone()).or_default() +=
            i128::from(purse.sats) + i128::from(purse.tokens);
        *caps.entry(destination).or_default() += i128::from(terms.fee_cap.to_sat());
    }
    if ins.keys().any(|script| !explained.contains(script)) {
        return Err("an input that nobody asked to spend".to_owned());
    }
    for (script, owed) in &owed {
        let purse = outs.get(script).ok_or("a destination gets nothing")?;
        let share = owed - i128::from(purse.sats) - i128::from(purse.tokens);
        if share < 0 || share > caps[script] {
            return Err(format!("a share of {share}"));
        }
    }
    let spell_script = &transaction.output.last().ok_or("no outputs")?.script_pubkey;
    for (script, purse) in &outs {
        let known = *script == world.vault.script_pubkey || owed.contains_key(script);
        let is_spell = script == spell_script && purse.sats == 0 && purse.tokens == 0;
        if !known && !is_spell {
            return Err("somebody is paid whom nobody named".to_owned());
        }
    }
    for paid in &transaction.output {
        if paid.script_pubkey != *spell_script && paid.value < paid.script_pubkey.minimal_non_dust()
        {
            return Err("dust".to_owned());
        }
    }

    let fee = total(&ins, |purse| purse.sats) - total(&outs, |purse| purse.sats);
    if fee <= 0 {
        return Err("no fee".to_owned());
    }

    // The contract itself, run natively.
    let by_id = previous
        .into_iter()
        .map(|(txid, made)| (TxId(bitcoin::hashes::Hash::to_byte_array(txid)), made))
        .collect();
    let view = charms_transaction(spell.spell(), &by_id).ok_or("no view for the contract")?;
    for (app, public_input) in &spell.spell().app_public_inputs {
        if *app != nft && *app != token {
            return Err("another app".to_owned());
        }
        check(app, &view, public_input, &Data::empty())
            .map_err(|violation| violation.to_string())?;
    }
    Ok(())
}

/// The level follows from what left and from the age that input 0 claims, and is within bounds.
fn outflow(
    world: &World,
    transaction: &Transaction,
    before: &RosterState,
    after: &RosterState,
) -> Result<(), String> {
    let mut ages = transaction.input.iter().map(|input| {
        let number = input.sequence.to_consensus_u32();
        match number {
            0xffff_fffd => Ok(0),
            1..=0xffff => Ok(i128::from(number)),
            _ => Err("an age that is none"),
        }
    });
    let age = ages.next().ok_or("no inputs")??;
    if ages.any(|other| other != Ok(0)) {
        return Err("another input than the NFT's claims an age".to_owned());
    }
    let left = i128::from(before.supply) - i128::from(after.supply);
    let rate = i128::from(world.params.outflow_rate.to_sat());
    let decayed = (i128::from(before.outflow) - age * rate).max(0);
    if i128::from(after.outflow) != (decayed + left).max(0) {
        return Err("an outflow that does not follow".to_owned());
    }
    if left > 0 && after.outflow > world.params.outflow_cap.to_sat() {
        return Err("more leaves than may".to_owned());
    }
    if left < 0 && after.supply > world.params.supply_max.to_sat() {
        return Err("more exists than may".to_owned());
    }
    Ok(())
}

fn note(
    purses: &mut BTreeMap<ScriptBuf, Purse>,
    state: &mut Option<RosterState>,
    output: &bitcoin::TxOut,
    charms: &Charms,
    world: &World,
) -> Result<(), String> {
    let bridge = &world.bridge.app;
    let purse = purses.entry(output.script_pubkey.clone()).or_default();
    purse.sats += output.value.to_sat();
    purse.tokens += token_amount(charms, &token_app(bridge)).map_err(|error| error.to_string())?;
    let found = roster_state(charms, &nft_app(bridge)).map_err(|error| error.to_string())?;
    if let Some(found) = found
        && state.replace(found).is_some()
    {
        return Err("two NFTs".to_owned());
    }
    let known = [nft_app(bridge), token_app(bridge)];
    if charms.keys().any(|app| !known.contains(app)) {
        return Err("charms of another app".to_owned());
    }
    Ok(())
}

/// What the transaction pays to miners.
pub fn fee(proposal: &Proposal) -> Amount {
    let made: BTreeMap<Txid, &Transaction> = proposal
        .previous
        .iter()
        .map(|made| (made.compute_txid(), made))
        .collect();
    let spent: Amount = proposal
        .transaction
        .input
        .iter()
        .map(|input| {
            let outpoint = input.previous_output;
            made[&outpoint.txid].output[outpoint.vout as usize].value
        })
        .sum();
    let paid: Amount = proposal
        .transaction
        .output
        .iter()
        .map(|output| output.value)
        .sum();
    spent - paid
}

/// Weight of the transaction once each input's own quorum signed it: counted here from how such a
/// witness is made up. For twelve of sixteen that is what `docs/performance.md`, Inputs, has.
pub fn signed_weight(world: &World, proposal: &Proposal) -> u64 {
    assert_eq!(witness(&world.roster, 0, 0), 1_368);
    let of_vault = proposal.transaction.input.len() - proposal.requests.len();
    // The vault's tree has a second leaf; a deposit's has one too, and its leaf its commitment.
    let of_vault = of_vault as u64 * witness(&world.roster, 0, 32);
    let deposits = proposal.requests.iter();
    let of_deposits = deposits.map(|terms| witness(world.holder(terms), 34, 32));
    let witnesses = of_vault + of_deposits.sum::<u64>();
    proposal.transaction.weight().to_wu() + 2 + witnesses
}

/// A quorum's witness, with so many bytes more in script and control block.
fn witness(roster: &Roster, script: u64, control: u64) -> u64 {
    let signers = roster.signers().len() as u64;
    let threshold = u64::from(roster.threshold().0);
    assert!(threshold <= 16, "a threshold of one byte");
    let script = signers * 34 + 2 + script;
    let length = if script < 253 { 1 } else { 3 };
    1 + threshold * 65 + (signers - threshold) + length + script + 1 + 33 + control
}
