//! A real node, a user with one key, and spells proven under the contracts of the market.

use std::collections::BTreeMap;

use bitcoin::{
    Amount, OutPoint, Script, ScriptBuf, Sequence, TapSighashType, Transaction, TxIn, TxOut, Txid,
    Witness, XOnlyPublicKey,
    absolute::LockTime,
    key::TapTweak,
    secp256k1::{Keypair, Message, Secp256k1},
    sighash::{Prevouts, SighashCache},
    transaction::Version,
};
use charms_data::{App, B32, Data};
use grail_app::PlannedCoin;
use grail_fixtures::world::keypair;
use grail_prover::{MockProver, ProveRequest, Prover as _};
use grail_spell::{NormalizedSpell, NormalizedTransaction, read_strict, without_witnesses};
use grail_testkit::Node;
use grail_types::{MockAllowed, Network};

use crate::{AMM_WASM, TOKEN_WASM, vk};

/// A coin with what it carries.
#[derive(Clone, Debug)]
pub struct Charmed {
    pub outpoint: OutPoint,
    pub coin: PlannedCoin,
}

/// An output to be: satoshis, script, charms.
pub type Made = (u64, ScriptBuf, Vec<(App, Data)>);

pub struct Chain {
    node: Node,
    user: Keypair,
    seen: BTreeMap<Txid, Transaction>,
}

impl Chain {
    pub fn start() -> Self {
        Self {
            node: Node::start(),
            user: keypair(2_000),
            seen: BTreeMap::new(),
        }
    }

    pub fn user_key(&self) -> XOnlyPublicKey {
        self.user.x_only_public_key().0
    }

    pub fn user(&self) -> ScriptBuf {
        ScriptBuf::new_p2tr(&Secp256k1::new(), self.user_key(), None)
    }

    pub fn height(&self) -> u32 {
        self.node.height()
    }

    pub fn mine(&mut self, blocks: u32) {
        self.node.mine(blocks);
    }

    /// A coin of the user's.
    pub fn fund(&mut self, sats: u64) -> OutPoint {
        let script = self.user();
        self.pay(&script, sats)
    }

    /// Pays a script from the node's own money; unconfirmed.
    pub fn pay(&mut self, script: &Script, sats: u64) -> OutPoint {
        let outpoint = self.node.fund(script, Amount::from_sat(sats));
        // Once it is in a block, the node finds no transaction by its id.
        self.transaction(outpoint.txid);
        outpoint
    }

    fn transaction(&mut self, txid: Txid) -> Transaction {
        let node = &self.node;
        let fetch = || {
            let hex: String = node
                .rpc()
                .call("getrawtransaction", &[txid.to_string().into()])
                .unwrap();
            bitcoin::consensus::encode::deserialize_hex(&hex).unwrap()
        };
        self.seen.entry(txid).or_insert_with(fetch).clone()
    }

    /// The transactions behind the inputs of another, without witnesses.
    pub fn behind(&mut self, transaction: &Transaction) -> Vec<Transaction> {
        let mut txids: Vec<_> = transaction
            .input
            .iter()
            .map(|input| input.previous_output.txid)
            .collect();
        txids.sort();
        txids.dedup();
        let made = txids.into_iter().map(|txid| self.transaction(txid));
        made.map(|made| without_witnesses(&made)).collect()
    }

    pub fn unsigned(inputs: &[OutPoint]) -> Transaction {
        let input = |&previous_output| TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        };
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: inputs.iter().map(input).collect(),
            output: Vec::new(),
        }
    }

    /// A transaction of the user's with its spell; what is left of the inputs is the miners'.
    pub fn spell(
        &mut self,
        inputs: &[OutPoint],
        outputs: &[Made],
        apps: &[(App, Data)],
        private: &[(App, Data)],
    ) -> Transaction {
        let unsigned = Self::unsigned(inputs);
        self.enchant(unsigned, outputs, apps, private)
    }

    /// Puts outputs and their spell into a transaction, proven under the contracts.
    pub fn enchant(
        &mut self,
        mut transaction: Transaction,
        outputs: &[Made],
        apps: &[(App, Data)],
        private: &[(App, Data)],
    ) -> Transaction {
        let mut spell = NormalizedSpell {
            app_public_inputs: apps.iter().cloned().collect(),
            ..NormalizedSpell::default()
        };
        let outs = outputs.iter().map(|(_, _, charms)| {
            let charms = charms.iter();
            charms
                .map(|(app, data)| (spell.app_index(app).unwrap(), data.clone()))
                .collect()
        });
        spell.tx = NormalizedTransaction {
            outs: outs.collect(),
            ..NormalizedTransaction::default()
        };
        transaction.output = outputs
            .iter()
            .map(|(sats, script, _)| TxOut {
                value: Amount::from_sat(*sats),
                script_pubkey: script.clone(),
            })
            .collect();
        let listed = |wasm: &&[u8]| apps.iter().any(|(app, _)| app.vk.0 == vk(wasm));
        let binaries = [TOKEN_WASM, AMM_WASM].into_iter().filter(listed);
        let request = ProveRequest {
            spell: spell.committed_to(&transaction).unwrap(),
            prev_txs: self.behind(&transaction),
            app_binaries: binaries
                .map(|wasm| (B32(vk(wasm)), wasm.to_vec()))
                .collect(),
            app_private_inputs: private.iter().cloned().collect(),
        };
        let allowed = MockAllowed::on(Network::Regtest).unwrap();
        let proven = MockProver::new(allowed).prove(&request).unwrap();
        transaction.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: proven.op_return,
        });
        transaction
    }

    /// Signs all inputs, which are the user's, and has it mined.
    pub fn sign_and_mine(&mut self, mut transaction: Transaction) -> Transaction {
        let spent: Vec<_> = transaction
            .input
            .iter()
            .map(|input| input.previous_output)
            .map(|it| self.transaction(it.txid).output[it.vout as usize].clone())
            .collect();
        let secp = Secp256k1::new();
        for index in 0..spent.len() {
            let digest = SighashCache::new(&transaction)
                .taproot_key_spend_signature_hash(
                    index,
                    &Prevouts::All(&spent),
                    TapSighashType::Default,
                )
                .unwrap();
            let tweaked = self.user.tap_tweak(&secp, None).to_keypair();
            let signature = secp.sign_schnorr_no_aux_rand(&Message::from(digest), &tweaked);
            transaction.input[index].witness = Witness::from_slice(&[signature.as_ref()]);
        }
        self.mine_transaction(&transaction);
        transaction
    }

    pub fn mine_transaction(&mut self, transaction: &Transaction) {
        let txid = self.node.send(transaction);
        self.seen.insert(txid, transaction.clone());
        let [hash] = self.node.mine(1)[..] else {
            panic!("one block was asked for")
        };
        let mined = self.node.block(&hash).txdata;
        assert!(
            mined.iter().any(|it| it.compute_txid() == txid),
            "{txid} waits"
        );
    }
}

/// Units of `app` at an output, by the strict reading of the transaction's spell.
pub fn units_at(transaction: &Transaction, vout: u32, app: &App) -> u64 {
    let spell = read_strict(
        &without_witnesses(transaction),
        MockAllowed::on(Network::Regtest),
    );
    spell
        .unwrap()
        .charms_at(vout)
        .get(app)
        .unwrap()
        .value()
        .unwrap()
}
