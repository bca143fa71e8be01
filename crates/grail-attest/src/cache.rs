//! Signatures of chains that were verified before: almost all the work of a document is P-384, and
//! documents of one region, machine and enclave share their chains.
//!
//! Owns hashes alone. What is remembered is one fact that no time changes: that each certificate of
//! a chain, from the pinned root down to this one, is signed by the key of the one above it. Form,
//! places, names and dates are checked anew each time, and so is the document's own signature.

use std::collections::HashMap;

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};

/// Names a certificate together with all that stand above it, the root included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Prefix(sha256::Hash);

impl Prefix {
    /// The root alone.
    pub(crate) fn root(der: &[u8]) -> Self {
        Self(sha256::Hash::hash(der))
    }

    /// One certificate further down. The hash above has a fixed length, so that no two chains make
    /// the same bytes.
    pub(crate) fn followed_by(self, der: &[u8]) -> Self {
        let mut engine = sha256::Hash::engine();
        engine.input(self.0.as_byte_array());
        engine.input(der);
        Self(sha256::Hash::from_engine(engine))
    }
}

/// Prefixes of chains whose signatures were verified, at most so many; the one not used for longest
/// makes room. Whoever floods it needs certificates that the pinned root's owner issued, and only
/// makes others' documents cost what they cost without it.
#[derive(Clone, Debug)]
pub struct ChainCache {
    capacity: usize,
    uses: u64,
    last_use: HashMap<Prefix, u64>,
}

impl ChainCache {
    /// Remembers so many certificates: a few for each region, one for each machine and one for each
    /// enclave, 40 bytes each. One that remembers none is allowed.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            uses: 0,
            last_use: HashMap::new(),
        }
    }

    /// How many certificates are remembered.
    pub fn len(&self) -> usize {
        self.last_use.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.last_use.is_empty()
    }

    /// Verifies, unless that was done before.
    pub(crate) fn once<E>(
        &mut self,
        prefix: Prefix,
        verify: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.uses = self.uses.saturating_add(1);
        if let Some(last_use) = self.last_use.get_mut(&prefix) {
            *last_use = self.uses;
            return Ok(());
        }
        verify()?;
        if self.capacity == 0 {
            return Ok(());
        }
        if self.last_use.len() >= self.capacity {
            self.forget_oldest();
        }
        self.last_use.insert(prefix, self.uses);
        Ok(())
    }

    /// A walk over all: far cheaper than the verification that came before it.
    fn forget_oldest(&mut self) {
        let oldest = self.last_use.iter().min_by_key(|(_, last_use)| **last_use);
        if let Some(prefix) = oldest.map(|(prefix, _)| *prefix) {
            self.last_use.remove(&prefix);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it had to be verified.
    fn used(cache: &mut ChainCache, der: &[u8]) -> bool {
        let mut was_verified = false;
        let result = cache.once(Prefix::root(der), || {
            was_verified = true;
            Ok::<_, ()>(())
        });
        assert_eq!(result, Ok(()));
        was_verified
    }

    #[test]
    fn what_was_verified_is_remembered_and_what_failed_is_not() {
        let mut cache = ChainCache::new(2);
        assert!(cache.is_empty());
        assert_eq!(cache.once(Prefix::root(b"a"), || Err(7)), Err(7));
        assert!(cache.is_empty());
        assert!(used(&mut cache, b"a"));
        assert!(!used(&mut cache, b"a"));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn the_one_not_used_for_longest_makes_room() {
        let mut cache = ChainCache::new(2);
        assert!(used(&mut cache, b"a"));
        assert!(used(&mut cache, b"b"));
        assert!(!used(&mut cache, b"a"));
        assert!(used(&mut cache, b"c"));
        assert_eq!(cache.len(), 2);
        assert!(!used(&mut cache, b"a"));
        assert!(used(&mut cache, b"b"));
    }

    #[test]
    fn a_cache_of_none_remembers_none() {
        let mut cache = ChainCache::new(0);
        assert!(used(&mut cache, b"a"));
        assert!(used(&mut cache, b"a"));
        assert!(cache.is_empty());
    }

    #[test]
    fn a_prefix_names_all_that_stands_above() {
        let prefix = |root: &[u8], below: &[u8]| Prefix::root(root).followed_by(below);
        assert_ne!(prefix(b"a", b"b"), prefix(b"c", b"b"));
        assert_ne!(prefix(b"a", b"b"), prefix(b"a", b"c"));
        assert_ne!(prefix(b"a", b"b"), Prefix::root(b"ab"));
    }
}
