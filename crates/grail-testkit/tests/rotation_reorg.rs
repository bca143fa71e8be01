//! Blocks of a rotation that are taken back: it goes back with them, and completes once.
#![allow(clippy::unwrap_used)]

mod common;

use common::rotating::{consented, newest, replace_blocks, sponsor, until_stage};
use grail_api::{Kind, RequestState, RotationStage};
use grail_testkit::{Cluster, ClusterConfig, User};

/// The roster of now, by the API, and by the rows: the epoch.
fn epoch(cluster: &Cluster) -> u64 {
    cluster.api().rotations().unwrap().basis.roster.epoch().0
}

#[test]
fn a_rotation_goes_back_and_forward_with_its_blocks_and_completes_once() {
    let cluster = Cluster::start(&ClusterConfig::default());
    let (alice, payer) = (User::new("alice"), User::new("payer"));
    let document = consented(&cluster, 0);
    cluster.api().submit_rotation(&document).unwrap();
    let announce = sponsor(&cluster, &payer, Kind::SponsorAnnounce);
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorAnnounce, &announce.id)
        .unwrap();

    // The announcement, after half of the wait: the coin's age begins where it is mined again.
    let block = cluster.node.mine(1).remove(0);
    let told = until_stage(&cluster, RotationStage::Announced);
    let (announcement, wait) = (told.announce_txid.unwrap(), told.blocks_left.unwrap());
    cluster.node.mine(wait / 2);
    let told = until_stage(&cluster, RotationStage::Announced);
    assert_eq!(told.blocks_left, Some(wait - wait / 2));
    replace_blocks(&cluster, &block);
    let told = until_stage(&cluster, RotationStage::Announcing);
    assert_eq!(told.blocks_left, None);
    cluster.node.mine(1);
    let told = until_stage(&cluster, RotationStage::Announced);
    assert_eq!(told.blocks_left, Some(wait));
    assert_eq!(told.announce_txid, Some(announcement));

    // The execution, in its first block.
    let execute = sponsor(&cluster, &payer, Kind::SponsorExecute);
    cluster.node.mine(wait);
    cluster
        .until_published(Kind::SponsorExecute, &execute.id)
        .unwrap();
    let told = until_stage(&cluster, RotationStage::Executing);
    let execution = told.execute_txid.unwrap();
    assert_eq!(epoch(&cluster), 0);
    let block = cluster.node.mine(1).remove(0);
    until_stage(&cluster, RotationStage::Executed);
    assert_eq!(epoch(&cluster), 1);
    replace_blocks(&cluster, &block);
    until_stage(&cluster, RotationStage::Executing);
    assert_eq!(epoch(&cluster), 0);

    // And once it is final, with a settlement of the new roster on it.
    let confirmations = cluster.params().settlement_confirmations;
    let first = cluster.node.mine(confirmations).remove(0);
    let told = until_stage(&cluster, RotationStage::Executed);
    assert_eq!(told.execute_txid, Some(execution));
    let (asked, _) = common::deposit(&cluster, &alice, 100_000);
    cluster.node.mine(1);
    let settled = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    replace_blocks(&cluster, &first);
    let told = until_stage(&cluster, RotationStage::Executing);
    assert_eq!((epoch(&cluster), told.execute_txid), (0, Some(execution)));
    let sponsored = cluster
        .request(Kind::SponsorExecute, &execute.id)
        .unwrap()
        .state;
    assert_eq!(sponsored, RequestState::Settling);
    let paid = cluster
        .until("all of it to be mined again", || {
            cluster.node.mine(1);
            let now = cluster.request(Kind::PegIn, &asked.id)?;
            Ok((now.state == RequestState::Paid).then_some(now))
        })
        .unwrap();
    assert_eq!(common::amount_out(&paid), common::amount_out(&settled[0]));
    let told = until_stage(&cluster, RotationStage::Executed);
    assert_eq!(told.execute_txid, Some(execution));
    assert_eq!(newest(&cluster).attempt, 1);
    let audit = common::books(&cluster);
    let state = (audit.state.serial, audit.state.epoch, audit.state.attempt);
    assert_eq!(state, (3, 1, 1));
    common::no_alarm(&cluster);
}
