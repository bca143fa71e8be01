//! A backend that lost its database, on a real node: rebuilt from blocks and receipts, it serves.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;

use bitcoin::Amount;
use grail_api::{Kind, RequestState, RestoreRequest};
use grail_testkit::cluster::BackendConfig;
use grail_testkit::{CliWallet, Cluster, ClusterConfig, Pegged, User};
use serde_json::Value;

/// Runs `rebuild` on an empty database; what it printed.
fn rebuild(cluster: &Cluster, receipts: &Path) -> Value {
    let mut command = Command::new(cluster.programs.backend());
    command
        .args(["rebuild", "--deployment"])
        .arg(cluster.folder().join("deployment.json"))
        .arg("--database")
        .arg(format!("sqlite:{}", cluster.backend.database().display()))
        .args(["--node-url", &cluster.node.rpc_url(), "--node-cookie"])
        .arg(cluster.node.cookie_path())
        .arg("--receipts")
        .arg(receipts);
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn wipe(cluster: &Cluster) {
    let database = cluster.backend.database();
    for end in ["", "-wal", "-shm"] {
        let mut name = database.clone().into_os_string();
        name.push(end);
        let _ = std::fs::remove_file(name);
    }
    assert!(!database.exists());
}

#[test]
fn a_wiped_backend_is_rebuilt_and_settles() {
    let mut cluster = Cluster::start(&ClusterConfig::default());
    let user = User::new("alice");
    let (paid, _) = common::deposit(&cluster, &user, 100_000);
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[paid.id]).unwrap();
    let (open, _) = common::deposit(&cluster, &user, 100_001);
    let (late, late_deposit) = common::deposit(&cluster, &user, 100_002);
    let status = |id| cluster.request(Kind::PegIn, id).unwrap();
    let (before, opened, lated) = (status(&paid.id), status(&open.id), status(&late.id));
    let receipts = cluster.folder().join("receipts");
    std::fs::create_dir(&receipts).unwrap();
    for status in [&before, &opened] {
        let path = receipts.join(format!("{}.json", status.id));
        std::fs::write(path, serde_json::to_vec(&status.receipt).unwrap()).unwrap();
    }
    cluster.backend.stop().unwrap();
    cluster.node.mine(1);
    wipe(&cluster);

    let rebuilt = rebuild(&cluster, &receipts);
    assert_eq!(rebuilt["height"], cluster.node.height());
    assert_eq!(rebuilt["settlements"], 1);
    assert_eq!(rebuilt["requests"], 2);
    assert_eq!(rebuilt["receipts_left"], 0);

    cluster.start_backend(&BackendConfig::default()).unwrap();
    let shown = cluster.request(Kind::PegIn, &paid.id).unwrap();
    assert_eq!(shown.state, RequestState::Paid);
    assert_eq!(
        shown.settlement,
        before.settlement.map(|settlement| {
            // Blocks have come since.
            let confirmations = shown.settlement.as_ref().unwrap().confirmations;
            grail_api::RequestSettlement {
                confirmations,
                ..settlement
            }
        })
    );
    // One that comes while the backend runs.
    let body = RestoreRequest {
        receipt: lated.receipt,
        deposit: Some(late_deposit),
    };
    cluster
        .until("the receipt to be taken", || {
            Ok(cluster.api().restore(&body).ok())
        })
        .unwrap();
    let paid = cluster.settle(Kind::PegIn, &[open.id, late.id]).unwrap();
    let minted: u64 = paid.iter().map(common::amount_out).sum();
    let first = common::amount_out(&shown);
    let audit = common::books(&cluster);
    assert_eq!(audit.state.supply, first + minted);
    common::no_alarm(&cluster);
}

#[test]
fn a_wallets_receipts_bring_its_requests_back() {
    let mut cluster = Cluster::start(&ClusterConfig::default());
    let alice = CliWallet::init(&cluster, "alice").unwrap();
    let script = alice.script().unwrap();
    for _ in 0..2 {
        cluster.node.fund(&script, Amount::from_sat(5_000_000));
    }
    cluster.node.mine(1);
    let paid = alice.peg_in(Amount::from_sat(1_000_000)).unwrap();
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[paid.id]).unwrap();
    let open = alice.peg_in(Amount::from_sat(1_000_001)).unwrap();
    cluster.backend.stop().unwrap();
    cluster.node.mine(1);
    wipe(&cluster);
    cluster.start_backend(&BackendConfig::default()).unwrap();

    assert_eq!(
        alice.fail(&["status", &open.id.to_string()]).unwrap(),
        "not-found"
    );
    // By default what is open: the other one is settled.
    let sent: Value = cluster
        .until("the receipts to be taken", || {
            Ok(alice.run(&["receipts", "send"]).ok())
        })
        .unwrap();
    let of = |request: &Pegged| {
        sent["receipts"].as_array().and_then(|receipts| {
            let id = request.id.to_string();
            receipts.iter().find(|receipt| receipt["id"] == *id)
        })
    };
    assert_eq!(of(&open).unwrap()["outcome"], "restored", "{sent}");
    assert!(of(&paid).is_none(), "{sent}");
    assert_eq!(sent["left_out"], 1);
    let served = cluster.settle(Kind::PegIn, &[open.id]).unwrap();
    assert!(common::amount_out(&served[0]) > 0);

    // What is named is handed in whatever became of it, and again without harm.
    let file = paid.receipt_file.to_str().unwrap();
    for outcome in ["restored", "known"] {
        let sent: Value = alice.run(&["receipts", "send", file]).unwrap();
        assert_eq!(sent["receipts"][0]["outcome"], outcome, "{sent}");
        assert_eq!(sent["receipts"][0]["state"], "paid", "{sent}");
    }
    common::books(&cluster);
    common::no_alarm(&cluster);
}
