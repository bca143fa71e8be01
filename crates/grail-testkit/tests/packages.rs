//! What Bitcoin Core makes of a parent below its mempool's floor: alone, and with the child that
//! pays for both.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{
    Amount, FeeRate, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    absolute::LockTime, script::PushBytesBuf, transaction::Version,
};
use grail_api::{Kind, RequestState};
use grail_chain::{Chain, ErrorKind, SendError};
use grail_testkit::{Cluster, ClusterConfig, Node, NodeOptions, Tale, User};
use serde_json::json;

/// The smallest mempool that Bitcoin Core takes, MB.
const SMALL: &str = "-maxmempool=5";
/// More large transactions than that holds.
const FILLERS: usize = 70;
/// Bytes that nobody needs in each.
const FILLER_BYTES: usize = 90_000;

/// Pays to "anyone": P2WSH of `OP_TRUE`.
fn anyone() -> ScriptBuf {
    ScriptBuf::new_p2wsh(&Script::from_bytes(&[0x51]).wscript_hash())
}

/// Spends a coin of anyone's of so many satoshis, at a rate, with so many bytes that nobody needs;
/// `witness` opens it, or does not.
fn spend(coin: OutPoint, value: u64, rate: FeeRate, padding: usize, witness: u8) -> Transaction {
    let mut made = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: coin,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::from_slice(&[[witness]]),
        }],
        output: vec![
            TxOut {
                value: Amount::ZERO,
                script_pubkey: anyone(),
            },
            TxOut {
                value: Amount::ZERO,
                script_pubkey: ScriptBuf::new_op_return(
                    PushBytesBuf::try_from(vec![7; padding]).unwrap(),
                ),
            },
        ],
    };
    let fee = rate.fee_wu(made.weight()).unwrap();
    made.output[0].value = Amount::from_sat(value) - fee;
    made
}

const fn per_kwu(rate: u64) -> FeeRate {
    FeeRate::from_sat_per_kwu(rate)
}

/// Coins to fill a mempool with.
fn fillers(node: &Node) -> Vec<OutPoint> {
    let output = TxOut {
        value: Amount::from_sat(1_000_000),
        script_pubkey: anyone(),
    };
    node.fund_many(&vec![output; FILLERS])
}

/// Fills a mempool until nothing at this rate gets in any more; the floor then.
fn fill(node: &Node, fillers: &[OutPoint], rate: FeeRate) -> FeeRate {
    for coin in fillers {
        let filler = spend(*coin, 1_000_000, rate, FILLER_BYTES, 0x51);
        match node.chain().send(&filler) {
            Ok(_) => {}
            Err(SendError::FeeTooLow { .. }) => {
                return node.chain().mempool_min_fee_rate().unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("a mempool that is never full");
}

fn code(outcome: Result<bitcoin::Txid, SendError>) -> &'static str {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    error.code()
}

#[test]
fn a_parent_below_the_mempools_floor_is_taken_with_its_child_and_only_so() {
    let node = Node::start_with(NodeOptions {
        extra_args: vec![SMALL.to_owned()],
        ..NodeOptions::default()
    });
    let fillers = fillers(&node);
    let coin = node.fund(&anyone(), Amount::from_sat(1_000_000));
    node.mine(1);
    let floor = fill(&node, &fillers, per_kwu(500));
    assert!(floor > per_kwu(500));
    let chain = node.chain();
    let parent = spend(coin, 1_000_000, per_kwu(250), 2_000, 0x51);
    let on = |parent: &Transaction, rate, witness| {
        let coin = OutPoint::new(parent.compute_txid(), 0);
        spend(coin, parent.output[0].value.to_sat(), rate, 2_000, witness)
    };
    // Both pay half as much as this one.
    let rich = on(&parent, per_kwu(4 * floor.to_sat_per_kwu()), 0x51);
    let poor = on(&parent, floor, 0x51);
    assert_eq!(code(chain.send(&parent)), "transaction-fee-too-low");
    assert_eq!(code(chain.send(&rich)), "transaction-missing-inputs");
    assert_eq!(
        code(chain.send_package(&parent, &poor)),
        "transaction-fee-too-low"
    );
    // Without its own parent there, it is no package.
    let next = on(&rich, per_kwu(4 * floor.to_sat_per_kwu()), 0x51);
    let refused = chain.send_package(&rich, &next).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Transient, "{refused}");
    // Somebody else's fault is not the parent's.
    let spoiled = on(&parent, per_kwu(4 * floor.to_sat_per_kwu()), 0x50);
    assert!(chain.send_package(&parent, &spoiled).is_err());
    let names = [&parent, &rich].map(Transaction::compute_txid);
    for txid in names {
        assert_eq!(chain.mempool_tx(&txid).unwrap(), None);
    }
    // Once, and again.
    for _ in 0..2 {
        assert_eq!(chain.send_package(&parent, &rich).unwrap(), names[0]);
    }
    for transaction in [&parent, &rich] {
        assert_eq!(chain.send(transaction).unwrap(), transaction.compute_txid());
        let there = chain.mempool_tx(&transaction.compute_txid()).unwrap();
        assert_eq!(there.as_ref(), Some(transaction));
    }
    // Now the next one's parent is there, and its own too.
    assert_eq!(chain.send_package(&rich, &next).unwrap(), names[1]);
    node.mine(10);
    for transaction in [&parent, &rich] {
        assert!(matches!(
            chain.send(transaction),
            Err(SendError::AlreadyConfirmed | SendError::MissingInputs { .. })
        ));
    }
}

#[test]
fn a_parent_below_the_relay_minimum_is_lifted_or_called_too_cheap() {
    let node = Node::start();
    let coin = node.fund(&anyone(), Amount::from_sat(1_000_000));
    node.mine(1);
    let parent = spend(coin, 1_000_000, per_kwu(1), 2_000, 0x51);
    let coin = OutPoint::new(parent.compute_txid(), 0);
    let left = parent.output[0].value.to_sat();
    let child = spend(coin, left, per_kwu(5_000), 2_000, 0x51);
    assert_eq!(code(node.chain().send(&parent)), "transaction-fee-too-low");
    let outcome = node.chain().send_package(&parent, &child);
    // Versions differ.
    let is_lifted = outcome.is_ok();
    if !is_lifted {
        assert_eq!(code(outcome), "transaction-fee-too-low");
    }
    let there = node.chain().mempool_txids().unwrap();
    assert_eq!(there.len(), if is_lifted { 2 } else { 0 });
}

/// The lane's oldest pays 1 sat/vB, and the one above it for both at 1.45; a full mempool begins
/// between.
#[test]
fn what_a_full_mempool_refuses_comes_back_with_the_one_that_pays_for_it() {
    let mut cluster = Cluster::start(&ClusterConfig {
        has_gate: true,
        ..ClusterConfig::default()
    });
    let fillers = fillers(&cluster.node);
    let (first, _) = common::deposit(&cluster, &User::new("alice"), 100_000);
    cluster.node.mine(1);
    let parent = cluster.until_published(Kind::PegIn, &first.id).unwrap();
    let mut requests = vec![first.id];
    for name in ["bob", "carol", "dave", "erin"] {
        requests.push(common::deposit(&cluster, &User::new(name), 100_000).0.id);
    }
    let estimate = json!({ "feerate": 0.000_014_5, "blocks": 6 });
    let say = Tale::Result(estimate);
    cluster.gate.as_ref().unwrap().say("estimatesmartfee", say);
    let chain = cluster.node.chain();
    let waiting = chain.mempool_txids().unwrap().into_iter();
    let deposits: Vec<_> = waiting
        .filter(|txid| *txid != parent.txid)
        .map(|txid| chain.mempool_tx(&txid).unwrap().unwrap())
        .collect();
    cluster.node.mine_only(&deposits);
    let child = cluster.until_published(Kind::PegIn, &requests[1]).unwrap();
    assert_ne!(child.txid, parent.txid);
    let both = [parent.txid, child.txid].map(|txid| chain.mempool_tx(&txid).unwrap().unwrap());
    // The child pays for both.
    let kin = chain.mempool_kin(&parent.txid).unwrap().unwrap();
    assert_eq!(kin.descendants, 2);
    assert!(kin.descendants_fee >= per_kwu(362).fee_vb(kin.descendants_vsize).unwrap());

    cluster.gate.as_ref().unwrap().shut();
    let mut arguments = cluster.node.extra_args().to_vec();
    arguments.push(SMALL.to_owned());
    cluster.node.restart_with(arguments);
    let floor = fill(&cluster.node, &fillers, per_kwu(265));
    assert!(floor < per_kwu(360), "{floor}");
    let chain = cluster.node.chain();
    assert_eq!(code(chain.send(&both[0])), "transaction-fee-too-low");
    cluster.gate.as_ref().unwrap().be_honest();
    cluster
        .until("both settlements to come back", || {
            let there = [parent.txid, child.txid].map(|txid| chain.mempool_tx(&txid));
            Ok(there
                .into_iter()
                .all(|found| found.is_ok_and(|found| found.is_some()))
                .then_some(()))
        })
        .unwrap();
    for id in &requests {
        let paid = cluster
            .until("the requests to be paid", || {
                cluster.node.mine(1);
                let status = cluster.request(Kind::PegIn, id)?;
                Ok((status.state == RequestState::Paid).then_some(status))
            })
            .unwrap();
        assert!(common::amount_out(&paid) > 0);
    }
    common::no_alarm(&cluster);
}
