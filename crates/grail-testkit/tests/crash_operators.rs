//! Hosts and enclaves are killed at each state of a settlement; the job is done exactly once all
//! the same.
#![allow(clippy::unwrap_used)]

mod common;

use grail_api::Kind;
use grail_testkit::cluster::{BackendConfig, Rows};
use grail_testkit::{Cluster, ClusterConfig, Hold, User};

const STATES: [&str; 6] = [
    "draft",
    "proven",
    "asked",
    "signed",
    "broadcast",
    "confirmed",
];

fn cluster() -> Cluster {
    Cluster::start(&ClusterConfig {
        has_gate: true,
        backend: BackendConfig {
            ask_seconds: 1,
            ..BackendConfig::default()
        },
        ..ClusterConfig::default()
    })
}

/// Brings a new settlement to `state` and holds it there; calls `crash`, then lets it go on.
fn at_state(cluster: &mut Cluster, rows: &Rows, state: &str, crash: impl FnOnce(&mut Cluster)) {
    match state {
        "draft" => {
            rows.until_state("draft").unwrap();
        }
        "proven" => {
            let gate = cluster.gate.as_ref().unwrap();
            gate.wait_until_held("testmempoolaccept").unwrap();
        }
        "asked" => {
            rows.until_state("asked").unwrap();
        }
        "signed" => {
            let gate = cluster.gate.as_ref().unwrap();
            gate.wait_until_held("sendrawtransaction").unwrap();
        }
        "broadcast" => {
            rows.until_state("broadcast").unwrap();
        }
        _ => {
            rows.until_state("broadcast").unwrap();
            cluster.node.mine(1);
            rows.until_state("confirmed").unwrap();
        }
    }
    crash(cluster);
    cluster.gate.as_ref().unwrap().open();
}

fn prepare(cluster: &Cluster, state: &str) {
    let gate = cluster.gate.as_ref().unwrap();
    match state {
        "proven" => gate.hold("testmempoolaccept", Hold::Before),
        "signed" => gate.hold("sendrawtransaction", Hold::Before),
        // Stopped, so that nobody has answered yet.
        "asked" => {
            for operator in &cluster.operators {
                operator.pause().unwrap();
            }
        }
        _ => {}
    }
}

fn each_state(mut crash: impl FnMut(&mut Cluster)) {
    let mut cluster = cluster();
    let rows = cluster.rows().unwrap();
    let user = User::new("alice");
    let keys: Vec<_> = public_keys(&cluster);
    let mut minted = 0;
    for (round, state) in (1..).zip(STATES) {
        prepare(&cluster, state);
        let (asked, _) = common::deposit(&cluster, &user, 100_000);
        cluster.node.mine(1);
        at_state(&mut cluster, &rows, state, &mut crash);
        let paid = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
        minted += common::amount_out(&paid[0]);
        let audit = common::books(&cluster);
        assert_eq!((audit.state.supply, audit.state.serial), (minted, round));
    }
    assert_eq!(public_keys(&cluster), keys);
    common::no_alarm(&cluster);
}

fn public_keys(cluster: &Cluster) -> Vec<bitcoin::XOnlyPublicKey> {
    cluster
        .operators
        .iter()
        .map(|operator| operator.public_key().unwrap())
        .collect()
}

#[test]
fn hosts_killed_at_each_state_return_with_their_keys_and_do_the_job_once() {
    each_state(|cluster| {
        for operator in &mut cluster.operators {
            operator.kill();
        }
        for index in 0..cluster.operators.len() {
            cluster.start_operator(index).unwrap();
        }
    });
}

#[test]
fn enclaves_killed_at_each_state_start_again_and_do_the_job_once() {
    each_state(|cluster| {
        for operator in &cluster.operators {
            let before = operator.boot_count();
            operator.kill_enclave().unwrap();
            // It may have been stood still.
            operator.resume().unwrap();
            operator.wait_for_boot(before + 1).unwrap();
        }
    });
}
