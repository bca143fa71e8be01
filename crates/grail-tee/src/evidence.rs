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
    TaggedHasher::new("grail/evidence/v2")
        .bridge(bridge)
        .u8(purpose.tag())
        .bytes(&signer.serialize())
        .finish()
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
