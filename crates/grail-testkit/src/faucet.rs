//! Money and blocks from a node of ours that another process holds.

use anyhow::{Context, Result};
use bitcoin::{Amount, OutPoint, Script, TxOut, Txid};
use grail_chain::{BitcoinCore, BlockSource as _};
use serde::Deserialize;
use serde_json::json;

use crate::miner::Miner;
use crate::node::raw_descriptor;

#[derive(Deserialize)]
struct Scan {
    unspents: Vec<Unspent>,
}

#[derive(Deserialize)]
struct Unspent {
    txid: Txid,
    vout: u32,
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    amount: Amount,
    height: u32,
    coinbase: bool,
}

/// Sends `amount` to `script` from the built-in key; unconfirmed.
pub fn fund(core: &BitcoinCore, script: &Script, amount: Amount) -> Result<Txid> {
    let miner = Miner::default();
    let descriptor = raw_descriptor(&miner.script());
    let scan: Scan = core
        .rpc()
        .call("scantxoutset", &[json!("start"), json!([descriptor])])?;
    for coin in scan.unspents {
        let outpoint = OutPoint::new(coin.txid, coin.vout);
        miner.note_coin(outpoint, coin.amount, coin.coinbase.then_some(coin.height));
    }
    let output = TxOut {
        value: amount,
        script_pubkey: script.to_owned(),
    };
    miner
        .pay(&[output], core)
        .context("the built-in key has too little that can be spent now: mine some blocks")
}

/// Mines blocks that pay the built-in key.
pub fn mine(core: &BitcoinCore, count: u32) -> Result<()> {
    let descriptor = raw_descriptor(&Miner::default().script());
    let _: serde_json::Value = core
        .rpc()
        .call("generatetodescriptor", &[json!(count), json!(descriptor)])?;
    core.tip()?;
    Ok(())
}
