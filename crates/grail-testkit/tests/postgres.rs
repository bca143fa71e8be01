//! A whole bridge whose backend has its rows on PostgreSQL, which dies in the middle.
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;

use bitcoin::Amount;
use grail_api::Kind;
use grail_postgres_dev::{Durability, Server};
use grail_testkit::{Cluster, ClusterConfig, User};

fn start() -> (Server, Cluster) {
    let server = Server::start(Durability::Kept).unwrap();
    server.create("grail").unwrap();
    let cluster = Cluster::start(&ClusterConfig {
        database: Some(server.url("grail")),
        ..ClusterConfig::default()
    });
    (server, cluster)
}

#[test]
fn the_main_job_is_done_on_postgresql_by_one_backend_at_a_time() {
    let (_server, cluster) = start();
    let api = cluster.api();
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    let (asked, _) = common::deposit(&cluster, &alice, 1_000_000);
    cluster
        .node
        .fund(&alice.script(), Amount::from_sat(100_000));
    cluster.node.fund(&bob.script(), Amount::from_sat(100_000));
    cluster.node.mine(1);
    let paid = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    let minted = common::amount_out(&paid[0]);
    assert_eq!(common::books(&cluster).state.supply, minted);

    let pay = |from: &User, to, amount| {
        let ledger = cluster.ledger().unwrap();
        let transfer = from
            .transfer(&ledger, cluster.protocol(), &[(to, amount)])
            .unwrap();
        cluster.node.send(&transfer);
        cluster.node.mine(1);
    };
    pay(&alice, bob.script(), 400_000);
    let asked = bob.ask_peg_out(&api).unwrap();
    pay(&bob, asked.deposit_script.clone(), 300_000);
    cluster.settle(Kind::PegOut, &[asked.id]).unwrap();
    assert_eq!(common::books(&cluster).state.supply, minted - 300_000);
    common::no_alarm(&cluster);

    // A second one would have a hub that no operator is on: it does not start.
    let second = Command::new(cluster.programs.backend())
        .args(["run", "--deployment"])
        .arg(cluster.folder().join("deployment.json"))
        .args(["--database", &cluster.backend.database_url()])
        .args(["--node-url", &cluster.node.rpc_url(), "--node-cookie"])
        .arg(cluster.node.cookie_path())
        .arg("--wasm")
        .arg(grail_testkit::bridge_wasm())
        .args(["--broker", "127.0.0.1:0", "--api", "127.0.0.1:0"])
        .args(["--metrics", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let words = String::from_utf8_lossy(&second.stderr);
    assert!(words.contains("another backend runs"), "{words}");
}

#[test]
fn a_database_that_dies_in_every_state_of_a_settlement_loses_nothing() {
    let (server, cluster) = start();
    let rows = cluster.rows().unwrap();
    let alice = User::new("alice");
    let mut minted = 0;
    let states = ["draft", "proven", "asked", "signed", "broadcast"];
    for (round, state) in (0..).zip(states) {
        let (asked, _) = common::deposit(&cluster, &alice, 100_000 + round);
        cluster.node.mine(1);
        rows.until_state(state).unwrap();
        server.stop_immediately().unwrap();
        // The process lives without it.
        assert!(cluster.backend.is_running());
        server.start_again().unwrap();
        let paid = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
        minted += common::amount_out(&paid[0]);
        let audit = common::books(&cluster);
        assert_eq!(audit.state.supply, minted);
        assert_eq!(audit.state.serial, round + 1);
    }
    assert!(cluster.backend.is_running());
    let settlements = rows.settlements().unwrap();
    assert_eq!(settlements.len(), states.len());
    assert!(settlements.iter().all(|one| one.state.name() == "final"));
    common::no_alarm(&cluster);
}
