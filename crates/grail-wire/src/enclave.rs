//! What passes between host and enclave.

use bitcoin::{Txid, XOnlyPublicKey};
use grail_types::{BoundedBytes, BoundedVec, Bridge, Epoch, ParamsHash};
use serde::{Deserialize, Serialize};

use crate::{
    answer::{Answer, Attempt},
    code::FaultCode,
    codec::{Kind, WireMessage},
    proposal::PROPOSAL_MAX_BYTES,
    text::{DETAILS_MAX_BYTES, Text},
};

/// Most bytes of one message between host and enclave.
pub const ENCLAVE_MESSAGE_MAX_BYTES: usize = PROPOSAL_MAX_BYTES + 1024;

/// Most bytes of a sealed secret.
pub const SEALED_MAX_BYTES: usize = 128 * 1024;

/// Largest attestation document (as the verifier takes).
pub const DOCUMENT_MAX_BYTES: usize = 16 * 1024;

/// Most bytes of an encoded handover: relay takes 400,000 weight units, so no more bytes with
/// witness, and what 200 roster inputs spend is small beside that.
pub const HANDOVER_MAX_BYTES: usize = 512 * 1024;

/// Most rotations that one message shows. More are shown in several.
pub const HANDOVERS_MAX: usize = 16;

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
    /// Follow the rosters from the deployment, or on from the last one that was followed.
    Adopt(Adopt),
}

/// Evidence of rosters, in the order of their epochs. All of it is the host's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adopt {
    /// The deployment that the host pins. The first one named stays for as long as the enclave
    /// runs, and whoever relies on what was adopted compares it with its own pin.
    #[serde(with = "crate::bytes::txid")]
    pub genesis: Txid,
    /// The deployment with its administrators; needed until it has been adopted.
    pub deployment: Option<BoundedBytes<HANDOVER_MAX_BYTES>>,
    /// Rotations, each with what it spends and the administrators of the roster to come.
    pub handovers: BoundedVec<BoundedBytes<HANDOVER_MAX_BYTES>, HANDOVERS_MAX>,
}

/// How far an enclave has followed the rosters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adopted {
    /// The deployment that it began at.
    #[serde(with = "crate::bytes::txid")]
    pub genesis: Txid,
    /// The newest epoch.
    pub epoch: Epoch,
    /// The transaction that made its roster. That a block holds it is not shown.
    #[serde(with = "crate::bytes::txid")]
    pub txid: Txid,
    /// Hash of the parameters that its NFT is bound to.
    pub params_hash: ParamsHash,
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
    /// The rosters were followed so far.
    Adopted(Adopted),
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
    /// How far it has followed the rosters in this run. Left out while it has not: the form that
    /// hosts of before read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
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
