//! What reading previous transactions needs of memory: bounded, whatever they hold and however many
//! there are.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::{collections::BTreeMap, sync::Mutex};

use ark_bn254::{G1Affine, G2Affine};
use ark_ec::AffineRepr as _;
use ark_ff::{BigInteger as _, PrimeField};
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut};
use charms_data::{App, B32, Data};
use common::{carrier, op_return, outpoint};
use grail_spell::{BridgeCharms, PREVIOUS_READING_MAX_BYTES, PreviousBatch, Proof, nft_app};
use grail_types::BridgeApp;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What the dearest proposal that was found by hand may need above itself: 31 payloads of 399,000
/// bytes, each of which decodes into 35 MiB.
const SPELLS_OF_LISTS_MAX_BYTES: usize = 48 << 20;

const BRIDGE: BridgeApp = BridgeApp {
    identity: [7; 32],
    vk: [8; 32],
};

/// A proof as SP1 6.2 writes one: well-formed in every part, so that all of the spell is read
/// before it turns out false.
fn false_proof() -> Proof {
    fn bytes(coordinate: impl PrimeField) -> Vec<u8> {
        coordinate.into_bigint().to_bytes_be()
    }
    let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
    let key_prefix = hex::decode("4388a21c").unwrap();
    let vk_root = "002f850ee998974d6cc00e50cd0814b098c05bfade466d28573240d057f25352";
    let mut proof = [
        key_prefix,
        vec![0; 32],
        hex::decode(vk_root).unwrap(),
        vec![7; 32],
    ]
    .concat();
    for coordinate in [g1.x, g1.y, g2.x.c1, g2.x.c0, g2.y.c1, g2.y.c0, g1.x, g1.y] {
        proof.extend(bytes(coordinate));
    }
    proof
}

/// CBOR of as many `items` as fit into about `bytes`, as one list.
fn list(item: &[u8], bytes: usize) -> Vec<u8> {
    let count = bytes / item.len();
    let mut list = vec![0x9a];
    list.extend(u32::try_from(count).unwrap().to_be_bytes());
    list.extend(item.repeat(count));
    list
}

fn encoded(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// A payload of a spell of version 15 with these bytes for its outputs and for its one app's public
/// input.
fn payload(outs: &[u8], app: &App, input: &[u8]) -> Vec<u8> {
    [
        b"\x82\xa3\x67version\x0f\x62tx\xa1\x64outs".as_slice(),
        outs,
        b"\x71app_public_inputs\xa1",
        &encoded(app),
        input,
        &encoded(&false_proof()),
    ]
    .concat()
}

/// A payload whose outputs each carry a charm of each of many apps, in about `bytes`.
fn crowded(outputs: u8, bytes: usize) -> Vec<u8> {
    // An app takes 71 bytes and its input one; a charm at most four.
    let apps = bytes / (72 + 4 * usize::from(outputs));
    let named = |number: usize| App {
        tag: 'x',
        identity: B32([1; 32]),
        vk: B32({
            let mut vk = [0; 32];
            vk[..4].copy_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
            vk
        }),
    };
    let inputs: BTreeMap<App, Data> = (0..apps)
        .map(|number| (named(number), Data::empty()))
        .collect();
    let charms: BTreeMap<u32, u8> = (0..u32::try_from(apps).unwrap())
        .map(|it| (it, 1))
        .collect();
    let outs = vec![charms; usize::from(outputs)];
    [
        b"\x82\xa3\x67version\x0f\x62tx\xa1\x64outs".as_slice(),
        &encoded(&outs),
        b"\x71app_public_inputs",
        &encoded(&inputs),
        &encoded(&false_proof()),
    ]
    .concat()
}

fn other_app() -> App {
    App {
        tag: 'x',
        identity: B32([1; 32]),
        vk: B32([2; 32]),
    }
}

/// As many transactions with `payload` as fit into `total` bytes.
fn carrying(payload: &[u8], total: usize) -> Vec<Transaction> {
    let tx = carrier(op_return(payload.to_vec()));
    (0_u8..)
        .take(total / tx.total_size())
        .map(|number| {
            let mut tx = tx.clone();
            tx.input[0].previous_output = outpoint(number, 0);
            tx
        })
        .collect()
}

static ALONE: Mutex<()> = Mutex::new(());

/// The most memory that reading `previous` needs at once, above what is there before.
fn peak(previous: &[Transaction], expected: &BridgeCharms) -> usize {
    let read = |previous: &[Transaction]| {
        let mut batch = PreviousBatch::new(&BRIDGE, None);
        for tx in previous {
            batch.read(tx, &[0, 1]);
        }
        batch.finish(&[1; 32])
    };
    // Keys are prepared once in a process.
    assert!(read(&previous[..1])[0].rejected().is_some());
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let all = read(previous);
    let peak = MEMORY.peak_usage().checked_sub(before).unwrap();
    for read in &all {
        assert_eq!(&read.spent(0).unwrap().carried, expected);
    }
    println!("{} transactions: {} KiB", previous.len(), peak >> 10);
    peak
}

#[test]
fn reading_needs_one_payload_at_a_time_however_many_there_are() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    for (each, total, count) in [
        (399_000, 12 << 20, 31),
        // What relay takes, and the builder admits.
        (99_000, 6 << 20, 63),
    ] {
        let lists = list(&[0x81, 0x00], each - 700);
        let previous = carrying(&payload(&[0x80], &other_app(), &lists), total);
        assert_eq!(previous.len(), count);
        let peak = peak(&previous, &BridgeCharms::Nothing);
        assert!(peak <= SPELLS_OF_LISTS_MAX_BYTES, "{each}: {peak} bytes");
    }
}

#[test]
fn no_payload_needs_more_than_the_documented_maximum() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let bytes = 399_300;
    let empty = [0x80].as_slice();
    let null = [0xf6].as_slice();
    // A list of one, a map of one, and so on: the fewest bytes for an allocation of its own.
    let deep_lists = [[0x81; 200].as_slice(), &[0x00]].concat();
    let deep_maps = [[0xa1, 0x00].repeat(100).as_slice(), &[0x00]].concat();
    let maps_in_map = [0xa1, 0xa1, 0, 0, 0xa1, 0, 0];
    for (what, outs, input) in [
        ("lists", empty.to_vec(), list(&[0x81, 0x00], bytes)),
        ("maps", empty.to_vec(), list(&[0xa1, 0, 0], bytes)),
        ("maps in maps", empty.to_vec(), list(&maps_in_map, bytes)),
        ("deep lists", empty.to_vec(), list(&deep_lists, bytes)),
        ("deep maps", empty.to_vec(), list(&deep_maps, bytes)),
        ("outputs", list(&[0xa0], bytes), null.to_vec()),
        ("charms", list(&[0xa1, 0, 0], bytes), null.to_vec()),
        (
            "charms of lists",
            list(&[0xa1, 0, 0x81, 0], bytes),
            null.to_vec(),
        ),
    ] {
        let previous = carrying(&payload(&outs, &other_app(), &input), 1 << 20);
        // More outputs than the transaction has is a misfit, so unknown; the rest is false.
        let expected = if input == null {
            BridgeCharms::Other
        } else {
            BridgeCharms::Nothing
        };
        print!("{what}: ");
        let peak = peak(&previous, &expected);
        assert!(peak <= PREVIOUS_READING_MAX_BYTES, "{what}: {peak} bytes");
    }
}

/// The proving form has the coin of each output that the spell speaks of.
#[test]
fn a_spell_of_as_many_outputs_as_fit_needs_no_more_than_the_maximum() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let empty = TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::new(),
    };
    let outputs = 66_000;
    let charms = [0xa1, 0, 0];
    let outs = list(&charms, outputs * charms.len());
    let input = list(&[0xa1, 0, 0], 399_300 - outs.len());
    let mut previous = carrying(&payload(&outs, &other_app(), &input), 1 << 20);
    for tx in &mut previous {
        tx.output.resize(outputs, empty.clone());
        assert!(tx.base_size() > 990_000, "{}", tx.base_size());
    }
    let peak = peak(&previous, &BridgeCharms::Nothing);
    assert!(peak <= PREVIOUS_READING_MAX_BYTES, "{peak} bytes");
}

#[test]
fn a_transaction_that_no_block_can_hold_is_not_looked_at() {
    let tx = |fewer: usize| {
        let mut tx = carrier(op_return(payload(&[0x80], &other_app(), &[0xf6])));
        let script_pubkey = ScriptBuf::from_bytes(vec![0; 1_000_000 - fewer]);
        tx.output[0].script_pubkey = script_pubkey;
        tx
    };
    let excess = tx(0).base_size() - 1_000_000;
    assert_eq!(tx(excess).base_size(), 1_000_000);
    for (tx, expected) in [
        (tx(excess), "spell-proof-invalid"),
        (tx(excess - 1), "spell-unreadable"),
    ] {
        let mut batch = PreviousBatch::new(&BRIDGE, None);
        batch.read(&tx, &[]);
        let read = batch.finish(&[1; 32]).remove(0);
        assert_eq!(read.rejected().unwrap().code(), expected);
    }
}

/// What lies where a state belongs is not copied to find out that it is not one.
#[test]
fn a_large_charm_of_the_nft_needs_no_more_than_any_other() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let lists = list(&[0x81, 0x00], 398_300);
    let outs = [b"\x81\xa1\x00".as_slice(), &lists].concat();
    let null = encoded(&Data::empty());
    let previous = carrying(&payload(&outs, &nft_app(&BRIDGE), &null), 1 << 20);
    let peak = peak(&previous, &BridgeCharms::Nothing);
    assert!(peak <= SPELLS_OF_LISTS_MAX_BYTES, "{peak} bytes");
}

/// A decoder's complaint may repeat a text of the payload, each character as several.
#[test]
fn what_is_kept_of_an_unreadable_payload_is_short() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let text = [b"\x7a\x00\x06\x00\x00".as_slice(), &vec![1; 0x6_0000]].concat();
    let previous = carrying(&payload(&text, &other_app(), &[0xf6]), 12 << 20);
    let peak = peak(&previous, &BridgeCharms::Other);
    assert!(peak <= SPELLS_OF_LISTS_MAX_BYTES, "{peak} bytes");
    for error in previous.iter().map(|tx| {
        let mut batch = PreviousBatch::new(&BRIDGE, None);
        batch.read(tx, &[]);
        batch.finish(&[1; 32])[0].rejected().unwrap().to_string()
    }) {
        assert!(error.len() < 300, "{} bytes", error.len());
    }
}

#[test]
fn what_other_apps_charms_are_is_kept_within_bounds() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let outputs = 14;
    let mut previous = carrying(&crowded(outputs, 390_000), 12 << 20);
    for tx in &mut previous {
        tx.output.resize(16, common::output(1_000));
    }
    let vouts: Vec<u32> = (0..u32::from(outputs)).collect();
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let mut batch = PreviousBatch::of_any_app(&BRIDGE, None);
    for tx in &previous {
        batch.read(tx, &vouts);
    }
    let kept = MEMORY.current_usage().checked_sub(before).unwrap();
    let peak = MEMORY.peak_usage().checked_sub(before).unwrap();
    println!("{} transactions: {} KiB kept", previous.len(), kept >> 10);
    // So many charms are not looked at: which they are is not known, and that refuses. What is kept
    // are the outputs, the spells' own among them; it was 125 MiB without that bound.
    assert!(kept < 16 << 20, "{kept}");
    assert!(peak < PREVIOUS_READING_MAX_BYTES, "{peak}");
    assert!(
        batch
            .finish(&[1; 32])
            .iter()
            .all(|read| read.rejected().is_some())
    );
}
