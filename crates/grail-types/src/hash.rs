//! Domain-separated hashing of typed fields.

use bitcoin::hashes::{Hash, HashEngine, sha256};

use crate::Bridge;

/// BIP-340 tagged SHA-256 over unambiguous fields: fixed-size integers are big-endian, byte strings
/// carry their length first, so two different lists of fields never hash alike.
#[must_use]
#[derive(Clone)]
pub struct TaggedHasher(sha256::HashEngine);

impl TaggedHasher {
    /// Starts a hash in the domain `tag`, of the form `grail/<use>/v1`.
    pub fn new(tag: &str) -> Self {
        let tag_hash = sha256::Hash::hash(tag.as_bytes());
        let mut engine = sha256::Hash::engine();
        engine.input(tag_hash.as_byte_array());
        engine.input(tag_hash.as_byte_array());
        Self(engine)
    }

    /// Adds one byte.
    pub fn u8(mut self, value: u8) -> Self {
        self.0.input(&[value]);
        self
    }

    /// Adds an integer, eight bytes big-endian.
    pub fn u64(mut self, value: u64) -> Self {
        self.0.input(&value.to_be_bytes());
        self
    }

    /// Adds a byte string, its length first.
    pub fn bytes(self, value: &[u8]) -> Self {
        let mut next = self.u64(value.len() as u64);
        next.0.input(value);
        next
    }

    /// Adds a bridge: network, identity, program.
    pub fn bridge(self, bridge: &Bridge) -> Self {
        self.u8(bridge.network.tag())
            .bytes(&bridge.app.identity)
            .bytes(&bridge.app.vk)
    }

    /// The hash of all fields added.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        sha256::Hash::from_engine(self.0).to_byte_array()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_between_fields_changes_the_hash() {
        let one = TaggedHasher::new("grail/test/v1")
            .bytes(b"ab")
            .bytes(b"c")
            .finish();
        let two = TaggedHasher::new("grail/test/v1")
            .bytes(b"a")
            .bytes(b"bc")
            .finish();
        assert_ne!(one, two);
    }

    #[test]
    fn the_tag_separates_domains() {
        let one = TaggedHasher::new("grail/one/v1").u64(7).finish();
        let two = TaggedHasher::new("grail/two/v1").u64(7).finish();
        assert_ne!(one, two);
    }
}
