//! Creating requests: what the answer holds, and that asking twice is asking once.

use axum::{body::Body, http};
use grail_api::{Kind, ProblemCode, Request, RequestState, RequestStatus, StatusCode};
use serde_json::json;

use super::support::{TestBackend, at_once, peg_in, peg_out, post, script, send};
use grail_backend::api::{Limits, Rate};

#[tokio::test]
async fn a_peg_in_is_answered_with_all_that_is_needed_to_pay_and_to_leave() {
    let t = TestBackend::new().await;
    let response = t.post("/v1/peg-ins", "key-1", &peg_in()).await;
    assert_eq!(response.status, http::StatusCode::CREATED, "{response:?}");
    assert_eq!(response.header("content-type"), "application/json");
    let request: Request = response.parse();
    assert_eq!(request.kind, Kind::PegIn);
    assert_eq!(request.state, RequestState::AwaitingDeposit);
    assert_eq!(request.id, request.terms.id());
    assert_eq!(request.deadline_height, 24);
    let checked = request.receipt.check().unwrap();
    assert_eq!(checked.request(), request.id);
    assert_eq!(*checked.script_pubkey(), script(&request.deposit_address));
    assert_eq!(
        request.bip21,
        Some(format!("bitcoin:{}?amount=0.001", request.deposit_address))
    );
    let params = t.backend.params();
    assert_eq!(request.deposit_min_sat, params.deposit_min.to_sat());
    assert_eq!(request.deposit_max_sat, params.deposit_max.to_sat());
    assert_eq!(request.carrier_sat, params.carrier.to_sat());
    // One or two thousand vbytes at 1 sat/vB when it is alone.
    assert!((300..=3_000).contains(&request.estimated_fee_share_sat));
    assert_eq!(t.row_counts().await, (1, 1, 0));
}

#[tokio::test]
async fn a_peg_out_has_no_payment_uri_since_its_deposit_is_zkbtc() {
    let t = TestBackend::new().await;
    let response = t.post("/v1/peg-outs", "key-1", &peg_out()).await;
    assert_eq!(response.status, http::StatusCode::CREATED, "{response:?}");
    let request: Request = response.parse();
    assert_eq!(request.kind, Kind::PegOut);
    assert_eq!(request.bip21, None);
    let status: RequestStatus = t.get(&format!("/v1/peg-outs/{}", request.id)).await.parse();
    assert_eq!(status.receipt, request.receipt);
    assert_eq!(status.state, RequestState::AwaitingDeposit);
    assert_eq!(status.deadline_height, request.deadline_height);
    assert_eq!(
        (status.deposit, status.settlement, status.reclaim),
        (None, None, None)
    );
}

#[tokio::test]
async fn one_key_and_body_make_one_request_and_another_body_a_conflict() {
    let t = TestBackend::new().await;
    let first: Request = t.post("/v1/peg-ins", "key-1", &peg_in()).await.parse();
    let again = t.post("/v1/peg-ins", "key-1", &peg_in()).await;
    assert_eq!(again.status, http::StatusCode::OK);
    assert_eq!(again.parse::<Request>(), first);

    let mut other = peg_in();
    other["fee_cap_sat"] = 10_001.into();
    let conflict = t.post("/v1/peg-ins", "key-1", &other).await;
    assert_eq!(conflict.problem(), ProblemCode::IdempotencyConflict);
    let other_kind = t.post("/v1/peg-outs", "key-1", &peg_out()).await;
    assert_eq!(other_kind.problem(), ProblemCode::IdempotencyConflict);
    assert_eq!(t.row_counts().await, (1, 1, 0));

    let second: Request = t.post("/v1/peg-ins", "key-2", &peg_in()).await.parse();
    assert_ne!(second.id, first.id);
    assert_ne!(second.deposit_address, first.deposit_address);
}

#[tokio::test]
async fn a_clients_own_nonce_is_the_terms_and_makes_them_once() {
    let t = TestBackend::new().await;
    let with = |nonce: &str| {
        let mut body = peg_in();
        body["nonce"] = nonce.into();
        body
    };
    let nonce = "0f".repeat(16);
    let first: Request = t.post("/v1/peg-ins", "key-1", &with(&nonce)).await.parse();
    assert_eq!(first.terms.nonce, [15; 16]);
    let again = t.post("/v1/peg-ins", "key-1", &with(&nonce)).await;
    assert_eq!(again.parse::<Request>(), first);
    // Another key asks for another request, and these terms are one already.
    let conflict = t.post("/v1/peg-ins", "key-2", &with(&nonce)).await;
    assert_eq!(conflict.problem(), ProblemCode::IdempotencyConflict);
    let mut other_terms = with(&nonce);
    other_terms["fee_cap_sat"] = 10_001.into();
    let other: Request = t.post("/v1/peg-ins", "key-3", &other_terms).await.parse();
    assert_eq!(other.terms.nonce, first.terms.nonce);
    assert_ne!(other.id, first.id);
    for wrong in ["", "0f", &"0f".repeat(17), &"0g".repeat(16)] {
        let refused = t.post("/v1/peg-ins", "key-4", &with(wrong)).await;
        assert_eq!(refused.problem(), ProblemCode::MalformedBody, "{wrong}");
    }
    assert_eq!(t.row_counts().await, (2, 2, 0));
}

#[tokio::test]
async fn calls_with_one_key_at_the_same_moment_make_one_request() {
    let t = TestBackend::new().await;
    let calls = (0..8).map(|_| {
        let router = t.router.clone();
        tokio::spawn(async move { post(&router, "/v1/peg-ins", "key-1", &peg_in()).await })
    });
    let mut created = 0;
    let mut ids = std::collections::BTreeSet::new();
    for call in calls.collect::<Vec<_>>() {
        let response = call.await.unwrap();
        created += usize::from(response.status == http::StatusCode::CREATED);
        ids.insert(response.parse::<Request>().id);
    }
    assert_eq!((created, ids.len()), (1, 1));
    assert_eq!(t.row_counts().await, (1, 1, 0));
}

#[tokio::test]
async fn a_known_request_is_answered_when_no_new_one_could_be_made() {
    let t = TestBackend::with_limits(Limits {
        creations_each: Rate {
            burst: 1,
            per_second: 0.5,
        },
        ..at_once()
    })
    .await;
    let first: Request = t.post("/v1/peg-ins", "key-1", &peg_in()).await.parse();
    let refused = t.post("/v1/peg-ins", "key-2", &peg_in()).await;
    assert_eq!(refused.problem(), ProblemCode::RateLimited);
    assert_eq!(refused.header("retry-after"), "2");
    assert_eq!(refused.json()["retry_after"], 2);
    t.chain.set_away(true);
    let mut again: Request = t.post("/v1/peg-ins", "key-1", &peg_in()).await.parse();
    // It says why it is better not to pay now.
    let warnings = std::mem::take(&mut again.warnings);
    let codes: Vec<_> = warnings
        .iter()
        .map(|warning| warning.code.clone())
        .collect();
    assert_eq!(codes, [StatusCode::NodeAway]);
    assert_eq!(again, first);
    assert_eq!(t.row_counts().await, (1, 1, 0));
}

#[tokio::test]
async fn no_address_is_given_out_while_the_chain_is_unseen_or_far_ahead() {
    let t = TestBackend::new().await;
    t.chain.set_away(true);
    let away = t.post("/v1/peg-ins", "key-1", &peg_in()).await;
    assert_eq!(away.problem(), ProblemCode::Paused);
    assert_eq!(away.header("retry-after"), "15");
    t.chain.set_away(false);

    for _ in 0..6 {
        t.chain.mine(Vec::new());
    }
    let near = t.post("/v1/peg-ins", "key-2", &peg_in()).await;
    let request: Request = near.parse();
    // By the node's tip, not by what was read so far.
    assert_eq!(request.deadline_height, 6 + 24);
    t.chain.mine(Vec::new());
    let far = t.post("/v1/peg-ins", "key-3", &peg_in()).await;
    assert_eq!(far.problem(), ProblemCode::Paused);
    assert_eq!(t.row_counts().await.0, 1);
}

#[tokio::test]
async fn a_call_that_times_out_leaves_nothing() {
    let t = TestBackend::new().await;
    let impatient = t.limited(Limits {
        call_timeout: std::time::Duration::from_millis(50),
        ..Limits::default()
    });
    let writer = t.backend.store.begin().await.unwrap();
    let response = post(&impatient, "/v1/peg-ins", "key-1", &peg_in()).await;
    assert_eq!(response.problem(), ProblemCode::Unavailable);
    drop(writer);
    assert_eq!(t.row_counts().await, (0, 0, 0));
    // The same call later is as good as new.
    let response = t.post("/v1/peg-ins", "key-1", &peg_in()).await;
    assert_eq!(response.status, http::StatusCode::CREATED);
}

#[tokio::test]
async fn a_media_type_with_parameters_is_taken() {
    let t = TestBackend::new().await;
    let headers = [
        ("content-type", "Application/JSON; charset=utf-8"),
        ("idempotency-key", "key-1"),
    ];
    let body = Body::from(peg_in().to_string());
    let response = send(&t.router, "POST", "/v1/peg-ins", &headers, body).await;
    assert_eq!(response.status, http::StatusCode::CREATED);
}

#[tokio::test]
async fn the_longest_delay_and_the_edges_of_amounts_are_served() {
    let t = TestBackend::new().await;
    let params = t.backend.params();
    let edges = [
        json!({ "amount_sat": params.deposit_min.to_sat() }),
        json!({ "amount_sat": params.deposit_max.to_sat() }),
        json!({ "reclaim_delay": params.reclaim_delay_min }),
        json!({ "reclaim_delay": params.reclaim_delay_max }),
    ];
    for (index, edge) in edges.iter().enumerate() {
        let mut body = peg_in();
        for (field, value) in edge.as_object().unwrap() {
            body[field] = value.clone();
        }
        let response = t.post("/v1/peg-ins", &format!("key-{index}"), &body).await;
        assert_eq!(response.status, http::StatusCode::CREATED, "{response:?}");
    }
}
