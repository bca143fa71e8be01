//! Attestation: what a TEE says about itself, and whether to believe it (`docs/spec/hazards.md`,
//! Attestation).
//!
//! Owns the verification of AWS Nitro attestation documents, and of what a signer's says; what it
//! is made to say, and the traits of a TEE, are `grail-tee`'s. Trusts one certificate, the
//! [`TrustAnchor`] of the network, and the caller's clock. Verification is one code path for every
//! anchor; there is no switch that turns it off. Does no I/O, reads no clock and draws no
//! randomness.
//!
//! The feature `development` adds the development root, and the writing of documents (ADR 10).
//!
//! A document proves what ran and when its certificates were valid, not that it is fresh and not
//! which channel it came over: freshness comes from a nonce, binding from `user_data`.

mod anchor;
mod cache;
mod cbor;
mod certificate;
mod chain;
mod cose;
mod document;
mod error;
mod evidence;
mod expect;
mod images;
mod pinned;
mod protocol;
mod time;
mod verify;

pub use anchor::TrustAnchor;
pub use cache::ChainCache;
pub use cbor::CborError;
pub use document::{
    CABUNDLE_MAX, DOCUMENT_BYTES_MAX, MODULE_ID_BYTES_MAX, NONCE_BYTES_MAX, PCR_COUNT_MAX,
    PUBLIC_KEY_BYTES_MAX, USER_DATA_BYTES_MAX,
};
pub use error::{CertificateFault, EvidenceError, Position};
pub use evidence::{AttestedSigner, SignerExpectation, verify_signer_evidence};
pub use expect::{Attested, Binding, Claims, Expected, expect, expect_pinned};
pub use images::{
    IMAGES_MAX, Image, ImageClass, Images, ImagesError, NotResident, ShareHolder, TeeKind,
};
pub use pinned::{ImagesNotPinned, PinnedImages, ShareRefused};
pub use protocol::{PROTOCOL_JSON_BYTES_MAX, Protocol};
pub use time::UnixTime;
pub use verify::{FUTURE_TOLERANCE_MS, VerifiedDocument, verify, verify_with};

/// What simulated hardware writes documents with.
#[cfg(feature = "development")]
pub mod writing {
    pub use crate::{
        cbor::Writer,
        cose::{PROTECTED_HEADER, signed_bytes},
        document::PCR_BYTES,
    };
}
