//! Peg-in and peg-out against an API that may lie.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{OutPoint, TxOut};
use common::api::replace;
use common::scene::{Scene, peg, stranger_evidence};
use common::{Charm, params, protocol, public_key, roster, roster_state, sat, vault};
use grail_cli::commands;
use grail_cli::home::read_receipt;
use grail_cli::progress::{Note, Notes, Quiet};
use serde_json::Value;

#[test]
fn a_peg_in_pays_the_deposit_after_saving_a_receipt_that_checks() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let receipt = read_receipt(pegged.receipt_file.as_ref()).unwrap();
    assert_eq!(receipt.request().to_string(), pegged.id);
    let outpoint: OutPoint = pegged.deposit_outpoint.parse().unwrap();
    let deposit = scene.in_mempool(&outpoint.txid.to_string());
    assert_eq!(deposit.output[0].value, sat(100_000));
    assert_eq!(deposit.output[0].script_pubkey, *receipt.script_pubkey());
    let mut session = scene.user.open();
    assert!(session.wallet.is_mine(receipt.terms().destination.script()));
    assert_eq!(
        session.wallet.balance().zkbtc,
        sat(50_000),
        "no zkBTC was touched"
    );
}

#[test]
fn a_peg_out_pays_zkbtc_to_the_deposit_address() {
    let scene = Scene::new();
    let pegged = scene.peg_out(30_000).unwrap();
    let receipt = read_receipt(pegged.receipt_file.as_ref()).unwrap();
    let outpoint: OutPoint = pegged.deposit_outpoint.parse().unwrap();
    let deposit = scene.in_mempool(&outpoint.txid.to_string());
    assert_eq!(deposit.output[0].script_pubkey, *receipt.script_pubkey());
    let mut session = scene.user.synced();
    assert_eq!(
        session.wallet.carried(&deposit, 0).zkbtc(),
        Some(sat(30_000))
    );
    assert_eq!(session.wallet.balance().zkbtc, sat(20_000));
}

#[test]
fn what_a_request_will_wait_for_is_said_before_it_is_paid() {
    let scene = Scene::new();
    let warning = serde_json::json!([
        { "code": "outflow-limit", "detail": "20000 sat may leave by now" }
    ]);
    scene.api.lie(move |path, answer| {
        if path == "/v1/peg-outs" {
            replace(answer, "/warnings", warning.clone());
        }
    });
    let mut notes = Notes::default();
    commands::peg_out(&mut scene.user.open(), &peg(30_000), &mut notes).unwrap();
    let expected = Note::new("outflow-limit", "20000 sat may leave by now");
    assert!(notes.0.contains(&expected), "{notes:?}");
}

#[test]
fn an_api_that_changes_any_part_of_the_answer_is_paid_nothing() {
    let scene = Scene::new();
    let stranger = public_key(99).to_string();
    let lies: Vec<(&str, &'static str, &'static str, Value)> = vec![
        // (code, path, pointer, value)
        (
            "answer-contradicts",
            "/v1/peg-ins",
            "/deposit_address",
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into(),
        ),
        (
            "receipt-address",
            "/v1/peg-ins",
            "/receipt/deposit_address",
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into(),
        ),
        (
            "receipt-address",
            "/v1/peg-ins",
            "/receipt/terms/fee_cap",
            49_000.into(),
        ),
        (
            "receipt-address",
            "/v1/peg-ins",
            "/receipt/terms/reclaim_key",
            stranger.clone().into(),
        ),
        (
            "receipt-address",
            "/v1/peg-ins",
            "/receipt/roster/threshold",
            4.into(),
        ),
        (
            "receipt-version",
            "/v1/peg-ins",
            "/receipt/version",
            2.into(),
        ),
        (
            "receipt-kind",
            "/v1/peg-ins",
            "/receipt/kind",
            "peg-out".into(),
        ),
        (
            "answer-contradicts",
            "/v1/peg-ins",
            "/kind",
            "peg-out".into(),
        ),
        (
            "answer-contradicts",
            "/v1/peg-ins",
            "/id",
            "00".repeat(32).into(),
        ),
        (
            "answer-contradicts",
            "/v1/peg-ins",
            "/terms/fee_cap",
            49_000.into(),
        ),
        ("params-hash", "/v1/params", "/params/carrier", 331.into()),
        (
            "params-hash",
            "/v1/params",
            "/bridge/app/vk",
            "00".repeat(32).into(),
        ),
        (
            "images-not-pinned",
            "/v1/params",
            "/images/images/0/class",
            "migratable".into(),
        ),
        (
            "params-hash",
            "/v1/params",
            "/params_hash",
            "00".repeat(32).into(),
        ),
        (
            "roster-address",
            "/v1/roster",
            "/address",
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into(),
        ),
        ("roster-address", "/v1/roster", "/threshold", 4.into()),
        ("roster-invalid", "/v1/roster", "/threshold", 2.into()),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/evidence",
            "AAAA".into(),
        ),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/evidence",
            "not base64".into(),
        ),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/evidence",
            stranger_evidence().into(),
        ),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/attested_at",
            1.into(),
        ),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/index",
            1.into(),
        ),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/nonce",
            "00".repeat(32).into(),
        ),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/nonce",
            "no hex".into(),
        ),
        (
            "nft-spent",
            "/v1/roster",
            "/nft_outpoint",
            format!("{}:0", "ab".repeat(32)).into(),
        ),
        (
            "api-answer",
            "/v1/roster",
            "/signers",
            common::api::not_json(),
        ),
    ];
    for (code, path, pointer, value) in lies {
        let shown = format!("{path} {pointer}");
        scene.api.lie(move |at, answer| {
            if at == path {
                replace(answer, pointer, value.clone());
            }
        });
        let failure = scene.peg_in(100_000).unwrap_err();
        assert_eq!(failure.code, code, "{shown}: {failure}");
        scene.nothing_was_paid();
    }
    scene.api.be_honest();
    scene.peg_in(100_000).unwrap();
}

#[test]
fn a_consistent_receipt_for_other_terms_or_another_roster_is_refused() {
    use grail_api::{Receipt, Request};
    use grail_script::InternalKey;
    let scene = Scene::new();
    let forge = |change: fn(&mut Request)| {
        move |path: &str, answer: &mut Value| {
            if path == "/v1/peg-ins" {
                let mut request: Request = serde_json::from_value(answer.clone()).unwrap();
                change(&mut request);
                *answer = serde_json::to_value(&request).unwrap();
            }
        }
    };
    // To the API's own address, with everything else in order.
    scene.api.lie(forge(|request| {
        let mut terms = request.terms.clone();
        terms.destination = common::conjurer().try_into().unwrap();
        put(request, Receipt::new(InternalKey::Nums, terms, roster(0)));
    }));
    assert_eq!(scene.peg_in(100_000).unwrap_err().code, "terms-differ");
    // With a reclaim key of the API's own.
    scene.api.lie(forge(|request| {
        let mut terms = request.terms.clone();
        terms.reclaim_key = public_key(99);
        put(request, Receipt::new(InternalKey::Nums, terms, roster(0)));
    }));
    assert_eq!(scene.peg_in(100_000).unwrap_err().code, "terms-differ");
    // With a nonce of the API's own, which the words would not find.
    scene.api.lie(forge(|request| {
        let mut terms = request.terms.clone();
        terms.nonce[0] ^= 1;
        put(request, Receipt::new(InternalKey::Nums, terms, roster(0)));
    }));
    assert_eq!(scene.peg_in(100_000).unwrap_err().code, "terms-differ");
    // With a roster of the same epoch that nobody attested.
    scene.api.lie(forge(|request| {
        let mut signers: Vec<_> = (90..94).map(public_key).collect();
        signers.sort_by_key(bitcoin::XOnlyPublicKey::serialize);
        let other =
            grail_types::Roster::new(request.terms.epoch, signers, grail_types::Threshold(3))
                .unwrap();
        let terms = request.terms.clone();
        put(request, Receipt::new(InternalKey::Nums, terms, other));
    }));
    assert_eq!(scene.peg_in(100_000).unwrap_err().code, "roster-differs");
    // Under a group key of the API's own, by which it would spend the deposit.
    scene.api.lie(forge(|request| {
        let internal_key = InternalKey::Group(public_key(98).try_into().unwrap());
        let terms = request.terms.clone();
        put(request, Receipt::new(internal_key, terms, roster(0)));
    }));
    assert_eq!(
        scene.peg_in(100_000).unwrap_err().code,
        "group-key-unproven"
    );
    scene.nothing_was_paid();
}

fn put(request: &mut grail_api::Request, receipt: grail_api::Receipt) {
    request.id = receipt.terms.id();
    request.terms = receipt.terms.clone();
    request.deposit_address.clone_from(&receipt.deposit_address);
    request.receipt = receipt;
}

#[test]
fn a_roster_that_the_nft_on_chain_contradicts_is_refused() {
    let scene = Scene::new();
    // The genuine NFT of another roster state: other params.
    let output = TxOut {
        value: params().nft_carrier,
        script_pubkey: vault(&roster(0)),
    };
    let mut state = roster_state(&roster(0), &protocol(), 0);
    state.params_hash = [9; 32];
    let other = scene
        .chain
        .conjure(&[(output.clone(), Charm::Nft(Box::new(state)))]);
    let plain = scene.chain.pay(&vault(&roster(0)), 1_000);
    for (outpoint, code) in [
        (OutPoint::new(other.compute_txid(), 0), "nft-differs"),
        (plain, "nft-missing"),
    ] {
        scene.api.lie(move |path, answer| {
            if path == "/v1/roster" {
                replace(answer, "/nft_outpoint", outpoint.to_string());
            }
        });
        assert_eq!(scene.peg_in(100_000).unwrap_err().code, code);
    }
    scene.nothing_was_paid();
}

#[test]
fn pinned_parameters_are_not_exchanged() {
    let scene = Scene::new();
    let other = params()
        .with(|values| values.deposit_min = sat(1_000))
        .unwrap();
    let answer = grail_api::ParamsAnswer {
        governance: grail_fixtures::world::governance(),
        params_hash: other.hash(protocol().bridge()),
        bridge: *protocol().bridge(),
        params: other,
        images: protocol().images().get().clone(),
    };
    scene.api.serve("/v1/params", &answer);
    assert_eq!(scene.peg_in(100_000).unwrap_err().code, "params-changed");
    scene.nothing_was_paid();
}

#[test]
fn a_pin_of_an_earlier_release_is_refused_and_not_replaced() {
    let scene = Scene::new();
    let home = &scene.user.settings.home;
    std::fs::rename(home.join("protocol.json"), home.join("params.json")).unwrap();
    assert_eq!(scene.peg_in(100_000).unwrap_err().code, "old-pin");
    scene.nothing_was_paid();
    assert!(!home.join("protocol.json").exists());
}

#[test]
fn amounts_are_refused_before_the_api_is_asked() {
    let scene = Scene::new();
    for (amount, code) in [
        (19_999, "amount-below-minimum"),
        (600_000, "not-enough-btc"),
        (499_999, "not-enough-btc"),
    ] {
        assert_eq!(scene.peg_in(amount).unwrap_err().code, code, "{amount}");
    }
    assert_eq!(scene.peg_out(50_001).unwrap_err().code, "not-enough-zkbtc");
    let mut greedy = peg(30_000);
    greedy.fee_cap = Some(sat(29_670));
    let refused = commands::peg_in(&mut scene.user.open(), &greedy, &mut Quiet).unwrap_err();
    assert_eq!(refused.code, "fee-cap-too-high");
    assert!(scene.api.bodies().is_empty(), "{:?}", scene.api.bodies());
}

#[test]
fn a_bridge_that_says_it_is_paused_is_asked_and_paid_nothing() {
    let scene = Scene::new();
    let status = |state: &str, reasons: Value| {
        serde_json::json!({
            "state": state, "reasons": reasons, "expected_wait_seconds": null, "retry_after": 60,
            "ready_requests": 0, "oldest_ready_seconds": null, "unconfirmed_settlements": 0,
            "epoch": 0, "operators_heard": 1, "operators": 4, "threshold": 3, "height": 100,
            "node_height": 100, "deposit_confirmations": 1, "settlement_confirmations": 2,
            "fee_rate_sat_per_kvb": null
        })
    };
    let quorum = serde_json::json!([{ "code": "quorum-away", "detail": "1 of 4" }]);
    scene.api.serve("/v1/status", &status("paused", quorum));
    for failure in [scene.peg_in(100_000), scene.peg_out(30_000)] {
        let failure = failure.unwrap_err();
        assert_eq!(failure.code, "bridge-paused");
        assert!(failure.message.contains("quorum-away"), "{failure}");
    }
    assert!(scene.api.bodies().is_empty());
    scene.nothing_was_paid();
    // Who insists is asked no more; what the server says then is the server's.
    let mut insisting = peg(100_000);
    insisting.anyway = true;
    commands::peg_in(&mut scene.user.open(), &insisting, &mut Quiet).unwrap();
    // What is merely slow is paid to.
    let slow = serde_json::json!([{ "code": "lane-full", "detail": "a block" }]);
    scene.api.serve("/v1/status", &status("degraded", slow));
    scene.chain.node.mine(1);
    scene.peg_in(100_000).unwrap();
}
