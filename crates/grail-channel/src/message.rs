//! The messages of the handshake, in the project's one encoding.

use bitcoin::{XOnlyPublicKey, secp256k1::schnorr::Signature};
use grail_types::{BoundedBytes, Bridge, ParamsHash};
use grail_wire::{
    DOCUMENT_MAX_BYTES, Kind, WireMessage,
    bytes::{public_key, signature},
};
use serde::{Deserialize, Serialize};

use crate::limits::{HELLO_MAX_BYTES, PROOF_MAX_BYTES};

/// Bytes of an X-Wing public key.
pub(crate) const PUBLIC_KEY_BYTES: usize = 1_216;

/// Bytes of an X-Wing ciphertext.
pub(crate) const CIPHERTEXT_BYTES: usize = 1_120;

/// First message, from whoever dialled. Its epoch stands in the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// How keys are agreed on and frames sealed: 1, X-Wing with HKDF-SHA256 and ChaCha20-Poly1305.
    pub suite: u16,
    /// The bridge.
    pub bridge: Bridge,
    /// Hash of the epoch's parameters.
    pub params: ParamsHash,
    /// The operator who dials.
    #[serde(with = "public_key")]
    pub from: XOnlyPublicKey,
    /// The instance that dials.
    #[serde(with = "public_key")]
    pub instance: XOnlyPublicKey,
    /// Counter of its images.
    pub images_counter: u64,
    /// The operator who is dialled.
    #[serde(with = "public_key")]
    pub to: XOnlyPublicKey,
    /// Its fresh X-Wing public key.
    #[serde(with = "serde_bytes")]
    pub encapsulation_key: [u8; PUBLIC_KEY_BYTES],
    /// What a [`Retry`] asked to be shown.
    pub cookie: Option<BoundedBytes<32>>,
}

/// Answer to a [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// The bridge.
    pub bridge: Bridge,
    /// Hash of the epoch's parameters.
    pub params: ParamsHash,
    /// The operator who answers.
    #[serde(with = "public_key")]
    pub from: XOnlyPublicKey,
    /// The instance that answers.
    #[serde(with = "public_key")]
    pub instance: XOnlyPublicKey,
    /// Counter of its images.
    pub images_counter: u64,
    /// X-Wing's ciphertext to the key in the hello.
    #[serde(with = "serde_bytes")]
    pub encapsulated: [u8; CIPHERTEXT_BYTES],
}

/// Says: come again with this, so that I need not remember you.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// To be shown in the next [`Hello`].
    #[serde(with = "serde_bytes")]
    pub cookie: [u8; 32],
}

/// Why a handshake ended before there were keys. Nobody's word: anyone on the way can write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Number of a [`crate::Reason`].
    pub reason: u8,
}

/// That its sender is who it says: three proofs of one [`crate::Statement`]. Travels sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// By the operator's signer key, of [`crate::Statement::signer_message`].
    #[serde(with = "signature")]
    pub signer: Signature,
    /// By the instance's key, of [`crate::Statement::instance_message`].
    #[serde(with = "signature")]
    pub instance: Signature,
    /// By the TEE, as [`crate::Statement::attest`] has it made.
    pub evidence: BoundedBytes<DOCUMENT_MAX_BYTES>,
}

impl WireMessage for Hello {
    const KIND: Kind = Kind::MeshHello;
    const ENCODED_MAX_BYTES: usize = HELLO_MAX_BYTES;
}

impl WireMessage for Accept {
    const KIND: Kind = Kind::MeshAccept;
    const ENCODED_MAX_BYTES: usize = HELLO_MAX_BYTES;
}

impl WireMessage for Retry {
    const KIND: Kind = Kind::MeshRetry;
    const ENCODED_MAX_BYTES: usize = 64;
}

impl WireMessage for Refusal {
    const KIND: Kind = Kind::MeshRefusal;
    const ENCODED_MAX_BYTES: usize = 64;
}

impl WireMessage for Proof {
    const KIND: Kind = Kind::MeshProof;
    const ENCODED_MAX_BYTES: usize = PROOF_MAX_BYTES;
}
