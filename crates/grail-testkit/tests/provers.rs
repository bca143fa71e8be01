//! A prover that is gone, stands still, lags, refuses or lies, and a whole bridge.
#![allow(clippy::unwrap_used)]

mod common;

use grail_api::{Kind, RequestState};
use grail_flow::Severity;
use grail_testkit::{Cluster, ClusterConfig, ProverLie, ProverServer, User};

/// Times that the backend asks before the prover comes to its senses.
const ASKED: u64 = 2;

#[test]
fn whatever_a_prover_does_nobody_is_turned_away_and_all_are_paid() {
    let prover = ProverServer::start().unwrap();
    let cluster = Cluster::start(&ClusterConfig {
        prover: prover.options(),
        ..ClusterConfig::default()
    });
    let alice = User::new("alice");
    let mut minted = 0;
    let mut settle = |sat| {
        let (asked, _) = common::deposit(&cluster, &alice, sat);
        cluster.node.mine(1);
        let paid = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
        minted += common::amount_out(&paid[0]);
    };
    // Something to lie with.
    settle(100_000);
    for (lie, sat) in ProverLie::ALL.into_iter().zip(100_001..) {
        let (asked, _) = common::deposit(&cluster, &alice, sat);
        prover.lie(lie);
        let before = prover.asked();
        cluster.node.mine(1);
        if lie == ProverLie::Lags {
            // It only takes its time: nobody need do anything.
            let paid = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
            minted += common::amount_out(&paid[0]);
            continue;
        }
        cluster
            .until("the prover to be asked", || {
                Ok((prover.asked() >= before + ASKED).then_some(()))
            })
            .unwrap();
        let status = cluster.request(Kind::PegIn, &asked.id).unwrap();
        assert!(
            matches!(status.state, RequestState::Settling | RequestState::Ready),
            "{lie:?}: {status:?}"
        );
        prover.be_honest();
        let paid = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
        minted += common::amount_out(&paid[0]);
    }
    assert_eq!(common::books(&cluster).state.supply, minted);
    let stops = cluster.rows().unwrap().alarms().unwrap().into_iter();
    let stops = stops.filter(|alarm| alarm.code.severity() == Severity::Stop);
    assert_eq!(stops.count(), 0);
}
