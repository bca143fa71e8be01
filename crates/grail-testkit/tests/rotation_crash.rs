//! The backend is killed at each stage of a rotation; it is completed exactly once all the same.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::rotating::{consented, newest, sponsor, until_stage};
use grail_api::{Kind, RequestState, RotationStage};
use grail_chain::Chain as _;
use grail_testkit::cluster::{BackendConfig, Rows};
use grail_testkit::{Asked, Cluster, ClusterConfig, Hold, User};

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
}

impl Scene {
    fn new() -> Self {
        let cluster = Cluster::start(&ClusterConfig {
            has_gate: true,
            backend: BACKEND,
            ..ClusterConfig::default()
        });
        let rows = cluster.rows().unwrap();
        Self { cluster, rows }
    }

    fn state(&self) -> &'static str {
        self.rows.newest().unwrap().unwrap().state.name()
    }

    fn hold(&self, method: &str, hold: Hold) {
        self.cluster.gate.as_ref().unwrap().hold(method, hold);
    }

    /// Kills the backend when it makes a call of `method`, with the newest row in `state`.
    fn kill_when_held(&mut self, method: &str, state: &str) {
        let gate = self.cluster.gate.as_ref().unwrap();
        gate.wait_until_held(method).unwrap();
        self.kill(state);
    }

    fn kill(&mut self, state: &str) {
        self.cluster.backend.kill();
        assert_eq!(self.state(), state);
    }

    /// Starts it again, with calls of `method` held from the first one on.
    fn start_held(&mut self, method: &str, hold: Hold) {
        self.cluster.gate.as_ref().unwrap().turn_away();
        self.hold(method, hold);
        self.cluster.start_backend(&BACKEND).unwrap();
    }

    fn start(&mut self) {
        self.cluster.gate.as_ref().unwrap().turn_away();
        self.cluster.start_backend(&BACKEND).unwrap();
    }

    fn mempool_count(&self) -> usize {
        self.cluster.node.chain().mempool_txids().unwrap().len()
    }

    /// A step from its sponsor's block on, killed in each state that it passes.
    fn step(&mut self, paid: &Asked, under_way: RotationStage) {
        self.kill_when_held(TEST, "proven");
        // Asked, and nobody has answered.
        for operator in &self.cluster.operators {
            operator.pause().unwrap();
        }
        self.start();
        self.rows.until_state("asked").unwrap();
        self.kill("asked");
        for operator in &self.cluster.operators {
            operator.resume().unwrap();
        }
        // A quorum's signatures are in the rows, and nobody has put them together.
        self.start_held(TEST, Hold::Before);
        self.kill_when_held(TEST, "asked");
        self.start_held(SEND, Hold::Before);
        self.kill_when_held(SEND, "signed");
        assert_eq!(self.mempool_count(), 0);
        // The node has it, and the backend has not heard so.
        self.start_held(SEND, Hold::After);
        self.kill_when_held(SEND, "signed");
        assert_eq!(self.mempool_count(), 1);
        self.start();
        self.rows.until_state("broadcast").unwrap();
        assert_eq!(until_stage(&self.cluster, under_way).stage, under_way);
        // The block comes while nobody looks.
        self.kill("broadcast");
        self.cluster.node.mine(1);
        self.start();
        self.rows.until_state("confirmed").unwrap();
        self.kill("confirmed");
        self.start();
        let (kind, id) = (paid.kind, &paid.id);
        self.cluster.until_published(kind, id).unwrap();
    }
}

#[test]
fn a_backend_killed_at_each_stage_of_a_rotation_completes_it_once() {
    let mut scene = Scene::new();
    let payer = User::new("payer");
    let document = consented(&scene.cluster, 0);
    scene.cluster.api().submit_rotation(&document).unwrap();
    // Consented: the signed document is in the rows.
    scene.cluster.backend.kill();
    scene.start();
    until_stage(&scene.cluster, RotationStage::Consented);
    scene.hold(TEST, Hold::Before);
    let announce = sponsor(&scene.cluster, &payer, Kind::SponsorAnnounce);
    scene.cluster.node.mine(1);
    scene.step(&announce, RotationStage::Announcing);
    until_stage(&scene.cluster, RotationStage::Announced);

    // Half of the wait goes by while nobody looks.
    let execute = sponsor(&scene.cluster, &payer, Kind::SponsorExecute);
    let left = newest(&scene.cluster).blocks_left.unwrap();
    scene.cluster.backend.kill();
    scene.cluster.node.mine(left / 2);
    scene.start();
    let told = until_stage(&scene.cluster, RotationStage::Announced);
    assert_eq!(told.blocks_left, Some(left - left / 2));
    scene.hold(TEST, Hold::Before);
    scene.cluster.node.mine(left - left / 2);
    scene.step(&execute, RotationStage::Executing);
    scene
        .cluster
        .node
        .mine(scene.cluster.params().settlement_confirmations);
    let told = until_stage(&scene.cluster, RotationStage::Executed);
    assert_eq!((told.attempt, told.epoch), (1, 0));
    for (asked, kind) in [
        (&announce, Kind::SponsorAnnounce),
        (&execute, Kind::SponsorExecute),
    ] {
        let paid = RequestState::Paid;
        scene.cluster.until_request(kind, &asked.id, paid).unwrap();
    }

    // One row for each step, and one transaction: the NFT has moved twice.
    let settlements = scene.rows.settlements().unwrap();
    let names: BTreeSet<_> = settlements.iter().map(|one| one.state.name()).collect();
    assert_eq!((settlements.len(), names), (2, BTreeSet::from(["final"])));
    let ledger = scene.cluster.ledger().unwrap();
    let state = ledger.audit(&scene.cluster.deployment).unwrap().state;
    assert_eq!((state.serial, state.epoch, state.attempt), (2, 1, 1));
    assert_eq!(state.next, None);
    // And the roster serves.
    let (asked, _) = common::deposit(&scene.cluster, &payer, 100_000);
    scene.cluster.node.mine(1);
    scene.cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    common::no_alarm(&scene.cluster);
}
