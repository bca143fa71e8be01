//! What Grail asks of a chain: two ports and the types of their answers.
//!
//! An `Option` answer means "the node has it" or "the node does not have it (yet)". The second is
//! never proof that a thing is invalid: the node may be behind, pruned, or on the other side of a
//! reorg.

use bitcoin::block::Header;
use bitcoin::{
    Amount, Block, BlockHash, FeeRate, OutPoint, Transaction, TxOut, Txid, Weight, Wtxid,
};

use grail_flow::BlockRef;

use crate::{ChainError, RejectReason, SendError, reject::bounded};

/// A header and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderAt {
    /// The header.
    pub header: Header,
    /// Blocks below it.
    pub height: u32,
    /// Whether it is in the node's best chain now.
    pub is_in_best_chain: bool,
}

/// An output that is unspent in the node's view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxOutStatus {
    /// The output.
    pub output: TxOut,
    /// 0 when it is in the mempool only.
    pub confirmations: u32,
    /// Whether a coinbase made it: it cannot be spent before 100 confirmations.
    pub is_coinbase: bool,
    /// The tip that this was true at.
    pub best_block: BlockHash,
}

/// An output that a transaction of a block spends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// The output.
    pub output: TxOut,
    /// Height of the block that made it.
    pub height: u32,
}

/// Which view of the outputs is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The chain alone.
    Confirmed,
    /// The chain and the mempool: an output spent by a mempool transaction is gone.
    WithMempool,
}

/// What the mempool would do with a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Would be taken.
    Accepted {
        /// Size that its fee is counted over, in vbytes.
        vsize: u64,
        /// Its fee.
        fee: Amount,
    },
    /// Would not be taken.
    Rejected {
        /// Why.
        reason: RejectReason,
        /// The same in Bitcoin Core's words, cut.
        words: String,
    },
    /// Not looked at, because another of the same list failed.
    NotTested,
}

impl Verdict {
    /// A rejection in Bitcoin Core's words.
    pub fn rejected(words: &str) -> Self {
        Self::Rejected {
            reason: RejectReason::of(words),
            words: bounded(words),
        }
    }
}

/// [`Verdict`] and the transaction that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// The transaction.
    pub txid: Txid,
    /// With its witnesses.
    pub wtxid: Wtxid,
    /// The answer.
    pub verdict: Verdict,
}

/// Where blocks come from: all that following a chain needs.
pub trait BlockSource {
    /// The best block.
    fn tip(&self) -> Result<BlockRef, ChainError>;
    /// The best chain's block at `height`; `None` above the tip.
    fn block_hash(&self, height: u32) -> Result<Option<BlockHash>, ChainError>;
    /// A block, of the best chain or not; `None` when the node has never seen it.
    fn block(&self, hash: &BlockHash) -> Result<Option<Block>, ChainError>;
}

/// Where a transaction of the mempool stands among its relatives there: nodes relay only so much of
/// them. Sizes are virtual, and count the transaction itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MempoolKin {
    /// Transactions that it builds on, and itself.
    pub ancestors: u64,
    /// Their size, vbytes.
    pub ancestors_vsize: u64,
    /// Transactions that build on it, and itself.
    pub descendants: u64,
    /// Their size, vbytes.
    pub descendants_vsize: u64,
    /// Their fees.
    pub descendants_fee: Amount,
}

/// A chain that can be read and written to.
pub trait Chain: BlockSource + Send + Sync {
    /// A header, of the best chain or not; `None` when the node has never seen it.
    fn header(&self, hash: &BlockHash) -> Result<Option<HeaderAt>, ChainError>;
    /// All transactions in the mempool.
    fn mempool_txids(&self) -> Result<Vec<Txid>, ChainError>;
    /// A transaction of the mempool; `None` when it is not there (which may mean confirmed).
    fn mempool_tx(&self, txid: &Txid) -> Result<Option<Transaction>, ChainError>;
    /// The relatives of a transaction in the mempool; `None` when it is not there.
    fn mempool_kin(&self, txid: &Txid) -> Result<Option<MempoolKin>, ChainError>;
    /// A transaction of a given block; `None` when the block is unknown or does not hold it. Needs
    /// no index.
    fn tx_in_block(
        &self,
        txid: &Txid,
        block: &BlockHash,
    ) -> Result<Option<Transaction>, ChainError>;
    /// What the inputs of a transaction of a given block spend, in order; `None` when the block is
    /// unknown or does not hold it, or the node does not tell. A coinbase spends nothing. Needs no
    /// index; a node that pruned the block has no answer, and says so as an error.
    fn spent_in_block(
        &self,
        txid: &Txid,
        block: &BlockHash,
    ) -> Result<Option<Vec<Spent>>, ChainError>;
    /// An unspent output; `None` when it is spent or unknown: the node does not tell which.
    fn tx_out(&self, outpoint: &OutPoint, view: View) -> Result<Option<TxOutStatus>, ChainError>;
    /// What the mempool would do with these, one answer each in their order. Later ones may spend
    /// earlier ones; at most 25.
    fn test_mempool_accept(&self, transactions: &[Transaction]) -> Result<Vec<Tested>, ChainError>;
    /// Hands a transaction to the node for relay. Sending one that is in the mempool already is a
    /// success.
    fn send(&self, transaction: &Transaction) -> Result<Txid, SendError>;
    /// Hands a transaction and one that builds on it to the node together, since the first pays too
    /// little alone: the node reckons what both pay. What else they build on must be there already.
    /// The first one's name when the node has both; no other answer is final about either of them.
    /// An error of a node without the call (Bitcoin Core before 26) is a [`ChainError`].
    fn send_package(&self, parent: &Transaction, child: &Transaction) -> Result<Txid, SendError>;
    /// The node's estimate to be mined within `target_blocks`; `None` when it has too little to go
    /// by.
    fn estimate_fee_rate(&self, target_blocks: u16) -> Result<Option<FeeRate>, ChainError>;
    /// Below this the node takes nothing now.
    fn mempool_min_fee_rate(&self) -> Result<FeeRate, ChainError>;
}

/// The fee of `weight` at `fee_rate`, rounded up; `None` past all money.
pub fn fee_at(fee_rate: FeeRate, weight: Weight) -> Option<Amount> {
    fee_rate.checked_mul_by_weight(weight)
}

/// An output that a block pays, with what a watcher must know about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockOutput<'a> {
    /// Its name.
    pub outpoint: OutPoint,
    /// The output.
    pub output: &'a TxOut,
    /// The transaction that makes it.
    pub transaction: &'a Transaction,
    /// Whether that is the block's coinbase: mining pools pay to deposit addresses too.
    pub is_coinbase: bool,
}

/// Every output of every transaction of a block, the coinbase's included, in order.
pub fn outputs(block: &Block) -> impl Iterator<Item = BlockOutput<'_>> {
    block.txdata.iter().flat_map(|transaction| {
        let txid = transaction.compute_txid();
        let is_coinbase = transaction.is_coinbase();
        (0u32..)
            .zip(&transaction.output)
            .map(move |(vout, output)| BlockOutput {
                outpoint: OutPoint { txid, vout },
                output,
                transaction,
                is_coinbase,
            })
    })
}
