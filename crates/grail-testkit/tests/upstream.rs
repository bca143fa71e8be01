//! The main job with upstream's own prover server, which is paid for its work.
//!
//! Runs where `CHARMS_EXE` names the server (`cargo xtask test --slow prover-server`), and is
//! skipped elsewhere.
#![allow(clippy::unwrap_used)]

#[path = "common/mod.rs"]
mod common;

use bitcoin::{Address, Amount, Network, ScriptBuf, TxOut};
use common::{amount_out, books, deposit, no_alarm};
use grail_api::Kind;
use grail_fixtures::upstream::{Upstream, program};
use grail_testkit::{Cluster, ClusterConfig, User};

#[test]
fn upstreams_server_proves_deployment_peg_in_and_peg_out_and_is_paid() {
    let Some(program) = program() else { return };
    let script = ScriptBuf::from_hex("0014751e76e8199196d454941c45d1b3a323f1433bd6").unwrap();
    let address = Address::from_script(&script, Network::Regtest)
        .unwrap()
        .to_string();
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("fee.yaml");
    std::fs::write(
        &settings,
        format!("fee_addresses:\n  bitcoin:\n    regtest: {address}\nfee_rate: 0\nfee_base: 700\n"),
    )
    .unwrap();
    let upstream = Upstream::start(&program, Some(&settings));
    let options = [
        ["--prover", "charms"],
        ["--prover-url", upstream.url()],
        ["--prover-timeout", "300"],
        ["--prover-fee-address", &address],
        ["--prover-fee-base", "700"],
        ["--prover-fee-max", "1000"],
    ];
    let cluster = Cluster::start(&ClusterConfig {
        prover: options.concat().into_iter().map(str::to_owned).collect(),
        params: |params| params.prover_fee_max = Amount::from_sat(1_000),
        ..ClusterConfig::default()
    });
    let paid_to_prover = |txid| {
        let transaction = cluster
            .ledger()
            .unwrap()
            .transaction(&txid)
            .unwrap()
            .clone();
        let [.., fee, spell] = transaction.output.as_slice() else {
            panic!("too few outputs");
        };
        let expected = TxOut {
            value: Amount::from_sat(1_000),
            script_pubkey: script.clone(),
        };
        assert!(spell.script_pubkey.is_op_return());
        assert_eq!(*fee, expected);
    };

    let alice = User::new("alice");
    let (asked, _) = deposit(&cluster, &alice, 1_000_000);
    cluster
        .node
        .fund(&alice.script(), Amount::from_sat(100_000));
    cluster.node.mine(1);
    let paid = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    let minted = amount_out(&paid[0]);
    assert_eq!(books(&cluster).state.supply, minted);
    paid_to_prover(paid[0].settlement.as_ref().unwrap().txid);

    let asked = alice.ask_peg_out(&cluster.api()).unwrap();
    let everything = [(asked.deposit_script.clone(), minted)];
    let transfer = alice
        .transfer(&cluster.ledger().unwrap(), cluster.protocol(), &everything)
        .unwrap();
    cluster.node.send(&transfer);
    cluster.node.mine(1);
    let paid = cluster.settle(Kind::PegOut, &[asked.id]).unwrap();
    assert_eq!(books(&cluster).state.supply, 0);
    paid_to_prover(paid[0].settlement.as_ref().unwrap().txid);
    no_alarm(&cluster);
}
