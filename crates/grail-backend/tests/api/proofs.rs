//! How proofs are shown: on requests and settlements, in a list, in metrics; and nothing of the
//! inside.

use grail_api::{
    Page, ProblemCode, Proof, Proving, ProvingState, Request, RequestState, RequestStatus,
    Settlement,
};
use grail_backend::{
    clock,
    roles::build::{self, Built},
    work::perform,
};
use grail_flow::SettlementId;
use grail_store::{JobKind, Lease, NewAttempt};

use super::{
    settlement::{asked, deposited, proven, published},
    support::TestBackend,
};

/// A request in a draft.
async fn drafted(t: &TestBackend) -> (Request, SettlementId) {
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let request = deposited(t, 40).await;
    assert_eq!(build::build_once(&t.backend).await.unwrap(), Built::Draft);
    let mut reader = t.backend.store.read().await.unwrap();
    let draft = reader.settlement_tip().await.unwrap().unwrap();
    (request, draft.id)
}

async fn lease(t: &TestBackend) -> Lease {
    let leased = t
        .backend
        .store
        .lease_job(JobKind::Prove, clock::now(), 60)
        .await;
    leased.unwrap().unwrap()
}

/// Writes down that somebody calls a prover, and what came of it if it failed.
async fn attempt(t: &TestBackend, id: SettlementId, lease: &Lease, failure: Option<(&str, &str)>) {
    let mut tx = t.backend.store.begin().await.unwrap();
    let attempt = NewAttempt {
        settlement: id,
        worker: "secret-host",
        prover: "mock",
        request_hash: &[7; 32],
        now: clock::now() - 30,
    };
    tx.begin_proof(&attempt, lease).await.unwrap();
    if let Some((code, text)) = failure {
        tx.requeue_proof(id, Some((code, text))).await.unwrap();
        let now = clock::now();
        tx.fail_job(lease.job.id, lease.token, text, now)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
}

async fn of_request(t: &TestBackend, request: &Request) -> (RequestStatus, Proving) {
    let response = t.get(&format!("/v1/peg-ins/{}", request.id)).await;
    assert!(!response.text.contains("secret-host"), "{response:?}");
    let status: RequestStatus = response.parse();
    let proving = status.proving.clone().unwrap();
    (status, proving)
}

async fn listed(t: &TestBackend, query: &str) -> Vec<Proof> {
    let response = t.get(&format!("/v1/proofs{query}")).await;
    assert!(!response.text.contains("secret-host"), "{response:?}");
    let page: Page<Proof> = response.parse();
    assert_eq!(page.next, None);
    page.items
}

#[tokio::test]
async fn a_request_shows_its_proving_before_there_is_a_transaction() {
    let t = TestBackend::new().await;
    let (request, id) = drafted(&t).await;
    let (status, waiting) = of_request(&t, &request).await;
    assert_eq!(status.state, RequestState::Settling);
    assert_eq!(status.settlement, None);
    assert_eq!((waiting.state, waiting.attempts), (ProvingState::Queued, 0));
    assert_eq!((waiting.elapsed_seconds, waiting.fuel), (None, None));
    assert_eq!(waiting.estimated_seconds, None);

    let held = lease(&t).await;
    attempt(&t, id, &held, None).await;
    let (_, proving) = of_request(&t, &request).await;
    assert_eq!(
        (proving.state, proving.attempts),
        (ProvingState::Proving, 1)
    );
    assert!((30..40).contains(&proving.elapsed_seconds.unwrap()));
    let list = listed(&t, "?state=proving").await;
    assert_eq!((list.len(), list[0].request_count), (1, 1));
    assert_eq!(list[0].settlement_txid, None);

    let step = perform(&t.backend, &held).await.unwrap();
    step.commit().await.unwrap();
    let (status, proven) = of_request(&t, &request).await;
    let txid = status.settlement.unwrap().txid;
    assert_eq!((proven.state, proven.attempts), (ProvingState::Proven, 2));
    assert!(proven.fuel.unwrap() > 1_000_000, "{proven:?}");
    assert_eq!(
        (proven.prover.as_deref(), proven.is_reused),
        (Some("mock"), false)
    );
    assert!(proven.finished_at >= proven.started_at);
    let settlement: Settlement = t.get(&format!("/v1/settlements/{txid}")).await.parse();
    assert_eq!(settlement.proving, Some(proven.clone()));
    let list = listed(&t, "").await;
    assert_eq!(list[0].settlement_txid, Some(txid));
    assert_eq!(list[0].proving, proven);
    assert_eq!(listed(&t, "?state=queued").await, []);
}

#[tokio::test]
async fn a_failed_attempt_shows_its_code_and_when_the_next_one_is_and_no_words() {
    let t = TestBackend::new().await;
    let (request, id) = drafted(&t).await;
    let held = lease(&t).await;
    let failure = ("prove-unavailable", "http://secret-host: refused");
    attempt(&t, id, &held, Some(failure)).await;
    let (_, waiting) = of_request(&t, &request).await;
    assert_eq!((waiting.state, waiting.attempts), (ProvingState::Queued, 1));
    assert_eq!(waiting.code.as_deref(), Some("prove-unavailable"));
    assert!(
        waiting
            .next_attempt_at
            .is_none_or(|at| at > clock::now() - 1)
    );
    let text = t.metrics().await.text;
    assert!(!text.contains("secret-host"));
    for line in [
        "grail_proofs_by_state{state=\"queued\"} 1",
        "grail_proofs_total{outcome=\"interrupted\"} 1",
        "grail_proofs_total{outcome=\"made\"} 0",
        "grail_proof_queue 1",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn what_proofs_took_is_summed_and_tells_what_the_next_will_take() {
    let t = TestBackend::new().await;
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    deposited(&t, 40).await;
    let id = proven(&t).await;
    asked(&t).await;
    let transaction = published(&t, id).await;
    t.mine(vec![transaction]).await;
    let fuel = listed(&t, "").await[0].proving.fuel.unwrap();
    let text = t.metrics().await.text;
    for line in [
        "grail_proofs_by_state{state=\"proven\"} 1".to_owned(),
        "grail_proofs_total{outcome=\"made\"} 1".to_owned(),
        "grail_proofs_total{outcome=\"reused\"} 0".to_owned(),
        "grail_proving_seconds_count 1".to_owned(),
        format!("grail_proving_fuel_total {fuel}"),
        "grail_prover_fee_sat_total 0".to_owned(),
        "grail_proof_queue 0".to_owned(),
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
    let second = deposited(&t, 41).await;
    assert_eq!(build::build_once(&t.backend).await.unwrap(), Built::Draft);
    let (_, waiting) = of_request(&t, &second).await;
    assert!(waiting.estimated_seconds.is_some(), "{waiting:?}");

    // Newest first, in pages.
    let page: Page<Proof> = t.get("/v1/proofs?limit=1").await.parse();
    assert_eq!(page.items[0].proving, waiting);
    let next = page.next.unwrap();
    let page: Page<Proof> = t
        .get(&format!("/v1/proofs?limit=1&after={next}"))
        .await
        .parse();
    assert_eq!(page.items[0].proving.state, ProvingState::Proven);
    assert_eq!(page.next, None);
    let other = t.get("/v1/proofs?state=lost").await;
    assert_eq!(other.problem(), ProblemCode::BadQuery);
}
