//! The transactions behind a settlement's inputs, which the node finds by the heights in its undo
//! data: no index is needed, and blocks that are not pruned.

use anyhow::Context;
use bitcoin::{OutPoint, Transaction, TxOut, Txid};
use grail_chain::{ChainError, Spent, View};
use grail_flow::BlockRef;

use super::{Move, Place};
use crate::backend::Backend;

/// A transaction in its block.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) transaction: Transaction,
    pub(crate) block: BlockRef,
}

/// What the settlement's inputs spend, and the transactions behind those from `first_input` on.
pub(super) async fn previous(
    backend: &Backend,
    moved: &Move<'_>,
    first_input: usize,
) -> anyhow::Result<Option<(Vec<TxOut>, Vec<Made>)>> {
    let txid = moved.transaction.compute_txid();
    let inputs: Vec<OutPoint> = moved
        .transaction
        .input
        .iter()
        .map(|input| input.previous_output)
        .collect();
    let Place::Block(block) = moved.place else {
        return unspent_and_made(backend, moved.made, inputs, first_input).await;
    };
    let (spent, made) = spent_and_made(backend, txid, block, inputs, first_input).await?;
    let spent = spent.into_iter().map(|spent| spent.output).collect();
    Ok(Some((spent, made)))
}

/// The same of a transaction in the mempool; none while a deposit of it is in no block. `made` is
/// what made NFT and vault.
async fn unspent_and_made(
    backend: &Backend,
    made: &Transaction,
    inputs: Vec<OutPoint>,
    first_input: usize,
) -> anyhow::Result<Option<(Vec<TxOut>, Vec<Made>)>> {
    let mut spent: Vec<TxOut> = made.output.iter().take(first_input).cloned().collect();
    let answer = backend
        .node
        .call(move |chain| {
            let tip = chain.tip()?;
            let mut found = Vec::new();
            for outpoint in inputs.iter().skip(first_input) {
                let Some(status) = chain.tx_out(outpoint, View::Confirmed)? else {
                    return Ok(None);
                };
                let above = status.confirmations.checked_sub(1);
                let height = above.and_then(|above| tip.height.checked_sub(above));
                let Some(height) = height.filter(|_| status.best_block == tip.hash) else {
                    return Ok(None);
                };
                let Some(hash) = chain.block_hash(height)? else {
                    return Ok(None);
                };
                let Some(transaction) = chain.tx_in_block(&outpoint.txid, &hash)? else {
                    return Ok(None);
                };
                let block = BlockRef { height, hash };
                found.push((status.output, Made { transaction, block }));
            }
            Ok::<_, ChainError>(Some(found))
        })
        .await?;
    Ok(answer.map(|found| {
        let (outputs, made): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        spent.extend(outputs);
        (spent, made)
    }))
}

async fn spent_and_made(
    backend: &Backend,
    txid: Txid,
    block: BlockRef,
    inputs: Vec<OutPoint>,
    first_input: usize,
) -> anyhow::Result<(Vec<Spent>, Vec<Made>)> {
    let answer = backend
        .node
        .call(move |chain| {
            let Some(spent) = chain.spent_in_block(&txid, &block.hash)? else {
                return Ok(None);
            };
            let mut made = Vec::new();
            for (outpoint, spent) in inputs.iter().zip(&spent).skip(first_input) {
                let hash = if spent.height == block.height {
                    Some(block.hash)
                } else {
                    chain.block_hash(spent.height)?
                };
                let Some(hash) = hash else { return Ok(None) };
                let Some(transaction) = chain.tx_in_block(&outpoint.txid, &hash)? else {
                    return Ok(None);
                };
                let height = spent.height;
                made.push(Made {
                    transaction,
                    block: BlockRef { height, hash },
                });
            }
            Ok::<_, ChainError>(Some((spent, made)))
        })
        .await?;
    // A reorg, or a crash of the node, took the block: another one comes.
    let gone = || ChainError::Unavailable {
        what: format!("what settlement {txid} in {block} spends"),
        detail: "it does not know that block, or not all of it".to_owned(),
    };
    Ok(answer.ok_or_else(gone)?)
}

/// The transaction behind one input of a settlement in a block, in its own block.
pub(crate) async fn deposit_of(
    backend: &Backend,
    settlement: &Transaction,
    block: BlockRef,
    deposit: OutPoint,
) -> anyhow::Result<Made> {
    let mut inputs = settlement.input.iter();
    let index = inputs.position(|input| input.previous_output == deposit);
    let index = index.context("a settlement that does not spend its deposit")?;
    let txid = settlement.compute_txid();
    let inputs = settlement.input.iter().take(index.saturating_add(1));
    let inputs = inputs.map(|input| input.previous_output).collect();
    let (_, made) = spent_and_made(backend, txid, block, inputs, index).await?;
    made.into_iter().next().context("an input that was counted")
}
