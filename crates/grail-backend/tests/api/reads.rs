//! What is read: parameters, roster, lists, the description, and headers of a public API.

use axum::body::Body;
use bitcoin::OutPoint;
use grail_api::{
    Kind, Page, ParamsAnswer, ProblemCode, Request, RequestState, RequestSummary, RosterAnswer,
};
use grail_attest::Protocol;

use super::{
    operators::{SIGNER_COUNT, show_up},
    support::{TestBackend, pcr0, peg_in, peg_out, send},
};

#[tokio::test]
async fn parameters_come_with_the_hash_that_they_have() {
    let t = TestBackend::new().await;
    let answer: ParamsAnswer = t.get("/v1/params").await.parse();
    let protocol = Protocol::new(
        answer.bridge,
        answer.params,
        answer.images,
        answer.governance,
    )
    .unwrap();
    assert_eq!(protocol, *t.backend.protocol());
    assert_eq!(answer.params_hash, protocol.hash());
}

#[tokio::test]
async fn the_roster_has_evidence_of_all_signers_the_newest_where_there_is_one() {
    let t = TestBackend::new().await;
    let answer: RosterAnswer = t.get("/v1/roster").await.parse();
    assert_eq!(answer.roster().unwrap(), t.backend.deployment.roster);
    assert_eq!(answer.nft_outpoint, t.backend.deployment_nft());
    assert_eq!(
        super::support::script(&answer.address),
        super::bridge::vault_script()
    );
    assert!(answer.signers.iter().all(|signer| signer.pcr0 == pcr0()));
    assert!(
        answer
            .signers
            .iter()
            .all(|signer| signer.name.starts_with("operator-"))
    );

    show_up(&t.backend, &[2]).await;
    let fresh: RosterAnswer = t.get("/v1/roster").await.parse();
    for (before, after) in answer.signers.iter().zip(&fresh.signers) {
        assert_eq!(before == after, after.name != "fresh-2");
        assert_eq!(before.evidence == after.evidence, after.name != "fresh-2");
    }
    let names = fresh.signers.iter().map(|signer| signer.name.as_str());
    assert_eq!(names.filter(|name| *name == "fresh-2").count(), 1);
    assert_eq!(fresh.signers.len(), usize::from(SIGNER_COUNT));
    assert_eq!(fresh.roster(), answer.roster());
}

#[tokio::test]
async fn paid_requests_are_listed_newest_first_in_pages_without_gap_or_repeat() {
    let t = TestBackend::new().await;
    let mut made = Vec::new();
    for index in 0..6 {
        let (path, body) = if index == 2 {
            ("/v1/peg-outs", peg_out())
        } else {
            ("/v1/peg-ins", peg_in())
        };
        let request: Request = t.post(path, &format!("key-{index}"), &body).await.parse();
        made.push(request);
    }
    // Before they are paid, nobody learns of them.
    for query in ["", "?state=paid"] {
        let page: Page<RequestSummary> = t.get(&format!("/v1/requests{query}")).await.parse();
        assert_eq!((page.items, page.next), (Vec::new(), None));
    }
    let unpaid = made.pop().unwrap();
    pay(&t, &made).await;
    made.reverse();
    let mut listed: Vec<RequestSummary> = Vec::new();
    let mut query = "limit=2".to_owned();
    for (pages, size) in [2, 2, 1].into_iter().enumerate() {
        let page: Page<RequestSummary> = t.get(&format!("/v1/requests?{query}")).await.parse();
        assert_eq!(page.items.len(), size);
        listed.extend(page.items);
        match page.next {
            Some(next) => query = format!("limit=2&after={next}"),
            None => assert_eq!(pages, 2),
        }
    }
    let made_ids: Vec<_> = made.iter().map(|request| request.id).collect();
    let listed_ids: Vec<_> = listed.iter().map(|summary| summary.id).collect();
    assert_eq!(listed_ids, made_ids);
    assert!(!listed_ids.contains(&unpaid.id));
    assert_eq!(listed[2].kind, Kind::PegOut);
    assert_eq!(listed[0].state, RequestState::Paid);
    assert_eq!(listed[0].deposit_address, made[0].deposit_address);

    // A page that is exactly full has no next.
    let page: Page<RequestSummary> = t.get("/v1/requests?limit=5").await.parse();
    assert_eq!((page.items.len(), page.next), (5, None));
}

/// Has rows say that requests were paid.
async fn pay(t: &TestBackend, requests: &[Request]) {
    let paid = grail_flow::RequestState::Paid {
        deposit: OutPoint::null(),
        settlement: grail_flow::SettlementId(1),
    };
    let mut tx = t.backend.store.begin().await.unwrap();
    for request in requests {
        let from = grail_flow::RequestState::start();
        tx.set_request_state(&request.id, &from, &paid, 1)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_request_is_found_under_its_own_kind_alone() {
    let t = TestBackend::new().await;
    let request: Request = t.post("/v1/peg-ins", "key-1", &peg_in()).await.parse();
    assert_eq!(
        t.get(&format!("/v1/peg-ins/{}", request.id)).await.status,
        200
    );
    let other = t.get(&format!("/v1/peg-outs/{}", request.id)).await;
    assert_eq!(other.problem(), ProblemCode::NotFound);
}

#[tokio::test]
async fn the_description_is_served_as_it_is_committed() {
    let t = TestBackend::new().await;
    let response = t.get("/openapi.json").await;
    assert_eq!(response.header("content-type"), "application/json");
    let committed = include_str!("../../../../docs/api/openapi.json");
    let committed: serde_json::Value = serde_json::from_str(committed).unwrap();
    assert_eq!(response.json(), committed);
}

#[tokio::test]
async fn every_described_path_is_served() {
    let t = TestBackend::new().await;
    let described = t.get("/openapi.json").await.json();
    for (path, methods) in described["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "x").replace("{txid}", "x");
        for method in methods.as_object().unwrap().keys() {
            // Without its body, so that an event stream does not keep us.
            let method = method.to_uppercase();
            let headers = [("last-event-id", "none")];
            let response = send(&t.router, &method, &path, &headers, Body::empty()).await;
            // Failing health is an answer too, and no problem.
            let is_known = path == "/healthz"
                || response.status.is_success()
                || !matches!(
                    response.problem(),
                    ProblemCode::NotFound | ProblemCode::MethodNotAllowed
                );
            assert!(is_known, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn pages_of_any_origin_may_call() {
    let t = TestBackend::new().await;
    let headers = [
        ("origin", "https://example.org"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "idempotency-key"),
    ];
    let response = send(&t.router, "OPTIONS", "/v1/peg-ins", &headers, Body::empty()).await;
    assert_eq!(response.status, 204);
    assert_eq!(response.header("access-control-allow-origin"), "*");
    assert_eq!(response.header("access-control-allow-methods"), "GET, POST");
    assert!(
        response
            .header("access-control-allow-headers")
            .contains("idempotency-key")
    );
    for path in ["/v1/params", "/nowhere"] {
        let response = t.get(path).await;
        assert_eq!(response.header("access-control-allow-origin"), "*");
        assert_eq!(response.header("access-control-allow-credentials"), "");
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert_eq!(response.header("cache-control"), "no-store");
    }
    // No preflight: just a method that is not served.
    let response = send(&t.router, "OPTIONS", "/v1/peg-ins", &[], Body::empty()).await;
    assert_eq!(response.problem(), ProblemCode::MethodNotAllowed);
}
