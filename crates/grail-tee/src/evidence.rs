//! What a signer's evidence says: its key, bound to its bridge.
//!
//! `public_key` is the signer's x-only key, `user_data` a hash of it, of the bridge and of what the
//! document is for. Parameters are not in it: an enclave learns them with each proposal and holds
//! them against the roster NFT.

use bitcoin::XOnlyPublicKey;
use grail_types::{Bridge, TaggedHasher};

use crate::tee::{AttestError, AttestRequest, Attester};

/// What a document is evidence of. One that was made for one purpose proves nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidencePurpose {
    /// An enclave holds this signer's key.
    Signer,
    /// An enclave that holds this signer's key ends one channel of the mesh (ADR 32).
    Channel,
}

impl EvidencePurpose {
    /// One byte that stands for the purpose in hashes.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Signer => 0,
            Self::Channel => 1,
        }
    }
}

/// `user_data` of evidence about a signer's key.
pub fn evidence_user_data(
    bridge: &Bridge,
    purpose: EvidencePurpose,
    signer: &XOnlyPublicKey,
) -> [u8; 32] {
    about_signer(bridge, purpose, signer).finish()
}

/// `user_data` of evidence about one end of a channel: `statement` is the hash of all that the
/// speaker says of itself, its peer and the handshake.
pub fn channel_user_data(
    bridge: &Bridge,
    signer: &XOnlyPublicKey,
    statement: &[u8; 32],
) -> [u8; 32] {
    about_signer(bridge, EvidencePurpose::Channel, signer)
        .bytes(statement)
        .finish()
}

fn about_signer(
    bridge: &Bridge,
    purpose: EvidencePurpose,
    signer: &XOnlyPublicKey,
) -> TaggedHasher {
    TaggedHasher::new("grail/evidence/v2")
        .u8(bridge.network.tag())
        .bytes(&bridge.app.identity)
        .bytes(&bridge.app.vk)
        .u8(purpose.tag())
        .bytes(&signer.serialize())
}

/// Has a TEE make a signer's evidence.
pub fn attest_signer(
    attester: &(impl Attester + ?Sized),
    bridge: &Bridge,
    signer: &XOnlyPublicKey,
    nonce: Option<&[u8]>,
) -> Result<Vec<u8>, AttestError> {
    let user_data = evidence_user_data(bridge, EvidencePurpose::Signer, signer);
    attester.attest(&AttestRequest {
        user_data: Some(&user_data),
        nonce,
        public_key: Some(&signer.serialize()),
    })
}

/// Has a TEE make evidence about one end of a channel. `transcript` is the handshake's, fresh with
/// every one, and stands as the nonce.
pub fn attest_channel(
    attester: &(impl Attester + ?Sized),
    bridge: &Bridge,
    signer: &XOnlyPublicKey,
    statement: &[u8; 32],
    transcript: &[u8; 32],
) -> Result<Vec<u8>, AttestError> {
    let user_data = channel_user_data(bridge, signer, statement);
    attester.attest(&AttestRequest {
        user_data: Some(&user_data),
        nonce: Some(transcript),
        public_key: Some(&signer.serialize()),
    })
}
