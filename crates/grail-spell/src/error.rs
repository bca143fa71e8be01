//! Why a transaction that claims to carry a spell carries none.

use thiserror::Error;

use crate::envelope::EnvelopeError;
use crate::proof::ProofError;
use crate::spell::SpellShapeError;
use crate::strict::StrictError;

/// Why a spell was not accepted. For a previous transaction it means: no charms on its outputs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpellError {
    /// Not readable.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Does not fit the transaction or itself.
    #[error(transparent)]
    Shape(#[from] SpellShapeError),
    /// Not proven.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// Acceptable to Charms, but not in the one form that Grail produces.
    #[error(transparent)]
    Strict(#[from] StrictError),
}

impl SpellError {
    /// Stable code for logs, APIs and the UI.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Envelope(_) => "spell-unreadable",
            Self::Shape(_) => "spell-misfit",
            Self::Proof(ProofError::Version { .. }) => "spell-version-unsupported",
            Self::Proof(ProofError::MockRefused) => "spell-mock-refused",
            Self::Proof(_) => "spell-proof-invalid",
            Self::Strict(_) => "spell-not-canonical",
        }
    }
}
