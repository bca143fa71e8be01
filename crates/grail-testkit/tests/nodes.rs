//! Several real nodes as one chain: one that is gone, one that lags, one on another branch.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use grail_chain::{
    Auth, BitcoinCore, BlockSource as _, CALL_TIMEOUT, Chain as _, ChainError, Cursor, Nodes,
    ScanError, Step, View, next_step,
};
use grail_testkit::Node;
use serde_json::{Value, json};

fn as_one(nodes: &[&Node]) -> Nodes<BitcoinCore> {
    let cores = nodes.iter().map(|node| {
        let auth = Auth::Cookie(node.cookie_path());
        Arc::new(BitcoinCore::new(&node.rpc_url(), auth, CALL_TIMEOUT).unwrap())
    });
    Nodes::new("regtest", cores.collect())
}

/// Shows `to` the newest blocks of `from`, as a peer would.
fn show(from: &Node, to: &Node) {
    for height in 1..=from.height() {
        let hash = from.chain().block_hash(height).unwrap().unwrap();
        if to
            .chain()
            .header(&hash)
            .unwrap()
            .is_none_or(|it| !it.is_in_best_chain)
        {
            let block = from.chain().block(&hash).unwrap().unwrap();
            let _: Value = to
                .rpc()
                .call("submitblock", &[json!(serialize_hex(&block))])
                .unwrap();
        }
    }
    assert_eq!(from.tip(), to.tip());
}

/// Two nodes with one chain.
fn two() -> (Node, Node) {
    let (one, other) = (Node::start(), Node::start());
    one.mine(1);
    show(&one, &other);
    (one, other)
}

/// A reader that has seen the newest block.
fn cursor(node: &Node) -> Cursor {
    let tip = node.tip();
    let recent = (tip.height - 5..=tip.height).map(|height| {
        let hash = node.chain().block_hash(height).unwrap().unwrap();
        grail_chain::BlockRef { height, hash }
    });
    Cursor::restore(tip.height - 5, recent).unwrap()
}

fn code(outcome: Result<Step, ScanError>) -> &'static str {
    match outcome.unwrap_err() {
        ScanError::Chain(error) => error.code(),
        ScanError::ReorgTooDeep { .. } => "reorg-too-deep",
    }
}

#[test]
fn a_node_that_lags_decides_nothing_also_when_the_other_one_goes() {
    let (mut one, other) = two();
    let nodes = as_one(&[&one, &other]);
    assert_eq!(nodes.tip().unwrap(), one.tip());
    let coin = one.fund(&anyone(), Amount::from_sat(50_000));
    one.mine(1);
    let (newest, seen) = (one.tip(), cursor(&one));
    assert_eq!(nodes.tip().unwrap(), newest);
    assert_eq!(next_step(&seen, &nodes).unwrap(), Step::UpToDate);
    assert!(nodes.tx_out(&coin, View::Confirmed).unwrap().is_some());

    // The one that is left has not seen that block, and would know nothing of the coin.
    one.kill();
    assert_eq!(nodes.tip().unwrap_err().code(), "nodes-behind");
    assert_eq!(code(next_step(&seen, &nodes)), "nodes-behind");
    let error = nodes.tx_out(&coin, View::Confirmed).unwrap_err();
    assert_eq!(error.code(), "nodes-behind");
    // What decides nothing is answered all the same.
    assert!(nodes.mempool_txids().unwrap().is_empty());

    // A rival of equal work is no better; one with more is the chain.
    other.mine(1);
    assert_eq!(nodes.tip().unwrap_err().code(), "nodes-behind");
    other.mine(1);
    assert_eq!(nodes.tip().unwrap(), other.tip());
    let stepped = next_step(&seen, &nodes).unwrap();
    assert!(
        matches!(stepped, Step::Rewind { to: Some(_) }),
        "{stepped:?}"
    );

    // Back with its lost branch, the first decides nothing, and follows in the end.
    one.restart();
    assert_eq!(nodes.tip().unwrap(), other.tip());
    show(&other, &one);
    let mut third = other;
    third.kill();
    assert_eq!(nodes.tip().unwrap(), one.tip());
}

#[test]
fn branches_of_equal_work_are_waited_for_until_one_has_more() {
    let (one, other) = two();
    let nodes = as_one(&[&one, &other]);
    let coin = one.fund(&anyone(), Amount::from_sat(50_000));
    one.mine(1);
    show(&one, &other);
    let seen = cursor(&one);
    nodes.tip().unwrap();

    // A payment makes its block another one: empty ones are equal to the byte.
    one.fund(&anyone(), Amount::from_sat(50_000));
    one.mine(1);
    other.mine(1);
    assert_ne!(one.tip(), other.tip());
    let error = nodes.tip().unwrap_err();
    assert!(matches!(error, ChainError::NodesDisagree { .. }), "{error}");
    assert_eq!(code(next_step(&seen, &nodes)), "nodes-disagree");
    let error = nodes.tx_out(&coin, View::Confirmed).unwrap_err();
    assert_eq!(error.code(), "nodes-disagree");
    // A transaction goes to both meanwhile.
    let sent = spend(coin);
    nodes.send(&sent).unwrap();
    for node in [&one, &other] {
        let known = node.chain().mempool_tx(&sent.compute_txid()).unwrap();
        assert_eq!(known.as_ref(), Some(&sent));
    }
    nodes.send(&sent).unwrap();

    other.mine(1);
    assert_eq!(nodes.tip().unwrap(), other.tip());
    let stepped = next_step(&seen, &nodes).unwrap();
    assert!(matches!(stepped, Step::Connect { .. }), "{stepped:?}");
}

#[test]
fn a_node_of_another_network_is_none() {
    let node = Node::start();
    let auth = Auth::Cookie(node.cookie_path());
    let core = BitcoinCore::new(&node.rpc_url(), auth, CALL_TIMEOUT).unwrap();
    let nodes = Nodes::new("main", vec![Arc::new(core)]);
    assert_eq!(nodes.tip().unwrap_err().code(), "node-bad-answer");
}

/// Pays to "anyone": P2WSH of `OP_TRUE`, spendable by showing the script.
fn anyone() -> ScriptBuf {
    ScriptBuf::new_p2wsh(&anyone_script().wscript_hash())
}

fn anyone_script() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51])
}

fn spend(coin: OutPoint) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: coin,
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::from_slice(&[anyone_script().as_bytes()]),
            ..TxIn::default()
        }],
        output: vec![TxOut {
            value: Amount::from_sat(40_000),
            script_pubkey: anyone(),
        }],
    }
}
