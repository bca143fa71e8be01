//! Rosters with their keys, and rotations from one to the next: proven under the real contract,
//! signed by whoever holds the keys. The steps that operators sign
//! are in [`crate::world::steps`]; these show what a chain may hold.

use std::ops::Deref;

use bitcoin::{
    Amount, ScriptBuf, Transaction, TxOut, Witness, XOnlyPublicKey,
    key::TapTweak,
    secp256k1::{All, Keypair, Message, Secp256k1},
    sighash::{Prevouts, SighashCache, TapSighashType},
};
use grail_bridge_contract::{Action, Next, RosterState};
use grail_charms::{PrevTx, SettlementItem, roster_state, step_spell};
use grail_policy::adoption::Handover;
use grail_prover::{MockProver, ProveRequest, Prover};
use grail_script::{InternalKey, Sighashes, Spend, VaultTree};
use grail_spell::nft_app;
use grail_txbuild::{Coin, first_state};
use grail_types::{Bridge, Epoch, Governance, MockAllowed, ParamsHash, Roster, Threshold};

use crate::world::{coin, governance, public, transaction};

/// The holders of a roster.
pub struct House {
    /// In roster order.
    pub keys: Vec<Keypair>,
    pub roster: Roster,
    pub governance: Governance,
    pub vault: VaultTree,
}

impl House {
    pub fn new(secp: &Secp256k1<All>, epoch: u64, keys: Vec<Keypair>, threshold: u16) -> Self {
        Self::under(secp, epoch, keys, threshold, governance())
    }

    /// With administrators of its own.
    pub fn under(
        secp: &Secp256k1<All>,
        epoch: u64,
        mut keys: Vec<Keypair>,
        threshold: u16,
        governance: Governance,
    ) -> Self {
        keys.sort_by_key(|key| public(key).serialize());
        let signers: Vec<XOnlyPublicKey> = keys.iter().map(public).collect();
        let roster = Roster::new(Epoch(epoch), signers, Threshold(threshold)).unwrap();
        let vault = VaultTree::new(secp, InternalKey::Nums, &roster, &governance);
        Self {
            keys,
            roster,
            governance,
            vault,
        }
    }

    /// The witness of an input at the vault, by the first so many of the house.
    pub fn sign_input(
        &self,
        transaction: &Transaction,
        spent: &[TxOut],
        index: usize,
        signers: usize,
    ) -> Witness {
        let spend = Spend::Leaf(self.vault.leaf.clone());
        let digest = Sighashes::new(transaction, spent)
            .of(index, &spend)
            .unwrap();
        let mut items: Vec<Vec<u8>> = self
            .keys
            .iter()
            .enumerate()
            .map(|(position, key)| {
                let signs = position < signers;
                if signs {
                    signature(key, &digest)
                } else {
                    Vec::new()
                }
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

/// The state of `house`'s roster after `before` was announced to hand over, and did.
pub fn state_of(house: &House, before: &RosterState) -> RosterState {
    let params_hash = ParamsHash(before.params_hash);
    let state = first_state(
        params_hash,
        house.governance.hash(),
        &house.roster,
        &house.vault,
    );
    RosterState {
        serial: before.serial + 2,
        supply: before.supply,
        attempt: before.attempt + 1,
        outflow: before.outflow,
        ..state
    }
}

/// The state between: `before` with the rotation to `after` announced.
pub fn announced(before: &RosterState, after: &RosterState) -> RosterState {
    let serial = before.serial + 1;
    RosterState {
        serial,
        attempt: before.attempt + 1,
        next: Some(Next {
            hash: after.next_hash(),
            serial,
            wait: 1,
        }),
        ..before.clone()
    }
}

/// A rotation of what `made` left at the vault of one house to the next: announced and executed.
pub struct Rotation<'a> {
    pub bridge: &'a Bridge,
    /// The contract of the bridge's app.
    pub wasm: &'a [u8],
    /// The transaction that holds NFT and vault.
    pub made: &'a Transaction,
    /// A coin of a single key that pays the fees, all of it: the transaction that holds it, which
    /// output it is, and the key.
    pub funding: Option<Funding<'a>>,
    pub from: &'a House,
    pub to: &'a House,
}

type Funding<'a> = (&'a Transaction, u32, &'a Keypair);

/// What a rotation makes.
pub struct Rotated {
    pub announcement: Transaction,
    pub execution: Handover,
}

impl Deref for Rotated {
    type Target = Handover;

    fn deref(&self) -> &Handover {
        &self.execution
    }
}

impl Rotated {
    /// Both, as a block holds them.
    pub fn in_block(&self) -> Vec<Transaction> {
        vec![self.announcement.clone(), self.transaction.clone()]
    }
}

/// One of the two.
struct Step<'a> {
    action: Action,
    made: &'a Transaction,
    funding: Option<Funding<'a>>,
    state: &'a RosterState,
    to: &'a ScriptBuf,
}

impl Rotation<'_> {
    /// Signed by the first so many of the house that hands over.
    pub fn signed_by(&self, signers: usize) -> Rotated {
        self.with_state(signers, |_| {})
    }

    /// The same to another state than it should be, which is announced.
    pub fn with_state(&self, signers: usize, change: impl FnOnce(&mut RosterState)) -> Rotated {
        let mock = MockAllowed::on(self.bridge.network);
        let read = PrevTx::read_committed(self.made, mock);
        let before = roster_state(&read.charms_at(0), &nft_app(&self.bridge.app));
        let before = before.unwrap().unwrap();
        let mut after = state_of(self.to, &before);
        change(&mut after);
        let announcement = self.step(
            &Step {
                action: Action::Announce,
                made: self.made,
                funding: self.funding,
                state: &announced(&before, &after),
                to: &self.from.vault.script_pubkey,
            },
            signers,
        );
        let announcement = announcement.transaction;
        // What is left of the coin that pays comes before the spell.
        let funding = self.funding.map(|(_, _, key)| {
            let vout = u32::try_from(announcement.output.len() - 2).unwrap();
            (&announcement, vout, key)
        });
        let execution = self.step(
            &Step {
                action: Action::Execute,
                made: &announcement,
                funding,
                state: &after,
                to: &self.to.vault.script_pubkey,
            },
            signers,
        );
        Rotated {
            announcement,
            execution,
        }
    }

    fn step(&self, step: &Step<'_>, signers: usize) -> Handover {
        let made = step.made;
        let own = |vout: &u32| {
            let output = made.output.get(usize::try_from(*vout).unwrap());
            output.is_some_and(|output| output.script_pubkey == self.from.vault.script_pubkey)
        };
        let mut coins: Vec<Coin> = (0..2).filter(own).map(|vout| coin(made, vout)).collect();
        let moved = coins.iter().map(|coin| TxOut {
            value: coin.output.value,
            script_pubkey: step.to.clone(),
        });
        let mut outputs: Vec<TxOut> = moved.collect();
        coins.extend(step.funding.map(|(made, vout, _)| coin(made, vout)));
        if let (Action::Announce, Some((paying, vout, _))) = (step.action, step.funding) {
            let left = coin(paying, vout).output;
            outputs.push(TxOut {
                value: left.value / 2,
                ..left
            });
        }
        let items = vec![SettlementItem::Plain; outputs.len() - 1];
        let inputs: Vec<_> = coins.iter().map(|coin| coin.outpoint).collect();
        let mut unsigned = transaction(&inputs, outputs);
        let app = &self.bridge.app;
        let spell = step_spell(step.action, &unsigned, app, step.state, &items).unwrap();
        let mut previous = vec![made];
        previous.extend(step.funding.map(|(made, ..)| made));
        let mock = MockAllowed::on(self.bridge.network);
        let request = ProveRequest::of_bridge(spell, previous, self.wasm.to_vec());
        let proven = MockProver::new(mock.unwrap()).prove(&request).unwrap();
        unsigned.output.push(TxOut {
            value: ZERO,
            script_pubkey: proven.op_return,
        });
        let spent: Vec<TxOut> = coins.into_iter().map(|coin| coin.output).collect();
        self.sign(unsigned, spent, signers)
    }

    fn sign(&self, mut transaction: Transaction, spent: Vec<TxOut>, signers: usize) -> Handover {
        let at_vault = |output: &TxOut| output.script_pubkey == self.from.vault.script_pubkey;
        let witnesses: Vec<Witness> = spent
            .iter()
            .enumerate()
            .map(|(index, output)| match self.funding {
                Some((_, _, key)) if !at_vault(output) => {
                    key_spend(&transaction, &spent, index, key)
                }
                _ => self.from.sign_input(&transaction, &spent, index, signers),
            })
            .collect();
        for (input, witness) in transaction.input.iter_mut().zip(witnesses) {
            input.witness = witness;
        }
        Handover {
            transaction,
            spent,
            governance: self.to.governance.clone(),
        }
    }
}

const ZERO: Amount = Amount::ZERO;

/// A spend by a single key, as wallets make it.
fn key_spend(transaction: &Transaction, spent: &[TxOut], index: usize, key: &Keypair) -> Witness {
    let secp = Secp256k1::new();
    let sighash = SighashCache::new(transaction)
        .taproot_key_spend_signature_hash(index, &Prevouts::All(spent), TapSighashType::Default)
        .unwrap();
    let tweaked = key.tap_tweak(&secp, None).to_keypair();
    Witness::from_slice(&[signature(&tweaked, &Message::from(sighash))])
}
