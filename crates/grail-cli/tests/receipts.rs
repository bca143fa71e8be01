//! Receipts handed in to a server that may have lost its requests: each has its own outcome.
#![allow(clippy::unwrap_used)]

mod common;

use common::scene::Scene;
use grail_api::{Problem, ProblemCode};
use grail_cli::arguments::SendReceipts;
use grail_cli::progress::{Notes, Quiet};
use grail_cli::report::{HandedInReceipts, Outcome};
use grail_cli::{Failure, commands};
use serde_json::json;

fn send(scene: &Scene, asked: &SendReceipts) -> Result<HandedInReceipts, Failure> {
    commands::send_receipts(&mut scene.user.open(), asked, &mut Quiet)
}

fn named(receipts: &[&str]) -> SendReceipts {
    SendReceipts {
        receipts: receipts.iter().map(|&name| name.to_owned()).collect(),
        outpoint: None,
    }
}

fn codes(report: &HandedInReceipts) -> Vec<&'static str> {
    let outcomes = report.receipts.iter().map(|receipt| &receipt.outcome);
    outcomes
        .map(|outcome| match outcome {
            Outcome::Restored { .. } => "restored",
            Outcome::Known { .. } => "known",
            Outcome::Refused { code, .. } => code,
        })
        .collect()
}

#[test]
fn each_receipt_goes_with_the_deposit_that_the_wallet_knows() {
    let scene = Scene::new();
    let first = scene.peg_in(100_000).unwrap();
    let second = scene.peg_in(50_000).unwrap();
    let refuse = |code| move |_: &serde_json::Value| Err(Problem::new(code, "no"));
    scene
        .api
        .answer_receipts(refuse(ProblemCode::DepositNotFound));
    let report = send(&scene, &SendReceipts::default()).unwrap();
    assert_eq!(codes(&report), ["deposit-not-found"; 2]);
    assert!(!report.all_taken());
    let deposits: Vec<String> = scene
        .api
        .bodies()
        .iter()
        .filter_map(|body| serde_json::from_str::<serde_json::Value>(body).ok())
        .filter_map(|body| body["deposit"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(
        deposits,
        [
            first.deposit_outpoint.clone(),
            second.deposit_outpoint.clone()
        ]
    );
    assert!(report.to_string().contains("[deposit-not-found]"));

    // A server that is not asked twice for the same no.
    scene.api.answer_receipts(refuse(ProblemCode::RateLimited));
    let report = send(&scene, &SendReceipts::default()).unwrap();
    assert_eq!(codes(&report), ["rate-limited"]);
    assert_eq!(report.not_tried, 1);
    assert!(!report.all_taken());
}

#[test]
fn what_is_spent_is_left_out_unless_it_is_named() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(24);
    let mut back = common::scene::reclaim(&pegged.id);
    back.broadcast = true;
    scene.reclaim(&back).unwrap();
    scene.chain.node.mine(1);
    let report = send(&scene, &SendReceipts::default()).unwrap();
    assert_eq!((report.receipts.len(), report.left_out), (0, 1));
    assert!(report.all_taken());
    // A server of before does not know the call.
    for name in [&pegged.id, &pegged.receipt_file] {
        let report = send(&scene, &named(&[name])).unwrap();
        assert_eq!(codes(&report), ["not-found"]);
    }
}

#[test]
fn other_files_are_no_receipts_and_an_outpoint_is_of_one() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let other = scene.user.folder.path().join("other.json");
    std::fs::write(&other, json!({ "a": 1 }).to_string()).unwrap();
    let code = |asked: &SendReceipts| send(&scene, asked).unwrap_err().code;
    assert_eq!(
        code(&named(&[other.to_str().unwrap()])),
        "receipt-malformed"
    );
    assert_eq!(code(&named(&[&"00".repeat(32)])), "no-receipt");
    let mut two = named(&[&pegged.id, &pegged.id]);
    two.outpoint = Some(pegged.deposit_outpoint.parse().unwrap());
    assert_eq!(code(&two), "outpoint-of-one");
    // Strays in the wallet's own folder stop nothing.
    let folder = scene.user.settings.home.join("receipts");
    std::fs::write(folder.join("empty.json"), b"").unwrap();
    let mut notes = Notes::default();
    let mut session = scene.user.open();
    commands::send_receipts(&mut session, &SendReceipts::default(), &mut notes).unwrap();
    assert!(notes.0.iter().any(|note| note.code == "stray-file"));
}
