//! A hostile backend gets nothing signed.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::Amount;
use grail_api::Kind;
use grail_testkit::cluster::BackendConfig;
use grail_testkit::hostile::{Draft, HostileBackend, attacks, refusal_on};
use grail_testkit::{Cluster, ClusterConfig, User};
use grail_types::Network;
use grail_wire::{RefusalCode, Verdict};

#[test]
fn every_attack_is_refused_by_every_operator_with_its_code() {
    let backend = BackendConfig::default();
    let mut cluster = Cluster::start(&ClusterConfig::default());
    let (alice, bob, thief) = (User::new("alice"), User::new("bob"), User::new("thief"));
    let (first, _) = common::deposit(&cluster, &alice, 1_000_000);
    cluster
        .node
        .fund(&alice.script(), Amount::from_sat(100_000));
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[first.id]).unwrap();

    let peg_out = alice.ask_peg_out(&cluster.api()).unwrap();
    let (peg_in, _) = common::deposit(&cluster, &bob, 500_000);
    cluster.backend.stop().unwrap();
    let own = cluster
        .node
        .fund(&thief.script(), Amount::from_sat(1_000_000));
    let to = [(peg_out.deposit_script.clone(), 300_000)];
    let transfer = alice
        .transfer(&cluster.ledger().unwrap(), cluster.protocol(), &to)
        .unwrap();
    cluster.node.send(&transfer);
    cluster.node.mine(1);

    let hostile = HostileBackend::listen(cluster.backend.broker(), 4).unwrap();
    let roster = &cluster.deployment.roster;
    let ledger = cluster.ledger().unwrap();
    let audit = ledger.audit(&cluster.deployment).unwrap();
    let asked = [peg_out.clone(), peg_in.clone()];
    let honest = Draft::honest(&ledger, &audit, &cluster.deployment, &asked).unwrap();
    assert_eq!(honest.contract_refuses().unwrap(), None);
    let proposal = honest.propose().unwrap();
    let verdicts = hostile.ask(&proposal, roster, 4).unwrap();
    assert!(
        verdicts
            .values()
            .all(|verdict| matches!(verdict, Verdict::Contributed(_)))
    );
    for attack in attacks(&honest, &ledger, own, &thief.script()).unwrap() {
        hostile.attempt(&attack, roster, 4).unwrap();
    }
    for network in [Network::Signet, Network::Testnet4, Network::Mainnet] {
        let code = refusal_on(network, cluster.protocol(), &proposal).unwrap();
        assert_eq!(code, RefusalCode::MockSpell, "{network}");
    }
    drop(hostile);

    cluster.start_backend(&backend).unwrap();
    cluster.settle(Kind::PegIn, &[peg_in.id]).unwrap();
    cluster.settle(Kind::PegOut, &[peg_out.id]).unwrap();
    common::books(&cluster);
    common::no_alarm(&cluster);
}
