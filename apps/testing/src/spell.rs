//! A spell as it is shown to contracts.

use std::collections::BTreeMap;

use charms_data::{App, B32, Charms, Data, NativeOutput, Transaction, TxId, UtxoId, util};
use grail_app::{AppId, Plan, PlannedCoin};

use crate::previous::{previous, shown};

/// A spell: the transaction and the private inputs of its apps.
#[derive(Clone, Debug, PartialEq)]
pub struct Spell {
    /// What contracts are shown.
    pub tx: Transaction,
    /// Private inputs; none is null.
    pub private: BTreeMap<App, Data>,
}

impl Default for Spell {
    fn default() -> Self {
        Self {
            tx: Transaction {
                ins: vec![],
                refs: vec![],
                outs: vec![],
                coin_ins: Some(vec![]),
                coin_outs: Some(vec![]),
                prev_txs: BTreeMap::new(),
                app_public_inputs: BTreeMap::new(),
            },
            private: BTreeMap::new(),
        }
    }
}

impl Spell {
    /// The spell of a plan: what it spends, what it makes, and what the app is given.
    pub fn of_plan(app: &AppId, inputs: &[([u8; 36], PlannedCoin)], plan: &Plan) -> Self {
        let mut spell = Self::default();
        for (outpoint, coin) in inputs {
            spell = spell.input(*outpoint, coin);
        }
        for coin in &plan.outputs {
            spell = spell.output(coin);
        }
        let app = charms_app(app);
        spell.list(app.clone(), data(&plan.public_input));
        spell.private.insert(app, data(&plan.private_input));
        spell
    }

    /// Spends a coin. Apps that were not listed are, with no public input.
    #[must_use]
    pub fn input(mut self, outpoint: [u8; 36], coin: &PlannedCoin) -> Self {
        let utxo = UtxoId::from_bytes(outpoint);
        self.tx.prev_txs.insert(utxo.0, shown(&previous()));
        let charms = self.charms(coin);
        self.tx.ins.push((utxo, charms));
        self.tx.coin_ins.as_mut().unwrap().push(native(coin));
        self
    }

    /// Makes a coin. Apps that were not listed are, with no public input.
    #[must_use]
    pub fn output(mut self, coin: &PlannedCoin) -> Self {
        let charms = self.charms(coin);
        self.tx.outs.push(charms);
        self.tx.coin_outs.as_mut().unwrap().push(native(coin));
        self
    }

    /// Lists an app with a public input.
    pub fn list(&mut self, app: App, x: Data) {
        self.tx.app_public_inputs.insert(app, x);
    }

    /// The same with a change.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    fn charms(&mut self, coin: &PlannedCoin) -> Charms {
        let charms = coin.charms.iter();
        let charms: Charms = charms
            .map(|(app, bytes)| (charms_app(app), data(bytes)))
            .collect();
        for app in charms.keys() {
            let inputs = &mut self.tx.app_public_inputs;
            inputs.entry(app.clone()).or_default();
        }
        charms
    }
}

/// The app as Charms' types have it.
pub fn charms_app(app: &AppId) -> App {
    App {
        tag: app.tag,
        identity: B32(app.identity),
        vk: B32(app.vk),
    }
}

/// CBOR as Charms' types have it.
pub fn data(cbor: &[u8]) -> Data {
    Data::try_from_bytes(cbor).unwrap()
}

/// The bytes that the runner gives a contract.
pub fn encoded(app: &App, tx: &Transaction, x: &Data, w: &Data) -> Vec<u8> {
    util::write(&(app, tx, x, w)).unwrap()
}

/// An outpoint that differs per seed.
pub fn outpoint(seed: u16) -> [u8; 36] {
    let mut txid = [0x5a; 32];
    txid[..2].copy_from_slice(&seed.to_be_bytes());
    UtxoId(TxId(txid), u32::from(seed % 3)).to_bytes()
}

/// A P2TR script that differs per seed.
pub fn script(seed: u8) -> Vec<u8> {
    [&[0x51, 0x20][..], &[seed; 32]].concat()
}

/// A coin that carries units of one app.
pub fn token_coin(seed: u8, sats: u64, app: &AppId, units: u64) -> PlannedCoin {
    PlannedCoin {
        script: script(seed),
        amount: sats,
        charms: vec![(app.clone(), Data::from(&units).bytes())],
    }
}

fn native(coin: &PlannedCoin) -> NativeOutput {
    NativeOutput {
        amount: coin.amount,
        dest: coin.script.clone(),
        content: None,
    }
}
