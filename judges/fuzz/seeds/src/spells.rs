//! Seeds of transactions, payloads and contract inputs.

use std::collections::BTreeMap;
use std::fs;

use bitcoin::Transaction;
use bitcoin::consensus::encode::{deserialize_hex, serialize};
use bitcoin::script::Instruction;
use charms_data::{App, Data, TxId, util};
use grail_charms::PrevTx;
use grail_prover::charms_transaction;
use grail_spell::{NormalizedSpell, decode_op_return, nft_app, token_app, utxo_id_from_outpoint};
use grail_types::{MockAllowed, Network};

use crate::support::{Draft, World, p2tr, peg_in, peg_out};
use crate::{Corpus, files, stem, vectors};

/// Seeds of everything that reads transactions and spells.
pub fn write(corpus: &Corpus, world: &World) {
    for (name, tx) in own(world) {
        transaction(corpus, name, &tx);
        payload(corpus, name, &tx);
    }
    if let Some(folder) = vectors("spells") {
        for (index, path) in files(&folder, "hex").into_iter().enumerate() {
            let hex = fs::read_to_string(&path).expect("a vector");
            let tx = deserialize_hex(hex.trim()).expect("a transaction");
            // A few of each kind: all of them would be most of the corpus.
            if index % 2 == 0 {
                transaction(corpus, &stem(&path), &tx);
            }
            payload(corpus, &stem(&path), &tx);
        }
    }
    for (name, bytes) in corner_cases() {
        corpus.seed("read_strict", name, &bytes);
        corpus.seed("round_trip", name, &bytes);
    }
    contract(corpus, world);
}

fn own(world: &World) -> Vec<(&'static str, Transaction)> {
    let settlement = world.usual().draft.propose(world).transaction;
    let transfer = world.transfer(&[(p2tr(9), 1_000)]);
    vec![
        ("own-deployment", world.deployment.clone()),
        ("own-genesis", world.genesis.clone()),
        ("own-settlement", settlement),
        ("own-transfer", transfer),
    ]
}

fn transaction(corpus: &Corpus, name: &str, tx: &Transaction) {
    for target in ["read_compatible", "strict_is_compatible"] {
        corpus.seed(target, name, &serialize(tx));
    }
}

/// The payload in an output of `tx`, if there is one.
fn payload(corpus: &Corpus, name: &str, tx: &Transaction) {
    let payload = tx.output.iter().find_map(|output| {
        let mut instructions = output.script_pubkey.instructions().skip(1);
        let Some(Ok(Instruction::PushBytes(marker))) = instructions.next() else {
            return None;
        };
        let Some(Ok(Instruction::PushBytes(payload))) = instructions.next() else {
            return None;
        };
        (marker.as_bytes() == b"spell").then(|| payload.as_bytes().to_vec())
    });
    if let Some(payload) = payload {
        corpus.seed("read_strict", name, &payload);
        corpus.seed("round_trip", name, &payload);
    }
}

/// Small things that decoders stumble over.
pub fn corner_cases() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |head: u8, depth: usize| vec![head; depth];
    vec![
        ("huge-array", [&[0x82, 0x9b][..], &[0xff; 8]].concat()),
        ("huge-bytes", [&[0x82, 0x5b][..], &[0xff; 8]].concat()),
        ("deep-arrays", nested(0x81, 300)),
        ("deep-tags", nested(0xc1, 300)),
        (
            "indefinite",
            vec![0x9f, 0x9f, 0xbf, 0x61, b'a', 0xff, 0xff, 0xff],
        ),
        ("chunked-text", vec![0x7f, 0x61, b'a', 0x61, b'b', 0xff]),
        ("bignum", [&[0xc2, 0x49, 0x01][..], &[0; 8]].concat()),
        ("nan", vec![0xf9, 0x7e, 0x00]),
        ("wide-zero", [&[0x1b][..], &[0; 8]].concat()),
        ("empty-spell", spell_without_anything()),
        ("spell-with-nan", spell_with_nan()),
    ]
}

fn spell_without_anything() -> Vec<u8> {
    util::write(&(NormalizedSpell::default(), Vec::<u8>::new())).expect("spells encode")
}

fn spell_with_nan() -> Vec<u8> {
    let mut spell = NormalizedSpell::default();
    spell.tx.outs = vec![[(0, Data::from(&f64::NAN))].into()];
    spell.app_public_inputs = [(App::default(), Data::from(&f64::NAN))].into();
    util::write(&(spell, vec![0_u8; 4])).expect("spells encode")
}

/// What a runner shows the contract: of settlements and a transfer, for both apps.
fn contract(corpus: &Corpus, world: &World) {
    let mock = MockAllowed::on(Network::Regtest);
    for (name, case) in [
        ("peg-in", world.case(&[peg_in(1_000_000)])),
        ("peg-out", world.case(&[peg_out(400_000)])),
    ] {
        let Draft {
            transaction,
            spell,
            previous,
            ..
        } = case.draft;
        let spell = spell
            .committed_to(&transaction)
            .expect("drafts fit their transactions");
        let prev_txs = previous
            .iter()
            .map(|tx| {
                let prev = PrevTx::read_committed(tx, mock);
                let outpoint = bitcoin::OutPoint::new(tx.compute_txid(), 0);
                (utxo_id_from_outpoint(outpoint).0, prev)
            })
            .collect();
        seed_contract(corpus, world, name, &spell, &prev_txs);
    }
    let transfer = world.transfer(&[(p2tr(9), 1_000)]);
    let found = decode_op_return(&transfer)
        .expect("own spells are readable")
        .expect("own transfers carry spells");
    let spell = found
        .spell
        .committed_to(&transfer)
        .expect("own spells fit their transactions");
    let prev = PrevTx::read_committed(&world.genesis, mock);
    let outpoint = bitcoin::OutPoint::new(world.genesis.compute_txid(), 0);
    let prev_txs = [(utxo_id_from_outpoint(outpoint).0, prev)].into();
    seed_contract(corpus, world, "transfer", &spell, &prev_txs);
}

fn seed_contract(
    corpus: &Corpus,
    world: &World,
    name: &str,
    spell: &NormalizedSpell,
    prev_txs: &BTreeMap<TxId, PrevTx>,
) {
    let shown = charms_transaction(spell, prev_txs).expect("every input is known");
    let bridge = &world.bridge.app;
    for (kind, app) in [("nft", nft_app(bridge)), ("token", token_app(bridge))] {
        let Some(x) = shown.app_public_inputs.get(&app) else {
            continue;
        };
        let verdict = grail_bridge_contract::check(&app, &shown, x, &Data::empty());
        println!("contract on {name}, {kind}: {verdict:?}");
        let input = util::write(&(&app, &shown, x, Data::empty())).expect("inputs encode");
        corpus.seed("contract", &format!("{name}-{kind}"), &input);
        let mut without = shown.clone();
        without.prev_txs.clear();
        let input = util::write(&(&app, &without, x, Data::empty())).expect("inputs encode");
        corpus.seed("contract", &format!("{name}-{kind}-no-history"), &input);
    }
}
