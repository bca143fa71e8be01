//! A node that prunes, and a backend that must read what it has dropped.
#![allow(clippy::unwrap_used)]

mod common;

use std::process::{Command, Output};

use grail_api::Kind;
use grail_chain::{BlockSource as _, Chain as _, ChainError};
use grail_flow::AlarmCode;
use grail_testkit::cluster::BackendConfig;
use grail_testkit::{Cluster, ClusterConfig, User};

/// The node drops whole files of some two hundred blocks, and keeps the newest 288 blocks.
const BLOCKS: u32 = 600;
const KEPT: u32 = 300;

fn wipe(cluster: &Cluster) {
    let database = cluster.backend.database();
    for end in ["", "-wal", "-shm"] {
        let mut name = database.clone().into_os_string();
        name.push(end);
        let _ = std::fs::remove_file(name);
    }
    assert!(!database.exists());
}

fn rebuild(cluster: &Cluster) -> Output {
    let mut command = Command::new(cluster.programs.backend());
    command
        .args(["rebuild", "--deployment"])
        .arg(cluster.folder().join("deployment.json"))
        .arg("--database")
        .arg(format!("sqlite:{}", cluster.backend.database().display()))
        .args(["--node-url", &cluster.node.rpc_url(), "--node-cookie"])
        .arg(cluster.node.cookie_path());
    command.output().unwrap()
}

#[test]
fn a_new_database_on_a_node_that_prunes_is_told_what_is_missing() {
    let mut cluster = Cluster::start(&ClusterConfig {
        node_args: vec!["-prune=1".to_owned(), "-fastprune=1".to_owned()],
        ..ClusterConfig::default()
    });
    let (asked, deposit) = common::deposit(&cluster, &User::new("alice"), 100_000);
    let at = cluster.node.mine(1)[0];
    // A node that prunes serves a backend that keeps up with it.
    cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    let settled = cluster.node.height();
    cluster.backend.stop().unwrap();
    cluster.node.mine(BLOCKS);
    let target = cluster.node.height() - KEPT;
    let chain = cluster.node.chain();
    let pruned: u32 = chain
        .rpc()
        .call("pruneblockchain", &[target.into()])
        .unwrap();
    assert!(pruned > settled, "{pruned} of {settled}");

    // In the node's own words, whatever is asked.
    let errors = [
        chain.block(&at).unwrap_err(),
        chain.tx_in_block(&deposit.txid, &at).unwrap_err(),
        chain.spent_in_block(&deposit.txid, &at).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, ChainError::NotKept { .. }), "{error}");
        assert!(error.to_string().contains("keeps every block"), "{error}");
    }

    wipe(&cluster);
    let output = rebuild(&cluster);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{words}");
    assert!(words.contains("keeps every block"), "{words}");

    wipe(&cluster);
    cluster.start_backend(&BackendConfig::default()).unwrap();
    let alarm = cluster
        .until("the alarm", || {
            let mut alarms = cluster.rows()?.alarms()?.into_iter();
            Ok(alarms.find(|alarm| alarm.code.name() == AlarmCode::NodeLacksBlocks.name()))
        })
        .unwrap();
    assert!(
        alarm.details.contains("keeps every block"),
        "{}",
        alarm.details
    );
}
