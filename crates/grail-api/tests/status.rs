//! The status of a server that may be newer than whoever reads it.
#![allow(clippy::unwrap_used)]

use grail_api::{BridgeStatus, ServingState, StatusCode, StatusReason, ToldCode};
use serde_json::{Value, json};

fn status(codes: &[&str]) -> Value {
    let reasons: Vec<_> = codes
        .iter()
        .map(|code| json!({ "code": code, "detail": "why" }))
        .collect();
    json!({
        "state": "paused", "reasons": reasons, "expected_wait_seconds": null, "retry_after": 60,
        "ready_requests": 0, "oldest_ready_seconds": null, "unconfirmed_settlements": 0,
        "epoch": 0, "operators": 16, "operators_heard": 16, "threshold": 12, "height": 7,
        "node_height": 7, "deposit_confirmations": 3, "settlement_confirmations": 6,
        "fee_rate_sat_per_kvb": null, "outflow": null
    })
}

/// ADR 23: who meets a newer version says so, and reads on.
#[test]
fn a_code_of_a_newer_server_is_read_as_other_with_its_text() {
    let told = status(&["node-away", "moon-is-full-2"]);
    let read: BridgeStatus = serde_json::from_value(told.clone()).unwrap();
    assert_eq!(read.state, ServingState::Paused);
    let [known, other] = read.reasons.as_slice() else {
        panic!("{read:?}");
    };
    assert_eq!(known.code, StatusCode::NodeAway);
    assert!(matches!(other.code, ToldCode::Other(_)), "{other:?}");
    assert_eq!(other.code.to_string(), "moon-is-full-2");
    assert_eq!((other.code.state(), &*other.detail), (None, "why"));
    // What is passed on is what was read.
    assert_eq!(json!(read)["reasons"], told["reasons"]);
    // Of one that it does not know nobody here says whether it pauses.
    assert_eq!(read.pausing(), "node-away");
}

#[test]
fn every_known_code_is_read_as_itself() {
    for code in StatusCode::ALL {
        let read: ToldCode = serde_json::from_value(json!(code)).unwrap();
        assert_eq!(read, ToldCode::Known(*code));
        assert_eq!(json!(StatusReason::new(*code, "why"))["code"], json!(code));
    }
}

#[test]
fn what_is_no_code_is_refused() {
    for text in ["", "Node Away", "node\u{7}away", &"x".repeat(65), "é"] {
        let refused = serde_json::from_value::<BridgeStatus>(status(&[text]));
        assert!(refused.is_err(), "{text:?}");
    }
    assert!(serde_json::from_value::<BridgeStatus>(status(&[&"x".repeat(64)])).is_ok());
}
