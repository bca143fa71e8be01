//! What backend and operators say to each other.
//!
//! | kind | from | to | message |
//! |---|---|---|---|
//! | ask | backend | operators | [`Ask`] |
//! | reply | operators | backend | [`Reply`] |
//! | challenge | backend | operators | [`Challenge`] |
//! | evidence | operators | backend | [`Evidence`] |
//! | hello | operators | backend | [`Hello`] |
//!
//! Nothing here is authenticated: an answer and an attestation document carry their own proof,
//! everything else is a hint.

use bitcoin::XOnlyPublicKey;
use grail_types::{BoundedBytes, Bridge};
use grail_wire::{
    ANSWER_MAX_BYTES, Attempt, DETAILS_MAX_BYTES, DOCUMENT_MAX_BYTES, FaultCode, Kind,
    PROPOSAL_MAX_BYTES, ProposalId, Text, WireMessage,
};
use serde::{Deserialize, Serialize};

/// Longest [`Name`].
pub const NAME_MAX_BYTES: usize = 64;

/// Room in a message for what is not its one large field.
const OVERHEAD_MAX_BYTES: usize = 1024;

/// What an operator calls itself, for people to read: 1 to 64 letters, digits, spaces, `.`, `_` or
/// `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// The text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {NAME_MAX_BYTES} letters, digits, spaces, dots, underscores or hyphens")]
pub struct NameError;

impl Name {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b" ._-".contains(&byte);
        if text.is_empty() || text.len() > NAME_MAX_BYTES || !text.bytes().all(allowed) {
            return Err(NameError);
        }
        Ok(Self(text))
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.to_owned().try_into()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Decide on this, all operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Which time this is asked.
    pub attempt: Attempt,
    /// [`grail_wire::encode_proposal`]; its hash names it.
    pub proposal: BoundedBytes<PROPOSAL_MAX_BYTES>,
}

/// The outcome of an [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Reply {
    /// The enclave decided, yes or no.
    Answer(AnswerMessage),
    /// No decision could be had. Anybody can claim this in anybody's name: it informs and proves
    /// nothing.
    Fault(FaultMessage),
}

/// An enclave's decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerMessage {
    /// An encoded [`grail_wire::Answer`], authenticated by its signer.
    pub answer: BoundedBytes<ANSWER_MAX_BYTES>,
}

/// Why there is no decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultMessage {
    /// What was asked about.
    pub proposal: ProposalId,
    /// The attempt.
    pub attempt: Attempt,
    /// Whose enclave.
    #[serde(with = "grail_wire::bytes::public_key")]
    pub public_key: XOnlyPublicKey,
    /// Stable code.
    pub code: FaultCode,
    /// What was expected and what was found.
    pub details: Text<DETAILS_MAX_BYTES>,
}

/// Attest yourselves afresh, all operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// To be found in the evidence.
    #[serde(with = "serde_bytes")]
    pub nonce: [u8; 32],
}

/// An enclave's evidence, made for a [`Challenge`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// What the operator calls itself.
    pub name: Name,
    /// Of the challenge.
    #[serde(with = "serde_bytes")]
    pub nonce: [u8; 32],
    /// Whose enclave; the document proves it.
    #[serde(with = "grail_wire::bytes::public_key")]
    pub public_key: XOnlyPublicKey,
    /// The bridge that the key is for; the document proves it.
    pub bridge: Bridge,
    /// Attestation document.
    pub document: BoundedBytes<DOCUMENT_MAX_BYTES>,
}

/// I am here, challenge me: said at each connection and after each start of the enclave, so that
/// nobody has to catch the challenge of the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// What the operator calls itself.
    pub name: Name,
    /// Its claimed key.
    #[serde(with = "grail_wire::bytes::public_key")]
    pub public_key: XOnlyPublicKey,
    /// Its claimed bridge.
    pub bridge: Bridge,
}

impl WireMessage for Ask {
    const KIND: Kind = Kind::Ask;
    const ENCODED_MAX_BYTES: usize = PROPOSAL_MAX_BYTES + OVERHEAD_MAX_BYTES;
}

impl WireMessage for Reply {
    const KIND: Kind = Kind::Reply;
    const ENCODED_MAX_BYTES: usize = ANSWER_MAX_BYTES + OVERHEAD_MAX_BYTES;
}

impl WireMessage for Challenge {
    const KIND: Kind = Kind::Challenge;
    const ENCODED_MAX_BYTES: usize = 256;
}

impl WireMessage for Evidence {
    const KIND: Kind = Kind::Evidence;
    const ENCODED_MAX_BYTES: usize = DOCUMENT_MAX_BYTES + OVERHEAD_MAX_BYTES;
}

impl WireMessage for Hello {
    const KIND: Kind = Kind::Hello;
    const ENCODED_MAX_BYTES: usize = OVERHEAD_MAX_BYTES;
}
