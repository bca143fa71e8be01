//! Real Charms transactions from public chains, and mutations of them, against the verdicts of
//! `charms-client` 15.0.0.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::PathBuf;

use bitcoin::Transaction;
use bitcoin::consensus::encode::deserialize_hex;
use grail_charms::{PrevTx, read_compatible};
use grail_spell::{
    ContentError, PROTOCOL_VERSION, Place, PreviousBatch, SpellError, StrictError, UnverifiedSpell,
    find_spell, public_values, read_strict,
};
use grail_types::{BridgeApp, MockAllowed, Network};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

#[derive(Deserialize)]
struct Vector {
    file: String,
    txid: String,
    version: u32,
    #[serde(rename = "where")]
    place: String,
    mock: bool,
    proof_len: usize,
    spell_vk: Option<String>,
    public_values_sha256: Option<String>,
    expected: String,
    expected_with_mock_allowed: String,
}

#[derive(Deserialize)]
struct Mutation {
    base: String,
    #[serde(rename = "mutation")]
    name: String,
    upstream: String,
    hex: String,
}

/// The folder of spell vectors, or `None` (said aloud) in a clone of the project alone.
fn vectors() -> Option<PathBuf> {
    let root = std::env::var_os("GRAIL_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let spells = root.join("spells");
    if spells.join("index.json").is_file() {
        return Some(spells);
    }
    println!(
        "skipped: no spell vectors at {} (set GRAIL_VECTORS)",
        spells.display()
    );
    None
}

fn index(folder: &std::path::Path) -> Vec<(Vector, Transaction)> {
    let text = fs::read_to_string(folder.join("index.json")).unwrap();
    let vectors: Vec<Vector> = serde_json::from_str(&text).unwrap();
    vectors
        .into_iter()
        .map(|vector| {
            let hex = fs::read_to_string(folder.join(&vector.file)).unwrap();
            let tx = deserialize_hex(hex.trim()).unwrap();
            (vector, tx)
        })
        .collect()
}

#[test]
fn gives_charms_verdict_on_every_transaction() {
    let Some(folder) = vectors() else { return };
    let vectors = index(&folder);
    assert!(
        vectors.len() >= 19,
        "expected all vectors, got {}",
        vectors.len()
    );
    for (vector, tx) in &vectors {
        assert_eq!(tx.compute_txid().to_string(), vector.txid);
        let UnverifiedSpell {
            spell,
            proof,
            place,
        } = find_spell(tx).unwrap().unwrap();
        assert_eq!(
            (spell.version, spell.mock, proof.len()),
            (vector.version, vector.mock, vector.proof_len)
        );
        assert_eq!(
            matches!(place, Place::Witness),
            vector.place == "witness",
            "{}",
            vector.file
        );

        let verdict = read_compatible(tx, None);
        assert_eq!(
            verdict.is_ok(),
            vector.expected == "valid",
            "{}: {verdict:?}",
            vector.file
        );
        let with_mock = read_compatible(tx, MockAllowed::on(Network::Regtest));
        assert_eq!(
            with_mock.is_ok(),
            vector.expected_with_mock_allowed == "ok",
            "{}",
            vector.file
        );

        if let (Some(spell_vk), Some(expected)) = (&vector.spell_vk, &vector.public_values_sha256) {
            let spell_vk = hex::decode(spell_vk.trim_start_matches("0x"))
                .unwrap()
                .try_into()
                .unwrap();
            let verified = verdict.unwrap().unwrap();
            let values = public_values(verified.version(), &spell_vk, verified.spell()).unwrap();
            assert_eq!(
                &hex::encode(Sha256::digest(values)),
                expected,
                "{}",
                vector.file
            );
        }
    }
}

#[test]
fn gives_charms_verdict_on_every_mutation() {
    let Some(folder) = vectors() else { return };
    let text = fs::read_to_string(folder.join("mutations.jsonl")).unwrap();
    let mut count = 0;
    for line in text.lines() {
        let mutation: Mutation = serde_json::from_str(line).unwrap();
        let tx: Transaction = deserialize_hex(&mutation.hex).unwrap();
        let verdict = read_compatible(&tx, None);
        let accepted = matches!(verdict, Ok(Some(_)));
        let name = format!("{} of {}", mutation.name, mutation.base);
        assert_eq!(
            accepted,
            mutation.upstream == "valid",
            "{name}: {} / {verdict:?}",
            mutation.upstream
        );
        count += 1;
    }
    assert!(count >= 243, "expected all mutations, got {count}");
}

/// Read one at a time, each gives what it gives when all are kept.
#[test]
fn every_transaction_and_mutation_is_read_alike_by_both_batches() {
    let Some(folder) = vectors() else { return };
    let text = fs::read_to_string(folder.join("mutations.jsonl")).unwrap();
    let mutations = text.lines().map(|line| {
        let mutation: Mutation = serde_json::from_str(line).unwrap();
        deserialize_hex(&mutation.hex).unwrap()
    });
    let txs: Vec<Transaction> = index(&folder)
        .into_iter()
        .map(|(_, tx)| tx)
        .chain(mutations)
        .collect();
    let bridge = BridgeApp {
        identity: [1; 32],
        vk: [2; 32],
    };
    for mock in [None, MockAllowed::on(Network::Regtest)] {
        let mut batch = PreviousBatch::new(&bridge, mock);
        for tx in &txs {
            batch.read(tx, &[0, 1, 2]);
        }
        let kept = batch.finish(&[5; 32]);
        let whole = PrevTx::read_committed_batch(&txs, mock, &[5; 32]);
        assert_eq!(kept.len(), whole.len());
        for (kept, whole) in kept.iter().zip(&whole) {
            assert_eq!(kept.txid(), whole.txid());
            assert_eq!(kept.rejected(), whole.rejected());
            for vout in 0..3 {
                assert_eq!(kept.spent(vout).map(|it| &it.output), whole.output(vout));
                if let Some(spent) = kept.spent(vout) {
                    assert_eq!(spent.carried, whole.bridge_charms(vout, &bridge));
                }
            }
        }
    }
}

#[test]
fn strict_reading_refuses_every_transaction_of_an_earlier_version() {
    let Some(folder) = vectors() else { return };
    for (vector, tx) in index(&folder) {
        assert_ne!(vector.version, PROTOCOL_VERSION);
        let refusal = read_strict(&tx, None).unwrap_err();
        match refusal {
            SpellError::Strict(StrictError::Absent) => assert_eq!(vector.place, "witness"),
            SpellError::Strict(StrictError::Content(error)) => {
                let got = vector.version;
                assert_eq!(error, ContentError::Version { got }, "{}", vector.file);
            }
            other => panic!("{}: {other:?}", vector.file),
        }
    }
}
