//! A chain on paper: blocks that tests put together, and a node that can be away.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard},
};

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, FeeRate, OutPoint, Transaction, TxIn, TxMerkleNode,
    TxOut, Txid,
    block::{Header, Version},
    hashes::Hash,
};
use grail_chain::{
    BlockRef, BlockSource, Chain, ChainError, HeaderAt, MempoolKin, SendError, Spent, Tested,
    TxOutStatus, Verdict, View,
};

/// The best chain and a mempool. A transaction may spend outputs of transactions that were never
/// here: they come out of nowhere, once each. Scripts are not run: a witness must be there, no
/// more.
pub struct PaperChain(Mutex<State>);

struct State {
    blocks: Vec<Block>,
    mempool: Vec<Transaction>,
    /// Transactions that were ever here.
    known: BTreeSet<Txid>,
    branch: u32,
    error: Option<ChainError>,
    /// Blocks below this height are not kept.
    kept_from: u32,
    fee_rate: Option<FeeRate>,
    maturity: usize,
    words: Option<&'static str>,
    package_words: Option<&'static str>,
    /// Parents that were handed over with a child.
    packages: usize,
    /// Below this the node takes nothing, and drops what it has.
    floor: FeeRate,
}

/// Why the node would not take a transaction now.
enum Fault {
    InMempool,
    InChain,
    MissingInputs,
    Conflict,
    FeeTooLow,
    Premature,
    NonFinal,
    NoWitness,
}

impl Fault {
    /// In Bitcoin Core's words.
    fn reason(&self) -> &'static str {
        match self {
            Self::InMempool => "txn-already-in-mempool",
            Self::InChain => "txn-already-known",
            Self::MissingInputs => "missing-inputs",
            Self::Conflict => "insufficient fee, rejecting replacement",
            Self::FeeTooLow => "mempool min fee not met",
            Self::Premature => "bad-txns-premature-spend-of-coinbase, tried to spend it",
            Self::NonFinal => "non-BIP68-final",
            Self::NoWitness => "mempool-script-verify-flag-failed",
        }
    }
}

impl State {
    fn mined(&self) -> impl Iterator<Item = &Transaction> {
        self.blocks.iter().flat_map(|block| &block.txdata)
    }

    fn output(&self, outpoint: &OutPoint) -> Option<TxOut> {
        self.mined()
            .chain(&self.mempool)
            .find(|transaction| transaction.compute_txid() == outpoint.txid)
            .and_then(|transaction| transaction.output.get(usize::try_from(outpoint.vout).ok()?))
            .cloned()
    }

    /// A block of the best chain, if the node keeps it.
    fn block(&self, hash: &BlockHash) -> Result<Option<&Block>, ChainError> {
        let mut blocks = self.blocks.iter();
        let Some(found) = blocks.find(|block| block.block_hash() == *hash) else {
            return Ok(None);
        };
        if found.header.time < self.kept_from {
            return Err(ChainError::NotKept {
                what: "getblock".to_owned(),
                detail: "Block not available (pruned data)".to_owned(),
            });
        }
        Ok(Some(found))
    }

    /// A transaction of a block of the best chain.
    fn in_block(&self, txid: &Txid, hash: &BlockHash) -> Result<Option<&Transaction>, ChainError> {
        let Some(block) = self.block(hash)? else {
            return Ok(None);
        };
        let mut transactions = block.txdata.iter();
        Ok(transactions.find(|transaction| transaction.compute_txid() == *txid))
    }

    fn spent(&self, outpoint: &OutPoint) -> Option<Spent> {
        let made = |transaction: &Transaction| transaction.compute_txid() == outpoint.txid;
        let mut blocks = self.blocks.iter();
        let block = blocks.find(|block| block.txdata.iter().any(made))?;
        Some(Spent {
            output: self.output(outpoint)?,
            height: block.header.time,
        })
    }

    fn is_coinbase(&self, outpoint: &OutPoint) -> bool {
        self.mined()
            .filter(|transaction| transaction.is_coinbase())
            .any(|transaction| transaction.compute_txid() == outpoint.txid)
    }

    /// 0 when no block holds it.
    fn confirmations(&self, txid: &Txid) -> u32 {
        let holds = |block: &Block| {
            let mut transactions = block.txdata.iter();
            transactions.any(|transaction| transaction.compute_txid() == *txid)
        };
        let below = self.blocks.iter().rev().position(holds);
        below.map_or(0, |below| u32::try_from(below).unwrap() + 1)
    }

    /// A coinbase may be spent in the block that is `maturity` above its own.
    fn is_premature(&self, outpoint: &OutPoint) -> bool {
        let made_at = self.blocks.iter().position(|block| {
            let mut coinbases = block.txdata.iter().filter(|made| made.is_coinbase());
            coinbases.any(|made| made.compute_txid() == outpoint.txid)
        });
        made_at.is_some_and(|height| self.blocks.len() < height + self.maturity)
    }

    /// Whether an input claims more blocks of age than its coin will have in the next block
    /// (BIP 68).
    fn is_non_final(&self, input: &TxIn) -> bool {
        let sequence = input.sequence.to_consensus_u32();
        let claimed = u16::try_from(sequence).map_or(0, u32::from);
        claimed > self.confirmations(&input.previous_output.txid)
    }

    /// What a transaction pays; without bound where an input comes out of nowhere.
    fn fee(&self, transaction: &Transaction) -> Option<Amount> {
        let inputs = transaction.input.iter();
        let spent: Option<Amount> = inputs
            .map(|input| Some(self.output(&input.previous_output)?.value))
            .sum();
        let spent = spent.unwrap_or(Amount::MAX_MONEY);
        spent.checked_sub(transaction.output.iter().map(|output| output.value).sum())
    }

    /// What has to leave the mempool for a transaction: what spends its inputs, and what builds on
    /// that.
    fn evicted(&self, transaction: &Transaction) -> Vec<Transaction> {
        let mut spent: BTreeSet<OutPoint> = transaction
            .input
            .iter()
            .map(|input| input.previous_output)
            .collect();
        let mut evicted = Vec::new();
        for waiting in &self.mempool {
            let mut inputs = waiting.input.iter();
            if inputs.any(|input| spent.contains(&input.previous_output)) {
                let txid = waiting.compute_txid();
                spent.extend(
                    (0..)
                        .take(waiting.output.len())
                        .map(|vout| OutPoint { txid, vout }),
                );
                evicted.push(waiting.clone());
            }
        }
        evicted
    }

    /// It pays for all that it replaces, for its own size, and more for each vbyte than each.
    fn may_replace(&self, transaction: &Transaction) -> bool {
        let evicted = self.evicted(transaction);
        let vsize = |transaction: &Transaction| transaction.vsize() as u64;
        let pays = |transaction: &Transaction| {
            let fee = self
                .fee(transaction)
                .filter(|fee| *fee < Amount::from_sat(100_000_000));
            fee.unwrap_or_default().to_sat()
        };
        let own = pays(transaction);
        let fees: u64 = evicted.iter().map(pays).sum();
        evicted.is_empty()
            || own >= fees + vsize(transaction)
                && evicted
                    .iter()
                    .all(|old| own * vsize(old) > pays(old) * vsize(transaction))
    }

    fn fault(&self, transaction: &Transaction) -> Option<Fault> {
        let txid = transaction.compute_txid();
        let is = |other: &Transaction| other.compute_txid() == txid;
        if self.mempool.iter().any(is) {
            return Some(Fault::InMempool);
        }
        if self.mined().any(is) {
            return Some(Fault::InChain);
        }
        let mut faults = Vec::new();
        if self.fee(transaction) < self.floor.fee_vb(transaction.vsize() as u64) {
            faults.push(Fault::FeeTooLow);
        }
        if !self.may_replace(transaction) {
            faults.push(Fault::Conflict);
        }
        for input in &transaction.input {
            let spent = input.previous_output;
            let is_nowhere = !self.known.contains(&spent.txid);
            if spends(self.mined(), &spent) || !is_nowhere && self.output(&spent).is_none() {
                return Some(Fault::MissingInputs);
            }
            if self.is_premature(&spent) {
                return Some(Fault::Premature);
            }
            if self.is_non_final(input) {
                return Some(Fault::NonFinal);
            }
            if !is_nowhere && input.witness.is_empty() {
                faults.push(Fault::NoWitness);
            }
        }
        faults.into_iter().next()
    }
}

fn spends<'a>(
    transactions: impl IntoIterator<Item = &'a Transaction>,
    outpoint: &OutPoint,
) -> bool {
    transactions
        .into_iter()
        .flat_map(|transaction| &transaction.input)
        .any(|input| input.previous_output == *outpoint)
}

impl PaperChain {
    /// A chain of one empty block.
    pub fn new() -> Self {
        let chain = Self(Mutex::new(State {
            blocks: Vec::new(),
            mempool: Vec::new(),
            known: BTreeSet::new(),
            branch: 0,
            error: None,
            kept_from: 0,
            fee_rate: None,
            maturity: 100,
            words: None,
            package_words: None,
            packages: 0,
            floor: FeeRate::from_sat_per_vb_u32(1),
        }));
        chain.mine(Vec::new());
        chain
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn answering(&self) -> Result<MutexGuard<'_, State>, ChainError> {
        let state = self.lock();
        match &state.error {
            Some(error) => Err(error.clone()),
            None => Ok(state),
        }
    }

    /// Adds a block. The mempool loses what the block holds and what cannot be after it.
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
        let spent: BTreeSet<OutPoint> = transactions
            .iter()
            .flat_map(|transaction| &transaction.input)
            .map(|input| input.previous_output)
            .collect();
        state
            .known
            .extend(transactions.iter().map(Transaction::compute_txid));
        state.mempool.retain(|waiting| {
            !waiting
                .input
                .iter()
                .any(|input| spent.contains(&input.previous_output))
        });
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

    /// Adds a block of all that waits.
    pub fn mine_mempool(&self) -> BlockRef {
        let waiting = self.lock().mempool.clone();
        self.mine(waiting)
    }

    /// Puts a transaction into the mempool, whatever it is.
    pub fn relay(&self, transaction: Transaction) {
        let mut state = self.lock();
        state.known.insert(transaction.compute_txid());
        state.mempool.push(transaction);
    }

    /// Forgets the mempool.
    pub fn clear_mempool(&self) {
        self.lock().mempool.clear();
    }

    /// Transactions in the mempool.
    pub fn mempool(&self) -> Vec<Transaction> {
        self.lock().mempool.clone()
    }

    /// How many blocks of the best chain hold a transaction.
    pub fn mined_count(&self, txid: &Txid) -> usize {
        let state = self.lock();
        state
            .mined()
            .filter(|transaction| transaction.compute_txid() == *txid)
            .count()
    }

    /// Drops blocks from `height` on; what is mined then is another branch.
    pub fn fork_at(&self, height: u32) {
        let mut state = self.lock();
        state.blocks.truncate(usize::try_from(height).unwrap());
        state.branch += 1;
    }

    /// The node goes away, or comes back.
    pub fn set_away(&self, is_away: bool) {
        let error = is_away.then(|| ChainError::Unreachable {
            url: "http://secret-host:8332".to_owned(),
            detail: "connection refused".to_owned(),
        });
        self.set_error(error);
    }

    /// The answer to every question from now on.
    pub fn set_error(&self, error: Option<ChainError>) {
        self.lock().error = error;
    }

    /// The node drops blocks below this height, or has fetched them again.
    pub fn keep_from(&self, height: u32) {
        self.lock().kept_from = height;
    }

    /// What the node says to every transaction from now on, in its own words.
    pub fn set_words(&self, words: Option<&'static str>) {
        self.lock().words = words;
    }

    /// What the node says to every parent with its child from now on, in its own words.
    pub fn set_package_words(&self, words: Option<&'static str>) {
        self.lock().package_words = words;
    }

    /// How many parents were handed over with a child.
    pub fn packages(&self) -> usize {
        self.lock().packages
    }

    /// Blocks after which a coinbase may be spent, from now on.
    pub fn set_maturity(&self, maturity: usize) {
        self.lock().maturity = maturity;
    }

    /// Below this the node takes nothing from now on; what it has is dropped, with what builds on
    /// it.
    pub fn set_floor(&self, floor: FeeRate) {
        let mut state = self.lock();
        state.floor = floor;
        loop {
            let is_low = |waiting: &&Transaction| {
                let vsize = waiting.vsize() as u64;
                let nowhere = waiting
                    .input
                    .iter()
                    .any(|input| state.output(&input.previous_output).is_none());
                nowhere || state.fee(waiting) < floor.fee_vb(vsize)
            };
            let Some(low) = state.mempool.iter().find(is_low).cloned() else {
                return;
            };
            state.mempool.retain(|waiting| *waiting != low);
        }
    }

    /// What the node estimates from now on.
    pub fn set_fee_rate(&self, fee_rate: FeeRate) {
        self.lock().fee_rate = Some(fee_rate);
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
        Ok(self.answering()?.block(hash)?.cloned())
    }
}

impl Chain for PaperChain {
    fn header(&self, _: &BlockHash) -> Result<Option<HeaderAt>, ChainError> {
        Ok(None)
    }

    fn mempool_txids(&self) -> Result<Vec<Txid>, ChainError> {
        let state = self.answering()?;
        Ok(state
            .mempool
            .iter()
            .map(Transaction::compute_txid)
            .collect())
    }

    fn mempool_tx(&self, txid: &Txid) -> Result<Option<Transaction>, ChainError> {
        let state = self.answering()?;
        let found = state
            .mempool
            .iter()
            .find(|transaction| transaction.compute_txid() == *txid);
        Ok(found.cloned())
    }

    fn mempool_kin(&self, txid: &Txid) -> Result<Option<MempoolKin>, ChainError> {
        let state = self.answering()?;
        let is_there = |txid: &Txid| state.mempool.iter().any(|tx| tx.compute_txid() == *txid);
        if !is_there(txid) {
            return Ok(None);
        }
        // The mempool is in the order of arrival: parents first.
        let (mut above, mut below) = (BTreeSet::from([*txid]), BTreeSet::from([*txid]));
        for transaction in &state.mempool {
            let mut inputs = transaction.input.iter();
            if inputs.any(|input| below.contains(&input.previous_output.txid)) {
                below.insert(transaction.compute_txid());
            }
        }
        for transaction in state.mempool.iter().rev() {
            if above.contains(&transaction.compute_txid()) {
                above.extend(
                    transaction
                        .input
                        .iter()
                        .map(|input| input.previous_output.txid),
                );
            }
        }
        let sum = |txids: &BTreeSet<Txid>| {
            let found = state.mempool.iter();
            found
                .filter(|tx| txids.contains(&tx.compute_txid()))
                .fold((0, 0), |(count, vsize), tx| {
                    (count + 1, vsize + tx.vsize() as u64)
                })
        };
        let ((ancestors, ancestors_vsize), (descendants, descendants_vsize)) =
            (sum(&above), sum(&below));
        let mempool = state.mempool.iter();
        let paying = mempool.filter(|tx| below.contains(&tx.compute_txid()));
        let descendants_fee = paying.map(|tx| state.fee(tx).unwrap_or_default()).sum();
        Ok(Some(MempoolKin {
            ancestors,
            ancestors_vsize,
            descendants,
            descendants_vsize,
            descendants_fee,
        }))
    }

    fn tx_in_block(
        &self,
        txid: &Txid,
        block: &BlockHash,
    ) -> Result<Option<Transaction>, ChainError> {
        Ok(self.answering()?.in_block(txid, block)?.cloned())
    }

    fn spent_in_block(
        &self,
        txid: &Txid,
        block: &BlockHash,
    ) -> Result<Option<Vec<Spent>>, ChainError> {
        let state = self.answering()?;
        let found = state.in_block(txid, block)?;
        Ok(found.and_then(|transaction| {
            let inputs = transaction.input.iter();
            inputs
                .map(|input| state.spent(&input.previous_output))
                .collect()
        }))
    }

    /// Unspent is what a transaction here makes and none spends.
    fn tx_out(&self, outpoint: &OutPoint, view: View) -> Result<Option<TxOutStatus>, ChainError> {
        let state = self.answering()?;
        let is_mined = state
            .mined()
            .any(|transaction| transaction.compute_txid() == outpoint.txid);
        let is_spent = spends(state.mined(), outpoint)
            || view == View::WithMempool && spends(state.mempool.iter(), outpoint);
        let is_there = !is_spent && (is_mined || view == View::WithMempool);
        let output = state.output(outpoint).filter(|_| is_there);
        Ok(output.map(|output| TxOutStatus {
            output,
            confirmations: state.confirmations(&outpoint.txid),
            is_coinbase: state.is_coinbase(outpoint),
            best_block: state.blocks.last().unwrap().block_hash(),
        }))
    }

    fn test_mempool_accept(&self, transactions: &[Transaction]) -> Result<Vec<Tested>, ChainError> {
        let state = self.answering()?;
        let verdict = |transaction| match state.fault(transaction) {
            _ if state.words.is_some() => Verdict::rejected(state.words.unwrap()),
            Some(fault) => Verdict::rejected(fault.reason()),
            None => Verdict::Accepted {
                vsize: 1,
                fee: Amount::ZERO,
            },
        };
        Ok(transactions
            .iter()
            .map(|transaction| Tested {
                txid: transaction.compute_txid(),
                wtxid: transaction.compute_wtxid(),
                verdict: verdict(transaction),
            })
            .collect())
    }

    fn send(&self, transaction: &Transaction) -> Result<Txid, SendError> {
        let mut state = self.answering()?;
        let txid = transaction.compute_txid();
        if let Some(words) = state.words {
            return Err(SendError::Rejected {
                code: -26,
                reason: words.to_owned(),
            });
        }
        match state.fault(transaction) {
            None => {
                let evicted = state.evicted(transaction);
                state.mempool.retain(|waiting| !evicted.contains(waiting));
                state.known.insert(txid);
                state.mempool.push(transaction.clone());
                Ok(txid)
            }
            Some(Fault::InMempool) => Ok(txid),
            Some(Fault::InChain) => Err(SendError::AlreadyConfirmed),
            Some(fault @ Fault::MissingInputs) => Err(SendError::MissingInputs {
                reason: fault.reason().to_owned(),
            }),
            Some(fault @ Fault::Conflict) => Err(SendError::Conflict {
                reason: fault.reason().to_owned(),
            }),
            Some(fault @ Fault::FeeTooLow) => Err(SendError::FeeTooLow {
                reason: fault.reason().to_owned(),
            }),
            Some(fault @ (Fault::Premature | Fault::NonFinal)) => Err(SendError::TooEarly {
                reason: fault.reason().to_owned(),
            }),
            Some(fault @ Fault::NoWitness) => Err(SendError::ScriptInvalid {
                reason: fault.reason().to_owned(),
            }),
        }
    }

    /// As Bitcoin Core: what both pay counts for both, and nothing else is forgiven.
    fn send_package(&self, parent: &Transaction, child: &Transaction) -> Result<Txid, SendError> {
        let mut state = self.answering()?;
        state.packages += 1;
        if let Some(words) = state.package_words.or(state.words) {
            return Err(SendError::Rejected {
                code: -26,
                reason: words.to_owned(),
            });
        }
        let floor = state.floor;
        // Neither has to pay for itself.
        state.floor = FeeRate::ZERO;
        let before = state.mempool.clone();
        let fees = [parent, child].map(|transaction| {
            let fault = state.fault(transaction);
            let fee = state.fee(transaction).unwrap_or(Amount::ZERO);
            state.known.insert(transaction.compute_txid());
            if !before.contains(transaction) {
                state.mempool.push(transaction.clone());
            }
            fault
                .is_none_or(|fault| matches!(fault, Fault::InMempool))
                .then_some(fee)
        });
        state.floor = floor;
        let vsize = (parent.vsize() + child.vsize()) as u64;
        let pays = fees[0].zip(fees[1]).map(|(parent, child)| parent + child);
        if pays < floor.fee_vb(vsize) {
            state.mempool = before;
            return Err(SendError::FeeTooLow {
                reason: Fault::FeeTooLow.reason().to_owned(),
            });
        }
        Ok(parent.compute_txid())
    }

    fn estimate_fee_rate(&self, _: u16) -> Result<Option<FeeRate>, ChainError> {
        self.answering().map(|state| state.fee_rate)
    }

    fn mempool_min_fee_rate(&self) -> Result<FeeRate, ChainError> {
        self.answering().map(|state| state.floor)
    }
}
