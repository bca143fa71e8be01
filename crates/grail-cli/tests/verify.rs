//! `grail spell verify` on real transactions and on broken files.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Transaction, TxOut};
use common::{Charm, conjure, conjurer, sat};
use serde_json::{Value, json};

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

/// Runs the program where there is no home, no wallet and no node.
fn verify(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_grail"))
        .env_clear()
        .args(["spell", "verify"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn answers(output: &Output) -> Vec<Value> {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A spell of one's own, with a mock proof.
fn mock() -> Transaction {
    let output = |value| TxOut {
        value: sat(value),
        script_pubkey: conjurer(),
    };
    let funding = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: Vec::new(),
        output: vec![output(1_000_000)],
    };
    let charms = [
        (output(330), Charm::Token(50_000)),
        (output(900_000), Charm::Nothing),
    ];
    conjure(&funding, 0, &charms)
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn gives_every_real_transaction_the_verdict_of_its_vector() {
    let Some(folder) = vectors() else { return };
    let text = std::fs::read(folder.join("index.json")).unwrap();
    let index: Vec<Value> = serde_json::from_slice(&text).unwrap();
    assert!(index.len() >= 19);
    let files: Vec<String> = index
        .iter()
        .map(|vector| folder.join(vector["file"].as_str().unwrap()))
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    let mut arguments = vec!["--json"];
    arguments.extend(files.iter().map(String::as_str));
    let output = verify(&arguments, "");
    // Two of them are invalid by nature.
    assert_eq!(output.status.code(), Some(1));
    let verdicts = answers(&output);
    assert_eq!(verdicts.len(), index.len());
    for (vector, verdict) in index.iter().zip(&verdicts) {
        let file = &vector["file"];
        assert_eq!(verdict["txid"], vector["txid"], "{file}");
        if vector["expected"] != "valid" {
            assert_eq!(verdict["verdict"], "invalid", "{file}");
            assert_eq!(verdict["code"], "spell-proof-invalid", "{file}");
            assert_eq!(verdict["claimed"]["version"], vector["version"], "{file}");
            continue;
        }
        assert_eq!(verdict["verdict"], "valid", "{file}");
        let spell = &verdict["spell"];
        assert_eq!(spell["version"], vector["version"], "{file}");
        assert_eq!(spell["is_mock"], vector["mock"], "{file}");
        let kind = if vector["where"] == "witness" {
            "witness"
        } else {
            "op-return"
        };
        assert_eq!(spell["place"]["kind"], kind, "{file}");
        let expected: Vec<String> = vector["apps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|app| {
                let part = |name: &str| app[name].as_str().unwrap().to_owned();
                format!("{}/{}/{}", part("tag"), part("id"), part("vk"))
            })
            .collect();
        let got: Vec<&str> = spell["apps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|app| app["app"].as_str().unwrap())
            .collect();
        assert_eq!(got, expected, "{file}");
        // None of them is of the current version.
        assert_eq!(spell["strict"]["is_strict"], false, "{file}");
        assert!(spell["strict"]["reason"].is_string(), "{file}");
    }
    // Each alone: the exit code is that file's.
    for (vector, file) in index.iter().zip(&files) {
        let expected = i32::from(vector["expected"] != "valid");
        assert_eq!(verify(&[file], "").status.code(), Some(expected), "{file}");
    }
}

#[test]
fn the_json_of_a_spell_is_stable() {
    let transaction = mock();
    let output = verify(
        &["--network", "regtest", "--json", "-"],
        &serialize_hex(&transaction),
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let bridge = common::bridge().app;
    let other = common::bridge_app(2);
    let app = |tag: char, bridge: &grail_types::BridgeApp| {
        format!(
            "{tag}/{}/{}",
            hex::encode(bridge.identity),
            hex::encode(bridge.vk)
        )
    };
    let nft = grail_spell::nft_app(&bridge);
    let token = grail_spell::token_app(&bridge);
    let mut apps = vec![
        (app(nft.tag, &bridge), nft.tag, "\"deploy\""),
        (app(token.tag, &bridge), token.tag, "null"),
        (app(token.tag, &other), token.tag, "null"),
    ];
    apps.sort();
    let apps: Vec<Value> = apps
        .into_iter()
        .map(|(app, tag, input)| json!({ "app": app, "tag": tag, "public_input": input }))
        .collect();
    let script = conjurer();
    let address = bitcoin::Address::from_script(&script, bitcoin::Network::Regtest).unwrap();
    let out = |index: u32, amount: u64, charms: Value| {
        json!({
            "output_index": index,
            "amount_sat": amount,
            "script": script.to_hex_string(),
            "address": address.to_string(),
            "charms": charms,
            "beamed_to": null,
        })
    };
    let amount = (token.tag == 't').then_some(50_000);
    let charm = json!([{ "app": token.to_string(), "amount": amount, "data": "50000" }]);
    assert_eq!(
        answers(&output),
        [json!({
            "file": "-",
            "verdict": "valid",
            "code": null,
            "reason": null,
            "txid": transaction.compute_txid().to_string(),
            "claimed": null,
            "spell": {
                "version": 15,
                "is_mock": true,
                "place": { "kind": "op-return", "output_index": 2 },
                "strict": { "is_strict": true, "code": null, "reason": null },
                "inputs": [transaction.input[0].previous_output.to_string()],
                "uncommitted_inputs": [],
                "references": [],
                "has_committed_coins": true,
                "apps": apps,
                "versioned_apps": [],
                "scrolls": [],
                "outputs": [out(0, 330, charm), out(1, 900_000, json!([]))],
            },
        })]
    );
}

#[test]
fn a_mock_counts_on_regtest_alone_and_mainnet_rules_are_the_default() {
    let hex = serialize_hex(&mock());
    assert_eq!(
        verify(&["--network", "regtest", "-"], &hex).status.code(),
        Some(0)
    );
    for network in [None, Some("mainnet"), Some("signet"), Some("testnet4")] {
        let mut arguments = vec!["--json", "-"];
        arguments.extend(network.iter().flat_map(|name| ["--network", name]));
        let output = verify(&arguments, &hex);
        assert_eq!(output.status.code(), Some(1), "{network:?}");
        let verdict = &answers(&output)[0];
        assert_eq!(verdict["verdict"], "invalid");
        assert_eq!(verdict["code"], "spell-mock-refused");
        assert_eq!(
            verdict["claimed"],
            json!({ "version": 15, "is_mock": true, "place": { "kind": "op-return", "output_index": 2 } })
        );
    }
}

#[test]
fn a_bad_file_does_not_keep_the_others_from_being_judged() {
    let folder = tempfile::TempDir::new().unwrap();
    let good = write(folder.path(), "good", &serialize_hex(&mock()));
    let mut plain = mock();
    plain.output.truncate(1);
    let plain = write(folder.path(), "plain", &serialize_hex(&plain));
    let bad = write(folder.path(), "bad", "not hexadecimal");
    let short = write(folder.path(), "short", "0200");
    let absent = folder.path().join("absent");
    let files = [&bad, &good, &plain, &short, absent.to_str().unwrap()];
    let mut arguments = vec!["--network", "regtest", "--json"];
    arguments.extend(files);
    let output = verify(&arguments, "");
    assert_eq!(output.status.code(), Some(1));
    let got: Vec<(Value, Value)> = answers(&output)
        .into_iter()
        .map(|verdict| (verdict["verdict"].clone(), verdict["code"].clone()))
        .collect();
    assert_eq!(
        got,
        [
            (json!("unreadable"), json!("hex-malformed")),
            (json!("valid"), json!(null)),
            (json!("no-spell"), json!("no-spell")),
            (json!("unreadable"), json!("transaction-malformed")),
            (json!("unreadable"), json!("file-unreadable")),
        ]
    );
    assert_eq!(
        verify(&["--network", "regtest", &good], "").status.code(),
        Some(0)
    );
    assert_eq!(
        verify(&["--network", "regtest", &plain], "").status.code(),
        Some(1)
    );
    assert_eq!(
        verify(&[], "").status.code(),
        Some(2),
        "no file is wrong usage"
    );
}

#[test]
fn people_read_the_same() {
    let transaction = mock();
    let output = verify(&["--network", "regtest", "-"], &serialize_hex(&transaction));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "-: valid",
        &transaction.compute_txid().to_string(),
        "version 15 in OP_RETURN output 2, MOCK proof",
        "strict form   yes",
        "public input \"deploy\"",
        "50000 of ",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let refused = verify(&["-"], &serialize_hex(&transaction));
    let text = String::from_utf8(refused.stdout).unwrap();
    assert!(
        text.contains("INVALID") && text.contains("[spell-mock-refused]"),
        "{text}"
    );
    assert!(text.contains("claims"), "{text}");
}
