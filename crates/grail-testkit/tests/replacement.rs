//! What Bitcoin Core takes in the place of what waits, and what comes back when its floor falls.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{
    Amount, FeeRate, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    absolute::LockTime, script::PushBytesBuf, transaction::Version,
};
use grail_api::{Kind, RequestState};
use grail_chain::{Chain, RejectReason, Verdict};
use grail_flow::replacement::{
    Bid, Bundle, Decision, Lane, Market, PATIENCE_SECONDS, Waiting, decide,
};
use grail_testkit::{Cluster, ClusterConfig, Node, User};
use grail_types::{ImagesHash, Network, Params};

/// Pays to "anyone": P2WSH of `OP_TRUE`.
fn anyone() -> ScriptBuf {
    ScriptBuf::new_p2wsh(&Script::from_bytes(&[0x51]).wscript_hash())
}

/// Spends coins of anyone's: to the amounts, and with so many bytes that nobody needs.
fn spend(inputs: &[OutPoint], amounts: &[u64], padding: usize) -> Transaction {
    let input = inputs.iter().map(|outpoint| TxIn {
        previous_output: *outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::from_slice(&[[0x51]]),
    });
    let mut output: Vec<_> = amounts
        .iter()
        .map(|amount| TxOut {
            value: Amount::from_sat(*amount),
            script_pubkey: anyone(),
        })
        .collect();
    output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::new_op_return(PushBytesBuf::try_from(vec![7; padding]).unwrap()),
    });
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: input.collect(),
        output,
    }
}

fn at(transaction: &Transaction, vout: u32) -> OutPoint {
    OutPoint::new(transaction.compute_txid(), vout)
}

fn size(transaction: &Transaction) -> u64 {
    transaction.weight().to_vbytes_ceil()
}

/// Two that build on one another, some 3,000 vbytes each at 5 sat/vB, on a coin of 1,000,000 sat;
/// each pays 10,000 sat to somebody.
fn lane(nft: OutPoint) -> [(Transaction, Bundle); 2] {
    let mut left = 1_000_000;
    let mut nft = nft;
    [(); 2].map(|()| {
        let vsize = size(&spend(&[nft], &[0, 0], 3_000));
        let fee = 5 * vsize;
        left -= 10_000 + fee;
        let made = spend(&[nft], &[left, 10_000], 3_000);
        nft = at(&made, 0);
        let fee = Amount::from_sat(fee);
        (made, Bundle { fee, vsize })
    })
}

/// What a replacement must pay, by the books and by what the node knows beside them.
fn bid(node: &Node, lane: &[(Transaction, Bundle)]) -> Bid {
    let kin = node.chain().mempool_kin(&lane[0].0.compute_txid());
    let kin = kin.unwrap().unwrap();
    let ours = lane
        .iter()
        .fold(Bundle::default(), |sum, (_, bundle)| sum.with(*bundle));
    let waiting: Vec<_> = lane
        .iter()
        .map(|(_, bundle)| Waiting {
            bundle: *bundle,
            age: PATIENCE_SECONDS,
            is_late: true,
        })
        .collect();
    let lane = Lane {
        waiting: &waiting,
        is_dropped: false,
        strangers: Bundle {
            fee: kin.descendants_fee - ours.fee,
            vsize: kin.descendants_vsize - ours.vsize,
        },
        rivals: &[],
        begun: 0,
        begun_at: None,
    };
    let market = Market {
        target: FeeRate::from_sat_per_vb_u32(40),
        floor: FeeRate::from_sat_per_vb_u32(1),
        tip_height: node.height(),
    };
    let params = Params::preset(Network::Regtest, ImagesHash([0; 32]));
    match decide(&lane, &market, &params) {
        Decision::Replace(bid) => bid,
        other => panic!("expected a bid, got {other:?}"),
    }
}

/// Hangs `pin` onto the lane; what pays a satoshi less than all that goes, and for its own size as
/// little as Bitcoin Core ever asks, is refused; what is reckoned here is taken.
fn is_replaced_for_what_is_reckoned(pin: impl FnOnce(&Node, &[(Transaction, Bundle)], OutPoint)) {
    let node = Node::start();
    let nft = node.fund(&anyone(), Amount::from_sat(1_000_000));
    let funds = node.fund(&anyone(), Amount::from_sat(3_000_000));
    let strangers = node.fund(&anyone(), Amount::from_sat(300_000));
    node.mine(1);
    let lane = lane(nft);
    for (transaction, bundle) in &lane {
        assert_eq!(size(transaction), bundle.vsize);
        node.send(transaction);
    }
    pin(&node, &lane, strangers);
    let bid = bid(&node, &lane);
    let pays = |fee: u64| spend(&[nft, funds], &[4_000_000 - fee], 5_000);
    let made = pays(0);
    let (vsize, weight) = (size(&made), made.weight());
    let too_little = bid.replaced.to_sat() + vsize / 10 - 1;
    let verdict = node.test_accept(&pays(too_little));
    let Verdict::Rejected { reason, words } = verdict else {
        panic!("expected a refusal, got {verdict:?}");
    };
    assert_eq!(reason, RejectReason::Conflict, "{words}");
    let at_rate = bid.rate.fee_vb(vsize).unwrap();
    let enough = bid.fee_min(weight).unwrap().max(at_rate);
    let made = pays(enough.to_sat());
    node.send(&made);
    let left = node.chain().mempool_txids().unwrap();
    assert_eq!(left, [made.compute_txid()]);
}

#[test]
fn what_waits_is_replaced_for_its_fees_and_its_own_size() {
    is_replaced_for_what_is_reckoned(|_, _, _| {});
}

#[test]
fn a_large_child_of_somebody_who_was_paid_is_paid_for() {
    is_replaced_for_what_is_reckoned(|node, lane, funds| {
        let inputs = [at(&lane[0].0, 1), funds];
        let vsize = size(&spend(&inputs, &[0], 54_000));
        node.send(&spend(&inputs, &[310_000 - 265_000], 54_000));
        assert!(vsize > 54_000);
    });
}

#[test]
fn two_and_twenty_tiny_children_are_paid_for() {
    is_replaced_for_what_is_reckoned(|node, lane, _| {
        let (mut parent, mut left) = (at(&lane[1].0, 1), 10_000);
        for _ in 0..22 {
            left -= 300;
            let child = spend(&[parent], &[left], 0);
            node.send(&child);
            parent = at(&child, 0);
        }
    });
}

#[test]
fn a_settlement_below_the_nodes_floor_comes_back_when_that_falls() {
    let mut cluster = Cluster::start(&ClusterConfig::default());
    let user = User::new("alice");
    let (asked, _) = common::deposit(&cluster, &user, 100_000);
    cluster.node.mine(1);
    cluster.until_published(Kind::PegIn, &asked.id).unwrap();
    let arguments = cluster.node.extra_args().to_vec();
    let mut dear = arguments.clone();
    dear.push("-minrelaytxfee=0.001".to_owned());
    cluster.node.restart_with(dear);
    assert_eq!(cluster.node.chain().mempool_txids().unwrap(), []);
    // Blocks come and go without it: it stays published as far as the rows go.
    for _ in 0..3 {
        cluster.node.mine(1);
    }
    let status = cluster.request(Kind::PegIn, &asked.id).unwrap();
    assert_eq!(status.state, RequestState::Settling);
    cluster.node.restart_with(arguments);
    let paid = cluster
        .until("the settlement to come back", || {
            cluster.node.mine(1);
            let status = cluster.request(Kind::PegIn, &asked.id)?;
            Ok((status.state == RequestState::Paid).then_some(status))
        })
        .unwrap();
    assert_eq!(
        common::books(&cluster).state.supply,
        common::amount_out(&paid)
    );
    common::no_alarm(&cluster);
}

#[test]
fn a_settlement_that_would_race_a_reclaim_is_replaced_in_the_mempool() {
    let cluster = Cluster::start(&ClusterConfig::default());
    let (late, _) = common::deposit(&cluster, &User::new("alice"), 100_000);
    cluster.node.mine(1);
    let old = cluster.until_published(Kind::PegIn, &late.id).unwrap().txid;
    let chain = cluster.node.chain();
    let others: Vec<_> = ["bob", "carol", "dave", "erin"]
        .iter()
        .map(|name| common::deposit(&cluster, &User::new(name), 100_000).0.id)
        .collect();
    let waiting = chain.mempool_txids().unwrap().into_iter();
    let deposits: Vec<_> = waiting
        .filter(|txid| *txid != old)
        .map(|txid| chain.mempool_tx(&txid).unwrap().unwrap())
        .collect();
    // Reclaimable after 24 blocks, and too close to that 6 before.
    for _ in 0..17 {
        cluster.node.mine_empty();
    }
    cluster.node.mine_only(&deposits);
    cluster
        .until("the replacement", || {
            let left = chain.mempool_txids()?;
            Ok((left.len() == 1 && left != [old]).then_some(()))
        })
        .unwrap();
    cluster
        .until_request(Kind::PegIn, &late.id, RequestState::Reclaimable)
        .unwrap();
    let paid = cluster.settle(Kind::PegIn, &others).unwrap();
    let minted: u64 = paid.iter().map(common::amount_out).sum();
    let books = common::books(&cluster);
    assert_eq!((books.state.supply, books.state.serial), (minted, 1));
    common::no_alarm(&cluster);
}
