//! `grail-chain` on a real Bitcoin Core.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, BlockHash, FeeRate, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut,
    Txid, Witness,
};
use grail_chain::{
    Auth, BitcoinCore, BlockSource, Chain, Cursor, ErrorKind, MempoolKin, RejectReason, RpcClient,
    Step, Verdict, View, confirmations, next_step, outputs,
};
use grail_flow::COINBASE_MATURITY_BLOCKS;
use grail_testkit::Node;

/// Pays to "anyone": P2WSH of `OP_TRUE`, spendable by showing the script.
fn anyone() -> ScriptBuf {
    ScriptBuf::new_p2wsh(&anyone_script().wscript_hash())
}

fn anyone_script() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51])
}

fn spend(from: OutPoint, amount: u64, sequence: Sequence) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: from,
            script_sig: ScriptBuf::new(),
            sequence,
            witness: Witness::from_slice(&[anyone_script().as_bytes()]),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(amount),
            script_pubkey: anyone(),
        }],
    }
}

const RBF: Sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;
const NO_TXID: [u8; 32] = [7; 32];

#[test]
fn finds_a_transaction_in_the_mempool_then_in_its_block_without_an_index() {
    let node = Node::start();
    let chain = node.chain();
    let deposit = node.fund(&anyone(), Amount::from_sat(20_000));
    let in_mempool = chain.mempool_tx(&deposit.txid).unwrap().unwrap();
    assert_eq!(in_mempool.compute_txid(), deposit.txid);
    assert_eq!(chain.mempool_txids().unwrap(), [deposit.txid]);
    assert_eq!(chain.tx_out(&deposit, View::Confirmed).unwrap(), None);
    assert_eq!(
        chain
            .tx_out(&deposit, View::WithMempool)
            .unwrap()
            .unwrap()
            .confirmations,
        0
    );

    let block = node.mine(1)[0];
    assert_eq!(chain.mempool_tx(&deposit.txid).unwrap(), None);
    assert_eq!(
        chain.tx_in_block(&deposit.txid, &block).unwrap(),
        Some(in_mempool)
    );
    let status = chain.tx_out(&deposit, View::Confirmed).unwrap().unwrap();
    assert_eq!(
        (status.confirmations, status.best_block, status.is_coinbase),
        (1, block, false)
    );
}

#[test]
fn what_the_node_does_not_know_is_none_and_not_an_error() {
    let node = Node::start();
    let (chain, tip) = (node.chain(), node.tip());
    let (txid, hash) = (
        Txid::from_byte_array(NO_TXID),
        BlockHash::from_byte_array(NO_TXID),
    );
    assert_eq!(chain.mempool_tx(&txid).unwrap(), None);
    assert_eq!(chain.tx_in_block(&txid, &tip.hash).unwrap(), None);
    assert_eq!(chain.tx_in_block(&txid, &hash).unwrap(), None);
    assert_eq!(
        chain
            .tx_out(&OutPoint { txid, vout: 0 }, View::WithMempool)
            .unwrap(),
        None
    );
    assert_eq!(chain.header(&hash).unwrap(), None);
    assert_eq!(chain.block(&hash).unwrap(), None);
    assert_eq!(chain.block_hash(tip.height + 1).unwrap(), None);
    assert_eq!(chain.block_hash(u32::MAX).unwrap_or(None), None);
    assert_eq!(chain.block_hash(tip.height).unwrap(), Some(tip.hash));
}

#[test]
fn headers_say_whether_they_are_in_the_best_chain() {
    let node = Node::start();
    let lost = node.mine(1)[0];
    node.invalidate(&lost);
    node.mine_to(2, Script::from_bytes(&[0x51]));
    let lost = node.chain().header(&lost).unwrap().unwrap();
    assert_eq!((lost.height, lost.is_in_best_chain), (121, false));
    let tip = node.tip();
    let best = node.chain().header(&tip.hash).unwrap().unwrap();
    assert_eq!((best.height, best.is_in_best_chain), (122, true));
    assert_eq!(best.header.block_hash(), tip.hash);
}

/// As many as the backend counts on: see its `roles/build/room.rs`.
#[test]
fn relatives_in_the_mempool_are_counted_and_twenty_five_are_taken() {
    let node = Node::start();
    let chain = node.chain();
    let deposit = node.fund(&anyone(), Amount::from_sat(100_000));
    node.mine(1);
    let (mut parent, mut txids) = (deposit, Vec::new());
    for number in 1..=25 {
        let child = spend(parent, 100_000 - 1_000 * number, RBF);
        txids.push(node.send(&child));
        parent = OutPoint::new(child.compute_txid(), 0);
    }
    let first = chain.mempool_kin(&txids[0]).unwrap().unwrap();
    // Each pays a thousand.
    let fees = Amount::from_sat(25 * 1_000);
    let vsize = first.ancestors_vsize;
    let all = MempoolKin {
        ancestors: 1,
        ancestors_vsize: vsize,
        descendants: 25,
        descendants_vsize: 25 * vsize,
        descendants_fee: fees,
    };
    assert_eq!(first, all);
    let last = chain.mempool_kin(&txids[24]).unwrap().unwrap();
    assert_eq!((last.ancestors, last.ancestors_vsize), (25, 25 * vsize));
    assert_eq!((last.descendants, last.descendants_vsize), (1, vsize));
    node.mine(1);
    assert_eq!(chain.mempool_kin(&txids[0]).unwrap(), None);
}

#[test]
fn mempool_test_tells_fee_and_size_reason_and_what_was_not_tested() {
    let node = Node::start();
    let chain = node.chain();
    let coin = node.fund(&anyone(), Amount::from_sat(20_000));
    let good = spend(coin, 19_000, RBF);
    let child = spend(
        OutPoint {
            txid: good.compute_txid(),
            vout: 0,
        },
        18_000,
        RBF,
    );
    let tested = chain.test_mempool_accept(&[good.clone(), child]).unwrap();
    let Verdict::Accepted { vsize, fee } = &tested[0].verdict else {
        panic!("{tested:?}")
    };
    assert_eq!(
        (*vsize, fee.to_sat()),
        (u64::try_from(good.vsize()).unwrap(), 1_000)
    );
    assert!(
        matches!(tested[1].verdict, Verdict::Accepted { .. }),
        "{tested:?}"
    );

    let mut unsigned = good.clone();
    unsigned.input[0].witness = Witness::new();
    assert!(matches!(
        node.test_accept(&unsigned),
        Verdict::Rejected {
            reason: RejectReason::ScriptVerify,
            ..
        }
    ));
    let unknown = spend(
        OutPoint {
            txid: Txid::from_byte_array(NO_TXID),
            vout: 0,
        },
        1_000,
        RBF,
    );
    let Verdict::Rejected { reason, words } = node.test_accept(&unknown) else {
        panic!()
    };
    assert_eq!(reason, RejectReason::MissingInputs, "{words}");
    let tested = chain
        .test_mempool_accept(&[unsigned, spend(coin, 18_000, RBF)])
        .unwrap();
    assert!(
        !matches!(tested[0].verdict, Verdict::Accepted { .. }),
        "{tested:?}"
    );
    assert_eq!(tested.len(), 2);
    assert!(matches!(node.test_accept(&good), Verdict::Accepted { .. }));
}

#[test]
fn a_reward_can_be_spent_from_its_hundredth_confirmation_on() {
    let node = Node::start();
    let hash = node.mine_to(1, &anyone())[0];
    let made_at = node.height();
    let reward = &node.block(&hash).txdata[0];
    let outpoint = OutPoint::new(reward.compute_txid(), 0);
    let value = reward.output[0].value.to_sat();
    let early = spend(outpoint, value - 1_000, RBF);
    node.mine(u32::from(COINBASE_MATURITY_BLOCKS) - 2);
    let status = node.chain().tx_out(&outpoint, View::Confirmed).unwrap();
    let status = status.unwrap();
    assert!(status.is_coinbase);
    assert_eq!(status.confirmations, confirmations(node.height(), made_at));
    assert_eq!(status.confirmations, 99);
    let Verdict::Rejected { reason, words } = node.test_accept(&early) else {
        panic!("expected a rejection");
    };
    assert_eq!(reason, RejectReason::PrematureCoinbase, "{words}");
    node.mine(1);
    assert!(matches!(node.test_accept(&early), Verdict::Accepted { .. }));
}

#[test]
fn sending_tells_the_kinds_of_no_apart() {
    let node = Node::start();
    let chain = node.chain();
    let coin = node.fund(&anyone(), Amount::from_sat(20_000));
    node.mine(1);
    let code = |transaction: &Transaction| chain.send(transaction).unwrap_err().code();

    let no_coin = OutPoint {
        txid: Txid::from_byte_array(NO_TXID),
        vout: 0,
    };
    assert_eq!(
        code(&spend(no_coin, 1_000, RBF)),
        "transaction-missing-inputs"
    );
    assert_eq!(code(&spend(coin, 20_000, RBF)), "transaction-fee-too-low");
    assert_eq!(
        code(&spend(coin, 19_000, Sequence::from_height(50))),
        "transaction-too-early"
    );
    assert_eq!(code(&spend(coin, 21_000, RBF)), "transaction-rejected");
    let mut unsigned = spend(coin, 19_000, RBF);
    unsigned.input[0].witness = Witness::from_slice(&[&[0x52]]);
    assert_eq!(code(&unsigned), "transaction-script-invalid");

    let sent = spend(coin, 19_000, RBF);
    assert_eq!(chain.send(&sent).unwrap(), sent.compute_txid());
    // Again: a rebroadcast is a success.
    assert_eq!(chain.send(&sent).unwrap(), sent.compute_txid());
    assert_eq!(code(&spend(coin, 18_995, RBF)), "transaction-conflict");
    let replacement = spend(coin, 17_000, RBF);
    assert_eq!(
        chain.send(&replacement).unwrap(),
        replacement.compute_txid()
    );

    node.mine(1);
    assert_eq!(code(&replacement), "transaction-already-confirmed");
    // Its output spent too, the node can no longer tell confirmed from unknown.
    let child = spend(
        OutPoint {
            txid: replacement.compute_txid(),
            vout: 0,
        },
        16_000,
        RBF,
    );
    chain.send(&child).unwrap();
    node.mine(1);
    let error = chain.send(&replacement).unwrap_err();
    assert_eq!(
        (error.code(), error.kind()),
        ("transaction-missing-inputs", ErrorKind::Transient)
    );
}

#[test]
fn fees_without_data_are_none_and_the_floor_is_known() {
    let node = Node::start();
    assert_eq!(node.chain().estimate_fee_rate(6).unwrap(), None);
    let floor = node.chain().mempool_min_fee_rate().unwrap();
    assert!(
        floor > FeeRate::ZERO && floor <= FeeRate::from_sat_per_vb_u32(1),
        "{floor}"
    );
}

#[test]
fn confirmations_agree_with_the_node() {
    let node = Node::start();
    let coin = node.fund(&anyone(), Amount::from_sat(20_000));
    node.mine(1);
    let mined_at = node.height();
    for expected in 1..=3 {
        let status = node
            .chain()
            .tx_out(&coin, View::Confirmed)
            .unwrap()
            .unwrap();
        assert_eq!(status.confirmations, expected);
        assert_eq!(confirmations(node.height(), mined_at), expected);
        node.mine_empty();
    }
}

/// Follows `node` to its tip and returns the heights rewound to.
fn follow(cursor: &mut Cursor, node: &Node) -> Vec<Option<u32>> {
    let mut rewinds = Vec::new();
    loop {
        match next_step(cursor, node.chain()).unwrap() {
            Step::Rewind { to } => {
                rewinds.push(to.map(|to| to.height));
                cursor.rewind(to);
            }
            Step::Connect { at, .. } => cursor.connect(at).unwrap(),
            Step::UpToDate => return rewinds,
            Step::NodeBehind { .. } => panic!("the node is not behind"),
        }
    }
}

#[test]
fn scanner_follows_a_reorg_of_a_real_node() {
    let node = Node::start();
    let deposit = node.fund(&anyone(), Amount::from_sat(20_000));
    let with_deposit = node.mine(1)[0];
    let mut cursor = Cursor::starting_at(100);
    assert_eq!(follow(&mut cursor, &node), []);
    assert_eq!(cursor.last(), Some(node.tip()));

    // The block is gone and nothing has taken its place: nothing to conclude yet.
    node.invalidate(&with_deposit);
    assert_eq!(
        next_step(&cursor, node.chain()).unwrap(),
        Step::NodeBehind { tip: node.tip() }
    );
    // A branch without the deposit wins, and later mines it.
    node.mine_empty();
    node.mine_empty();
    assert_eq!(follow(&mut cursor, &node), [Some(120)]);
    assert_eq!(
        node.chain().tx_out(&deposit, View::Confirmed).unwrap(),
        None
    );
    let again = node.mine(1)[0];
    assert_eq!(follow(&mut cursor, &node), []);
    assert!(
        node.chain()
            .tx_in_block(&deposit.txid, &again)
            .unwrap()
            .is_some()
    );
}

#[test]
fn coinbase_payments_are_seen_and_marked() {
    let node = Node::start();
    node.fund(&anyone(), Amount::from_sat(20_000));
    let hash = node.mine_to(1, &anyone())[0];
    let block = node.block(&hash);
    let mut seen: Vec<_> = outputs(&block)
        .filter(|made| made.output.script_pubkey == anyone())
        .map(|made| (made.is_coinbase, made.outpoint, made.output.value))
        .collect();
    seen.sort_by_key(|made| !made.0);
    assert_eq!(
        seen.iter().map(|made| made.0).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(seen[1].2, Amount::from_sat(20_000));
    let status = node
        .chain()
        .tx_out(&seen[0].1, View::Confirmed)
        .unwrap()
        .unwrap();
    assert!(status.is_coinbase);
    assert_eq!(status.output.value, seen[0].2);
    // A coinbase is not yet money.
    let early = node
        .chain()
        .send(&spend(seen[0].1, 10_000, RBF))
        .unwrap_err();
    assert_eq!(early.code(), "transaction-too-early");
}

#[test]
fn the_same_client_goes_on_after_the_node_restarts_with_another_cookie() {
    let mut node = Node::start();
    let auth = Auth::Cookie(node.cookie_path());
    let chain = BitcoinCore::new(&node.rpc_url(), auth, Duration::from_secs(30)).unwrap();
    assert_eq!(chain.tip().unwrap(), node.tip());
    node.kill();
    let down = chain.tip().unwrap_err();
    assert_eq!(down.kind(), ErrorKind::Transient, "{down}");
    node.restart();
    assert_eq!(chain.tip().unwrap().height, node.height());
}

#[test]
fn a_wrong_password_is_said_to_be_one() {
    let node = Node::start();
    let auth = Auth::UserPassword {
        user: "nobody".into(),
        password: "wrong".into(),
    };
    let client = RpcClient::new(&node.rpc_url(), auth, Duration::from_secs(30)).unwrap();
    let error = client.call::<u32>("getblockcount", &[]).unwrap_err();
    assert_eq!(error.code(), "node-credentials");
}

#[test]
fn calls_from_many_threads_run_side_by_side() {
    let node = Node::start();
    let tip = node.tip();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(node.chain().tip().unwrap(), tip);
                }
            });
        }
    });
}
