//! The limit on what leaves, with Bitcoin's own clock: a node holds a settlement to the age that it
//! claims.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{Amount, Sequence};
use grail_api::{Kind, LimitCode, RequestState, SettlementState};
use grail_chain::{Chain, RejectReason, Verdict};
use grail_testkit::{CliWallet, Cluster, ClusterConfig};
use grail_types::ParamsValues;

const CAP: u64 = 300_000;
const RATE: u64 = 10_000;
/// What leaves first, and what is then too much by a little more than two blocks let go of.
const FIRST: u64 = 200_000;
const SECOND: u64 = 125_000;
/// Blocks of age that the second needs.
const NEEDED: u16 = 3;

fn small(params: &mut ParamsValues) {
    params.deposit_max = Amount::from_sat(CAP);
    params.outflow_cap = Amount::from_sat(CAP);
    params.outflow_rate = Amount::from_sat(RATE);
    params.supply_max = Amount::from_sat(65_535 * RATE);
}

fn sat(amount: u64) -> Amount {
    Amount::from_sat(amount)
}

/// Waits until the backend has read the node's newest block.
fn read(cluster: &Cluster) {
    let height = cluster.node.height();
    cluster
        .until("the newest block to be read", || {
            Ok((cluster.api().status()?.height == height).then_some(()))
        })
        .unwrap();
}

#[test]
fn a_claim_of_one_block_too_much_waits_for_that_block() {
    let cluster = Cluster::start(&ClusterConfig {
        params: small,
        ..ClusterConfig::default()
    });
    let node = &cluster.node;
    let alice = CliWallet::init(&cluster, "alice").unwrap();
    node.fund(&alice.script().unwrap(), sat(5_000_000));
    node.mine(1);
    let pegged = [0; 2].map(|_| {
        let pegged = alice.peg_in(sat(CAP)).unwrap();
        node.mine(1);
        pegged.id
    });
    cluster.settle(Kind::PegIn, &pegged).unwrap();
    let first = alice.peg_out(sat(FIRST)).unwrap();
    node.mine(1);
    let first = cluster.until_published(Kind::PegOut, &first.id).unwrap();
    let made_at = node.mine(1).remove(0);
    read(&cluster);

    // The second waits, is told why, and goes when the coin is old enough.
    let second = alice.peg_out(sat(SECOND)).unwrap();
    let deposited_at = node.mine(1).remove(0);
    let deposit = node.block(&deposited_at).txdata.remove(1);
    read(&cluster);
    let waits = cluster.request(Kind::PegOut, &second.id).unwrap();
    let wait = waits.outflow_wait.unwrap();
    assert_eq!((wait.code, wait.blocks), (LimitCode::OutflowLimit, Some(1)));
    assert_eq!(waits.state, RequestState::Ready);
    node.mine_empty();
    let settled = cluster.until_published(Kind::PegOut, &second.id).unwrap();
    let late = node.chain().mempool_tx(&settled.txid).unwrap().unwrap();
    assert_eq!(late.input[0].sequence, Sequence::from_height(NEEDED));

    // The blocks come anew, and the coin a block later: one less than is claimed.
    let settlement = node.block(&made_at).txdata.remove(1);
    assert_eq!(settlement.compute_txid(), first.txid);
    node.invalidate(&made_at);
    node.mine_empty();
    node.mine_only(&[settlement, deposit]);
    node.mine_empty();
    let refused = |verdict: Verdict| match verdict {
        Verdict::Rejected { reason, words } => (reason, words),
        other => panic!("{other:?}"),
    };
    let (reason, words) = refused(node.test_accept(&late));
    assert_eq!(reason, RejectReason::NonFinal, "{words}");
    assert!(words.starts_with("non-BIP68-final"), "{words}");
    read(&cluster);
    cluster
        .until("the node's no to be heard", || {
            let heard = cluster.log_tails().contains("non-BIP68-final");
            Ok(heard.then_some(()))
        })
        .unwrap();
    let now = cluster.api().settlement(&settled.txid).unwrap();
    assert_eq!(now.state, SettlementState::Published);
    let waits = cluster.request(Kind::PegOut, &second.id).unwrap();
    assert_eq!((waits.state, waits.code), (RequestState::Settling, None));

    // One block more, and the same transaction is taken and mined.
    node.mine_empty();
    cluster
        .until("the settlement to come back", || {
            Ok(node.chain().mempool_tx(&settled.txid)?.map(|_| ()))
        })
        .unwrap();
    let paid = cluster.settle(Kind::PegOut, &[second.id]).unwrap();
    assert_eq!(paid[0].settlement.as_ref().unwrap().txid, settled.txid);
    let audit = common::books(&cluster);
    let level = FIRST + SECOND - u64::from(NEEDED) * RATE;
    assert_eq!(audit.state.outflow, level);
    common::no_alarm(&cluster);
}
