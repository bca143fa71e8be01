//! Operators that are not there.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use grail_api::{Kind, Settlement, SettlementState, SignerOutcome};
use grail_testkit::{Cluster, ClusterConfig, User};

fn signed_count(settlement: &Settlement) -> usize {
    settlement
        .signers
        .iter()
        .filter(|signer| signer.outcome == SignerOutcome::Signed)
        .count()
}

#[test]
fn a_quorum_suffices_and_less_waits_until_one_returns() {
    let mut cluster = Cluster::start(&ClusterConfig {
        signers: 5,
        threshold: 4,
        ..ClusterConfig::default()
    });
    let user = User::new("alice");

    cluster.operators[0].kill();
    let (asked, _) = common::deposit(&cluster, &user, 100_000);
    cluster.node.mine(1);
    let settlement = cluster.until_published(Kind::PegIn, &asked.id).unwrap();
    assert_eq!(signed_count(&settlement), 4);
    cluster.settle(Kind::PegIn, &[asked.id]).unwrap();

    cluster.operators[1].stop();
    let (asked, _) = common::deposit(&cluster, &user, 100_000);
    cluster.node.mine(1);
    let waiting = cluster
        .until("three signatures", || {
            let newest = cluster.settlements()?.into_iter().next().unwrap();
            let is_it = newest.state == SettlementState::Signing && signed_count(&newest) == 3;
            Ok(is_it.then_some(newest))
        })
        .unwrap();
    // For several rounds of asking.
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        let now = cluster.api().settlement(&waiting.txid).unwrap();
        assert_eq!(now.state, SettlementState::Signing);
        std::thread::sleep(Duration::from_millis(200));
    }
    cluster.start_operator(1).unwrap();
    let paid = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    assert_eq!(paid[0].settlement.as_ref().unwrap().txid, waiting.txid);
    assert_eq!(common::books(&cluster).state.serial, 2);
    common::no_alarm(&cluster);
}

#[test]
fn a_node_that_forgets_its_mempool_delays_and_loses_nothing() {
    let mut cluster = Cluster::start(&ClusterConfig::default());
    let user = User::new("alice");
    let (asked, _) = common::deposit(&cluster, &user, 100_000);
    cluster.node.mine(1);
    cluster.until_published(Kind::PegIn, &asked.id).unwrap();
    cluster.node.restart();
    let paid = cluster
        .until("the settlement to be published again", || {
            cluster.node.mine(1);
            let status = cluster.request(Kind::PegIn, &asked.id)?;
            Ok((status.state == grail_api::RequestState::Paid).then_some(status))
        })
        .unwrap();
    assert_eq!(
        common::books(&cluster).state.supply,
        common::amount_out(&paid)
    );
    common::no_alarm(&cluster);
}
