//! What a backend can do that only wants a rotation never to happen: settle in every block, and do
//! nothing. Neither lengthens the wait, and any other backend hands over.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{OutPoint, Sequence};
use common::rotating::{consented, newest, sponsor, until_stage};
use grail_api::{Kind, RequestState, RotationStage};
use grail_chain::{Chain as _, View};
use grail_testkit::cluster::BackendConfig;
use grail_testkit::{Cluster, ClusterConfig, User};

/// Blocks that a coin has.
fn age(cluster: &Cluster, outpoint: OutPoint) -> u32 {
    let coin = cluster.node.chain().tx_out(&outpoint, View::Confirmed);
    coin.unwrap().unwrap().confirmations
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
fn settlements_in_every_block_lengthen_no_wait_and_others_hand_over() {
    let mut cluster = Cluster::start(&ClusterConfig::default());
    let (alice, payer) = (User::new("alice"), User::new("payer"));
    let document = consented(&cluster, 0);
    cluster.api().submit_rotation(&document).unwrap();
    let announce = sponsor(&cluster, &payer, Kind::SponsorAnnounce);
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorAnnounce, &announce.id)
        .unwrap();
    // The first of many deposits is confirmed with the announcement.
    let (mut asked, _) = common::deposit(&cluster, &alice, 100_000);
    cluster.node.mine(1);
    let told = until_stage(&cluster, RotationStage::Announced);
    let wait = told.blocks_left.unwrap();
    // Nothing is locked yet, so the coin is behind the NFT alone.
    let notice = OutPoint::new(told.announce_txid.unwrap(), 1);

    // A settlement in each block of the wait, the last one included: the NFT's coin is always new,
    // and the notice's is a block older each time.
    for passed in 1..=wait {
        cluster.until_published(Kind::PegIn, &asked.id).unwrap();
        if passed < wait {
            let sat = 100_000 + u64::from(passed);
            (asked, _) = common::deposit(&cluster, &alice, sat);
        }
        cluster.node.mine(1);
        let told = until_stage(&cluster, RotationStage::Announced);
        assert_eq!(told.blocks_left, Some(wait - passed));
        let nft = cluster.api().reserves().unwrap().nft_outpoint;
        let ages = (age(&cluster, nft), age(&cluster, notice));
        assert_eq!(ages, (1, 1 + passed));
    }
    let minted = common::books(&cluster).state.supply;

    // Nothing of what the backend does not do is missed: another one, with an empty database, the
    // chain and the signed document, hands over at once.
    cluster.backend.kill();
    wipe(&cluster);
    cluster.start_backend(&BackendConfig::default()).unwrap();
    cluster
        .until("another backend to have read the chain", || {
            let Ok(status) = cluster.api().status() else {
                return Ok(None);
            };
            Ok((status.height == cluster.node.height()).then_some(()))
        })
        .unwrap();
    assert_eq!(cluster.api().rotations().unwrap().rotations, []);
    cluster.api().submit_rotation(&document).unwrap();
    assert_eq!(newest(&cluster).blocks_left, Some(0));
    let execute = sponsor(&cluster, &payer, Kind::SponsorExecute);
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorExecute, &execute.id)
        .unwrap();
    let txid = newest(&cluster).execute_txid.unwrap();
    let execution = cluster.node.chain().mempool_tx(&txid).unwrap().unwrap();
    // NFT and vault, and the coin at exactly the age that was announced.
    assert_eq!(execution.input[2].previous_output, notice);
    let announced = u16::try_from(1 + wait).unwrap();
    let claimed = execution.input[2].sequence;
    assert_eq!(claimed, Sequence::from_height(announced));
    cluster.node.mine(cluster.params().settlement_confirmations);
    until_stage(&cluster, RotationStage::Executed);
    let audit = common::books(&cluster);
    let state = (audit.state.epoch, audit.state.serial, audit.state.supply);
    assert_eq!(state, (1, 2 + u64::from(wait), minted));
    assert_eq!(audit.state.next, None);
    let (asked, _) = common::deposit(&cluster, &alice, 250_000);
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    cluster
        .until_request(Kind::SponsorExecute, &execute.id, RequestState::Paid)
        .unwrap();
    common::no_alarm(&cluster);
}
