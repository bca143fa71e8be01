//! Tagged hashes as BIP-340 writes them: fields one after another, without lengths. The drafts fix
//! their layouts; Grail's own hashes use [`grail_types::TaggedHasher`].

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use zeroize::Zeroizing;

#[derive(Clone)]
pub(crate) struct Tagged(sha256::HashEngine);

impl Tagged {
    pub(crate) fn new(tag: &str) -> Self {
        Self::of_parts(tag, "")
    }

    /// In the domain that the two parts make together.
    pub(crate) fn of_parts(first: &str, second: &str) -> Self {
        let mut name = sha256::Hash::engine();
        name.input(first.as_bytes());
        name.input(second.as_bytes());
        let name = sha256::Hash::from_engine(name);
        let mut engine = sha256::Hash::engine();
        engine.input(name.as_byte_array());
        engine.input(name.as_byte_array());
        Self(engine)
    }

    pub(crate) fn add(mut self, bytes: &[u8]) -> Self {
        self.0.input(bytes);
        self
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        sha256::Hash::from_engine(self.0).to_byte_array()
    }

    pub(crate) fn finish_secret(self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.finish())
    }
}
