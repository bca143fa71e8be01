//! Grail's spells through upstream's own prover server, the crate `charms` 15, in mock mode.
//!
//! Runs where `CHARMS_EXE` names the server (`cargo xtask test --slow prover-server` builds it and
//! demands the tests), and is skipped elsewhere, because building the server takes about half an
//! hour.

#![allow(clippy::unwrap_used, missing_docs)]

mod charges;
mod cycles;
#[path = "../charms/server.rs"]
#[allow(dead_code, reason = "used to look at requests only")]
mod listener;
mod refusals;
mod spells;
use grail_fixtures::world as support;

use std::collections::BTreeMap;

use bitcoin::{Transaction, TxOut};
use charms_data::B32;
use grail_charms::transfer_spell;
use grail_prover::{CharmsProver, MockProver, ProveRequest, Proven, Prover as _};
use grail_spell::{NormalizedSpell, without_witnesses};
use grail_types::{MockAllowed, Network};

use support::{
    BRIDGE, Case, Proposal, World, coin, hash_of, output, p2tr, real_world, transaction,
};

fn mock_allowed() -> MockAllowed {
    MockAllowed::on(Network::Regtest).unwrap()
}

fn request(spell: NormalizedSpell, previous: &[&Transaction]) -> ProveRequest {
    ProveRequest {
        spell,
        prev_txs: previous.iter().map(|tx| without_witnesses(tx)).collect(),
        app_binaries: [(B32(hash_of(BRIDGE)), BRIDGE.to_vec())].into(),
        app_private_inputs: BTreeMap::new(),
    }
}

/// The request for a settlement.
fn settlement(case: &Case) -> ProveRequest {
    request(
        case.plan.spell.clone(),
        &case.draft.previous.iter().collect::<Vec<_>>(),
    )
}

/// A transfer of the world's zkBTC: `paid` to the output's script, the rest back. Its inputs bring
/// a little bitcoin for the fee.
fn transfer(paid: TxOut, amount: u64) -> (Transaction, ProveRequest) {
    let world = real_world();
    let carrier = world.params.carrier.to_sat();
    let money = support::funding(77, vec![output(10_000, p2tr(7))]);
    let tx = transaction(
        &[coin(&world.genesis, 2).outpoint, coin(&money, 0).outpoint],
        vec![paid, output(carrier, p2tr(0))],
    );
    let amounts = [amount, world.circulating() - amount];
    let spell = transfer_spell(&tx, &world.bridge.app, &amounts).unwrap();
    let request = request(spell, &[&world.genesis, &money]);
    (tx, request)
}

/// Proves with upstream and natively, and compares all but the proofs' randomness.
fn prove(prover: &CharmsProver, request: &ProveRequest) -> Proven {
    let proven = prover.prove(request).unwrap();
    let natively = MockProver::new(mock_allowed()).prove(request).unwrap();
    assert_eq!(
        (&proven.spell_wire, proven.fuel),
        (&natively.spell_wire, natively.fuel)
    );
    proven
}

/// With what the prover made: its fee output, then the spell.
fn completed(mut transaction: Transaction, proven: &Proven) -> Transaction {
    transaction.output.extend(proven.fee_output.clone());
    transaction.output.push(output(0, proven.op_return.clone()));
    transaction
}

/// What the operators say about a settlement that upstream proved.
fn verdict(world: &World, case: &Case, proven: &Proven) -> &'static str {
    let mut previous = case.draft.previous.clone();
    previous.sort_by_key(Transaction::compute_txid);
    world.refusal(&Proposal {
        epoch: world.roster.epoch(),
        params: world.params.clone(),
        governance: world.governance.clone(),
        transaction: completed(case.plan.transaction.clone(), proven),
        previous,
        requests: case.draft.requests.clone(),
        former: None,
    })
}
