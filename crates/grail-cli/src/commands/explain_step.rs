//! `grail wallet explain TXID`: what a transaction did to the bridge's roster, from the node's
//! chain alone.

use bitcoin::{BlockHash, OutPoint, Transaction, TxOut, Txid};
use grail_chain::{BitcoinCore, BlockSource as _, Chain as _, View};
use grail_wallet::step::{SeenStep, explain_step};

use crate::arguments::AtBlock;
use crate::failure::Failure;
use crate::report::StepExplanation;
use crate::session::Session;

/// Outputs of a step that may be unspent yet: NFT, vault, notice coin, and one more.
const OUTPUTS_LOOKED_AT: u32 = 4;

/// A transaction as the node has it.
struct Found {
    transaction: Transaction,
    /// Its block, with the height.
    block: Option<(BlockHash, u32)>,
}

/// Explains a transaction. `block` says where it is; without it, it is looked for in the mempool
/// and by its unspent outputs.
pub fn explain_transaction(
    session: &mut Session,
    txid: Txid,
    block: Option<&AtBlock>,
) -> Result<StepExplanation, Failure> {
    let bridge = *session.protocol()?.bridge();
    let node = session.node()?;
    let found = find(node, txid, block)?.ok_or_else(|| {
        Failure::new(
            "unknown-transaction",
            format!(
                "the node does not find {txid} in its mempool or by its unspent outputs: name its block with --block"
            ),
        )
    })?;
    let (spent, before) = match found.block {
        Some((block, _)) => spent(node, &found.transaction, txid, &block)?,
        None => waiting(node, &found.transaction)?,
    };
    let seen = SeenStep {
        transaction: &found.transaction,
        spent: spent.as_deref(),
        before: before.as_ref(),
        height: found.block.map(|(_, height)| height),
    };
    let explained = explain_step(&bridge, &seen);
    Ok(StepExplanation::new(txid, explained))
}

fn find(node: &BitcoinCore, txid: Txid, block: Option<&AtBlock>) -> Result<Option<Found>, Failure> {
    let block = match block {
        Some(AtBlock::Hash(hash)) => Some(*hash),
        Some(AtBlock::Height(height)) => node.block_hash(*height)?,
        None => match waits(node, txid)? {
            Some(found) => return Ok(Some(found)),
            None => block_of(node, txid)?,
        },
    };
    let Some(block) = block else { return Ok(None) };
    let header = node.header(&block)?.filter(|it| it.is_in_best_chain);
    let Some(header) = header else {
        return Err(Failure::new(
            "block-unknown",
            format!("block {block} is not in the node's best chain"),
        ));
    };
    let transaction = node.tx_in_block(&txid, &block)?;
    Ok(transaction.map(|transaction| Found {
        transaction,
        block: Some((block, header.height)),
    }))
}

fn waits(node: &BitcoinCore, txid: Txid) -> Result<Option<Found>, Failure> {
    let transaction = node.mempool_tx(&txid)?;
    Ok(transaction.map(|transaction| Found {
        transaction,
        block: None,
    }))
}

/// The block of a transaction of which an output is unspent.
fn block_of(node: &BitcoinCore, txid: Txid) -> Result<Option<BlockHash>, Failure> {
    for vout in 0..OUTPUTS_LOOKED_AT {
        let Some(status) = node.tx_out(&OutPoint::new(txid, vout), View::Confirmed)? else {
            continue;
        };
        let best = node.header(&status.best_block)?;
        let above = status.confirmations.saturating_sub(1);
        let height = best.and_then(|best| best.height.checked_sub(above));
        if let Some(height) = height {
            return Ok(node.block_hash(height)?);
        }
    }
    Ok(None)
}

type Spent = (Option<Vec<TxOut>>, Option<Transaction>);

/// What a mined transaction spends, and the transaction before it. A node that has pruned a block
/// tells neither.
fn spent(
    node: &BitcoinCore,
    transaction: &Transaction,
    txid: Txid,
    block: &BlockHash,
) -> Result<Spent, Failure> {
    let Some(spent) = node.spent_in_block(&txid, block)? else {
        return Ok((None, None));
    };
    let first = transaction.input.first().zip(spent.first());
    let before = match first {
        Some((input, spent)) => match node.block_hash(spent.height)? {
            Some(made_in) => node.tx_in_block(&input.previous_output.txid, &made_in)?,
            None => None,
        },
        None => None,
    };
    let outputs = spent.into_iter().map(|it| it.output).collect();
    Ok((Some(outputs), before))
}

/// The same of one that waits for its block.
fn waiting(node: &BitcoinCore, transaction: &Transaction) -> Result<Spent, Failure> {
    let mut outputs = Vec::new();
    let mut before = None;
    for input in &transaction.input {
        let Some(made) = made(node, input.previous_output)? else {
            return Ok((None, before));
        };
        let vout = usize::try_from(input.previous_output.vout).ok();
        let output = vout.and_then(|vout| made.output.get(vout)).cloned();
        let Some(output) = output else {
            return Ok((None, before));
        };
        outputs.push(output);
        before.get_or_insert(made);
    }
    Ok((Some(outputs), before))
}

/// The transaction behind an output that a transaction of the mempool spends.
fn made(node: &BitcoinCore, outpoint: OutPoint) -> Result<Option<Transaction>, Failure> {
    if let Some(made) = node.mempool_tx(&outpoint.txid)? {
        return Ok(Some(made));
    }
    match node.tx_out(&outpoint, View::Confirmed)? {
        Some(status) => Ok(crate::node::transaction_of(node, outpoint, &status)?),
        None => Ok(None),
    }
}
