//! The one encoding: a header of fixed size, then CBOR.
//!
//! ```text
//! version u8 · kind u8 · epoch u64, big-endian · body
//! ```
//!
//! The header is read without decoding the body, so that whoever carries a message can sort it by
//! kind and epoch.

use std::io;

use grail_types::Epoch;
use serde::{Serialize, de::DeserializeOwned};

/// Version of the encoding.
pub const VERSION: u8 = 4;

/// Bytes of the header.
const HEADER_BYTES: usize = 10;

/// Nesting that no honest message reaches; bounds the decoder's stack.
const DEPTH_MAX: usize = 16;

/// What a message is. A number once given is never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// [`crate::Request`].
    EnclaveRequest = 1,
    /// [`crate::Response`].
    EnclaveResponse = 2,
    /// `grail-ask`'s `Ask`.
    Ask = 16,
    /// `grail-ask`'s `Reply`.
    Reply = 17,
    /// `grail-ask`'s `Challenge`.
    Challenge = 18,
    /// `grail-ask`'s `Evidence`.
    Evidence = 19,
    /// `grail-ask`'s `Hello`.
    Hello = 20,
    /// [`crate::Proposal`].
    Proposal = 32,
    /// [`crate::Answer`].
    Answer = 33,
    /// `grail-channel`'s `Hello`: the mesh's first message.
    MeshHello = 48,
    /// `grail-channel`'s `Accept`.
    MeshAccept = 49,
    /// `grail-channel`'s `Retry`.
    MeshRetry = 50,
    /// `grail-channel`'s `Refusal`.
    MeshRefusal = 51,
    /// `grail-channel`'s `Proof`.
    MeshProof = 52,
    /// `grail-roster`'s `Message`.
    RosterMessage = 64,
    /// `grail-roster`'s `Genesis`.
    RosterGenesis = 65,
    /// `grail-roster`'s `Entry`.
    RosterEntry = 66,
    /// `grail-roster`'s `Counted`.
    RosterCounted = 67,
    /// `grail-roster`'s `Kept`.
    RosterKept = 68,
}

/// A message with a kind of its own.
pub trait WireMessage: Serialize + DeserializeOwned {
    /// What it is.
    const KIND: Kind;
    /// Largest encoding, header included.
    const ENCODED_MAX_BYTES: usize;
}

/// A message and the epoch that its sender goes by: zero where none matters. A hint, unless the
/// message is named or signed as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<M> {
    /// The roster's number.
    pub epoch: Epoch,
    /// The message.
    pub message: M,
}

/// Why bytes are no message, or a message cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More than this message may have.
    #[error("message of {got} bytes, expected at most {max}")]
    TooLarge {
        /// At most.
        max: usize,
        /// Its length.
        got: usize,
    },
    /// Shorter than a header.
    #[error("message of {0} bytes, expected a header of {HEADER_BYTES}")]
    Truncated(usize),
    /// Another version of the encoding.
    #[error("expected version {VERSION} of the encoding, got {0}")]
    Version(u8),
    /// Another message.
    #[error("expected a message of kind {expected:?}, got kind {got}")]
    Kind {
        /// What was to be read.
        expected: Kind,
        /// What is there.
        got: u8,
    },
    /// Not the CBOR of such a message.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// Bytes after the message.
    #[error("{0} bytes after the message")]
    Trailing(usize),
    /// Another encoding than the one that this message has, so that it would have two names.
    #[error("not the canonical encoding")]
    NotCanonical,
}

impl WireError {
    /// A stable word for logs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "message-too-large",
            Self::Truncated(_) => "message-truncated",
            Self::Version(_) => "message-version",
            Self::Kind { .. } => "message-kind",
            Self::Malformed(_) => "message-malformed",
            Self::Trailing(_) => "message-trailing",
            Self::NotCanonical => "message-not-canonical",
        }
    }
}

/// Encodes a message.
pub fn encode<M: WireMessage>(epoch: Epoch, message: &M) -> Result<Vec<u8>, WireError> {
    let mut bytes = header(M::KIND, epoch).to_vec();
    ciborium::into_writer(message, &mut bytes)
        .map_err(|error| WireError::Malformed(error.to_string()))?;
    bounded::<M>(bytes.len())?;
    Ok(bytes)
}

/// Decodes a message of a known kind.
pub fn decode<M: WireMessage>(bytes: &[u8]) -> Result<Envelope<M>, WireError> {
    bounded::<M>(bytes.len())?;
    let (header, mut rest) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(WireError::Truncated(bytes.len()))?;
    let [version, kind, epoch @ ..] = *header;
    if version != VERSION {
        return Err(WireError::Version(version));
    }
    if kind != M::KIND as u8 {
        return Err(WireError::Kind {
            expected: M::KIND,
            got: kind,
        });
    }
    let message = ciborium::de::from_reader_with_recursion_limit(&mut rest, DEPTH_MAX)
        .map_err(|error| WireError::Malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(WireError::Trailing(rest.len()));
    }
    Ok(Envelope {
        epoch: Epoch(u64::from_be_bytes(epoch)),
        message,
    })
}

/// The first bytes of a message.
pub(crate) fn header(kind: Kind, epoch: Epoch) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let [version, kind_byte, number @ ..] = &mut header;
    *version = VERSION;
    *kind_byte = kind as u8;
    *number = epoch.0.to_be_bytes();
    header
}

/// Whether `bytes` are what [`encode`] writes, without writing them anywhere.
pub(crate) fn check_canonical<M: WireMessage>(
    bytes: &[u8],
    epoch: Epoch,
    message: &M,
) -> Result<(), WireError> {
    let mut rest = bytes
        .strip_prefix(header(M::KIND, epoch).as_slice())
        .ok_or(WireError::NotCanonical)?;
    ciborium::into_writer(message, Expecting(&mut rest)).map_err(|_| WireError::NotCanonical)?;
    if rest.is_empty() {
        Ok(())
    } else {
        Err(WireError::NotCanonical)
    }
}

/// Takes only the bytes that are expected next.
struct Expecting<'a, 'b>(&'a mut &'b [u8]);

impl io::Write for Expecting<'_, '_> {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        *self.0 = self
            .0
            .strip_prefix(written)
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(written.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn bounded<M: WireMessage>(got: usize) -> Result<(), WireError> {
    let max = M::ENCODED_MAX_BYTES;
    if got > max {
        return Err(WireError::TooLarge { max, got });
    }
    Ok(())
}
