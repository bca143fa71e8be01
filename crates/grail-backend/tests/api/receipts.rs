//! Receipts as the API reads them. What the chain has to show is tried in the tests of roles.

use axum::body::Body;
use grail_api::{BODY_BYTES_MAX, ProblemCode as Code, RESTORE_BYTES_MAX, Receipt};
use grail_script::InternalKey;
use serde_json::{Value, json};

use super::{
    problems::with,
    support::{TestBackend, peg_in, send},
};

/// What receipts get that are wrong in themselves, of another roster, and of no deposit.
pub async fn bad_receipts(t: &TestBackend) -> [Code; 3] {
    let made: Value = t.post("/v1/peg-ins", "receipt", &peg_in()).await.parse();
    let bare = TestBackend::new().await;
    bare.mine(vec![]).await;
    let receipt = &made["receipt"];
    let wrong = with(receipt.clone(), &json!({ "version": 2 }));
    let mut foreign: Receipt = serde_json::from_value(receipt.clone()).unwrap();
    foreign.terms.bridge.identity[0] ^= 1;
    let foreign = json!(Receipt::new(
        InternalKey::Nums,
        foreign.terms,
        foreign.roster
    ));
    let mut codes = Vec::new();
    for (receipt, code) in [
        (&wrong, Code::BadReceipt),
        (&foreign, Code::ForeignReceipt),
        (receipt, Code::DepositNotFound),
    ] {
        let body = json!({ "receipt": receipt });
        let got = bare.post("/v1/receipts", "k", &body).await.problem();
        assert_eq!(got, code);
        codes.push(got);
    }
    codes.try_into().unwrap()
}

#[tokio::test]
async fn the_body_of_a_receipt_is_read_strictly_and_may_be_longer() {
    let t = TestBackend::new().await;
    let made: Value = t.post("/v1/peg-ins", "k", &peg_in()).await.parse();
    let body = json!({ "receipt": made["receipt"] });
    for (changes, code) in [
        (json!({ "colour": "red" }), Code::UnknownField),
        (json!({ "deposit": "here" }), Code::MalformedBody),
        (json!({ "receipt": null }), Code::MalformedBody),
        (
            json!({ "colour": "r".repeat(BODY_BYTES_MAX) }),
            Code::UnknownField,
        ),
        (
            json!({ "colour": "r".repeat(RESTORE_BYTES_MAX) }),
            Code::BodyTooLarge,
        ),
    ] {
        let response = t
            .post("/v1/receipts", "k", &with(body.clone(), &changes))
            .await;
        assert_eq!(response.problem(), code);
    }
    let receipt = with(made["receipt"].clone(), &json!({ "colour": "red" }));
    let nested = json!({ "receipt": receipt });
    let response = t.post("/v1/receipts", "k", &nested).await;
    assert_eq!(response.problem(), Code::UnknownField);
    let headers = [("idempotency-key", "k")];
    let bare = Body::from(body.to_string());
    let response = send(&t.router, "POST", "/v1/receipts", &headers, bare).await;
    assert_eq!(response.problem(), Code::UnsupportedMediaType);
    assert_eq!(t.post("/v1/receipts", "k", &body).await.status, 200);
}
