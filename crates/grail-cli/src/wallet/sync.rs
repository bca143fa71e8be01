//! Brings the wallet up to the node's best chain and mempool.

use std::collections::HashSet;

use bdk_wallet::chain::BlockId;
use bitcoin::Txid;
use grail_chain::{
    BlockRef, CURSOR_BLOCKS_MAX, Chain, ChainError, Cursor, ScanError, Step, next_step,
};

use super::{Wallet, WalletError, own};
use crate::progress::Progress;

/// Blocks between two saves.
const SAVE_BLOCKS: u32 = 200;
/// Most transactions of the mempool that are looked at in one go; what was looked at is remembered,
/// so that the next go comes further.
const MEMPOOL_TXS_MAX: usize = 20_000;
/// Rewinds in a row before the sync gives up: the node flaps.
const REWINDS_MAX: u32 = 16;

/// Why the wallet is not up to date.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The node.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// None of the blocks that the wallet remembers is in the node's chain.
    #[error("{0}; is the node on the wallet's chain?")]
    ReorgTooDeep(String),
    /// The node keeps changing its mind.
    #[error("the node's best chain keeps changing: try again")]
    Unsettled,
    /// A block that does not follow the wallet's.
    #[error("block at height {height} does not connect to the wallet's chain: {reason}")]
    Unconnected {
        /// Its height.
        height: u32,
        /// What does not fit.
        reason: String,
    },
    /// The wallet's file.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

impl SyncError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Chain(error) => error.code(),
            Self::ReorgTooDeep(_) => "reorg-too-deep",
            Self::Unsettled => "node-unsettled",
            Self::Unconnected { .. } => "block-unconnected",
            Self::Wallet(error) => error.code(),
        }
    }
}

failures!(SyncError);

impl From<ScanError> for SyncError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Chain(error) => Self::Chain(error),
            deep @ ScanError::ReorgTooDeep { .. } => Self::ReorgTooDeep(deep.to_string()),
        }
    }
}

/// Reads all new blocks, then the mempool. `now` in unix seconds orders conflicting unconfirmed
/// transactions.
pub fn sync<C: Chain>(
    wallet: &mut Wallet,
    chain: &C,
    now: u64,
    progress: &mut dyn Progress,
) -> Result<(), SyncError> {
    let result =
        blocks(wallet, chain, progress).and_then(|()| mempool(wallet, chain, now, progress));
    progress.end();
    // What was read is kept even when the rest failed.
    wallet.save()?;
    result
}

fn blocks<C: Chain>(
    wallet: &mut Wallet,
    chain: &C,
    progress: &mut dyn Progress,
) -> Result<(), SyncError> {
    let mut cursor = cursor(wallet)?;
    let first_height = cursor.next_height();
    wallet.watch_requests(first_height..=chain.tip()?.height);
    let mut rewinds = 0_u32;
    loop {
        match next_step(&cursor, chain)? {
            Step::UpToDate | Step::NodeBehind { .. } => return Ok(()),
            Step::Rewind { to } => {
                rewinds = rewinds.saturating_add(1);
                if rewinds > REWINDS_MAX {
                    return Err(SyncError::Unsettled);
                }
                // The wallet itself drops the old branch when the first block of the new one comes.
                cursor.rewind(to);
            }
            Step::Connect { at, block } => {
                connect(wallet, &cursor, at, &block)?;
                wallet.take_block(&block, at.height)?;
                cursor.connect(at).map_err(|gap| SyncError::Unconnected {
                    height: at.height,
                    reason: gap.to_string(),
                })?;
                let read = at.height.saturating_sub(first_height);
                if read.is_multiple_of(SAVE_BLOCKS) {
                    wallet.save()?;
                    let total = chain.tip()?.height.saturating_sub(first_height);
                    progress.step("reading blocks", u64::from(read), u64::from(total));
                }
            }
        }
    }
}

fn connect(
    wallet: &mut Wallet,
    cursor: &Cursor,
    at: BlockRef,
    block: &bitcoin::Block,
) -> Result<(), SyncError> {
    let unconnected = |reason: String| SyncError::Unconnected {
        height: at.height,
        reason,
    };
    if cursor.last().is_some() {
        return wallet
            .bdk_mut()
            .apply_block(block, at.height)
            .map_err(|error| unconnected(error.to_string()));
    }
    // The first block ever: it hangs on the genesis block, which all wallets know.
    let genesis = wallet.bdk().local_chain().genesis_hash();
    wallet
        .bdk_mut()
        .apply_block_connected_to(
            block,
            at.height,
            BlockId {
                height: 0,
                hash: genesis,
            },
        )
        .map_err(|error| unconnected(error.to_string()))
}

/// The wallet's newest blocks without a gap.
fn cursor(wallet: &Wallet) -> Result<Cursor, SyncError> {
    let start_height = wallet.birthday_height();
    let mut recent = Vec::<BlockRef>::new();
    for checkpoint in wallet.bdk().checkpoints() {
        let follows = recent
            .last()
            .is_none_or(|above| above.height == checkpoint.height().saturating_add(1));
        if !follows || checkpoint.height() < start_height || recent.len() == CURSOR_BLOCKS_MAX {
            break;
        }
        recent.push(BlockRef {
            height: checkpoint.height(),
            hash: checkpoint.hash(),
        });
    }
    Cursor::restore(start_height, recent.into_iter().rev()).map_err(|gap| SyncError::Unconnected {
        height: gap.got,
        reason: gap.to_string(),
    })
}

fn mempool<C: Chain>(
    wallet: &mut Wallet,
    chain: &C,
    now: u64,
    progress: &mut dyn Progress,
) -> Result<(), SyncError> {
    let present: HashSet<Txid> = chain.mempool_txids()?.into_iter().collect();
    let horizon = wallet.horizon();
    let seen = wallet.mempool_seen.read(horizon);
    let known = wallet.unconfirmed();
    let new: Vec<&Txid> = present
        .iter()
        .filter(|txid| !known.contains(*txid) && !seen.contains(*txid))
        .take(MEMPOOL_TXS_MAX)
        .collect();
    let mut others: HashSet<Txid> = seen.intersection(&present).copied().collect();
    for (done, txid) in (0_u64..).zip(&new) {
        progress.step("reading the mempool", done, new.len() as u64);
        // None: confirmed or replaced since the list was made.
        if let Some(transaction) = chain.mempool_tx(txid)? {
            wallet.see(transaction, now);
            if wallet.transaction(txid).is_none() {
                others.insert(**txid);
            }
        }
    }
    if others != seen {
        wallet.mempool_seen.write(wallet.horizon(), &others);
    }
    own::keep_alive(wallet, chain, &present, now, progress)?;
    Ok(())
}
