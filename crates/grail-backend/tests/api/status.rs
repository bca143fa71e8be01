//! The bridge's status: each reason by itself, and what it means for a new request.

use bitcoin::{OutPoint, Txid, hashes::Hash};
use grail_api::{BridgeStatus, ProblemCode, Request, ServingState, StatusCode};
use grail_backend::{admin, api::Limits, clock};
use grail_flow::Alarm;
use grail_store::{NewSettlement, StoreTx};
use grail_types::Epoch;

use super::{
    operators::{heard_of, key},
    support::{TestBackend, peg_in, peg_out},
};

/// A backend that serves.
async fn serving() -> TestBackend {
    let t = TestBackend::new().await;
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    t
}

async fn status(t: &TestBackend) -> BridgeStatus {
    t.get("/v1/status").await.parse()
}

async fn change(t: &TestBackend, change: impl AsyncFnOnce(&mut StoreTx)) {
    let mut tx = t.backend.store.begin().await.unwrap();
    change(&mut tx).await;
    tx.commit().await.unwrap();
}

/// The status holds `code` alone, and a new request is answered as it says.
async fn check(t: &TestBackend, code: StatusCode) {
    let shown = status(t).await;
    let codes: Vec<_> = shown.reasons.iter().map(|it| it.code.clone()).collect();
    assert_eq!(codes, [code]);
    assert_eq!(shown.state, code.state(), "{code}");
    assert_eq!(shown.retry_after, Some(code.retry_after()));
    let before = t.row_counts().await;
    let response = t.post("/v1/peg-ins", code.name(), &peg_in()).await;
    if code.state() == ServingState::Paused {
        assert_eq!(shown.expected_wait_seconds, None);
        assert_eq!(response.problem(), ProblemCode::Paused, "{code}");
        let seconds = code.retry_after().to_string();
        assert_eq!(response.header("retry-after"), seconds);
        assert_eq!(response.json()["retry_after"].to_string(), seconds);
        assert!(response.text.contains(code.name()), "{response:?}");
        assert_eq!(t.row_counts().await, before);
    } else {
        assert!(shown.expected_wait_seconds.is_some());
        assert_eq!(response.status, 201, "{response:?}");
        let request: Request = response.parse();
        assert_eq!(request.warnings, shown.reasons);
    }
}

#[tokio::test]
async fn a_bridge_that_is_well_serves_and_says_what_to_expect() {
    let t = serving().await;
    let shown = status(&t).await;
    assert_eq!(
        (shown.state, shown.reasons),
        (ServingState::Serving, vec![])
    );
    assert_eq!((shown.height, shown.node_height), (1, Some(1)));
    assert_eq!((shown.operators_heard, shown.operators), (4, 4));
    assert_eq!((shown.threshold, shown.epoch), (3, 0));
    assert_eq!(
        (shown.ready_requests, shown.oldest_ready_seconds),
        (0, None)
    );
    assert_eq!(
        (shown.retry_after, shown.unconfirmed_settlements),
        (None, 0)
    );
    assert!(shown.expected_wait_seconds.is_some_and(|wait| wait < 60));
    assert!(shown.fee_rate_sat_per_kvb.is_some());
    let request: Request = t.post("/v1/peg-outs", "key", &peg_out()).await.parse();
    assert_eq!(request.warnings, []);
}

#[tokio::test]
async fn an_alarm_pauses_or_warns_by_its_severity() {
    let t = serving().await;
    let look = Alarm::DeadJob {
        job: "prove:1:0".to_owned(),
        error: "http://secret-host".to_owned(),
    };
    change(&t, async |tx| {
        tx.raise_alarm(&look, 1).await.unwrap();
    })
    .await;
    check(&t, StatusCode::AlarmToSee).await;
    let t = serving().await;
    change(&t, async |tx| {
        tx.raise_alarm(&Alarm::EventLoop, 1).await.unwrap();
    })
    .await;
    check(&t, StatusCode::AlarmOpen).await;
    // The way out stays open: a balancer leaves the backend where it is.
    assert_eq!(t.get("/readyz").await.status, 200);
    assert_eq!(t.get("/livez").await.status, 200);
    change(&t, async |tx| tx.acknowledge_alarm(1, 2).await.unwrap()).await;
    assert_eq!(status(&t).await.state, ServingState::Serving);
}

async fn by_hand(t: &TestBackend, request: admin::protocol::Request) {
    admin::perform(&t.backend, 0, request).await.unwrap();
}

#[tokio::test]
async fn a_pause_by_hand_holds_at_once_says_why_and_ends_with_a_resume() {
    use admin::protocol::Request::{Pause, Resume};
    // With answers that may be two seconds old.
    let chain = serving().await.chain;
    let t = TestBackend::on(chain, Limits::default()).await;
    t.scan().await;
    assert_eq!(status(&t).await.reasons, []);
    let created = t.post("/v1/peg-ins", "before", &peg_in()).await;
    assert_eq!(created.status, 201);
    let reason = "new disks until 18:00 UTC".parse().unwrap();
    by_hand(&t, Pause { reason }).await;
    check(&t, StatusCode::PausedByHand).await;
    let shown = status(&t).await;
    assert_eq!(shown.reasons[0].detail, "new disks until 18:00 UTC");
    // What was asked for before is found, and so is the way out.
    let again = t.post("/v1/peg-ins", "before", &peg_in()).await;
    assert_eq!(again.status, 200);
    assert_eq!(t.get("/readyz").await.status, 200);
    by_hand(&t, Resume { reason: None }).await;
    assert_eq!(status(&t).await.reasons, []);
    let created = t.post("/v1/peg-ins", "after", &peg_in()).await;
    assert_eq!(created.status, 201);
}

/// Forgets evidence of all signers but the first `count`.
async fn heard(count: u8) -> TestBackend {
    let t = serving().await;
    change(&t, async |tx| {
        // Only the last one is kept, and it is a stranger's.
        let stranger = key(99);
        tx.put_evidence(&stranger, "{}", 1, u64::MAX >> 2)
            .await
            .unwrap();
    })
    .await;
    heard_of(&t.backend, 1..=count).await;
    t
}

#[tokio::test]
async fn operators_count_as_heard_of_by_young_evidence_and_a_quorum_is_needed() {
    check(&heard(2).await, StatusCode::QuorumAway).await;
    check(&heard(3).await, StatusCode::OperatorsAway).await;
    assert_eq!(status(&heard(4).await).await.reasons, []);
}

#[tokio::test]
async fn a_node_that_is_away_or_ahead_pauses_and_a_few_blocks_warn() {
    let t = serving().await;
    t.chain.set_away(true);
    check(&t, StatusCode::NodeAway).await;
    assert_eq!(status(&t).await.node_height, None);
    t.chain.set_away(false);
    for behind in 1..=8 {
        t.chain.mine(Vec::new());
        match behind {
            1 | 2 => assert_eq!(status(&t).await.reasons, []),
            3 | 6 => {
                let shown = status(&t).await;
                assert_eq!(shown.reasons[0].code, StatusCode::ScanLagging);
            }
            7 => check(&t, StatusCode::ScanBehind).await,
            _ => {}
        }
    }
    t.scan().await;
    for _ in 0..4 {
        t.chain.mine(Vec::new());
    }
    check(&t, StatusCode::ScanLagging).await;
}

/// A settlement on its way for `age` seconds, spending what number `seed` made.
async fn on_its_way(t: &TestBackend, seed: u8, age: u64) {
    change(t, async |tx| {
        let new = NewSettlement {
            epoch: Epoch(0),
            nft_input: OutPoint::new(Txid::from_byte_array([seed; 32]), 0),
            draft: b"draft",
            items: &[],
            now: clock::now() - age,
        };
        tx.create_settlement(&new).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_settlement_that_does_not_get_out_warns_and_then_pauses() {
    let t = serving().await;
    on_its_way(&t, 1, 19 * 60).await;
    assert_eq!(status(&t).await.reasons, []);
    on_its_way(&t, 2, 21 * 60).await;
    check(&t, StatusCode::LaneSlow).await;
    let t = serving().await;
    on_its_way(&t, 1, 61 * 60).await;
    check(&t, StatusCode::LaneStuck).await;
}

#[tokio::test]
async fn as_many_settlements_as_may_be_unconfirmed_are_a_wait_for_a_block() {
    let t = serving().await;
    let most = t.backend.params().settlements_unconfirmed_max;
    for seed in 1..=u8::try_from(most).unwrap() {
        assert_eq!(status(&t).await.reasons, []);
        on_its_way(&t, seed, 0).await;
    }
    check(&t, StatusCode::LaneFull).await;
    assert!(status(&t).await.expected_wait_seconds.unwrap() >= 600);
}

#[tokio::test]
async fn a_vault_below_the_supply_pauses() {
    let t = serving().await;
    super::settlement::settled(&t).await;
    super::reserves::rob(&t).await;
    check(&t, StatusCode::ReservesShort).await;
}

#[tokio::test]
async fn a_roster_that_is_not_settled_pauses() {
    let t = serving().await;
    super::reserves::lose_the_nft(&t).await;
    check(&t, StatusCode::RosterUnsettled).await;
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_not_ready_and_the_process_lives() {
    let t = serving().await;
    t.backend.store.close().await;
    assert_eq!(t.get("/livez").await.status, 200);
    let response = t.get("/readyz").await;
    assert_eq!(response.status.as_u16() / 100, 5);
}

#[tokio::test]
async fn a_backend_that_is_about_to_end_is_not_ready() {
    let t = serving().await;
    t.backend.stop();
    assert_eq!(t.get("/readyz").await.problem(), ProblemCode::Unavailable);
    assert_eq!(t.get("/livez").await.status, 200);
}
