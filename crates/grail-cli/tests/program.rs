//! The program itself: exit codes, JSON, what it writes where.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

fn grail(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_grail"))
        .env_clear()
        .arg("--home")
        .arg(home)
        .args(arguments)
        .output()
        .unwrap()
}

fn made() -> tempfile::TempDir {
    let folder = tempfile::TempDir::new().unwrap();
    let words = folder.path().join("words");
    std::fs::write(&words, WORDS).unwrap();
    let init = grail(
        &folder.path().join("wallet"),
        &[
            "init",
            "--network",
            "signet",
            "--mnemonic-file",
            words.to_str().unwrap(),
            "--json",
        ],
    );
    assert!(init.status.success(), "{init:?}");
    folder
}

fn error_code(output: &Output) -> String {
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    error["error"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn answers_in_json_and_for_people() {
    let folder = made();
    let home = folder.path().join("wallet");
    let balance = grail(&home, &["balance", "--json"]);
    assert_eq!(balance.status.code(), Some(0));
    let json: Value = serde_json::from_slice(&balance.stdout).unwrap();
    assert_eq!(json["btc_sat"], 0);
    assert_eq!(json["knows_zkbtc"], false);
    let balance = grail(&home, &["balance"]);
    assert!(
        String::from_utf8(balance.stdout)
            .unwrap()
            .starts_with("BTC ")
    );
}

#[test]
fn failures_exit_with_one_and_a_code_and_wrong_usage_with_two() {
    let folder = made();
    let home = folder.path().join("wallet");
    let failed = grail(
        &home,
        &[
            "--json",
            "send",
            "1000",
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
        ],
    );
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(error_code(&failed), "no-node");
    assert!(failed.stdout.is_empty());

    let failed = grail(&folder.path().join("nowhere"), &["balance"]);
    assert_eq!(failed.status.code(), Some(1));
    let text = String::from_utf8(failed.stderr).unwrap();
    assert!(
        text.starts_with("error: no wallet in") && text.contains("[no-wallet]"),
        "{text}"
    );

    for wrong in [
        &["send", "0", "x"][..],
        &["frobnicate"],
        &["status", "nonsense"],
        &[],
    ] {
        assert_eq!(grail(&home, wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn zkbtc_off_regtest_needs_a_real_prover_before_anything_is_asked() {
    let folder = made();
    let failed = grail(
        &folder.path().join("wallet"),
        &["--json", "peg-out", "50000"],
    );
    assert_eq!(error_code(&failed), "needs-charms-prover");
}

#[test]
fn the_mnemonic_is_never_printed() {
    let folder = tempfile::TempDir::new().unwrap();
    let home = folder.path().join("wallet");
    let init = grail(&home, &["init", "--network", "regtest"]);
    assert!(init.status.success());
    let words = std::fs::read_to_string(home.join("mnemonic")).unwrap();
    let shown = [init.stdout, init.stderr].concat();
    let shown = String::from_utf8(shown).unwrap();
    assert!(!shown.contains(words.trim()));
    assert!(shown.contains("mnemonic"));

    std::fs::write(folder.path().join("bad"), "abandon hunter2").unwrap();
    let bad = folder.path().join("bad");
    let refused = grail(
        &folder.path().join("other"),
        &[
            "init",
            "--network",
            "regtest",
            "--mnemonic-file",
            bad.to_str().unwrap(),
            "--json",
        ],
    );
    assert_eq!(error_code(&refused), "bad-mnemonic");
    assert!(
        !String::from_utf8(refused.stderr)
            .unwrap()
            .contains("hunter2")
    );
}

#[test]
fn a_wallet_folder_of_another_wallet_is_never_overwritten() {
    let folder = made();
    let home = folder.path().join("wallet");
    let before = std::fs::read(home.join("mnemonic")).unwrap();
    let again = grail(&home, &["init", "--network", "signet", "--json"]);
    assert_eq!(error_code(&again), "wallet-exists");
    assert_eq!(std::fs::read(home.join("mnemonic")).unwrap(), before);
}

#[test]
fn an_environment_variable_without_content_counts_as_absent() {
    let folder = made();
    let home = folder.path().join("wallet");
    let mut command = Command::new(env!("CARGO_BIN_EXE_grail"));
    command.env_clear().env("HOME", folder.path());
    for name in [
        "GRAIL_NETWORK",
        "GRAIL_NODE",
        "GRAIL_NODE_COOKIE",
        "GRAIL_NODE_USER",
        "GRAIL_NODE_PASSWORD_FILE",
        "GRAIL_API",
        "GRAIL_HOME",
    ] {
        command.env(name, "");
    }
    let balance = command
        .arg("--home")
        .arg(&home)
        .arg("balance")
        .output()
        .unwrap();
    assert_eq!(balance.status.code(), Some(0), "{balance:?}");
}

#[test]
fn this_machine_is_reached_directly_whatever_proxy_is_named() {
    let folder = made();
    let home = folder.path().join("wallet");
    let reason = |api: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_grail"))
            .env_clear()
            .env("http_proxy", "http://user:hidden@127.0.0.1:9")
            .args(["--json", "--api", api, "--home"])
            .arg(&home)
            .arg("reserves")
            .output()
            .unwrap();
        assert_eq!(error_code(&output), "api-unreachable");
        String::from_utf8(output.stderr).unwrap()
    };
    for api in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
        assert!(!reason(api).contains("proxy"), "{}", reason(api));
    }
    let through = reason("http://api.invalid:80");
    assert!(through.contains("the proxy 127.0.0.1:9"), "{through}");
    assert!(!through.contains("hidden"), "{through}");
}

#[test]
fn a_byte_order_mark_quotes_and_0x_have_a_hint() {
    let folder = tempfile::TempDir::new().unwrap();
    for (text, hint) in [
        ("\u{feff}0200", "byte-order mark"),
        ("\"0200\"", "quotes"),
        ("0x0200", "0x"),
    ] {
        let file = folder.path().join("transaction.hex");
        std::fs::write(&file, text).unwrap();
        let arguments = ["--json", "spell", "verify", file.to_str().unwrap()];
        let output = grail(folder.path(), &arguments);
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(
            shown.contains("hex-malformed") && shown.contains(hint),
            "{shown}"
        );
    }
}

#[test]
fn notes_are_json_where_answers_are() {
    let folder = made();
    let home = folder.path().join("wallet");
    std::fs::write(home.join("receipts/._x.json"), b"\0\x05").unwrap();
    let receipts = grail(&home, &["--json", "receipts"]);
    assert_eq!(receipts.status.code(), Some(0));
    let note: Value = serde_json::from_slice(&receipts.stderr).unwrap();
    assert_eq!(note["note"]["code"], "stray-file");
    let message = note["note"]["message"].as_str().unwrap();
    assert_eq!(message.matches("._x.json").count(), 1, "{message}");
    let receipts = grail(&home, &["receipts"]);
    let shown = String::from_utf8(receipts.stderr).unwrap();
    assert!(
        shown.starts_with("note: ") && shown.contains("[stray-file]"),
        "{shown}"
    );
}

#[test]
fn an_answer_that_cannot_be_printed_is_not_lost() {
    let folder = made();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_grail"))
        .env_clear()
        .arg("--home")
        .arg(folder.path().join("wallet"))
        .args(["--json", "address"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(error_code(&output), "answer-unwritten");
    assert!(String::from_utf8(output.stderr).unwrap().contains("tb1p"));
}

#[test]
fn who_only_reads_does_not_wait_for_who_writes() {
    let folder = made();
    let home = folder.path().join("wallet");
    let _held = grail_cli::home::Home::open(&home, None).unwrap();
    let id = "00".repeat(32);
    let code = |arguments: &[&str]| {
        let output = grail(&home, &[&["--json"], arguments].concat());
        (!output.status.success()).then(|| error_code(&output))
    };
    for looking in ["receipts", "balance", "list"] {
        assert_eq!(code(&[looking]), None, "{looking}");
    }
    for reading in [
        &["status", &id][..],
        &["status", &id, "--watch"],
        &["roster"],
        &["rosters"],
        &["reserves"],
    ] {
        assert_eq!(code(reading).as_deref(), Some("no-api"), "{reading:?}");
    }
    assert_eq!(code(&["address"]).as_deref(), Some("wallet-busy"));
}
