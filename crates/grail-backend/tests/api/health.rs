//! `/healthz` and `/metrics`.

use std::collections::BTreeMap;

use grail_api::{Health, HealthStatus};
use grail_backend::board;
use grail_flow::{Alarm, RequestStage, SettlementStage};

use super::{
    operators::show_up,
    support::{Response, TestBackend, peg_in},
};

fn parts(response: &Response) -> (HealthStatus, BTreeMap<String, HealthStatus>) {
    let health: Health = serde_json::from_str(&response.text).unwrap();
    let expected = if health.status == HealthStatus::Failing {
        503
    } else {
        200
    };
    assert_eq!(response.status, expected);
    let components = health.components.into_iter();
    (
        health.status,
        components.map(|part| (part.name, part.status)).collect(),
    )
}

#[tokio::test]
async fn health_follows_operators_from_failing_over_degraded_to_ok() {
    let t = TestBackend::new().await;
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let (status, components) = parts(&t.get("/healthz").await);
    assert_eq!(status, HealthStatus::Failing);
    assert_eq!(components["operators"], HealthStatus::Failing);
    let others = components.iter().filter(|(name, _)| *name != "operators");
    assert!(
        others
            .clone()
            .all(|(_, status)| *status == HealthStatus::Ok)
    );
    for name in ["database", "node", "scan", "alarms", "reserves"] {
        assert!(components.contains_key(name), "{name}");
    }
    show_up(&t.backend, &[1, 2, 3]).await;
    let (status, components) = parts(&t.get("/healthz").await);
    assert_eq!(status, HealthStatus::Degraded);
    assert_eq!(components["operators"], HealthStatus::Degraded);
    show_up(&t.backend, &[4]).await;
    assert_eq!(parts(&t.get("/healthz").await).0, HealthStatus::Ok);
}

#[tokio::test]
async fn strangers_with_good_evidence_do_not_count_as_operators() {
    let t = TestBackend::new().await;
    show_up(&t.backend, &[20, 21, 22, 23]).await;
    let (_, components) = parts(&t.get("/healthz").await);
    assert_eq!(components["operators"], HealthStatus::Failing);
}

#[tokio::test]
async fn health_names_the_part_that_is_not_well() {
    let t = TestBackend::new().await;
    t.chain.set_away(true);
    let response = t.get("/healthz").await;
    assert!(!response.text.contains("secret-host"), "{response:?}");
    let (_, components) = parts(&response);
    assert_eq!(components["node"], HealthStatus::Failing);
    assert_eq!(components["database"], HealthStatus::Ok);

    t.backend.health.failed("scan");
    t.backend.health.running("build");
    let mut tx = t.backend.store.begin().await.unwrap();
    let look = Alarm::DeadJob {
        job: "prove:1:0".to_owned(),
        error: "a test".to_owned(),
    };
    tx.raise_alarm(&look, 1).await.unwrap();
    tx.commit().await.unwrap();
    let (_, components) = parts(&t.get("/healthz").await);
    assert_eq!(components["alarms"], HealthStatus::Degraded);
    let mut tx = t.backend.store.begin().await.unwrap();
    tx.raise_alarm(&Alarm::EventLoop, 1).await.unwrap();
    tx.commit().await.unwrap();
    let (_, components) = parts(&t.get("/healthz").await);
    assert_eq!(components["role-scan"], HealthStatus::Failing);
    assert_eq!(components["role-build"], HealthStatus::Ok);
    assert_eq!(components["alarms"], HealthStatus::Failing);
}

#[tokio::test]
async fn a_scan_that_lags_is_degraded() {
    let t = TestBackend::new().await;
    t.scan().await;
    for _ in 0..3 {
        t.chain.mine(Vec::new());
    }
    let (_, components) = parts(&t.get("/healthz").await);
    assert_eq!(components["scan"], HealthStatus::Degraded);
}

#[tokio::test]
async fn metrics_have_every_state_once_and_nothing_that_strangers_name() {
    let t = TestBackend::new().await;
    t.scan().await;
    t.post("/v1/peg-ins", "key-1", &peg_in()).await;
    t.backend.health.failed("scan");
    let response = t.metrics().await;
    assert!(response.header("content-type").starts_with("text/plain"));
    let lines: Vec<_> = response.text.lines().collect();
    let has = |line: &str| lines.iter().filter(|other| **other == line).count() == 1;
    for state in RequestStage::ALL {
        let count = u8::from(*state == RequestStage::AwaitingDeposit);
        assert!(has(&format!("grail_requests{{state=\"{state}\"}} {count}")));
    }
    for state in SettlementStage::ALL {
        assert!(has(&format!("grail_settlements{{state=\"{state}\"}} 0")));
    }
    for line in [
        "grail_node_up 1",
        "grail_node_tip_height 0",
        "grail_scanned_height 0",
        "grail_operators 0",
        "grail_alarms_open{severity=\"stop\"} 0",
        "grail_alarms_open{severity=\"look\"} 0",
        "grail_alarms_open_by_code{code=\"reorg-too-deep\"} 0",
        "grail_alarms_seen_total{code=\"reorg-too-deep\"} 0",
        "grail_operators_braked{code=\"operator-paused\"} 0",
        "grail_alarms_seen_total{code=\"other\"} 0",
        "grail_supply_sat 0",
        "grail_vault_sat 0",
        "grail_donations_sat 0",
        "grail_ready_requests 0",
        "grail_oldest_ready_request_age_seconds 0",
        "grail_proofs_by_state{state=\"queued\"} 0",
        "grail_proofs_by_state{state=\"abandoned\"} 0",
        "grail_proofs_total{outcome=\"made\"} 0",
        "grail_proofs_total{outcome=\"interrupted\"} 0",
        "grail_proving_seconds_sum 0.000",
        "grail_proving_seconds_count 0",
        "grail_proof_queue 0",
        "grail_oldest_queued_proof_age_seconds 0",
        "grail_role_up{role=\"scan\"} 0",
        "grail_role_failures_total{role=\"scan\"} 1",
    ] {
        assert!(has(line), "{line}\n{}", response.text);
    }
    // Each metric is described once, and all of them are on the board.
    let described = lines.iter().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut described: Vec<_> = described.filter_map(|it| it.split(' ').next()).collect();
    described.sort_unstable();
    let board: serde_json::Value = serde_json::from_str(&board::grafana()).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let shown = panels.filter(|panel| panel["type"] == "timeseries");
    let mut shown: Vec<_> = shown.filter_map(|panel| panel["title"].as_str()).collect();
    shown.sort_unstable();
    assert_eq!(described, shown);
}
