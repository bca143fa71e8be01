//! A rotation with what its inputs spend, and its one encoding.

use bitcoin::{Transaction, TxOut, consensus};
use grail_wire::HANDOVER_MAX_BYTES;

/// A rotation as it was mined, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The transaction, with the witness of its first input.
    pub transaction: Transaction,
    /// What each input spends, in order. Whoever shows it may say what he likes: the quorum's
    /// signatures commit to it, and do not verify over anything else.
    pub spent: Vec<TxOut>,
}

/// Why bytes are not a handover.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// Longer than any.
    #[error("expected a handover of at most {HANDOVER_MAX_BYTES} bytes, got {0}")]
    TooLarge(usize),
    /// Not Bitcoin's encoding of a transaction and a list of outputs, or more after it.
    #[error("handover: {0}")]
    Malformed(String),
}

impl Handover {
    /// Bitcoin's own encoding of the transaction, and after it of the list of outputs.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = consensus::serialize(&self.transaction);
        bytes.extend(consensus::serialize(&self.spent));
        bytes
    }

    /// From bytes that anybody may have made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HandoverError> {
        if bytes.len() > HANDOVER_MAX_BYTES {
            return Err(HandoverError::TooLarge(bytes.len()));
        }
        let malformed =
            |error: consensus::encode::Error| HandoverError::Malformed(error.to_string());
        let (transaction, length) = consensus::deserialize_partial(bytes).map_err(malformed)?;
        let rest = bytes.get(length..).unwrap_or_default();
        let spent = consensus::deserialize(rest).map_err(malformed)?;
        Ok(Self { transaction, spent })
    }
}
