//! What backend and operators say to each other.
//!
//! | subject | from | to | message |
//! |---|---|---|---|
//! | `grail.v1.asks` | backend | operators | [`Ask`] |
//! | `grail.v1.answers` | operators | backend | [`Reply`] |
//! | `grail.v1.challenges` | backend | operators | [`Challenge`] |
//! | `grail.v1.evidence` | operators | backend | [`Evidence`] |
//! | `grail.v1.hellos` | operators | backend | [`Hello`] |
//!
//! Encoded as one byte of version and CBOR: bounded, nothing behind the end, unknown fields refused. Nothing here is
//! authenticated: an answer and an attestation document carry their own proof, everything else is a hint.

use bitcoin::XOnlyPublicKey;
use bytes::Bytes;
use grail_types::ParamsHash;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{frame::PAYLOAD_MAX_BYTES, subject::Subject};

/// Version of the encoding.
const VERSION: u8 = 1;

/// Nesting that no honest message reaches; bounds the decoder's stack.
const DEPTH_MAX: usize = 16;

/// Longest [`Name`].
pub const NAME_MAX_BYTES: usize = 64;

/// Longest code of a fault.
pub const FAULT_CODE_MAX_BYTES: usize = 64;

/// Longest details of a fault.
pub const FAULT_DETAILS_MAX_BYTES: usize = 1_024;

/// Largest encoding of an answer: 200 signatures, and room for a refusal's details.
pub const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// Largest attestation document (as the verifier takes).
pub const DOCUMENT_MAX_BYTES: usize = 16 * 1024;

static ASKS: Subject = Subject::from_static("grail.v1.asks");
static ANSWERS: Subject = Subject::from_static("grail.v1.answers");
static CHALLENGES: Subject = Subject::from_static("grail.v1.challenges");
static EVIDENCE: Subject = Subject::from_static("grail.v1.evidence");
static HELLOS: Subject = Subject::from_static("grail.v1.hellos");

/// What operators publish.
pub fn operator_subjects() -> [Subject; 3] {
    [ANSWERS.clone(), EVIDENCE.clone(), HELLOS.clone()]
}

/// A message that travels under a subject of its own.
pub trait BrokerMessage: Serialize + DeserializeOwned {
    /// Largest encoding.
    const ENCODED_MAX_BYTES: usize;

    /// Its subject.
    fn subject() -> &'static Subject;

    /// Checks what the types do not: lengths of what it carries.
    fn validate(&self) -> Result<(), MessageError>;
}

/// Why bytes are no message, or a message cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// More than this message may have.
    #[error("{field} has {got} bytes, expected at most {max}")]
    TooLarge {
        /// What.
        field: &'static str,
        /// At most.
        max: usize,
        /// Its length.
        got: usize,
    },
    /// Another version of the encoding.
    #[error("expected version {VERSION} of the encoding, got {0:?}")]
    Version(Option<u8>),
    /// Not the CBOR of such a message.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// Bytes behind the message.
    #[error("{0} bytes behind the message")]
    Trailing(usize),
}

impl MessageError {
    /// A stable word for logs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "message-too-large",
            Self::Version(_) => "message-version",
            Self::Malformed(_) => "message-malformed",
            Self::Trailing(_) => "message-trailing",
        }
    }
}

/// Encodes a message.
pub fn encode<M: BrokerMessage>(message: &M) -> Result<Bytes, MessageError> {
    message.validate()?;
    let mut bytes = vec![VERSION];
    ciborium::into_writer(message, &mut bytes)
        .map_err(|error| MessageError::Malformed(error.to_string()))?;
    bounded("message", bytes.len(), M::ENCODED_MAX_BYTES)?;
    Ok(bytes.into())
}

/// Decodes a message.
pub fn decode<M: BrokerMessage>(bytes: &[u8]) -> Result<M, MessageError> {
    bounded("message", bytes.len(), M::ENCODED_MAX_BYTES)?;
    let Some((&VERSION, mut rest)) = bytes.split_first() else {
        return Err(MessageError::Version(bytes.first().copied()));
    };
    let message: M = ciborium::de::from_reader_with_recursion_limit(&mut rest, DEPTH_MAX)
        .map_err(|error| MessageError::Malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(MessageError::Trailing(rest.len()));
    }
    message.validate()?;
    Ok(message)
}

fn bounded(field: &'static str, got: usize, max: usize) -> Result<(), MessageError> {
    if got > max {
        return Err(MessageError::TooLarge { field, max, got });
    }
    Ok(())
}

/// What an operator calls itself, for people to read: 1 to 64 letters, digits, spaces, `.`, `_` or `-`.
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
    /// The backend's number of the settlement, given back with the answer.
    pub settlement: i64,
    /// `grail_signer::encode_proposal`.
    #[serde(with = "serde_bytes")]
    pub proposal: Vec<u8>,
}

/// What became of an [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Reply {
    /// The enclave decided, yes or no.
    Answer(AnswerMessage),
    /// No decision could be had. Anybody can claim this in anybody's name: it informs and proves nothing.
    Fault(FaultMessage),
}

/// An enclave's decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerMessage {
    /// As asked.
    pub settlement: i64,
    /// `grail_signer::encode_answer`, authenticated by its signer.
    #[serde(with = "serde_bytes")]
    pub answer: Vec<u8>,
}

/// Why there is no decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultMessage {
    /// As asked.
    pub settlement: i64,
    /// Whose enclave.
    pub public_key: XOnlyPublicKey,
    /// Stable code.
    pub code: String,
    /// What was expected and what was found.
    pub details: String,
}

impl FaultMessage {
    /// A fault, its texts cut to what fits.
    pub fn new(settlement: i64, public_key: XOnlyPublicKey, code: &str, details: &str) -> Self {
        Self {
            settlement,
            public_key,
            code: cut(code, FAULT_CODE_MAX_BYTES),
            details: cut(details, FAULT_DETAILS_MAX_BYTES),
        }
    }
}

/// The longest beginning of `text` of at most so many bytes.
fn cut(text: &str, max: usize) -> String {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or_default())
        .unwrap_or_default()
        .to_owned()
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
    pub public_key: XOnlyPublicKey,
    /// What it runs with; the document proves it.
    pub params_hash: ParamsHash,
    /// Attestation document.
    #[serde(with = "serde_bytes")]
    pub document: Vec<u8>,
}

/// I am here, challenge me: said at each connection and after each start of the enclave, so that nobody has to
/// catch the challenge of the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// What the operator calls itself.
    pub name: Name,
    /// Its claimed key.
    pub public_key: XOnlyPublicKey,
    /// Its claimed parameters.
    pub params_hash: ParamsHash,
}

impl BrokerMessage for Ask {
    const ENCODED_MAX_BYTES: usize = PAYLOAD_MAX_BYTES;

    fn subject() -> &'static Subject {
        &ASKS
    }

    fn validate(&self) -> Result<(), MessageError> {
        Ok(())
    }
}

impl BrokerMessage for Reply {
    const ENCODED_MAX_BYTES: usize = ANSWER_MAX_BYTES + 1024;

    fn subject() -> &'static Subject {
        &ANSWERS
    }

    fn validate(&self) -> Result<(), MessageError> {
        match self {
            Self::Answer(AnswerMessage { answer, .. }) => {
                bounded("answer", answer.len(), ANSWER_MAX_BYTES)
            }
            Self::Fault(FaultMessage { code, details, .. }) => {
                bounded("code", code.len(), FAULT_CODE_MAX_BYTES)?;
                bounded("details", details.len(), FAULT_DETAILS_MAX_BYTES)
            }
        }
    }
}

impl BrokerMessage for Challenge {
    const ENCODED_MAX_BYTES: usize = 256;

    fn subject() -> &'static Subject {
        &CHALLENGES
    }

    fn validate(&self) -> Result<(), MessageError> {
        Ok(())
    }
}

impl BrokerMessage for Evidence {
    const ENCODED_MAX_BYTES: usize = DOCUMENT_MAX_BYTES + 1024;

    fn subject() -> &'static Subject {
        &EVIDENCE
    }

    fn validate(&self) -> Result<(), MessageError> {
        bounded("document", self.document.len(), DOCUMENT_MAX_BYTES)
    }
}

impl BrokerMessage for Hello {
    const ENCODED_MAX_BYTES: usize = 1024;

    fn subject() -> &'static Subject {
        &HELLOS
    }

    fn validate(&self) -> Result<(), MessageError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
