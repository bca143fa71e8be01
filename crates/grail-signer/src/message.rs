//! What passes between host and enclave.

use bitcoin::XOnlyPublicKey;
use grail_types::{Bridge, Params, ParamsHash};
use serde::{Deserialize, Serialize};

use crate::answer::Answer;

/// What a host may ask. Closed: what is not here cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Request {
    /// Start with these parameters: with the key sealed by an earlier run, or a new one.
    Boot(Boot),
    /// Say who you are.
    Identify,
    /// Attest key and parameters, with the asker's challenge.
    Attest {
        /// The challenge.
        #[serde(with = "serde_bytes")]
        nonce: [u8; 32],
    },
    /// Decide on an encoded [`grail_policy::Proposal`].
    Decide {
        /// [`crate::encode_proposal`].
        #[serde(with = "serde_bytes")]
        proposal: Vec<u8>,
    },
}

/// First request of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// The bridge to run for; it is in all evidence, and in what the key is sealed with.
    pub bridge: Bridge,
    /// Protocol parameters to run under.
    pub params: Params,
    /// The key, as sealed by an earlier run on this machine; none gives birth to a new one.
    pub sealed: Option<serde_bytes::ByteBuf>,
}

/// What a host may hear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Response {
    /// Running.
    Booted(Born),
    /// Who it is.
    Identity(Identity),
    /// Attestation document.
    Evidence(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The decision on a proposal.
    Decided(Answer),
    /// The request could not be served; nothing changed.
    Failed(Fault),
}

/// The outcome of booting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Born {
    /// The signer's key.
    pub public_key: XOnlyPublicKey,
    /// The key, sealed, when it was born in this run: the host must keep it before the key is used anywhere.
    pub sealed: Option<serde_bytes::ByteBuf>,
}

/// Who a running signer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The signer's key.
    pub public_key: XOnlyPublicKey,
    /// Parameters it runs under.
    pub params_hash: ParamsHash,
}

/// A request that could not be served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Stable code.
    pub code: String,
    /// What was expected and what was found.
    pub details: String,
}

impl Fault {
    /// A fault with code and details.
    pub fn new(code: &'static str, details: &(impl ToString + ?Sized)) -> Self {
        Self {
            code: code.to_owned(),
            details: details.to_string(),
        }
    }
}
