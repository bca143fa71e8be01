//! Which slots requests were made with: none is used twice, also after a restore.
//!
//! What lies among the unspent outputs does not tell which slots are used: a settled request leaves
//! none. So a folder that was made from existing words, or that lost this file, begins with the
//! next window, in which nobody can have made a request yet.

use std::collections::BTreeSet;
use std::path::PathBuf;

use grail_wallet::slot::{Slot, window_of};
use serde::{Deserialize, Serialize};

use super::HomeError;
use super::files::{io, read_json, replace};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// Where this folder began; absent until a node has said how high the chain is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_window: Option<u32>,
    used: BTreeSet<Slot>,
}

/// What the next request can be made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextSlot {
    /// This slot.
    Free(Slot),
    /// None before this window: another folder of the same words may have used those of now.
    NotBegun {
        /// The first one.
        first_window: u32,
    },
    /// None before the next window: all are used.
    Full,
}

/// Their file.
#[derive(Clone, Debug)]
pub struct SlotFile {
    path: PathBuf,
    is_only_read: bool,
}

impl SlotFile {
    pub(super) fn new(path: PathBuf, is_only_read: bool) -> Self {
        Self { path, is_only_read }
    }

    /// Every slot that a request was made with, or that a block showed to be in use.
    pub fn used(&self) -> Result<BTreeSet<Slot>, HomeError> {
        Ok(self.read()?.used)
    }

    /// Begins with this window, where it has not begun.
    pub fn begin(&self, first_window: u32) -> Result<(), HomeError> {
        let stored = self.read()?;
        if stored.first_window.is_some() {
            return Ok(());
        }
        self.write(&Stored {
            first_window: Some(first_window),
            ..stored
        })
    }

    /// What a request can be made with that is made above a block of this height.
    pub fn next(&self, tip_height: u32) -> Result<NextSlot, HomeError> {
        let window = window_of(tip_height);
        let stored = self.read()?;
        let first_window = if let Some(first_window) = stored.first_window {
            first_window
        } else {
            let next = window.saturating_add(1);
            self.begin(next)?;
            next
        };
        if window < first_window {
            return Ok(NextSlot::NotBegun { first_window });
        }
        let free = Slot::of_window(window).find(|slot| !stored.used.contains(slot));
        Ok(free.map_or(NextSlot::Full, NextSlot::Free))
    }

    /// Notes that a slot is used. It is on disk when this returns.
    pub fn take(&self, slot: Slot) -> Result<(), HomeError> {
        let mut stored = self.read()?;
        if stored.used.insert(slot) {
            self.write(&stored)?;
        }
        Ok(())
    }

    fn read(&self) -> Result<Stored, HomeError> {
        if self.path.exists() {
            read_json(&self.path)
        } else {
            Ok(Stored::default())
        }
    }

    fn write(&self, stored: &Stored) -> Result<(), HomeError> {
        if self.is_only_read {
            return Ok(());
        }
        let json = serde_json::to_vec(stored).map_err(|error| HomeError::Malformed {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        replace(&self.path, &json).map_err(|source| io(&self.path, source))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(folder: &tempfile::TempDir) -> SlotFile {
        SlotFile::new(folder.path().join("slots.json"), false)
    }

    fn free(file: &SlotFile, height: u32) -> u32 {
        match file.next(height).unwrap() {
            NextSlot::Free(slot) => slot.index(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_new_mnemonic_uses_eight_slots_a_window_and_none_twice() {
        let folder = tempfile::TempDir::new().unwrap();
        let slots = file(&folder);
        slots.begin(0).unwrap();
        for expected in 16..24 {
            assert_eq!(free(&slots, 2 * 144 + 7), expected);
            // Looking uses none.
            assert_eq!(free(&file(&folder), 2 * 144), expected);
            slots.take(expected.try_into().unwrap()).unwrap();
        }
        assert_eq!(slots.next(2 * 144 + 143).unwrap(), NextSlot::Full);
        assert_eq!(free(&slots, 3 * 144), 24);
        assert_eq!(slots.used().unwrap().len(), 8);
    }

    #[test]
    fn what_was_restored_begins_with_the_next_window_and_stays_begun() {
        let folder = tempfile::TempDir::new().unwrap();
        let slots = file(&folder);
        let not_begun = NextSlot::NotBegun { first_window: 6 };
        assert_eq!(slots.next(5 * 144).unwrap(), not_begun);
        assert_eq!(slots.next(5 * 144 + 143).unwrap(), not_begun);
        slots.begin(0).unwrap();
        assert_eq!(slots.next(5 * 144).unwrap(), not_begun);
        assert_eq!(free(&slots, 6 * 144), 48);
        assert_eq!(free(&slots, 7 * 144), 56);
    }
}
