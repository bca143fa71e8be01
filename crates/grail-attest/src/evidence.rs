//! What Grail writes into a document: a signer's key, bound to the protocol parameters.
//!
//! `public_key` is the signer's x-only key, `user_data` a hash of it and of the parameters: an enclave
//! that runs the right image with other parameters is another enclave (hazard 47).

use bitcoin::XOnlyPublicKey;
use grail_types::{Measurement, ParamsHash, TaggedHasher};

use crate::{
    anchor::TrustAnchor,
    error::EvidenceError,
    tee::{AttestError, AttestRequest, Attester},
    time::UnixTime,
    verify::{Attested, Expected, verify},
};

/// `user_data` of a signer's evidence.
pub fn evidence_user_data(params_hash: &ParamsHash, signer: &XOnlyPublicKey) -> [u8; 32] {
    TaggedHasher::new("grail/evidence/v1")
        .bytes(&params_hash.0)
        .bytes(&signer.serialize())
        .finish()
}

/// Has a TEE make a signer's evidence.
pub fn attest_signer(
    attester: &(impl Attester + ?Sized),
    params_hash: &ParamsHash,
    signer: &XOnlyPublicKey,
    nonce: Option<&[u8]>,
) -> Result<Vec<u8>, AttestError> {
    attester.attest(&AttestRequest {
        user_data: Some(&evidence_user_data(params_hash, signer)),
        nonce,
        public_key: Some(&signer.serialize()),
    })
}

/// What a signer's evidence must say.
#[derive(Clone, Copy, Debug)]
pub struct SignerExpectation<'a> {
    /// The reference values.
    pub references: &'a [Measurement],
    /// The verifier's own parameters.
    pub params_hash: ParamsHash,
    /// The challenge that the evidence answers; `None` for evidence that answers none.
    pub nonce: Option<&'a [u8]>,
}

/// A signer's key that an enclave of a listed image holds, running with the verifier's parameters.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestedSigner {
    public_key: XOnlyPublicKey,
    attested: Attested,
}

/// Verifies a signer's evidence as of the instant `at`.
pub fn verify_signer_evidence(
    document: &[u8],
    anchor: &TrustAnchor,
    expectation: &SignerExpectation<'_>,
    at: UnixTime,
) -> Result<AttestedSigner, EvidenceError> {
    let document = verify(document, anchor, at)?;
    let public_key = document
        .public_key()
        .and_then(|bytes| XOnlyPublicKey::from_slice(bytes).ok())
        .ok_or(EvidenceError::SignerKey)?;
    let attested = document.expect(&Expected {
        references: expectation.references,
        user_data: Some(&evidence_user_data(&expectation.params_hash, &public_key)),
        nonce: expectation.nonce,
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
