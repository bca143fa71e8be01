//! The transactions behind a settlement's inputs, which the node finds by the heights in its undo
//! data: no index is needed, and blocks that are not pruned.

use anyhow::Context;
use bitcoin::{OutPoint, Transaction, Txid};
use grail_chain::{ChainError, Spent};
use grail_flow::BlockRef;

use super::Move;
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
) -> anyhow::Result<(Vec<Spent>, Vec<Made>)> {
    let txid = moved.transaction.compute_txid();
    let inputs: Vec<OutPoint> = moved
        .transaction
        .input
        .iter()
        .map(|input| input.previous_output)
        .collect();
    spent_and_made(backend, txid, moved.block, inputs, first_input).await
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
    answer.with_context(|| {
        format!("the node does not tell what settlement {txid} in {block} spends; does it prune?")
    })
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
