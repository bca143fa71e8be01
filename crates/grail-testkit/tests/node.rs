//! The harness itself, on a real node.
#![allow(clippy::unwrap_used)]

use bitcoin::{Amount, ScriptBuf, TxOut};
use grail_chain::{BlockSource, Chain, View};
use grail_testkit::Node;

fn script(number: u8) -> ScriptBuf {
    // A witness program of a version not yet defined: anyone may fund it, standard to pay to.
    ScriptBuf::from_bytes([&[0x60, 2], [0x4e, number].as_slice()].concat())
}

#[test]
fn funds_scripts_again_and_again_and_across_mined_blocks() {
    let node = Node::start();
    let first_height = node.height();
    for round in 0..30u8 {
        let outpoint = node.fund(&script(round), Amount::from_sat(1_000 + u64::from(round)));
        let status = node
            .chain()
            .tx_out(&outpoint, View::WithMempool)
            .unwrap()
            .unwrap();
        assert_eq!(status.output.value.to_sat(), 1_000 + u64::from(round));
        assert_eq!(status.output.script_pubkey, script(round));
    }
    node.mine(1);
    assert!(node.chain().mempool_txids().unwrap().is_empty());
    assert!(node.height() > first_height);
}

#[test]
fn funds_more_than_one_coinbase_holds() {
    let node = Node::start();
    let outputs: Vec<_> = (0..3)
        .map(|number| TxOut {
            value: Amount::from_int_btc(45),
            script_pubkey: script(number),
        })
        .collect();
    let outpoints = node.fund_many(&outputs);
    node.mine(1);
    for (outpoint, output) in outpoints.iter().zip(&outputs) {
        let status = node
            .chain()
            .tx_out(outpoint, View::Confirmed)
            .unwrap()
            .unwrap();
        assert_eq!((&status.output, status.confirmations), (output, 1));
    }
}

#[test]
fn mines_empty_blocks_and_falls_back_from_invalid_ones() {
    let node = Node::start();
    let outpoint = node.fund(&script(1), Amount::from_sat(5_000));
    let empty = node.mine_empty();
    assert_eq!(node.block(&empty).txdata.len(), 1);
    let full = node.mine(1)[0];
    assert_eq!(node.block(&full).txdata.len(), 2);

    node.invalidate(&full);
    assert_eq!(node.tip().hash, empty);
    assert_eq!(node.chain().mempool_txids().unwrap(), [outpoint.txid]);
    // The key's own coins of that block are gone, and paying still works.
    node.fund(&script(2), Amount::from_sat(5_000));
    node.reconsider(&full);
    assert_eq!(node.tip().hash, full);
}

#[test]
fn keeps_its_chain_over_a_restart_and_its_port() {
    let mut node = Node::start();
    let (tip, url) = (node.tip(), node.rpc_url());
    node.restart();
    assert_eq!((node.tip(), node.rpc_url()), (tip, url));
}

#[test]
fn the_process_and_its_folder_are_gone_after_drop() {
    let node = Node::start();
    let (folder, process) = (node.data_dir().to_owned(), node.process_id());
    assert!(folder.exists());
    drop(node);
    assert!(!folder.exists());
    assert!(!std::path::Path::new(&format!("/proc/{process}")).exists());
}

#[test]
fn nodes_of_one_machine_do_not_see_each_other() {
    let (one, other) = (Node::start(), Node::start());
    let block = one.mine(1)[0];
    assert_eq!(other.chain().block(&block).unwrap(), None);
}

#[test]
fn a_node_outlives_the_thread_that_started_it() {
    let node = std::thread::spawn(Node::start).join().unwrap();
    // Were the process tied to that thread, it would be gone by now.
    node.mine(1);
    assert_eq!(node.height(), 121);
}
