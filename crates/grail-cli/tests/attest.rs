//! `grail attest verify`, as a user runs it.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use grail_attest::UnixTime;
use grail_attest_dev::{InsecureDevTee, development_pcr0};
use grail_tee::{AttestRequest, Attester as _};
use grail_types::{DevelopmentAllowed, Network};
use serde_json::Value;

/// 2025-07-01: when the samples of confidential VMs are good.
const AT_OF_SAMPLES: &str = "1751328000000";

/// Runs the program where there is no home, no wallet and no node.
fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_grail"))
        .env_clear()
        .args(["attest", "verify", "--json"])
        .args(arguments)
        .output()
        .unwrap()
}

fn answer(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// Exit code 1, and this reason.
fn refused(arguments: &[&str], code: &str) {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    let answer = answer(&output);
    assert_eq!(
        (&answer["is_valid"], &answer["code"]),
        (&false.into(), &code.into())
    );
    assert!(answer["evidence"].is_null());
}

fn accepted(arguments: &[&str]) -> Value {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    let answer = answer(&output);
    assert_eq!(
        (&answer["is_valid"], &answer["code"]),
        (&true.into(), &Value::Null)
    );
    answer
}

fn sample(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grail-attest-vm/vectors");
    folder.join(name).to_str().unwrap().to_owned()
}

fn now() -> UnixTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixTime::from_secs(now.as_secs())
}

fn development(folder: &Path, pcr0: [u8; 48], at: UnixTime) -> String {
    let allowed = DevelopmentAllowed::on(Network::Regtest).unwrap();
    let document = InsecureDevTee::new(allowed, pcr0, [1; 32], move || at)
        .attest(&AttestRequest {
            user_data: Some(b"user data"),
            nonce: Some(b"a challenge"),
            public_key: None,
        })
        .unwrap();
    let file = folder.join("document");
    std::fs::write(&file, document).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_fresh_document_is_valid_now_and_not_after_three_hours() {
    let folder = tempfile::tempdir().unwrap();
    let pcr0 = development_pcr0(b"signer");
    let file = development(folder.path(), pcr0, now());
    let dev = |more: &[&'static str]| [&["--kind", "dev"][..], more].concat();

    let answer = accepted(&[&dev(&[])[..], &[&file]].concat());
    assert_eq!(answer["evidence"]["tee"], "development");
    assert_eq!(answer["evidence"]["user_data"], hex::encode("user data"));
    let register = &answer["evidence"]["registers"][0];
    assert_eq!(register["name"], "PCR0");
    assert_eq!(register["value"], hex::encode(pcr0));

    let right = format!("pcr0={}", hex::encode(pcr0));
    let nonce = hex::encode("a challenge");
    let user_data = hex::encode("user data");
    accepted(&[
        "--kind",
        "dev",
        "--expect",
        &right,
        "--nonce",
        &nonce,
        "--user-data",
        &user_data,
        &file,
    ]);
    let wrong = format!("PCR0={}", "11".repeat(48));
    refused(
        &["--kind", "dev", "--expect", &wrong, &file],
        "register-mismatch",
    );
    refused(
        &["--kind", "dev", "--expect", "PCR20=00", &file],
        "register-unknown",
    );
    refused(&["--kind", "dev", "--nonce", "00", &file], "nonce-mismatch");
    refused(
        &["--kind", "dev", "--user-data", "00", &file],
        "user-data-mismatch",
    );

    let later = now()
        .later_by_millis(3 * 3600 * 1000)
        .as_millis()
        .to_string();
    refused(
        &["--kind", "dev", "--at", &later, &file],
        "certificate-expired",
    );
    refused(&["--kind", "nitro", &file], "root-not-pinned");
}

#[test]
fn a_document_of_debug_mode_is_never_valid() {
    let folder = tempfile::tempdir().unwrap();
    let file = development(folder.path(), [0; 48], now());
    let zero = format!("PCR0={}", "00".repeat(48));
    refused(&["--kind", "dev", &file], "debug-mode");
    refused(&["--kind", "dev", "--expect", &zero, &file], "debug-mode");
}

#[test]
fn a_real_report_is_valid_with_its_chips_certificate() {
    let (report, vcek) = (sample("snp_report_milan"), sample("vcek_milan.der"));
    let snp = ["--kind", "snp", "--at", AT_OF_SAMPLES, "--vcek"];
    let answer = accepted(&[&snp[..], &[&vcek, &report]].concat());
    assert_eq!(answer["evidence"]["platform"]["product"], "milan");
    assert_eq!(
        answer["evidence"]["platform"]["reported_tcb"],
        "0.3.0.8.115"
    );
    let floor = ["--tcb-floor", "0.3.0.8.115"];
    accepted(&[&snp[..], &[&vcek], &floor, &[&report]].concat());
    let above = ["--tcb-floor", "0.3.0.9.115"];
    refused(
        &[&snp[..], &[&vcek], &above, &[&report]].concat(),
        "snp-tcb-floor",
    );
    refused(
        &[&snp[..], &[&sample("vcek_turin.der"), &report]].concat(),
        "snp-chip",
    );
    // A report without the certificate is wrong usage.
    let alone = run(&["--kind", "snp", &report]);
    assert_eq!(alone.status.code(), Some(2));
}

#[test]
fn a_real_quote_is_valid_with_its_collateral() {
    let (quote, collateral) = (sample("tdx_quote"), sample("tdx_quote_collateral.json"));
    let tdx = ["--kind", "tdx", "--collateral", &collateral];
    let then = [&tdx[..], &["--at", AT_OF_SAMPLES]].concat();
    let answer = accepted(&[&then[..], &[&quote]].concat());
    assert_eq!(answer["evidence"]["platform"]["evaluation_number"], 17);
    refused(&[&tdx[..], &[&quote]].concat(), "tdx-collateral-expired");
    let floor = ["--evaluation-floor", "18"];
    refused(&[&then[..], &floor, &[&quote]].concat(), "tdx-below-floor");
    let broken = ["--kind", "tdx", "--collateral", &quote, &quote];
    refused(&broken, "collateral-malformed");
}

#[test]
fn real_documents_are_valid_then_and_not_now() {
    let root = std::env::var_os("GRAIL_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let folder = root.join("nitro");
    let Ok(index) = std::fs::read_to_string(folder.join("index.json")) else {
        println!(
            "skipped: no documents at {} (set GRAIL_VECTORS)",
            folder.display()
        );
        return;
    };
    let index: Vec<Value> = serde_json::from_str(&index).unwrap();
    for facts in index {
        let file = folder.join(facts["file"].as_str().unwrap());
        let file = file.to_str().unwrap();
        let at = facts["timestamp_ms"].to_string();
        let then = ["--kind", "nitro", "--at", &at, file];
        match facts["expected"].as_str().unwrap() {
            "accept at its own timestamp, reject at the wall clock" => {
                assert_eq!(accepted(&then)["sha256"], facts["sha256"]);
                refused(&["--kind", "nitro", file], "certificate-expired");
            }
            "reject: debug mode, PCR0-2 are zero" => refused(&then, "debug-mode"),
            "reject: root is not AWS Nitro Root-G1" => refused(&then, "root-not-pinned"),
            other => panic!("{file}: unknown verdict {other:?}"),
        }
    }
}

#[test]
fn what_evidence_says_cannot_steer_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let collateral = folder.path().join("collateral.json");
    std::fs::write(&collateral, r#"{"\u001b[2J\u001b]0;owned\u0007": 1}"#).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_grail"))
        .env_clear()
        .args(["attest", "verify", "--kind", "tdx", "--collateral"])
        .arg(&collateral)
        .arg(sample("tdx_quote"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("[collateral-malformed]"), "{text:?}");
    let is_plain = |letter: char| letter == '\n' || !letter.is_control();
    assert!(text.chars().all(is_plain), "{text:?}");
}

#[test]
fn files_may_be_hexadecimal_and_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let report = hex::encode(std::fs::read(sample("snp_report_milan")).unwrap());
    let file = folder.path().join("report.hex");
    std::fs::write(&file, format!("{report}\n")).unwrap();
    let vcek = sample("vcek_milan.der");
    let snp = ["--kind", "snp", "--at", AT_OF_SAMPLES, "--vcek", &vcek];
    accepted(&[&snp[..], &[file.to_str().unwrap()]].concat());

    for (content, code) in [
        (vec![b'0'; 5000], "file-too-large"),
        (b"000".to_vec(), "hex-malformed"),
    ] {
        std::fs::write(&file, content).unwrap();
        let output = run(&[&snp[..], &[file.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(1));
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["code"], code);
    }
    let absent = folder.path().join("absent");
    let output = run(&[&snp[..], &[absent.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("file-unreadable"));
}
