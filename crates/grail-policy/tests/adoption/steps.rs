//! Rosters, and the rotations from one to the next, proven and signed.

use std::collections::BTreeMap;

use bitcoin::{
    Transaction, TxOut, Txid, Witness,
    secp256k1::{Keypair, Message, Secp256k1},
};
use grail_bridge_contract::RosterState;
use grail_policy::adoption::{
    AdoptedRoster, AdoptionError, Genesis, Handover, adopt_genesis, adopt_next,
};
use grail_script::{InternalKey, Sighashes, Spend, VaultTree};
use grail_spell::{SettlementItem, settlement_spell};
use grail_txbuild::first_state;
use grail_types::{Epoch, ParamsHash, Roster, SignerIndex, Threshold};

use crate::support::{Draft, World, coin, keypair, output, public, transaction, world};

/// The holders of a roster.
pub struct House {
    pub keys: Vec<Keypair>,
    pub roster: Roster,
    pub vault: VaultTree,
}

impl House {
    pub fn new(world: &World, epoch: u64, mut keys: Vec<Keypair>, threshold: u16) -> Self {
        keys.sort_by_key(|key| public(key).serialize());
        let signers = keys.iter().map(public).collect();
        let roster = Roster::new(Epoch(epoch), signers, Threshold(threshold)).unwrap();
        let vault = VaultTree::new(&world.secp, InternalKey::Nums, &roster);
        Self {
            keys,
            roster,
            vault,
        }
    }

    /// The world's own.
    pub fn first(world: &World) -> Self {
        Self::new(world, 0, world.keys.clone(), 12)
    }

    /// Other sixteen people in every epoch.
    pub fn of_epoch(world: &World, epoch: u16) -> Self {
        let keys = (epoch * 100..).take(16).map(keypair).collect();
        Self::new(world, u64::from(epoch), keys, 12)
    }

    pub fn sign(&self, transaction: &Transaction, prevouts: &[TxOut], signers: usize) -> Witness {
        let spend = Spend::Leaf(self.vault.leaf.clone());
        let digest = Sighashes::new(transaction, prevouts).of(0, &spend).unwrap();
        let places: BTreeMap<_, _> = (0..).map(SignerIndex).zip(&self.keys).collect();
        let mut items: Vec<Vec<u8>> = places
            .iter()
            .map(|(index, key)| {
                let signature = signature(key, &digest);
                let signs = usize::from(index.0) < signers;
                if signs { signature } else { Vec::new() }
            })
            .rev()
            .collect();
        items.push(self.vault.leaf.script().to_bytes());
        items.push(self.vault.leaf.control_block().serialize());
        Witness::from_slice(&items)
    }
}

pub fn signature(key: &Keypair, digest: &Message) -> Vec<u8> {
    let secp = Secp256k1::signing_only();
    let signature = secp.sign_schnorr_no_aux_rand(digest, key);
    signature.as_ref().to_vec()
}

/// The state of `house`'s roster after `before`.
pub fn state_of(house: &House, before: &RosterState) -> RosterState {
    let state = first_state(ParamsHash(before.params_hash), &house.roster, &house.vault);
    RosterState {
        serial: before.serial + 1,
        supply: before.supply,
        ..state
    }
}

/// The rotation of what `made` left to `next`, proven, signed by nobody.
pub fn rotation(
    world: &World,
    made: &Transaction,
    before: &RosterState,
    next: &House,
    change: impl FnOnce(&mut Draft),
) -> Handover {
    let to = || next.vault.script_pubkey.clone();
    let outputs = vec![
        output(1_000, to()),
        output(made.output[1].value.to_sat(), to()),
    ];
    let unsigned = transaction(&[coin(made, 0).outpoint, coin(made, 1).outpoint], outputs);
    let state = state_of(next, before);
    let items = [SettlementItem::Plain];
    let spell = settlement_spell(&unsigned, &world.bridge.app, &state, &items).unwrap();
    let mut draft = Draft {
        epoch: world.roster.epoch(),
        params: world.params.clone(),
        transaction: unsigned,
        spell: spell.to_wire(),
        uncommitted: Vec::new(),
        after_spell: Vec::new(),
        previous: vec![made.clone()],
        requests: Vec::new(),
    };
    change(&mut draft);
    Handover {
        transaction: draft.propose(world).transaction,
        previous: draft.previous,
    }
}

/// What the inputs spend.
pub fn prevouts(step: &Handover) -> Vec<TxOut> {
    let spent = |txid: Txid, vout: u32| {
        let made = step
            .previous
            .iter()
            .find(|made| made.compute_txid() == txid);
        made.unwrap().output[vout as usize].clone()
    };
    let inputs = step.transaction.input.iter();
    inputs
        .map(|input| spent(input.previous_output.txid, input.previous_output.vout))
        .collect()
}

pub fn signed(mut step: Handover, by: &House, signers: usize) -> Handover {
    let witness = by.sign(&step.transaction, &prevouts(&step), signers);
    step.transaction.input[0].witness = witness;
    step
}

/// The first rotation, by all the rules but those that `change` breaks before the quorum signs.
pub fn first_step(world: &World, change: impl FnOnce(&mut Draft)) -> Handover {
    let next = House::of_epoch(world, 1);
    let step = rotation(world, &world.genesis, &world.state, &next, change);
    signed(step, &House::first(world), 12)
}

/// The true first rotation, which tests break after it is signed.
pub fn step() -> Handover {
    first_step(world(), |_| {})
}

pub fn pin(deployment: &Transaction) -> Genesis {
    Genesis(deployment.compute_txid())
}

pub fn genesis_of(world: &World) -> AdoptedRoster {
    let pin = pin(&world.deployment);
    adopt_genesis(&world.secp, &world.bridge, &pin, &world.deployment).unwrap()
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
