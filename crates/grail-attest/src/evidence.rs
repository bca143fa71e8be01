//! A signer's evidence, as its readers verify it: what it says is `grail-tee`'s.

use bitcoin::XOnlyPublicKey;
use grail_tee::{EvidencePurpose, evidence_user_data};
use grail_types::{Bridge, Measurement};

use crate::{
    anchor::TrustAnchor,
    error::EvidenceError,
    expect::{Attested, Binding, expect_pinned},
    pinned::PinnedImages,
    time::UnixTime,
    verify::verify,
};

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
    let user_data = evidence_user_data(bridge, EvidencePurpose::Signer, &public_key);
    let binding = Binding {
        user_data: Some(&user_data),
        nonce: *nonce,
    };
    let attested = expect_pinned(document, images, &binding)?;
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
