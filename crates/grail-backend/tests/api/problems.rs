//! Every problem code has calls that get it, and a call that gets one leaves nothing behind.

use std::{collections::BTreeSet, time::Duration};

use axum::{Router, body::Body};
use bitcoin::{
    Address, Amount, CompressedPublicKey, Network, OutPoint, Txid, WitnessProgram, WitnessVersion,
    hashes::Hash,
    secp256k1::{Parity, Secp256k1},
};
use grail_api::{BODY_BYTES_MAX, ProblemCode};
use grail_backend::api::{Limits, Rate};
use grail_flow::SettlementState;
use grail_store::{BuiltTransaction, NewSettlement};
use serde_json::{Value, json};

use super::{
    bridge::{own_script, payment, transaction},
    operators::key,
    receipts::bad_receipts,
    rotations,
    support::{Response, TestBackend, address, at_once, peg_in, peg_out, post, send},
};

use ProblemCode as Code;

/// `base` with some fields changed.
pub fn with(mut base: Value, changes: &Value) -> Value {
    for (field, value) in changes.as_object().unwrap() {
        base[field] = value.clone();
    }
    base
}

fn without(mut base: Value, field: &str) -> Value {
    base.as_object_mut().unwrap().remove(field);
    base
}

/// The values of a body in the order of its fields, without their names.
fn as_array(body: &Value, address_field: &str) -> String {
    let fields = [address_field, "reclaim_public_key", "fee_cap_sat"];
    Value::from_iter(fields.map(|field| body[field].clone())).to_string()
}

/// Amounts of which a peg-in has too little.
fn below_minimum() -> [(Code, Value); 2] {
    [1, 19_999].map(|sat| (Code::AmountBelowMinimum, json!({ "amount_sat": sat })))
}

/// Bodies that both kinds of request refuse alike, by what they change in a good one.
fn bad_fields() -> Vec<(Code, Value)> {
    vec![
        (Code::UnknownField, json!({ "colour": "red" })),
        (Code::MalformedBody, json!({ "fee_cap_sat": "10000" })),
        (Code::MalformedBody, json!({ "fee_cap_sat": -1 })),
        (Code::MalformedBody, json!({ "fee_cap_sat": 1.5 })),
        (Code::MalformedBody, json!({ "reclaim_delay": 65_536 })),
        (Code::MalformedBody, json!({ "reclaim_public_key": null })),
        (Code::BadPublicKey, json!({ "reclaim_public_key": "" })),
        (
            Code::BadPublicKey,
            json!({ "reclaim_public_key": "ab".repeat(33) }),
        ),
        // Not on the curve.
        (
            Code::BadPublicKey,
            json!({ "reclaim_public_key": "ff".repeat(32) }),
        ),
        (Code::AmountZero, json!({ "amount_sat": 0 })),
        (
            Code::AmountAboveMaximum,
            json!({ "amount_sat": 100_000_000_001_u64 }),
        ),
        (Code::AmountAboveMaximum, json!({ "amount_sat": u64::MAX })),
        (Code::FeeCapTooLow, json!({ "fee_cap_sat": 0 })),
        (Code::FeeCapTooLow, json!({ "fee_cap_sat": 100 })),
        (
            Code::FeeCapTooHigh,
            json!({ "fee_cap_sat": 100_000, "amount_sat": 100_000 }),
        ),
        (Code::FeeCapTooHigh, json!({ "fee_cap_sat": u64::MAX })),
        (Code::ReclaimDelayOutOfRange, json!({ "reclaim_delay": 0 })),
        (Code::ReclaimDelayOutOfRange, json!({ "reclaim_delay": 23 })),
        (
            Code::ReclaimDelayOutOfRange,
            json!({ "reclaim_delay": 8_065 }),
        ),
        (
            Code::ReclaimDelayOutOfRange,
            json!({ "reclaim_delay": 65_535 }),
        ),
    ]
}

fn bad_addresses() -> Vec<(Code, String)> {
    let secp = Secp256k1::new();
    let mainnet = Address::p2tr(&secp, key(50), None, Network::Bitcoin).to_string();
    let testnet = Address::p2tr(&secp, key(50), None, Network::Testnet).to_string();
    let vault = Address::from_script(&super::bridge::vault_script(), Network::Regtest).unwrap();
    // No point of the curve has this x, so nothing opens what is paid there.
    let program = WitnessProgram::new(WitnessVersion::V1, &[0xff; 32]).unwrap();
    let nowhere = Address::from_witness_program(program, Network::Regtest).to_string();
    // A witness program of a version without meaning.
    let future = "bcrt1pqqqqpqqqqqq".to_owned();
    vec![
        (Code::BadAddress, String::new()),
        (Code::BadAddress, "hello".to_owned()),
        (Code::BadAddress, future),
        (Code::BadAddress, "bcrt1q".repeat(100)),
        (Code::BadAddress, format!("{}x", address(50))),
        (Code::WrongNetworkAddress, mainnet),
        (Code::WrongNetworkAddress, testnet),
        (Code::UnsupportedAddress, vault.to_string()),
        (Code::UnspendableAddress, nowhere),
    ]
}

#[tokio::test]
async fn bad_bodies_are_refused_with_their_codes_and_leave_nothing() {
    let t = TestBackend::new().await;
    let mut cases = Vec::new();
    for (path, good, address_field) in [
        ("/v1/peg-ins", peg_in(), "recipient_address"),
        ("/v1/peg-outs", peg_out(), "payout_address"),
    ] {
        for (code, changes) in bad_fields() {
            cases.push((path, code, with(good.clone(), &changes).to_string()));
        }
        for (code, text) in bad_addresses() {
            let body = with(good.clone(), &json!({ address_field: text }));
            cases.push((path, code, body.to_string()));
        }
        for field in [address_field, "reclaim_public_key", "fee_cap_sat"] {
            let body = without(good.clone(), field).to_string();
            cases.push((path, Code::MalformedBody, body));
        }
        for text in [
            "",
            "{",
            "[]",
            "null",
            "\"x\"",
            "{}{}",
            "\u{0}",
            "{\"fee_cap_sat\":",
            // What a struct would be read from, field by field.
            &as_array(&good, address_field),
        ] {
            cases.push((path, Code::MalformedBody, text.to_owned()));
        }
        let deep = "[".repeat(BODY_BYTES_MAX);
        cases.push((path, Code::MalformedBody, deep));
        let twice = good.to_string().replacen('{', "{\"fee_cap_sat\":9000,", 1);
        cases.push((path, Code::MalformedBody, twice));
        let long = format!("{}{}", good, " ".repeat(BODY_BYTES_MAX));
        cases.push((path, Code::BodyTooLarge, long));
    }
    for (code, changes) in below_minimum() {
        let body = with(peg_in(), &changes).to_string();
        cases.push(("/v1/peg-ins", code, body));
    }
    // A peg-out's least is what its part of a fee and its payout take.
    let body = with(peg_out(), &json!({ "amount_sat": 1 })).to_string();
    cases.push(("/v1/peg-outs", Code::AmountBelowMinimum, body));
    // zkBTC comes with a coin that would be dust at such an address.
    let public_key = CompressedPublicKey(key(4).public_key(Parity::Even));
    let p2pkh = Address::p2pkh(public_key, Network::Regtest).to_string();
    let body = with(peg_in(), &json!({ "recipient_address": p2pkh }));
    cases.push(("/v1/peg-ins", Code::UnsupportedAddress, body.to_string()));

    for (index, (path, code, body)) in cases.iter().enumerate() {
        let key = format!("key-{index}");
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key.as_str()),
        ];
        let response = send(&t.router, "POST", path, &headers, body.clone().into()).await;
        assert_eq!(response.problem(), *code, "{path} {body}");
    }
    assert_eq!(t.row_counts().await, (0, 0, 0));
    // The key of a refused call was not used up.
    let response = t.post("/v1/peg-ins", "key-0", &peg_in()).await;
    assert_eq!(response.status, 201);
}

#[tokio::test]
async fn bytes_that_are_no_text_and_bodies_without_end_are_refused() {
    let t = TestBackend::new().await;
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "key-1"),
    ];
    let bytes = Body::from(vec![0xff, 0xfe, 0x00]);
    let response = send(&t.router, "POST", "/v1/peg-ins", &headers, bytes).await;
    assert_eq!(response.problem(), Code::MalformedBody);
    // No length declared: read up to the limit and no further.
    let chunk = || Ok::<_, std::io::Error>(axum::body::Bytes::from(vec![b' '; 1_000]));
    let endless = tokio_stream::iter(std::iter::repeat_with(chunk));
    let response = send(
        &t.router,
        "POST",
        "/v1/peg-ins",
        &headers,
        Body::from_stream(endless),
    )
    .await;
    assert_eq!(response.problem(), Code::BodyTooLarge);
    let broken = tokio_stream::iter([Err::<axum::body::Bytes, _>(std::io::Error::other("gone"))]);
    let response = send(
        &t.router,
        "POST",
        "/v1/peg-ins",
        &headers,
        Body::from_stream(broken),
    )
    .await;
    assert_eq!(response.problem(), Code::MalformedBody);
    assert_eq!(t.row_counts().await, (0, 0, 0));
}

#[tokio::test]
async fn headers_are_checked() {
    let t = TestBackend::new().await;
    let json = ("content-type", "application/json");
    let long = "k".repeat(65);
    let cases: Vec<(Code, Vec<(&str, &str)>)> = vec![
        (Code::IdempotencyKeyMissing, vec![json]),
        (Code::BadIdempotencyKey, vec![json, ("idempotency-key", "")]),
        (
            Code::BadIdempotencyKey,
            vec![json, ("idempotency-key", "a b")],
        ),
        (
            Code::BadIdempotencyKey,
            vec![json, ("idempotency-key", &long)],
        ),
        (
            Code::BadIdempotencyKey,
            vec![json, ("idempotency-key", "k"), ("idempotency-key", "l")],
        ),
        (
            Code::UnsupportedMediaType,
            vec![json, json, ("idempotency-key", "k")],
        ),
        (Code::UnsupportedMediaType, vec![("idempotency-key", "k")]),
        (
            Code::UnsupportedMediaType,
            vec![("idempotency-key", "k"), ("content-type", "text/plain")],
        ),
        (
            Code::UnsupportedMediaType,
            vec![
                ("idempotency-key", "k"),
                ("content-type", "application/jsonp"),
            ],
        ),
    ];
    for (code, headers) in cases {
        let body = Body::from(peg_in().to_string());
        let response = send(&t.router, "POST", "/v1/peg-ins", &headers, body).await;
        assert_eq!(response.problem(), code, "{headers:?}");
    }
    assert_eq!(t.row_counts().await, (0, 0, 0));
}

const BAD_PATHS: [(Code, &str); 31] = [
    (Code::NotFound, "/"),
    (Code::NotFound, "/v1"),
    (Code::NotFound, "/v1/peg-ins/"),
    (Code::NotFound, "/v1/params/x"),
    (Code::NotFound, "/v2/params"),
    (Code::NotFound, "/metrics"),
    (Code::MethodNotAllowed, "/v1/peg-ins"),
    (Code::BadId, "/v1/peg-ins/ab"),
    (Code::BadId, "/v1/peg-outs/zz"),
    (Code::BadId, "/v1/peg-ins/%ff%fe"),
    (Code::BadId, "/v1/settlements/ab"),
    (Code::BadId, "/v1/events?request=ab"),
    (Code::BadQuery, "/v1/requests?limit=0"),
    (Code::BadQuery, "/v1/requests?limit=201"),
    (Code::BadQuery, "/v1/requests?limit=-1"),
    (Code::BadQuery, "/v1/requests?limit=99999999999999999999"),
    (Code::BadQuery, "/v1/requests?after=x"),
    (Code::BadQuery, "/v1/requests?after=-1"),
    (Code::BadQuery, "/v1/requests?state=lost"),
    (Code::BadQuery, "/v1/requests?state=ready"),
    (Code::BadQuery, "/v1/requests?colour=red"),
    (Code::BadQuery, "/v1/requests?limit=1&limit=2"),
    (Code::BadQuery, "/v1/settlements?limit=0"),
    (Code::BadQuery, "/v1/settlements?state=final"),
    (Code::BadQuery, "/v1/proofs?limit=0"),
    (Code::BadQuery, "/v1/proofs?after=x"),
    (Code::BadQuery, "/v1/proofs?state=lost"),
    (Code::BadQuery, "/v1/proofs?worker=a"),
    (Code::NotFound, "/v1/proofs/1"),
    (Code::BadQuery, "/v1/events?colour=red"),
    (Code::Unavailable, "/v1/reserves"),
];

#[tokio::test]
async fn bad_paths_and_queries_are_refused_with_their_codes() {
    let t = TestBackend::new().await;
    for (code, path) in BAD_PATHS {
        assert_eq!(t.get(path).await.problem(), code, "{path}");
    }
    let zeros = "00".repeat(32);
    for path in ["peg-ins", "peg-outs", "settlements"] {
        let response = t.get(&format!("/v1/{path}/{zeros}")).await;
        assert_eq!(response.problem(), Code::NotFound);
    }
    let response = t.get(&format!("/v1/events?request={zeros}")).await;
    assert_eq!(response.problem(), Code::NotFound);
    for (method, path) in [
        ("DELETE", "/v1/peg-ins"),
        ("POST", "/v1/params"),
        ("PUT", "/healthz"),
    ] {
        let response = send(&t.router, method, path, &[], Body::empty()).await;
        assert_eq!(response.problem(), Code::MethodNotAllowed);
        assert!(!response.header("allow").is_empty(), "{method} {path}");
    }
    for headers in [
        vec![("last-event-id", "first")],
        vec![("last-event-id", "1"), ("last-event-id", "2")],
    ] {
        let response = send(&t.router, "GET", "/v1/events", &headers, Body::empty()).await;
        assert_eq!(response.problem(), Code::BadQuery);
    }
}

/// A settlement whose parent is missing: books that cannot be.
async fn break_the_books(t: &TestBackend) -> Txid {
    let nowhere = OutPoint::new(Txid::from_byte_array([7; 32]), 0);
    let unsigned = transaction(&[nowhere], payment(8, own_script(9), 1_000).output);
    let mut tx = t.backend.store.begin().await.unwrap();
    let new = NewSettlement {
        epoch: grail_types::Epoch(0),
        nft_input: nowhere,
        draft: &[],
        items: &[],
        now: 1,
    };
    let id = tx.create_settlement(&new).await.unwrap();
    let built = BuiltTransaction {
        unsigned: &unsigned,
        nft_vout: 0,
        fee: Amount::ZERO,
        weight: unsigned.weight(),
    };
    let txid = tx.set_built(id, &built, 1).await.unwrap();
    let (from, to) = (SettlementState::start(), SettlementState::Broadcast {});
    tx.set_settlement_state(id, &from, &to, 1).await.unwrap();
    tx.commit().await.unwrap();
    txid
}

#[tokio::test]
async fn books_that_cannot_be_are_an_internal_problem_without_details() {
    let t = TestBackend::new().await;
    let txid = break_the_books(&t).await;
    let response = t.get(&format!("/v1/settlements/{txid}")).await;
    assert_eq!(response.problem(), Code::Internal);
    assert!(!response.text.contains("parent"), "{response:?}");
}

#[tokio::test]
async fn full_places_are_answered_with_come_back_later() {
    let t = TestBackend::new().await;
    let full = |limits: Limits| t.limited(limits);
    let calls = full(Limits {
        calls_max: 0,
        ..at_once()
    });
    let streams = full(Limits {
        streams_max: 0,
        ..at_once()
    });
    let get = async |router: &Router, path: &str| -> Response {
        send(router, "GET", path, &[], Body::empty()).await
    };
    for response in [
        get(&calls, "/v1/params").await,
        get(&streams, "/v1/events").await,
    ] {
        assert_eq!(response.problem(), Code::Unavailable);
        assert_eq!(response.header("retry-after"), "1");
    }
    let response = get(&streams, "/v1/params").await;
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn every_problem_code_has_a_call_that_gets_it() {
    let t = TestBackend::new().await;
    let mut seen = BTreeSet::new();
    for (_, path) in BAD_PATHS {
        seen.insert(t.get(path).await.problem());
    }
    for (_, changes) in bad_fields().into_iter().chain(below_minimum()) {
        let response = t.post("/v1/peg-ins", "k", &with(peg_in(), &changes)).await;
        seen.insert(response.problem());
    }
    for (_, text) in bad_addresses() {
        let body = with(peg_in(), &json!({ "recipient_address": text }));
        seen.insert(t.post("/v1/peg-ins", "k", &body).await.problem());
    }
    let long = with(peg_in(), &json!({ "colour": "r".repeat(BODY_BYTES_MAX) }));
    seen.insert(t.post("/v1/peg-ins", "k", &long).await.problem());
    for headers in [
        vec![("idempotency-key", "k")],
        vec![("content-type", "application/json")],
        vec![
            ("content-type", "application/json"),
            ("idempotency-key", "!"),
        ],
    ] {
        let body = Body::from(peg_in().to_string());
        let response = send(&t.router, "POST", "/v1/peg-ins", &headers, body).await;
        seen.insert(response.problem());
    }
    seen.extend(bad_receipts(&t).await);
    // One of another backend: this one's books are to be broken.
    seen.extend(rotations::refused(&TestBackend::new().await).await);
    let scarce = t.limited(Limits {
        creations: Rate {
            burst: 1,
            per_second: 0.0,
        },
        call_timeout: Duration::from_mins(1),
        ..at_once()
    });
    assert_eq!(
        post(&scarce, "/v1/peg-ins", "k", &peg_in()).await.status,
        201
    );
    let other = with(peg_in(), &json!({ "fee_cap_sat": 9_000 }));
    seen.insert(post(&scarce, "/v1/peg-ins", "k", &other).await.problem());
    seen.insert(post(&scarce, "/v1/peg-ins", "l", &other).await.problem());
    t.chain.set_away(true);
    seen.insert(t.post("/v1/peg-ins", "m", &peg_in()).await.problem());
    let txid = break_the_books(&t).await;
    seen.insert(t.get(&format!("/v1/settlements/{txid}")).await.problem());
    assert_eq!(seen, Code::ALL.into_iter().collect());
}
