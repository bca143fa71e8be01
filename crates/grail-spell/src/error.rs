//! Why a transaction that claims to carry a spell carries none.

use thiserror::Error;

use crate::envelope::EnvelopeError;
use crate::proof::ProofError;
use crate::spell::SpellShapeError;
use crate::strict::StrictError;

/// Why a spell was not accepted. What that says of the outputs of its transaction:
/// [`SpellError::rejection`].
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

/// What a spell that was not accepted says of the outputs of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// They carry no charms by it: its proof was read as its version asks, and proves nothing. No
    /// Charms of any day takes it.
    NoCharms,
    /// They may carry charms: it is of a form that only another Charms reads, or was refused before
    /// its proof was looked at. Unknown is never nothing.
    Unknown,
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

    /// Whether outputs with such a spell are known to carry no charms, or just not known to carry
    /// any.
    #[allow(
        clippy::match_same_arms,
        reason = "each group of reasons is unknown, or nothing, for a cause of its own"
    )]
    pub fn rejection(&self) -> Rejection {
        match self {
            // A later protocol may write its spells so; and Charms of today reads payloads of any
            // length.
            Self::Envelope(
                EnvelopeError::TransactionTooLarge { .. }
                | EnvelopeError::SeveralOpReturns { .. }
                | EnvelopeError::Payload
                | EnvelopeError::ControlBlock
                | EnvelopeError::WitnessScript
                | EnvelopeError::Cbor(_)
                | EnvelopeError::PayloadTooLong { .. },
            ) => Rejection::Unknown,
            // The proof was not looked at. (With a charm of no app Charms of today accepts the
            // spell, and panics when that is spent.)
            Self::Shape(
                SpellShapeError::InputsPresent
                | SpellShapeError::TooManyOutputs { .. }
                | SpellShapeError::AppIndex { .. },
            ) => Rejection::Unknown,
            Self::Proof(error) => error.rejection(),
            // Says only that Grail does not sign it.
            Self::Strict(_) => Rejection::Unknown,
        }
    }
}

impl ProofError {
    #[allow(
        clippy::match_same_arms,
        reason = "each group of reasons is unknown, or nothing, for a cause of its own"
    )]
    fn rejection(&self) -> Rejection {
        match self {
            // Of a protocol, or by a prover, of another day.
            Self::Version { .. } | Self::Length { .. } | Self::KeyPrefix | Self::VkRoot => {
                Rejection::Unknown
            }
            // What could not be encoded was not compared with the proof.
            Self::PublicValues(_) => Rejection::Unknown,
            // Charms takes any mock proof that begins as one, whether or not it holds and ends
            // there.
            Self::MockPoint | Self::MockFalse => Rejection::Unknown,
            // Anybody can make a mock: where it is not allowed it is nothing to anybody.
            Self::MockRefused => Rejection::NoCharms,
            Self::ExitCode | Self::Point(_) | Self::False => Rejection::NoCharms,
        }
    }
}
