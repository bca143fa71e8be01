//! The running hash of a handshake.

use grail_types::TaggedHasher;

/// Hash of everything that a handshake has carried so far, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transcript([u8; 32]);

impl Transcript {
    /// Begins with the hello's bytes.
    pub(crate) fn of_hello(hello: &[u8]) -> Self {
        Self(
            TaggedHasher::new("grail/mesh/transcript/v1")
                .bytes(hello)
                .finish(),
        )
    }

    /// Goes on from a hash.
    pub(crate) const fn resumed(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// Takes in the next message.
    pub(crate) fn then(self, message: &[u8]) -> Self {
        Self(
            TaggedHasher::new("grail/mesh/transcript/v1")
                .bytes(&self.0)
                .bytes(message)
                .finish(),
        )
    }

    /// The hash.
    pub(crate) const fn bytes(self) -> [u8; 32] {
        self.0
    }
}
