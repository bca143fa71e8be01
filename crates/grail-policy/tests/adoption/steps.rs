//! Rosters, and the rotations from one to the next, proven and signed.

use bitcoin::{OutPoint, ScriptBuf, Transaction, TxIn, TxOut};
use grail_bridge_contract::{Action, RosterState};
use grail_charms::{SettlementItem, step_spell};
use grail_policy::adoption::{
    AdoptedRoster, AdoptionError, Genesis, Handover, adopt_genesis, adopt_next,
};

use grail_fixtures::house::announced;
pub use grail_fixtures::house::{House, signature, state_of};

use crate::support::{Draft, World, coin, keypair, output, transaction, world};

/// The world's own.
pub fn first_house(world: &World) -> House {
    House::new(&world.secp, 0, world.keys.clone(), 12)
}

/// Other sixteen people in every epoch.
pub fn house_of_epoch(world: &World, epoch: u16) -> House {
    let keys = (epoch * 100..).take(16).map(keypair).collect();
    House::new(&world.secp, u64::from(epoch), keys, 12)
}

/// The rotation of what `made` left to `next`, proven, signed by nobody.
pub fn rotation(
    world: &World,
    made: &Transaction,
    before: &RosterState,
    next: &House,
    change: impl FnOnce(&mut Draft),
) -> Handover {
    let after = state_of(next, before);
    let between = announced(before, &after);
    let here = &made.output[0].script_pubkey;
    let announcement = draft(world, made, Action::Announce, &between, here);
    let announcement = announcement.propose(world).transaction;
    let there = &next.vault.script_pubkey;
    let mut draft = draft(world, &announcement, Action::Execute, &after, there);
    change(&mut draft);
    let transaction = draft.propose(world).transaction;
    let spent = spent(&transaction, &draft.previous);
    Handover {
        transaction,
        spent,
        governance: world.governance.clone(),
    }
}

/// NFT and vault that `made` left, moved to a script under another state.
fn draft(
    world: &World,
    made: &Transaction,
    action: Action,
    state: &RosterState,
    to: &ScriptBuf,
) -> Draft {
    let outputs = vec![
        output(1_000, to.clone()),
        output(made.output[1].value.to_sat(), to.clone()),
    ];
    let unsigned = transaction(&[coin(made, 0).outpoint, coin(made, 1).outpoint], outputs);
    let items = [SettlementItem::Plain];
    let spell = step_spell(action, &unsigned, &world.bridge.app, state, &items).unwrap();
    Draft {
        epoch: world.roster.epoch(),
        params: world.params.clone(),
        governance: world.governance.clone(),
        transaction: unsigned,
        spell: spell.to_wire(),
        uncommitted: Vec::new(),
        after_spell: Vec::new(),
        previous: vec![made.clone()],
        requests: Vec::new(),
        former: None,
    }
}

/// What the inputs of a transaction spend.
fn spent(transaction: &Transaction, previous: &[Transaction]) -> Vec<TxOut> {
    let spent = |input: &TxIn| {
        let OutPoint { txid, vout } = input.previous_output;
        let made = previous.iter().find(|made| made.compute_txid() == txid);
        made.unwrap().output[vout as usize].clone()
    };
    transaction.input.iter().map(spent).collect()
}

pub fn signed(mut step: Handover, by: &House, signers: usize) -> Handover {
    let witness = by.sign_input(&step.transaction, &step.spent, 0, signers);
    step.transaction.input[0].witness = witness;
    step
}

/// The first rotation, by all the rules but those that `change` breaks before the quorum signs.
pub fn first_step(world: &World, change: impl FnOnce(&mut Draft)) -> Handover {
    let next = house_of_epoch(world, 1);
    let step = rotation(world, &world.genesis, &world.state, &next, change);
    signed(step, &first_house(world), 12)
}

/// The true first rotation, which tests break after it is signed.
pub fn step() -> Handover {
    first_step(world(), |_| {})
}

pub fn pin(deployment: &Transaction) -> Genesis {
    Genesis(deployment.compute_txid())
}

/// A transaction shown as the deployment of the world's administrators.
pub fn shown(world: &World, deployment: &Transaction) -> Handover {
    Handover {
        transaction: deployment.clone(),
        spent: Vec::new(),
        governance: world.governance.clone(),
    }
}

/// The true one.
pub fn deployed(world: &World) -> Handover {
    shown(world, &world.deployment)
}

pub fn genesis_of(world: &World) -> AdoptedRoster {
    let pin = pin(&world.deployment);
    adopt_genesis(&world.secp, &world.bridge, &pin, &deployed(world)).unwrap()
}

pub fn adopt(world: &World, step: &Handover) -> Result<AdoptedRoster, AdoptionError> {
    adopt_next(&world.secp, &world.bridge, &genesis_of(world), step)
}

pub fn code(outcome: &Result<AdoptedRoster, AdoptionError>) -> &'static str {
    outcome
        .as_ref()
        .err()
        .map_or("adopted", AdoptionError::code)
}
