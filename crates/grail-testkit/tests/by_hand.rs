//! What people do by hand to a bridge that runs: its operators' brakes, and the backend's socket.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use grail_api::{Kind, ServingState, SettlementState, StatusCode};
use grail_testkit::{Cluster, ClusterConfig, User};
use serde_json::Value;

/// A brake of operator `number`, set by its own program beside the one that runs.
fn brake(cluster: &Cluster, number: usize, arguments: &[&str]) {
    let state = cluster.folder().join(cluster.operators[number].name());
    let mut command = Command::new(cluster.programs.host());
    let status = command.args(arguments).arg("--state").arg(state).status();
    assert!(status.unwrap().success());
}

/// Asks the backend that runs.
fn admin(cluster: &Cluster, arguments: &[&str]) -> Value {
    let database = format!("sqlite:{}", cluster.backend.database().display());
    let mut command = Command::new(cluster.programs.backend());
    command.args(["admin", "--json", "--database", &database]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// For so long nothing else is seen: several looks of every role.
fn stays(mut look: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        assert!(look());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn operators_that_brake_hold_up_a_settlement_and_nobody_loses_by_it() {
    let cluster = Cluster::start(&ClusterConfig {
        signers: 5,
        threshold: 4,
        ..ClusterConfig::default()
    });
    let user = User::new("alice");
    for number in [0, 1] {
        brake(&cluster, number, &["pause", "--reason", "new disks"]);
    }
    let (asked, _) = common::deposit(&cluster, &user, 100_000);
    cluster.node.mine(1);
    let braked = || {
        let roster = cluster.api().roster().unwrap();
        let brakes = roster.signers.into_iter().filter_map(|it| it.fail_safe);
        brakes.map(|brake| brake.code).collect::<Vec<_>>()
    };
    cluster
        .until("both brakes to be told", || {
            Ok((braked() == ["operator-paused"; 2]).then_some(()))
        })
        .unwrap();
    stays(|| {
        let newest = cluster.settlements().unwrap().into_iter().next();
        newest.is_some_and(|it| it.state == SettlementState::Signing)
    });
    brake(&cluster, 0, &["resume"]);
    cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    assert_eq!(braked(), ["operator-paused"]);
    common::books(&cluster);
    common::no_alarm(&cluster);
}

#[test]
fn a_backend_paused_by_hand_plans_nothing_and_goes_on_where_it_was() {
    let cluster = Cluster::start(&ClusterConfig::default());
    let user = User::new("alice");
    let (first, _) = common::deposit(&cluster, &user, 100_000);
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[first.id]).unwrap();
    let (second, _) = common::deposit(&cluster, &user, 100_000);
    admin(&cluster, &["pause", "--reason", "new disks"]);
    assert!(user.ask_peg_in(&cluster.api()).is_err());
    cluster.node.mine(1);
    cluster
        .until("the deposit to be ready", || {
            let ready = cluster.api().status()?.ready_requests;
            Ok((ready == 1).then_some(()))
        })
        .unwrap();
    let status = cluster.api().status().unwrap();
    assert_eq!(status.state, ServingState::Paused);
    assert_eq!(status.reasons[0].code, StatusCode::PausedByHand);
    stays(|| cluster.settlements().unwrap().len() == 1);

    // Blocks are read again meanwhile, and nothing is paid twice.
    let height = status.height;
    let from = (height - 3).to_string();
    admin(&cluster, &["rescan", "--from-height", &from]);
    cluster
        .until("the blocks to be read again", || {
            let standing = admin(&cluster, &["status"]);
            let is_done = standing["rescan_from"].is_null() && standing["height"] == height;
            Ok(is_done.then_some(()))
        })
        .unwrap();
    admin(&cluster, &["resume"]);
    cluster.settle(Kind::PegIn, &[second.id]).unwrap();
    let log = admin(&cluster, &["log"]);
    let actions: Vec<_> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["action"])
        .collect();
    assert_eq!(actions, ["resume", "rescan", "pause"]);
    assert_eq!(common::books(&cluster).state.serial, 2);
    common::no_alarm(&cluster);
}
