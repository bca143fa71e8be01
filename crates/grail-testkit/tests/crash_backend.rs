//! The backend is killed at each state of a settlement; the job is done exactly once all the same.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use grail_api::{Kind, RequestState};
use grail_testkit::cluster::{BackendConfig, Rows};
use grail_testkit::{Cluster, ClusterConfig, Hold, User};

/// The call that looks at a transaction, and the one that sends it.
const TEST: &str = "testmempoolaccept";
const SEND: &str = "sendrawtransaction";

const BACKEND: BackendConfig = BackendConfig {
    batch_seconds: 0,
    ask_seconds: 1,
    lease_seconds: 1,
};

struct Scene {
    cluster: Cluster,
    rows: Rows,
    user: User,
    round: u64,
    minted: u64,
}

impl Scene {
    fn new() -> Self {
        let cluster = Cluster::start(&ClusterConfig {
            has_gate: true,
            backend: BACKEND,
            ..ClusterConfig::default()
        });
        let rows = cluster.rows().unwrap();
        Self {
            cluster,
            rows,
            user: User::new("alice"),
            round: 0,
            minted: 0,
        }
    }

    fn state(&self) -> &'static str {
        self.rows.newest().unwrap().unwrap().state.name()
    }

    /// One peg-in. `crash` is called with its deposit mined and leaves the backend dead, and the
    /// settlement in the state that it names.
    fn round(&mut self, state: &str, crash: impl FnOnce(&mut Self)) {
        let (asked, _) = common::deposit(&self.cluster, &self.user, 100_000 + self.round);
        self.cluster.node.mine(1);
        crash(self);
        assert!(!self.cluster.backend.is_running());
        assert_eq!(self.state(), state);
        self.cluster.gate.as_ref().unwrap().turn_away();
        self.cluster.start_backend(&BACKEND).unwrap();
        let paid = self.cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
        self.minted += common::amount_out(&paid[0]);
        self.round += 1;
        let audit = common::books(&self.cluster);
        assert_eq!(audit.state.supply, self.minted);
        assert_eq!(audit.state.serial, self.round);
    }

    fn hold(&self, method: &str, hold: Hold) {
        self.cluster.gate.as_ref().unwrap().hold(method, hold);
    }

    fn kill_when_held(&mut self, method: &str) {
        let gate = self.cluster.gate.as_ref().unwrap();
        gate.wait_until_held(method).unwrap();
        self.cluster.backend.kill();
    }

    fn pause_operators(&self) {
        for operator in &self.cluster.operators {
            operator.pause().unwrap();
        }
    }

    fn resume_operators(&self) {
        for operator in &self.cluster.operators {
            operator.resume().unwrap();
        }
    }

    /// Every settlement of the rows is final, with one in the chain for each.
    fn end(self) {
        let settlements = self.rows.settlements().unwrap();
        let names: BTreeSet<_> = settlements.iter().map(|one| one.state.name()).collect();
        assert_eq!(names, BTreeSet::from(["final"]));
        assert_eq!(settlements.len() as u64, self.round);
        common::no_alarm(&self.cluster);
    }
}

#[test]
fn a_backend_killed_before_a_quorum_has_signed_finishes_exactly_once() {
    let mut scene = Scene::new();
    // Killed within the milliseconds that a draft lives; proven meanwhile would be another state
    // than named.
    scene.hold(TEST, Hold::Before);
    scene.round("draft", |scene| {
        scene.rows.until_state("draft").unwrap();
        scene.cluster.backend.kill();
    });
    scene.hold(TEST, Hold::Before);
    scene.round("proven", |scene| scene.kill_when_held(TEST));
    scene.hold(TEST, Hold::After);
    scene.round("proven", |scene| scene.kill_when_held(TEST));
    // Asked, and nobody has answered.
    scene.pause_operators();
    scene.round("asked", |scene| {
        scene.rows.until_state("asked").unwrap();
        scene.cluster.backend.kill();
        scene.resume_operators();
    });
    // Asked, and a quorum's signatures are in the rows.
    scene.pause_operators();
    scene.round("asked", |scene| {
        scene.rows.until_state("asked").unwrap();
        scene.hold(TEST, Hold::Before);
        scene.resume_operators();
        scene.kill_when_held(TEST);
    });
    scene.end();
}

#[test]
fn a_backend_killed_after_a_quorum_has_signed_finishes_exactly_once() {
    let mut scene = Scene::new();
    scene.hold(SEND, Hold::Before);
    scene.round("signed", |scene| {
        scene.kill_when_held(SEND);
        assert_eq!(mempool_count(&scene.cluster), 0);
    });
    // The node has it, and the backend has not heard so.
    scene.hold(SEND, Hold::After);
    scene.round("signed", |scene| {
        scene.kill_when_held(SEND);
        assert_eq!(mempool_count(&scene.cluster), 1);
    });
    scene.round("broadcast", |scene| {
        scene.rows.until_state("broadcast").unwrap();
        scene.cluster.backend.kill();
    });
    // The block comes while nobody looks.
    scene.round("broadcast", |scene| {
        scene.rows.until_state("broadcast").unwrap();
        scene.cluster.backend.kill();
        scene.cluster.node.mine(1);
    });
    scene.round("confirmed", |scene| {
        scene.rows.until_state("broadcast").unwrap();
        scene.cluster.node.mine(1);
        scene.rows.until_state("confirmed").unwrap();
        scene.cluster.backend.kill();
    });
    // Final, and the request not paid by the time that anybody asks: one step did both.
    scene.round("final", |scene| {
        scene.rows.until_state("broadcast").unwrap();
        scene
            .cluster
            .node
            .mine(scene.cluster.params().settlement_confirmations);
        scene
            .cluster
            .until("it to be final", || {
                Ok((scene.state() == "final").then_some(()))
            })
            .unwrap();
        scene.cluster.backend.kill();
    });
    scene.end();
}

fn mempool_count(cluster: &Cluster) -> usize {
    use grail_chain::Chain as _;
    cluster.node.chain().mempool_txids().unwrap().len()
}

#[test]
fn a_backend_killed_again_and_again_pays_everybody_exactly_once() {
    let mut scene = Scene::new();
    let mut asked = Vec::new();
    for round in 0..12 {
        let (one, _) = common::deposit(&scene.cluster, &scene.user, 100_000 + round);
        asked.push(one.id);
        scene.cluster.node.mine(1);
        // Anywhere in the life of one settlement or another.
        std::thread::sleep(Duration::from_millis(fastrand::u64(0..1_200)));
        scene.cluster.backend.kill();
        scene.cluster.start_backend(&BACKEND).unwrap();
    }
    let paid = scene
        .cluster
        .until("everybody to be paid", || {
            // A block for each settlement, and no more: deposits age.
            if mempool_count(&scene.cluster) > 0 {
                scene
                    .cluster
                    .node
                    .mine(scene.cluster.params().settlement_confirmations);
            }
            let all: Vec<_> = asked
                .iter()
                .map(|id| scene.cluster.request(Kind::PegIn, id))
                .collect::<Result<_, _>>()?;
            let is_paid = all.iter().all(|status| status.state == RequestState::Paid);
            Ok(is_paid.then_some(all))
        })
        .unwrap();
    let audit = common::books(&scene.cluster);
    assert_eq!(
        audit.state.supply,
        paid.iter().map(common::amount_out).sum::<u64>()
    );
    // One output of zkBTC for each request: nobody got twice.
    assert_eq!(audit.tokens.len(), asked.len());
    scene.round = audit.state.serial;
    scene.end();
}
