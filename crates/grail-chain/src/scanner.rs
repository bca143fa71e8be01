//! Following a chain one block at a time, through reorgs.
//!
//! Owns the decision what comes next for a reader that has seen certain blocks. Holds no memory of
//! its own and saves nothing: the caller saves the cursor and what it derived from a block in one
//! transaction, then asks again. A node that is merely behind makes nothing unhappen.

use std::collections::VecDeque;

use bitcoin::{Block, BlockHash};

use crate::{BlockRef, BlockSource, ChainError};

/// Blocks that a cursor remembers: two days. A deeper reorg is a matter for people, not for code.
pub const CURSOR_BLOCKS_MAX: usize = 288;

/// Times that the chain may move under one question before the caller is told to come back.
const MOVED_MAX: usize = 4;

/// The blocks last seen by a reader, oldest first, without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    start_height: u32,
    recent: VecDeque<BlockRef>,
}

/// Heights handed to a [`Cursor`] that do not follow each other, or lie below its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cursor cannot take block at height {got}, expected {expected}")]
pub struct CursorGap {
    /// The height that follows.
    pub expected: u32,
    /// The height given.
    pub got: u32,
}

impl Cursor {
    /// A reader that has seen nothing and begins with the block at `start_height`.
    pub fn starting_at(start_height: u32) -> Self {
        Self {
            start_height,
            recent: VecDeque::new(),
        }
    }

    /// A reader as saved: the newest blocks seen, oldest first. Of more than [`CURSOR_BLOCKS_MAX`]
    /// the newest stay.
    ///
    /// # Errors
    /// [`CursorGap`] when the heights have a gap or begin below `start_height`.
    pub fn restore(
        start_height: u32,
        recent: impl IntoIterator<Item = BlockRef>,
    ) -> Result<Self, CursorGap> {
        let mut cursor = Self::starting_at(start_height);
        for block in recent {
            if cursor.recent.is_empty() {
                if block.height < start_height {
                    return Err(CursorGap {
                        expected: start_height,
                        got: block.height,
                    });
                }
                cursor.recent.push_back(block);
            } else {
                cursor.connect(block)?;
            }
        }
        Ok(cursor)
    }

    /// The newest block seen.
    pub fn last(&self) -> Option<BlockRef> {
        self.recent.back().copied()
    }

    /// The height that comes next.
    pub fn next_height(&self) -> u32 {
        self.last()
            .map_or(self.start_height, |block| block.height.saturating_add(1))
    }

    /// The blocks remembered, oldest first.
    pub fn recent(&self) -> impl DoubleEndedIterator<Item = BlockRef> + '_ {
        self.recent.iter().copied()
    }

    /// Notes that `block` was taken.
    ///
    /// # Errors
    /// [`CursorGap`] when it is not at [`Cursor::next_height`].
    pub fn connect(&mut self, block: BlockRef) -> Result<(), CursorGap> {
        let expected = self.next_height();
        if block.height != expected {
            return Err(CursorGap {
                expected,
                got: block.height,
            });
        }
        if self.recent.len() == CURSOR_BLOCKS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(block);
        Ok(())
    }

    /// Forgets all blocks above `to`, or all of them.
    pub fn rewind(&mut self, to: Option<BlockRef>) {
        match to {
            Some(to) => self.recent.retain(|block| block.height <= to.height),
            None => self.recent.clear(),
        }
    }

    /// Whether every block since the start is still remembered.
    fn holds_start(&self) -> bool {
        self.recent
            .front()
            .is_none_or(|block| block.height == self.start_height)
    }
}

/// What a reader does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Undo every block above `to` (`None`: all of them); another branch has won.
    Rewind {
        /// The newest block of the cursor that is in the best chain.
        to: Option<BlockRef>,
    },
    /// Take this block, which follows the cursor.
    Connect {
        /// Its name.
        at: BlockRef,
        /// The block.
        block: Box<Block>,
    },
    /// Nothing new.
    UpToDate,
    /// The node's whole chain is part of what was seen: it is behind. Wait; undo nothing.
    NodeBehind {
        /// The node's best block.
        tip: BlockRef,
    },
}

/// Why a reader cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ScanError {
    /// The source failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// None of the remembered blocks is in the best chain: an alarm.
    #[error(
        "reorg is deeper than the {remembered} blocks remembered down to height {oldest_height}"
    )]
    ReorgTooDeep {
        /// Blocks in the cursor.
        remembered: usize,
        /// Height of the oldest.
        oldest_height: u32,
    },
}

/// What a reader at `cursor` does next on the best chain of `source`.
///
/// # Errors
/// [`ScanError`]; with a transient [`ChainError`] nothing has been learnt and the same call may be
/// repeated.
pub fn next_step(cursor: &Cursor, source: &(impl BlockSource + ?Sized)) -> Result<Step, ScanError> {
    let mut next_hash = None;
    for _ in 0..MOVED_MAX {
        if let Some(away) = leave_branch(cursor, source)? {
            return Ok(away);
        }
        let height = cursor.next_height();
        let Some(hash) = source.block_hash(height)? else {
            return Ok(Step::UpToDate);
        };
        let block = source.block(&hash)?.ok_or_else(|| not_there(&hash))?;
        let follows = cursor
            .last()
            .is_none_or(|last| block.header.prev_blockhash == last.hash);
        if follows {
            return Ok(Step::Connect {
                at: BlockRef { height, hash },
                block: Box::new(block),
            });
        }
        // The best chain changed between the two questions: look again.
        next_hash = Some(hash);
    }
    let what = next_hash.map_or_else(String::new, |hash| {
        format!("a block that follows, last {hash}")
    });
    Err(ChainError::Unavailable {
        what,
        detail: "the best chain keeps moving".into(),
    }
    .into())
}

/// The step away from a branch that is no longer, or not yet, the node's best chain; `None` when
/// the cursor is on it.
fn leave_branch(
    cursor: &Cursor,
    source: &(impl BlockSource + ?Sized),
) -> Result<Option<Step>, ScanError> {
    let Some(last) = cursor.last() else {
        return Ok(None);
    };
    if source.block_hash(last.height)? == Some(last.hash) {
        return Ok(None);
    }
    let tip = source.tip()?;
    let mut shared = None;
    for seen in cursor
        .recent()
        .rev()
        .filter(|seen| seen.height <= tip.height)
    {
        if source.block_hash(seen.height)? == Some(seen.hash) {
            shared = Some(seen);
            break;
        }
    }
    let oldest_height = cursor
        .recent()
        .next()
        .map_or(last.height, |oldest| oldest.height);
    match shared {
        Some(shared) if shared == last => Ok(None),
        Some(shared) if shared.height == tip.height => Ok(Some(Step::NodeBehind { tip })),
        Some(shared) => Ok(Some(Step::Rewind { to: Some(shared) })),
        None if tip.height < oldest_height => Ok(Some(Step::NodeBehind { tip })),
        None if cursor.holds_start() => Ok(Some(Step::Rewind { to: None })),
        None => Err(ScanError::ReorgTooDeep {
            remembered: cursor.recent.len(),
            oldest_height,
        }),
    }
}

fn not_there(hash: &BlockHash) -> ChainError {
    ChainError::Unavailable {
        what: format!("block {hash}"),
        detail: "named in the best chain, but not there".into(),
    }
}

#[cfg(test)]
#[path = "scanner_tests.rs"]
mod tests;
