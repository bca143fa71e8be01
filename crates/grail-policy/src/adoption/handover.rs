//! A transaction that made a roster with what shows it, and its one encoding.

use bitcoin::{Transaction, TxOut, consensus};
use grail_types::Governance;
use grail_wire::HANDOVER_MAX_BYTES;

/// A rotation as it was mined, or will be; or the deployment, of which nobody asks what it spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The transaction, with the witness of its first input.
    pub transaction: Transaction,
    /// What each input spends, in order. Whoever shows it may say what he likes: the quorum's
    /// signatures commit to it, and do not verify over anything else.
    pub spent: Vec<TxOut>,
    /// The administrators of the roster to come. Their hash is in the state that is handed over to,
    /// and their keys are in its vault's script.
    pub governance: Governance,
}

/// Why bytes are not a handover.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// Longer than any.
    #[error("expected a handover of at most {HANDOVER_MAX_BYTES} bytes, got {0}")]
    TooLarge(usize),
    /// Not Bitcoin's encoding of a transaction and a list of outputs, and administrators after it.
    #[error("handover: {0}")]
    Malformed(String),
}

impl Handover {
    /// Bitcoin's own encoding of the transaction, after it of the list of outputs, and last the
    /// administrators' canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = consensus::serialize(&self.transaction);
        bytes.extend(consensus::serialize(&self.spent));
        bytes.extend(self.governance.to_bytes());
        bytes
    }

    /// From bytes that anybody may have made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HandoverError> {
        if bytes.len() > HANDOVER_MAX_BYTES {
            return Err(HandoverError::TooLarge(bytes.len()));
        }
        let (transaction, rest) = read(bytes)?;
        let (spent, rest) = read(rest)?;
        let governance = Governance::from_bytes(rest)
            .map_err(|error| HandoverError::Malformed(error.to_string()))?;
        Ok(Self {
            transaction,
            spent,
            governance,
        })
    }
}

/// A value at the start of `bytes`, and what is behind it.
fn read<T: consensus::Decodable>(bytes: &[u8]) -> Result<(T, &[u8]), HandoverError> {
    let (value, length) = consensus::deserialize_partial(bytes)
        .map_err(|error| HandoverError::Malformed(error.to_string()))?;
    Ok((value, bytes.get(length..).unwrap_or_default()))
}
