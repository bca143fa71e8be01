//! A chain on paper: blocks that tests put together, and a node that can be away.

use std::sync::{Mutex, MutexGuard};

use bitcoin::{
    Block, BlockHash, CompactTarget, FeeRate, OutPoint, Transaction, TxMerkleNode, TxOut, Txid,
    block::{Header, Version},
    hashes::Hash,
};
use grail_chain::{
    BlockRef, BlockSource, Chain, ChainError, HeaderAt, SendError, Tested, TxOutStatus, Verdict,
    View,
};

/// The best chain. Its mempool is always empty.
pub struct PaperChain(Mutex<State>);

struct State {
    blocks: Vec<Block>,
    branch: u32,
    is_away: bool,
}

impl PaperChain {
    /// A chain of one empty block.
    pub fn new() -> Self {
        let chain = Self(Mutex::new(State {
            blocks: Vec::new(),
            branch: 0,
            is_away: false,
        }));
        chain.mine(Vec::new());
        chain
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn answering(&self) -> Result<MutexGuard<'_, State>, ChainError> {
        let state = self.lock();
        if state.is_away {
            return Err(ChainError::Unreachable {
                url: "http://secret-host:8332".to_owned(),
                detail: "connection refused".to_owned(),
            });
        }
        Ok(state)
    }

    /// Adds a block.
    pub fn mine(&self, transactions: Vec<Transaction>) -> BlockRef {
        let mut state = self.lock();
        let prev_blockhash = state
            .blocks
            .last()
            .map_or_else(BlockHash::all_zeros, Block::block_hash);
        let header = Header {
            version: Version::TWO,
            prev_blockhash,
            merkle_root: TxMerkleNode::all_zeros(),
            time: u32::try_from(state.blocks.len()).unwrap(),
            bits: CompactTarget::default(),
            nonce: state.branch,
        };
        let block = Block {
            header,
            txdata: transactions,
        };
        let at = BlockRef {
            height: header.time,
            hash: block.block_hash(),
        };
        state.blocks.push(block);
        at
    }

    /// Drops blocks from `height` on; what is mined then is another branch.
    pub fn fork_at(&self, height: u32) {
        let mut state = self.lock();
        state.blocks.truncate(usize::try_from(height).unwrap());
        state.branch += 1;
    }

    /// The node goes away, or comes back.
    pub fn set_away(&self, is_away: bool) {
        self.lock().is_away = is_away;
    }
}

impl BlockSource for PaperChain {
    fn tip(&self) -> Result<BlockRef, ChainError> {
        let state = self.answering()?;
        let block = state.blocks.last().unwrap();
        Ok(BlockRef {
            height: block.header.time,
            hash: block.block_hash(),
        })
    }

    fn block_hash(&self, height: u32) -> Result<Option<BlockHash>, ChainError> {
        let state = self.answering()?;
        let index = usize::try_from(height).unwrap();
        Ok(state.blocks.get(index).map(Block::block_hash))
    }

    fn block(&self, hash: &BlockHash) -> Result<Option<Block>, ChainError> {
        let state = self.answering()?;
        let found = state
            .blocks
            .iter()
            .find(|block| block.block_hash() == *hash);
        Ok(found.cloned())
    }
}

impl Chain for PaperChain {
    fn header(&self, _: &BlockHash) -> Result<Option<HeaderAt>, ChainError> {
        Ok(None)
    }

    fn mempool_txids(&self) -> Result<Vec<Txid>, ChainError> {
        Ok(Vec::new())
    }

    fn mempool_tx(&self, _: &Txid) -> Result<Option<Transaction>, ChainError> {
        Ok(None)
    }

    fn tx_in_block(&self, _: &Txid, _: &BlockHash) -> Result<Option<Transaction>, ChainError> {
        Ok(None)
    }

    /// Unspent is what a block makes and none spends.
    fn tx_out(&self, outpoint: &OutPoint, _: View) -> Result<Option<TxOutStatus>, ChainError> {
        let state = self.answering()?;
        let transactions = || state.blocks.iter().flat_map(|block| &block.txdata);
        let is_spent = transactions()
            .flat_map(|transaction| &transaction.input)
            .any(|input| input.previous_output == *outpoint);
        let output: Option<TxOut> = transactions()
            .find(|transaction| transaction.compute_txid() == outpoint.txid)
            .and_then(|transaction| transaction.output.get(usize::try_from(outpoint.vout).ok()?))
            .cloned();
        Ok(output.filter(|_| !is_spent).map(|output| TxOutStatus {
            output,
            confirmations: 1,
            is_coinbase: false,
            best_block: state.blocks.last().unwrap().block_hash(),
        }))
    }

    /// What Bitcoin Core says of a transaction that lacks nothing but signatures.
    fn test_mempool_accept(&self, transactions: &[Transaction]) -> Result<Vec<Tested>, ChainError> {
        Ok(transactions
            .iter()
            .map(|transaction| Tested {
                txid: transaction.compute_txid(),
                wtxid: transaction.compute_wtxid(),
                verdict: Verdict::Rejected {
                    reason: "mempool-script-verify-flag-failed".to_owned(),
                },
            })
            .collect())
    }

    fn send(&self, transaction: &Transaction) -> Result<Txid, SendError> {
        Ok(transaction.compute_txid())
    }

    fn estimate_fee_rate(&self, _: u16) -> Result<Option<FeeRate>, ChainError> {
        self.answering().map(|_| None)
    }

    fn mempool_min_fee_rate(&self) -> Result<FeeRate, ChainError> {
        self.answering().map(|_| FeeRate::from_sat_per_vb_u32(1))
    }
}
