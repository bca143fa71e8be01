//! What a draft keeps until it is proven: the proposal without its spell, and the spell to prove.

use bitcoin::Transaction;
use grail_spell::NormalizedSpell;
use grail_wire::{
    PreviousTx, PreviousTxError, Proposal, WireError, decode_proposal, encode_proposal,
};
use serde::{Deserialize, Serialize};

/// An unproven settlement.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The proposal; its transaction lacks the spell's output.
    pub proposal: Proposal,
    /// The spell, in proving form.
    pub spell: NormalizedSpell,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    proposal: serde_bytes::ByteBuf,
    spell: NormalizedSpell,
}

/// Why bytes are no draft.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The proposal in it.
    #[error(transparent)]
    Proposal(#[from] WireError),
    /// The bytes around it.
    #[error("malformed draft: {0}")]
    Malformed(String),
}

impl Draft {
    /// The transactions behind its inputs, in the proposal's order.
    pub fn previous(&self) -> Result<Vec<Transaction>, PreviousTxError> {
        self.proposal
            .previous
            .iter()
            .map(PreviousTx::decode)
            .collect()
    }

    /// As stored.
    pub fn encode(&self) -> Result<Vec<u8>, DraftError> {
        let stored = Stored {
            proposal: encode_proposal(&self.proposal)?.into(),
            spell: self.spell.clone(),
        };
        let mut bytes = Vec::new();
        ciborium::into_writer(&stored, &mut bytes)
            .map_err(|error| DraftError::Malformed(error.to_string()))?;
        Ok(bytes)
    }

    /// From what was stored.
    pub fn decode(bytes: &[u8]) -> Result<Self, DraftError> {
        let stored: Stored = ciborium::from_reader(bytes)
            .map_err(|error| DraftError::Malformed(error.to_string()))?;
        Ok(Self {
            proposal: decode_proposal(&stored.proposal)?,
            spell: stored.spell,
        })
    }
}
