//! What Grail writes into a document: a signer's key, bound to its bridge.
//!
//! `public_key` is the signer's x-only key, `user_data` a hash of it, of the bridge and of what the
//! document is for. Parameters are not in it: an enclave learns them with each proposal and holds
//! them against the roster NFT.

use bitcoin::XOnlyPublicKey;
use grail_types::{Bridge, Measurement, TaggedHasher};

use crate::{
    anchor::TrustAnchor,
    error::EvidenceError,
    images::PinnedImages,
    tee::{AttestError, AttestRequest, Attester},
    time::UnixTime,
    verify::{Attested, Expected, verify},
};

/// What a document is evidence of. One that was made for one purpose proves nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidencePurpose {
    /// An enclave holds this signer's key.
    Signer,
}

impl EvidencePurpose {
    /// One byte that stands for the purpose in hashes.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Signer => 0,
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
        .u8(bridge.network.tag())
        .bytes(&bridge.app.identity)
        .bytes(&bridge.app.vk)
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

/// What a signer's evidence must say.
#[derive(Clone, Copy, Debug)]
pub struct SignerExpectation<'a> {
    /// The images that may hold a signer's key.
    pub images: &'a PinnedImages,
    /// The verifier's own bridge; its network names the root that the evidence must go back to.
    pub bridge: Bridge,
    /// The challenge that the evidence answers; `None` for evidence that answers none.
    pub nonce: Option<&'a [u8]>,
}

/// A signer's key that an enclave of a listed image holds, made for the verifier's bridge.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestedSigner {
    public_key: XOnlyPublicKey,
    attested: Attested,
}

/// Verifies a signer's evidence as of the instant `at`.
pub fn verify_signer_evidence(
    document: &[u8],
    expectation: &SignerExpectation<'_>,
    at: UnixTime,
) -> Result<AttestedSigner, EvidenceError> {
    let SignerExpectation {
        images,
        bridge,
        nonce,
    } = expectation;
    let anchor = TrustAnchor::of(bridge.network);
    let document = verify(document, &anchor, at)?;
    let public_key = document
        .public_key()
        .and_then(|bytes| XOnlyPublicKey::from_slice(bytes).ok())
        .ok_or(EvidenceError::SignerKey)?;
    let attested = document.expect(&Expected {
        references: &images.references(anchor.tee()),
        user_data: Some(&evidence_user_data(
            bridge,
            EvidencePurpose::Signer,
            &public_key,
        )),
        nonce: *nonce,
    })?;
    Ok(AttestedSigner {
        public_key,
        attested,
    })
}

impl AttestedSigner {
    /// The signer's key.
    pub fn public_key(&self) -> XOnlyPublicKey {
        self.public_key
    }

    /// What runs.
    pub fn measurement(&self) -> &Measurement {
        self.attested.document().measurement()
    }

    /// When the evidence was made, by the hypervisor's clock.
    pub fn at(&self) -> UnixTime {
        self.attested.document().timestamp()
    }

    /// SHA-256 of the evidence.
    pub fn evidence_digest(&self) -> [u8; 32] {
        self.attested.document().digest()
    }
}
