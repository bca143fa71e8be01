//! Unspent outputs with the transactions that make them, from a node without an index.

use bitcoin::{OutPoint, Transaction};
use grail_chain::{Chain, ChainError, TxOutStatus, View};
use grail_wallet::roster::UnspentOutput;

/// What the chain has at `outpoint`, in either view.
pub fn unspent_output<C: Chain>(
    chain: &C,
    outpoint: OutPoint,
) -> Result<Option<UnspentOutput>, ChainError> {
    // A settlement in the mempool may have spent it already: both places are right.
    let status = match chain.tx_out(&outpoint, View::WithMempool)? {
        Some(status) => Some(status),
        None => chain.tx_out(&outpoint, View::Confirmed)?,
    };
    let Some(status) = status else {
        return Ok(None);
    };
    let transaction = transaction_of(chain, outpoint, &status)?;
    Ok(transaction.map(|transaction| UnspentOutput {
        transaction,
        confirmations: status.confirmations,
    }))
}

/// The transaction of an unspent output: no index needed, its depth tells the block.
pub fn transaction_of<C: Chain>(
    chain: &C,
    outpoint: OutPoint,
    status: &TxOutStatus,
) -> Result<Option<Transaction>, ChainError> {
    if status.confirmations == 0 {
        return chain.mempool_tx(&outpoint.txid);
    }
    let Some(best) = chain.header(&status.best_block)? else {
        return Ok(None);
    };
    let above = status.confirmations.saturating_sub(1);
    let Some(height) = best.height.checked_sub(above) else {
        return Ok(None);
    };
    match chain.block_hash(height)? {
        Some(block) => chain.tx_in_block(&outpoint.txid, &block),
        None => Ok(None),
    }
}
