//! What passes between host and enclave.

use bitcoin::XOnlyPublicKey;
use grail_types::{BoundedBytes, Bridge};
use serde::{Deserialize, Serialize};

use crate::{
    answer::{Answer, Attempt},
    code::FaultCode,
    codec::{Kind, WireMessage},
    operator::DOCUMENT_MAX_BYTES,
    proposal::PROPOSAL_MAX_BYTES,
    text::{DETAILS_MAX_BYTES, Text},
};

/// Most bytes of one message between host and enclave.
pub const ENCLAVE_MESSAGE_MAX_BYTES: usize = PROPOSAL_MAX_BYTES + 1024;

/// Most bytes of a sealed secret.
pub const SEALED_MAX_BYTES: usize = 128 * 1024;

/// What a host may ask. Closed: what is not here cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Request {
    /// Start for this bridge: with the key sealed by an earlier run, or a new one.
    Boot(Boot),
    /// Say who you are.
    Identify,
    /// Attest key and bridge, with the asker's challenge.
    Attest {
        /// The challenge.
        #[serde(with = "serde_bytes")]
        nonce: [u8; 32],
    },
    /// Decide on an encoded [`crate::Proposal`].
    Decide {
        /// Which time this is asked.
        attempt: Attempt,
        /// [`crate::encode_proposal`].
        proposal: BoundedBytes<PROPOSAL_MAX_BYTES>,
    },
}

/// First request of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// The bridge that the key is for, now and for ever; it is in all evidence.
    pub bridge: Bridge,
    /// The key, as sealed by an earlier run on this machine. Without it a new one is made.
    pub sealed: Option<BoundedBytes<SEALED_MAX_BYTES>>,
}

/// What a host may hear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Response {
    /// Running.
    Booted(Booted),
    /// Who it is.
    Identity(Identity),
    /// Attestation document.
    Evidence(BoundedBytes<DOCUMENT_MAX_BYTES>),
    /// The decision on a proposal.
    Decided(Answer),
    /// The request could not be served; nothing changed.
    Failed(Fault),
}

/// The outcome of booting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Booted {
    /// The signer's key.
    #[serde(with = "crate::bytes::public_key")]
    pub public_key: XOnlyPublicKey,
    /// The key, sealed, when it was made in this run: the host must keep it before the key is used
    /// anywhere.
    pub sealed: Option<BoundedBytes<SEALED_MAX_BYTES>>,
}

/// Who a running signer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The signer's key.
    #[serde(with = "crate::bytes::public_key")]
    pub public_key: XOnlyPublicKey,
    /// The bridge that the key is for.
    pub bridge: Bridge,
}

/// A request that could not be served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Stable code.
    pub code: FaultCode,
    /// What was expected and what was found.
    pub details: Text<DETAILS_MAX_BYTES>,
}

impl Fault {
    /// A fault with code and details.
    pub fn new(code: FaultCode, details: &(impl ToString + ?Sized)) -> Self {
        Self {
            code,
            details: Text::cut(&details.to_string()),
        }
    }
}

impl WireMessage for Request {
    const KIND: Kind = Kind::EnclaveRequest;
    const ENCODED_MAX_BYTES: usize = ENCLAVE_MESSAGE_MAX_BYTES;
}

impl WireMessage for Response {
    const KIND: Kind = Kind::EnclaveResponse;
    const ENCODED_MAX_BYTES: usize = ENCLAVE_MESSAGE_MAX_BYTES;
}
