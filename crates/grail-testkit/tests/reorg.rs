//! Blocks that are taken back.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{Amount, BlockHash};
use grail_api::{Kind, RequestState, SettlementState};
use grail_testkit::cluster::BackendConfig;
use grail_testkit::{Cluster, ClusterConfig, User};

/// Takes the newest blocks back up to and with `hash`, and puts as many empty ones and one more in
/// their place.
fn replace_blocks(cluster: &Cluster, hash: &BlockHash) {
    let before = cluster.node.height();
    cluster.node.invalidate(hash);
    while cluster.node.height() <= before {
        cluster.node.mine_empty();
    }
}

fn patient() -> ClusterConfig {
    ClusterConfig {
        backend: BackendConfig {
            batch_seconds: 3,
            ..BackendConfig::default()
        },
        ..ClusterConfig::default()
    }
}

#[test]
fn a_deposit_whose_block_is_taken_back_is_settled_once_it_is_mined_again() {
    let cluster = Cluster::start(&patient());
    let user = User::new("alice");
    let (asked, outpoint) = common::deposit(&cluster, &user, 100_000);
    let block = cluster.node.mine(1).remove(0);
    cluster
        .until_request(Kind::PegIn, &asked.id, RequestState::Ready)
        .unwrap();
    replace_blocks(&cluster, &block);
    let status = cluster
        .until_request(Kind::PegIn, &asked.id, RequestState::Unconfirmed)
        .unwrap();
    let deposit = status.deposit.unwrap();
    assert_eq!(
        (deposit.outpoint, deposit.confirmations, deposit.height),
        (outpoint, 0, None)
    );
    cluster.node.mine(1);
    let paid = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    let audit = common::books(&cluster);
    assert_eq!(audit.state.supply, common::amount_out(&paid[0]));
    assert_eq!(audit.state.serial, 1);
    common::no_alarm(&cluster);
}

#[test]
fn a_deposit_that_a_reorg_replaces_has_the_others_settled_again() {
    let cluster = Cluster::start(&patient());
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    cluster
        .node
        .fund(&bob.script(), Amount::from_sat(1_000_000));
    cluster.node.mine(1);
    let (asked, _) = common::deposit(&cluster, &alice, 100_000);
    cluster.node.mine(1);

    // Bob pays his deposit from a coin that he spends otherwise later on.
    let cheated = bob.ask_peg_in(&cluster.api()).unwrap();
    let ledger = cluster.ledger().unwrap();
    let pay = |to, sat| bob.pay(&ledger, to, Amount::from_sat(sat)).unwrap();
    let deposit = pay(cheated.deposit_script.clone(), 200_000);
    let instead = pay(alice.script(), 300_000);
    cluster.node.send(&deposit);
    let block = cluster.node.mine(1).remove(0);
    let first = cluster.until_published(Kind::PegIn, &asked.id).unwrap();
    assert_eq!(first.requests.len(), 2);

    let before = cluster.node.height();
    cluster.node.invalidate(&block);
    cluster.node.mine_only(&[instead]);
    while cluster.node.height() <= before {
        cluster.node.mine_empty();
    }
    cluster
        .until("the first settlement to be given up", || {
            let now = cluster.api().settlement(&first.txid)?;
            Ok((now.state == SettlementState::Abandoned).then_some(()))
        })
        .unwrap();
    cluster
        .until_request(Kind::PegIn, &cheated.id, RequestState::AwaitingDeposit)
        .unwrap();
    let second = cluster.until_published(Kind::PegIn, &asked.id).unwrap();
    assert_eq!(second.requests, [asked.id]);
    assert_ne!(second.txid, first.txid);
    let paid = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    let audit = common::books(&cluster);
    assert_eq!(audit.state.supply, common::amount_out(&paid[0]));
    assert_eq!(audit.state.serial, 1);
    common::no_alarm(&cluster);
}

#[test]
fn a_settlement_whose_block_is_taken_back_is_mined_again_and_pays_once() {
    let cluster = Cluster::start(&ClusterConfig::default());
    let user = User::new("alice");
    let (asked, _) = common::deposit(&cluster, &user, 100_000);
    cluster.node.mine(1);
    let settlement = cluster.until_published(Kind::PegIn, &asked.id).unwrap();

    // Confirmed, then not.
    let block = cluster.node.mine(1).remove(0);
    let with = |confirmations: u32| {
        cluster
            .until("the settlement's confirmations", || {
                let now = cluster.api().settlement(&settlement.txid)?;
                Ok((now.confirmations == confirmations).then_some(now))
            })
            .unwrap()
    };
    with(1);
    replace_blocks(&cluster, &block);
    assert_eq!(with(0).state, SettlementState::Published);

    // Final, then not.
    let blocks = cluster.node.mine(cluster.params().settlement_confirmations);
    cluster
        .until_request(Kind::PegIn, &asked.id, RequestState::Paid)
        .unwrap();
    replace_blocks(&cluster, &blocks[0]);
    assert_eq!(with(0).state, SettlementState::Published);
    let status = cluster.request(Kind::PegIn, &asked.id).unwrap();
    assert_eq!(status.state, RequestState::Settling);

    let paid = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    assert_eq!(paid[0].settlement.as_ref().unwrap().txid, settlement.txid);
    let audit = common::books(&cluster);
    assert_eq!(audit.state.supply, common::amount_out(&paid[0]));
    assert_eq!(audit.state.serial, 1);
    common::no_alarm(&cluster);
}

#[test]
fn a_reorg_of_deposit_and_settlement_ends_in_the_same_books() {
    let cluster = Cluster::start(&ClusterConfig::default());
    let user = User::new("alice");
    let (first, _) = common::deposit(&cluster, &user, 100_000);
    let block = cluster.node.mine(1).remove(0);
    cluster.until_published(Kind::PegIn, &first.id).unwrap();
    let (second, _) = common::deposit(&cluster, &user, 150_000);
    cluster.node.mine(1);
    cluster.until_published(Kind::PegIn, &second.id).unwrap();
    cluster.node.mine(1);
    replace_blocks(&cluster, &block);
    // Everything is in the mempool again, the deposits too.
    let paid = cluster
        .until("both to be paid", || {
            cluster.node.mine(1);
            let all = [&first, &second].map(|asked| cluster.request(Kind::PegIn, &asked.id));
            let all: Vec<_> = all.into_iter().collect::<Result<_, _>>()?;
            let is_paid = all.iter().all(|status| status.state == RequestState::Paid);
            Ok(is_paid.then_some(all))
        })
        .unwrap();
    let audit = common::books(&cluster);
    assert_eq!(
        audit.state.supply,
        paid.iter().map(common::amount_out).sum::<u64>()
    );
    assert_eq!(audit.state.serial, 2);
    common::no_alarm(&cluster);
}
