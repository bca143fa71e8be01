//! The scanner on a made-up chain.
#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash, CompactTarget, TxMerkleNode};
use proptest::prelude::*;

use super::*;

/// A node whose best chain the test rewrites; it remembers the blocks of every branch.
#[derive(Default)]
struct FakeChain {
    best: RefCell<Vec<BlockHash>>,
    known: RefCell<HashMap<BlockHash, Block>>,
    made: Cell<u32>,
    /// After this many questions for a block, the branch changes under the reader.
    moves: Cell<usize>,
}

impl FakeChain {
    fn of_length(blocks: u32) -> Self {
        let chain = Self::default();
        chain.extend(blocks);
        chain
    }

    fn extend(&self, count: u32) {
        for _ in 0..count {
            let previous = self
                .best
                .borrow()
                .last()
                .copied()
                .unwrap_or(BlockHash::all_zeros());
            let nonce = self.made.replace(self.made.get() + 1);
            let header = Header {
                version: Version::TWO,
                prev_blockhash: previous,
                merkle_root: TxMerkleNode::all_zeros(),
                time: 0,
                bits: CompactTarget::from_consensus(0),
                nonce,
            };
            let block = Block {
                header,
                txdata: Vec::new(),
            };
            self.best.borrow_mut().push(block.block_hash());
            self.known.borrow_mut().insert(block.block_hash(), block);
        }
    }

    fn cut(&self, count: usize) {
        let mut best = self.best.borrow_mut();
        let kept = best.len().saturating_sub(count);
        best.truncate(kept);
    }

    fn reorg(&self, depth: usize, new_blocks: u32) {
        self.cut(depth);
        self.extend(new_blocks);
    }

    fn at(&self, height: u32) -> BlockRef {
        let hash = self.best.borrow()[usize::try_from(height).unwrap()];
        BlockRef { height, hash }
    }
}

impl BlockSource for FakeChain {
    fn tip(&self) -> Result<BlockRef, ChainError> {
        let length = u32::try_from(self.best.borrow().len()).unwrap();
        Ok(self.at(length - 1))
    }

    fn block_hash(&self, height: u32) -> Result<Option<BlockHash>, ChainError> {
        Ok(self
            .best
            .borrow()
            .get(usize::try_from(height).unwrap())
            .copied())
    }

    fn block(&self, hash: &BlockHash) -> Result<Option<Block>, ChainError> {
        let block = self.known.borrow().get(hash).cloned();
        if let Some(left) = self.moves.get().checked_sub(1) {
            self.moves.set(left);
            self.reorg(2, 2);
        }
        Ok(block)
    }
}

fn seen(chain: &FakeChain, heights: std::ops::RangeInclusive<u32>) -> Cursor {
    Cursor::restore(0, heights.map(|height| chain.at(height))).unwrap()
}

/// Takes steps until there is nothing to do, as a reader would.
fn follow(cursor: &mut Cursor, chain: &FakeChain) -> Step {
    loop {
        match next_step(cursor, chain).unwrap() {
            Step::Rewind { to } => cursor.rewind(to),
            Step::Connect { at, block } => {
                assert_eq!(block.block_hash(), at.hash);
                if let Some(last) = cursor.last() {
                    assert_eq!(block.header.prev_blockhash, last.hash);
                }
                cursor.connect(at).unwrap();
            }
            end => return end,
        }
    }
}

#[test]
fn begins_at_the_start_height_and_ends_at_the_tip() {
    let chain = FakeChain::of_length(5);
    let mut cursor = Cursor::starting_at(2);
    let Step::Connect { at, .. } = next_step(&cursor, &chain).unwrap() else {
        panic!()
    };
    assert_eq!(at, chain.at(2));
    assert_eq!(follow(&mut cursor, &chain), Step::UpToDate);
    assert_eq!(
        cursor.recent().collect::<Vec<_>>(),
        [chain.at(2), chain.at(3), chain.at(4)]
    );
}

#[test]
fn waits_for_a_start_height_above_the_tip() {
    let chain = FakeChain::of_length(3);
    assert_eq!(
        next_step(&Cursor::starting_at(3), &chain).unwrap(),
        Step::UpToDate
    );
}

#[test]
fn rewinds_to_the_fork_point_before_taking_the_new_branch() {
    let chain = FakeChain::of_length(10);
    let mut cursor = seen(&chain, 0..=9);
    chain.reorg(3, 4);
    assert_eq!(
        next_step(&cursor, &chain).unwrap(),
        Step::Rewind {
            to: Some(chain.at(6))
        }
    );
    assert_eq!(follow(&mut cursor, &chain), Step::UpToDate);
    assert_eq!(cursor.last(), Some(chain.at(10)));
}

#[test]
fn rewinds_to_a_shorter_branch_that_has_more_work() {
    let chain = FakeChain::of_length(10);
    let cursor = seen(&chain, 0..=9);
    chain.reorg(3, 1);
    assert_eq!(
        next_step(&cursor, &chain).unwrap(),
        Step::Rewind {
            to: Some(chain.at(6))
        }
    );
}

#[test]
fn a_node_that_is_behind_unhappens_nothing() {
    let chain = FakeChain::of_length(10);
    let cursor = seen(&chain, 5..=9);
    for behind in [1, 4, 3] {
        chain.cut(behind);
        let tip = chain.tip().unwrap();
        assert_eq!(
            next_step(&cursor, &chain).unwrap(),
            Step::NodeBehind { tip }
        );
    }
}

#[test]
fn rewinds_everything_when_the_first_block_itself_is_gone() {
    let chain = FakeChain::of_length(10);
    let cursor = Cursor::restore(7, (7..=9).map(|height| chain.at(height))).unwrap();
    chain.reorg(4, 5);
    assert_eq!(
        next_step(&cursor, &chain).unwrap(),
        Step::Rewind { to: None }
    );
}

#[test]
fn a_reorg_below_what_is_remembered_is_an_error() {
    let chain = FakeChain::of_length(10);
    let cursor = seen(&chain, 7..=9);
    chain.reorg(4, 5);
    assert!(matches!(
        next_step(&cursor, &chain),
        Err(ScanError::ReorgTooDeep {
            remembered: 3,
            oldest_height: 7
        })
    ));
}

#[test]
fn a_branch_that_changes_between_two_questions_is_never_mixed_in() {
    let chain = FakeChain::of_length(10);
    let mut cursor = seen(&chain, 0..=8);
    chain.moves.set(3);
    assert_eq!(follow(&mut cursor, &chain), Step::UpToDate);
    assert_eq!(cursor.last(), Some(chain.tip().unwrap()));
}

#[test]
fn a_named_block_that_is_not_there_is_transient() {
    let chain = FakeChain::of_length(3);
    let cursor = seen(&chain, 0..=1);
    chain.known.borrow_mut().remove(&chain.at(2).hash);
    let Err(ScanError::Chain(error)) = next_step(&cursor, &chain) else {
        panic!()
    };
    assert_eq!(error.kind(), crate::ErrorKind::Transient);
}

#[test]
fn a_cursor_has_no_gap_and_forgets_its_oldest() {
    let chain = FakeChain::of_length(400);
    let mut cursor = Cursor::starting_at(3);
    assert_eq!(
        cursor.connect(chain.at(4)),
        Err(CursorGap {
            expected: 3,
            got: 4
        })
    );
    assert!(Cursor::restore(3, [chain.at(2)]).is_err());
    assert!(Cursor::restore(0, [chain.at(2), chain.at(4)]).is_err());
    assert_eq!(follow(&mut cursor, &chain), Step::UpToDate);
    assert_eq!(cursor.recent().count(), CURSOR_BLOCKS_MAX);
    assert_eq!(cursor.last(), Some(chain.at(399)));
}

proptest! {
    #[test]
    fn whatever_the_reorgs_the_reader_ends_on_the_best_chain(
        steps in prop::collection::vec((0usize..8, 1u32..6, 0usize..12), 1..20)
    ) {
        let chain = FakeChain::of_length(30);
        let mut cursor = Cursor::starting_at(0);
        for (depth, longer, taken) in steps {
            chain.reorg(depth, u32::try_from(depth).unwrap() + longer);
            // Stop anywhere, also in the middle of a reorg.
            for _ in 0..taken {
                match next_step(&cursor, &chain).unwrap() {
                    Step::Rewind { to } => cursor.rewind(to),
                    Step::Connect { at, .. } => cursor.connect(at).unwrap(),
                    _ => break,
                }
            }
        }
        prop_assert_eq!(follow(&mut cursor, &chain), Step::UpToDate);
        let expected: Vec<_> =
            (0..=chain.tip().unwrap().height).map(|height| chain.at(height)).collect();
        prop_assert_eq!(cursor.recent().collect::<Vec<_>>(), expected);
    }
}
