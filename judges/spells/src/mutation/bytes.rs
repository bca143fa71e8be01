//! Changes of single bytes of a serialised transaction.

use bitcoin::Transaction;
use bitcoin::consensus::encode::{deserialize, serialize};

/// One byte, changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Exclusive or with a mask.
    Flip {
        /// Position.
        at: usize,
        /// The bits.
        mask: u8,
    },
    /// Another value.
    Set {
        /// Position.
        at: usize,
        /// The value.
        value: u8,
    },
    /// Left out.
    Delete {
        /// Position.
        at: usize,
    },
    /// One more before it.
    Insert {
        /// Position.
        at: usize,
        /// The new byte.
        value: u8,
    },
}

impl Edit {
    /// The change of position `at` that belongs to `turn`: one bit or another, an extreme, a
    /// deletion, an insertion. Turns from 0 to [`Self::TURNS`] are all different.
    pub fn at(at: usize, turn: usize) -> Self {
        match turn % Self::TURNS {
            bit @ 0..8 => Self::Flip { at, mask: 1 << bit },
            8 => Self::Set { at, value: 0 },
            9 => Self::Set { at, value: 0xff },
            10 => Self::Delete { at },
            11 => Self::Insert { at, value: 0 },
            _ => Self::Insert { at, value: 0x81 },
        }
    }

    /// How many different changes [`Self::at`] knows.
    pub const TURNS: usize = 13;

    /// The changed bytes; `None` when nothing changes or the position is not there.
    pub fn edit(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut changed = bytes.to_vec();
        match self {
            Self::Flip { at, mask } => *changed.get_mut(at)? ^= mask,
            Self::Set { at, value } => *changed.get_mut(at)? = value,
            Self::Delete { at } if at < changed.len() => {
                changed.remove(at);
            }
            Self::Insert { at, value } if at <= changed.len() => changed.insert(at, value),
            Self::Delete { .. } | Self::Insert { .. } => return None,
        }
        (changed != bytes).then_some(changed)
    }

    /// The changed transaction, if it still is one.
    pub fn apply(self, tx: &Transaction) -> Option<Transaction> {
        deserialize(&self.edit(&serialize(tx))?).ok()
    }
}
