//! Every real transaction and every mutation of one: the same verdict and the same resolved spell as `charms-client`.

#![allow(missing_docs)]

use std::fs;
use std::path::PathBuf;

use bitcoin::Transaction;
use bitcoin::consensus::encode::deserialize_hex;
use grail_oracle::{charms_reading, to_charms};
use grail_spell::{find_spell, read_compatible};
use grail_types::{MockAllowed, Network};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    file: String,
}

#[derive(Deserialize)]
struct Mutation {
    base: String,
    #[serde(rename = "mutation")]
    name: String,
    hex: String,
}

fn vectors() -> Option<PathBuf> {
    let root = std::env::var_os("GRAIL_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
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

fn assert_same_reading_without_mocks(name: &str, tx: &Transaction) {
    let theirs = charms_reading(tx, false);
    match (read_compatible(tx, None), &theirs) {
        (Ok(Some(ours)), Ok(theirs)) => assert_eq!(&to_charms(ours.spell()), theirs, "{name}"),
        (Ok(None) | Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{name}: ours {ours:?}, theirs {theirs:?}"),
    }
}

fn assert_same_reading(name: &str, tx: &Transaction) {
    assert_same_reading_without_mocks(name, tx);
    // With mock spells allowed Charms accepts any proof of one; ours must hold. All else is as without.
    let mock_spell = find_spell(tx)
        .ok()
        .flatten()
        .is_some_and(|found| found.spell.mock);
    let with_mock = read_compatible(tx, MockAllowed::on(Network::Regtest));
    match charms_reading(tx, true) {
        Ok(_) if mock_spell => assert!(with_mock.is_err(), "{name}: no vector is mocked validly"),
        verdict => assert_eq!(matches!(with_mock, Ok(Some(_))), verdict.is_ok(), "{name}"),
    }
}

#[test]
fn transactions_read_as_charms_reads_them() {
    let Some(folder) = vectors() else { return };
    let index = fs::read_to_string(folder.join("index.json")).unwrap();
    for vector in serde_json::from_str::<Vec<Vector>>(&index).unwrap() {
        let hex = fs::read_to_string(folder.join(&vector.file)).unwrap();
        assert_same_reading(&vector.file, &deserialize_hex(hex.trim()).unwrap());
    }
}

#[test]
fn mutations_read_as_charms_reads_them() {
    let Some(folder) = vectors() else { return };
    for line in fs::read_to_string(folder.join("mutations.jsonl"))
        .unwrap()
        .lines()
    {
        let mutation: Mutation = serde_json::from_str(line).unwrap();
        let name = format!("{} of {}", mutation.name, mutation.base);
        assert_same_reading(&name, &deserialize_hex(&mutation.hex).unwrap());
    }
}

/// Every byte of a proof and of the payload around it, flipped.
#[test]
fn every_flipped_byte_of_a_spell_output_reads_as_charms_reads_it() {
    let Some(folder) = vectors() else { return };
    let hex = fs::read_to_string(folder.join("12_mainnet_283559062cb6b651.hex")).unwrap();
    let tx: Transaction = deserialize_hex(hex.trim()).unwrap();
    let output = tx
        .output
        .iter()
        .position(|output| output.script_pubkey.is_op_return())
        .unwrap();
    let script = tx.output[output].script_pubkey.to_bytes();
    for index in 0..script.len() {
        let mut tx = tx.clone();
        let mut script = script.clone();
        script[index] ^= 1;
        tx.output[output].script_pubkey = script.into();
        assert_same_reading_without_mocks(&format!("byte {index}"), &tx);
    }
}
