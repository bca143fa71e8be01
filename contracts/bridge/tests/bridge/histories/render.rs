//! From the model's words to what Charms shows a contract: transactions, spells, states, byte by
//! byte.
//!
//! Encodes by itself what it shows, so that the contract's reading is tried against a second
//! writing.

use std::{collections::BTreeMap, sync::LazyLock};

use charms_data::{App as CharmsApp, B32, Charms, Data, NativeOutput, Transaction, TxId, UtxoId};
use ciborium::Value;
use sha2::{Digest, Sha256};

use crate::{
    model::{
        App, Ask, Charm, Coin, Garble, Ledger, Outpoint, Place, Promise, Proposal, Published,
        Record, Shown, SpellPlace, Spent, Table, Wrapping,
    },
    spell::runner_vk,
};

/// Hashing the wasm once is enough.
static VK: LazyLock<B32> = LazyLock::new(runner_vk);

/// Who shows a ledger to the contract. Ids of transactions depend on all before them, so they are
/// kept.
#[derive(Default)]
pub struct Renderer {
    txids: Vec<TxId>,
}

impl Renderer {
    /// The transaction of `proposal` as Charms would show it.
    pub fn transaction(&mut self, ledger: &Ledger, proposal: &Proposal) -> Transaction {
        self.learn(ledger);
        let shown = |(tx, shown): (&usize, &Shown)| {
            let data = self.previous(&ledger.txs[*tx], *tx, *shown);
            (self.txids[*tx], data)
        };
        Transaction {
            ins: self.spent(&proposal.ins),
            refs: self.spent(&proposal.refs),
            outs: proposal.outs.iter().map(|coin| self.charms(coin)).collect(),
            coin_ins: table(
                proposal.table_in,
                proposal.ins.iter().map(|spent| &spent.coin),
            ),
            coin_outs: table(proposal.table_out, proposal.outs.iter()),
            prev_txs: proposal.history.iter().map(shown).collect(),
            app_public_inputs: proposal
                .asks
                .iter()
                .map(|(app, ask)| (self.app(*app), asked(*ask)))
                .collect(),
        }
    }

    /// The app as Charms names it.
    pub fn app(&self, app: App) -> CharmsApp {
        let of = |tag, birth: Outpoint| CharmsApp {
            tag,
            identity: B32(Sha256::digest(self.outpoint_bytes(birth)).into()),
            vk: VK.clone(),
        };
        match app {
            App::Nft(birth) => of('r', birth),
            App::Zkbtc(birth) => of('z', birth),
            App::Stray(tag, birth) => of(tag, birth),
            App::Foreign => CharmsApp {
                tag: 't',
                identity: B32([0xee; 32]),
                vk: B32([0xef; 32]),
            },
        }
    }

    fn learn(&mut self, ledger: &Ledger) {
        for tx in self.txids.len()..ledger.txs.len() {
            let published = &ledger.txs[tx];
            let raw = self.raw(published, tx, published.spell, false);
            let id = Sha256::digest(Sha256::digest(raw));
            self.txids.push(TxId(id.into()));
        }
    }

    fn spent(&self, spent: &[Spent]) -> Vec<(UtxoId, Charms)> {
        let one = |it: &Spent| (self.utxo(it.outpoint), self.charms(&it.coin));
        spent.iter().map(one).collect()
    }

    fn utxo(&self, outpoint: Outpoint) -> UtxoId {
        UtxoId(self.txids[outpoint.tx], outpoint.vout)
    }

    fn outpoint_bytes(&self, outpoint: Outpoint) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..32].copy_from_slice(&self.txids[outpoint.tx].0);
        bytes[32..].copy_from_slice(&outpoint.vout.to_le_bytes());
        bytes
    }

    fn charms(&self, coin: &Coin) -> Charms {
        let one = |(app, charm): (&App, &Charm)| (self.app(*app), Data::from(&charm_value(charm)));
        coin.charms.iter().map(one).collect()
    }

    /// A previous transaction, in the guise that is asked for.
    fn previous(&self, published: &Published, tx: usize, shown: Shown) -> Data {
        let hex = |witness| hex::encode(self.raw(published, tx, shown.spell, witness));
        let text = |text: &str| Value::Text(text.into());
        let one = |key: &str, value| Value::Map(vec![(text(key), value)]);
        let value = match shown.wrapping {
            Wrapping::Plain => one("bitcoin", text(&hex(false))),
            Wrapping::Witness => one("bitcoin", text(&hex(true))),
            Wrapping::OtherLedger => one("cardano", text(&hex(false))),
            Wrapping::BlockProof => one("bitcoin", one("tx", text(&hex(false)))),
            Wrapping::Junk => one("bitcoin", text("02")),
        };
        Data::from(&value)
    }

    fn raw(&self, published: &Published, tx: usize, spell: SpellPlace, witness: bool) -> Vec<u8> {
        let mut raw = 2_u32.to_le_bytes().to_vec();
        if witness {
            raw.extend([0, 1]);
        }
        // A transaction without known inputs comes from outside the ledger.
        let outside = [&[0xcc; 28][..], &(tx as u64).to_le_bytes()].concat();
        let ins: Vec<Vec<u8>> = match published.ins.as_slice() {
            [] => vec![outside],
            ins => ins
                .iter()
                .map(|it| self.outpoint_bytes(*it).into())
                .collect(),
        };
        raw.extend(compact_size(ins.len()));
        for spent in &ins {
            raw.extend(spent);
            raw.extend([0, 0xff, 0xff, 0xff, 0xff]);
        }
        let mut outs: Vec<(u64, Vec<u8>)> = published
            .outs
            .iter()
            .map(|coin| (coin.sats, coin.at.0.clone()))
            .collect();
        outs.extend(
            self.spell_outputs(published, spell)
                .into_iter()
                .map(|it| (0, it)),
        );
        raw.extend(compact_size(outs.len()));
        for (sats, script) in outs {
            raw.extend(sats.to_le_bytes());
            raw.extend(compact_size(script.len()));
            raw.extend(script);
        }
        if witness {
            for _ in &ins {
                raw.extend([1, 1, 0x51]);
            }
        }
        raw.extend([0; 4]);
        raw
    }

    fn spell_outputs(&self, published: &Published, spell: SpellPlace) -> Vec<Vec<u8>> {
        match spell {
            SpellPlace::Nowhere => vec![],
            SpellPlace::Output { version } => {
                vec![op_return(0x6a, &self.spell_payload(published, version))]
            }
            SpellPlace::TwoOutputs => {
                vec![op_return(0x6a, &self.spell_payload(published, 15)); 2]
            }
            SpellPlace::Unusual => vec![op_return(0x51, &self.spell_payload(published, 15))],
        }
    }

    /// `(spell, proof)` in CBOR, the spell as a map that starts with its version.
    fn spell_payload(&self, published: &Published, version: u8) -> Vec<u8> {
        let text = |text: &str| Value::Text(text.into());
        let mut apps: Vec<CharmsApp> = published
            .outs
            .iter()
            .flat_map(|coin| coin.charms.keys())
            .map(|app| self.app(*app))
            .collect();
        apps.sort();
        apps.dedup();
        let index = |app: &App| {
            let app = self.app(*app);
            Value::from(apps.iter().position(|it| *it == app).unwrap() as u64)
        };
        let outs = published.outs.iter().map(|coin| {
            let charms = coin.charms.iter();
            Value::Map(
                charms
                    .map(|(app, it)| (index(app), charm_value(it)))
                    .collect(),
            )
        });
        let inputs = apps.iter().map(|app| {
            let app = Value::serialized(app).unwrap();
            (app, Value::Null)
        });
        let tx = Value::Map(vec![(text("outs"), Value::Array(outs.collect()))]);
        let spell = Value::Map(vec![
            (text("version"), Value::from(version)),
            (text("tx"), tx),
            (text("app_public_inputs"), Value::Map(inputs.collect())),
        ]);
        let proof = Value::Array(vec![Value::from(7); 192]);
        Data::from(&Value::Array(vec![spell, proof])).bytes()
    }
}

fn op_return(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut script = vec![first, 5];
    script.extend(b"spell");
    script.push(0x4d);
    script.extend(u16::try_from(payload.len()).unwrap().to_le_bytes());
    script.extend(payload);
    script
}

fn compact_size(count: usize) -> Vec<u8> {
    match u16::try_from(count).unwrap() {
        small @ 0..0xfd => vec![u8::try_from(small).unwrap()],
        wide => [&[0xfd], &wide.to_le_bytes()[..]].concat(),
    }
}

fn asked(ask: Ask) -> Data {
    match ask {
        Ask::Nothing => Data::empty(),
        Ask::Deploy => Data::from(&"deploy"),
        Ask::Settle => Data::from(&"settle"),
        Ask::Announce => Data::from(&"announce"),
        Ask::Cancel => Data::from(&"cancel"),
        Ask::Execute => Data::from(&"execute"),
        Ask::Else => Data::from(&"withdraw"),
    }
}

fn charm_value(charm: &Charm) -> Value {
    match charm {
        Charm::Amount(amount) => Value::from(*amount),
        Charm::Record(record) => Value::Array(record_items(record)),
        Charm::Garbled(Garble::Text) => Value::Text("a state".into()),
        Charm::Garbled(Garble::Negative) => Value::from(-1),
        Charm::Garbled(garble) => {
            let mut items = record_items(&Record {
                epoch: 0,
                serial: 0,
                signers: vec![1, 2, 3, 4],
                threshold: 3,
                home: Place([&[0x51, 0x20][..], &[9; 32]].concat()),
                supply: 0,
                params: 0,
                governance: 0,
                attempt: 0,
                next: None,
                outflow: 0,
                spells: (15, 15),
            });
            match garble {
                Garble::ShortArray => _ = items.pop(),
                Garble::OtherFormat => items[0] = Value::from(1),
                _ => items[1] = Value::Text("0".into()),
            }
            Value::Array(items)
        }
    }
}

fn record_items(record: &Record) -> Vec<Value> {
    let next = record.next.as_ref().map_or(vec![], |next| {
        let hash = Value::Bytes(promise_hash(&next.promise));
        vec![hash, Value::from(next.serial), Value::from(next.wait)]
    });
    vec![
        Value::from(2),
        Value::from(record.epoch),
        Value::from(record.serial),
        Value::Bytes(keys(&record.signers)),
        Value::from(record.threshold),
        Value::Bytes(record.home.0.clone()),
        Value::from(record.supply),
        Value::Bytes(vec![record.params; 32]),
        Value::Bytes(vec![record.governance; 32]),
        Value::from(record.attempt),
        Value::Array(next),
        Value::from(record.outflow),
        Value::from(record.spells.0),
        Value::from(record.spells.1),
    ]
}

fn keys(signers: &[u8]) -> Vec<u8> {
    let key = |seed: &u8| [&[*seed][..], &[0x11; 31]].concat();
    signers.iter().flat_map(key).collect()
}

/// The hash that stands for what a rotation promises.
fn promise_hash(promise: &Promise) -> Vec<u8> {
    let tag = Sha256::digest("grail/next-roster/v1");
    let mut bytes = [&tag[..], &tag[..]].concat();
    bytes.extend((promise.signers.len() as u64).to_be_bytes());
    bytes.extend(keys(&promise.signers));
    bytes.extend(promise.threshold.to_be_bytes());
    bytes.extend(&promise.home.0);
    bytes.extend([promise.params; 32]);
    bytes.extend([promise.governance; 32]);
    bytes.extend(promise.spells.0.to_be_bytes());
    bytes.extend(promise.spells.1.to_be_bytes());
    Sha256::digest(&bytes).to_vec()
}

fn table<'a>(table: Table, coins: impl Iterator<Item = &'a Coin>) -> Option<Vec<NativeOutput>> {
    let mut coins: Vec<NativeOutput> = coins
        .map(|coin| NativeOutput {
            amount: coin.sats,
            dest: coin.at.0.clone(),
            content: None,
        })
        .collect();
    match table {
        Table::Whole => {}
        Table::Absent => return None,
        Table::OneShort => _ = coins.pop(),
        Table::OneLong => coins.push(NativeOutput {
            amount: 330,
            dest: vec![0x51],
            content: None,
        }),
        Table::Foreign => {
            if let Some(coin) = coins.last_mut() {
                coin.content = Some(Data::from(&BTreeMap::from([("multiasset", 1)])));
            }
        }
    }
    Some(coins)
}
