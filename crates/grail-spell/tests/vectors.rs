//! Real Charms transactions from public chains, and mutations of them, against the verdicts of `charms-client` 15.0.0.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::PathBuf;

use bitcoin::Transaction;
use bitcoin::consensus::encode::deserialize_hex;
use grail_spell::{
    FormFault, PROTOCOL_VERSION, Place, SpellError, StrictError, UnverifiedSpell, find_spell,
    public_values, read_compatible, read_strict,
};
use grail_types::{MockAllowed, Network};
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

#[test]
fn strict_reading_refuses_every_transaction_of_an_earlier_version() {
    let Some(folder) = vectors() else { return };
    for (vector, tx) in index(&folder) {
        assert_ne!(vector.version, PROTOCOL_VERSION);
        let refusal = read_strict(&tx, None).unwrap_err();
        match refusal {
            SpellError::Strict(StrictError::Absent) => assert_eq!(vector.place, "witness"),
            SpellError::Strict(StrictError::Payload(error)) => {
                assert_eq!(error.path, "[0].version");
                let got = vector.version.into();
                assert_eq!(error.fault, FormFault::Version { got }, "{}", vector.file);
            }
            other => panic!("{}: {other:?}", vector.file),
        }
    }
}
