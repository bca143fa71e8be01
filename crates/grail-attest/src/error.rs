//! Why evidence is refused.

use std::fmt;

use grail_types::Measurement;
use thiserror::Error;

use crate::{cbor::CborError, time::UnixTime};

/// Which certificate of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The pinned root.
    Anchor,
    /// An entry of `cabundle`, counted from the root at 0.
    Intermediate(usize),
    /// The certificate whose key signed the document.
    Leaf,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anchor => f.write_str("anchor"),
            Self::Intermediate(index) => write!(f, "intermediate {index}"),
            Self::Leaf => f.write_str("leaf"),
        }
    }
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CertificateFault {
    /// Not the strict DER of a certificate.
    #[error("not the der of an x.509 certificate")]
    NotDer,
    /// Not version 3.
    #[error("expected x.509 version 3, got {got}")]
    Version {
        /// The version, counted from 1.
        got: u8,
    },
    /// Another than this place asks for (Nitro: ecdsa-with-SHA384), or two different ones inside
    /// and outside.
    #[error("signature algorithm is not the one expected here")]
    SignatureAlgorithm,
    /// Not an uncompressed point of the curve that this place asks for (Nitro: P-384).
    #[error("public key is not an uncompressed point of the curve expected here")]
    PublicKey,
    /// The same extension twice.
    #[error("extension {oid} occurs twice")]
    DuplicateExtension {
        /// Its object identifier.
        oid: String,
    },
    /// A critical extension with no rule here.
    #[error("critical extension {oid} is not understood")]
    UnknownCriticalExtension {
        /// Its object identifier.
        oid: String,
    },
    /// No basicConstraints.
    #[error("basicConstraints is absent")]
    BasicConstraintsAbsent,
    /// A certificate above the leaf that is no CA, or does not say so critically.
    #[error("not a ca by a critical basicConstraints")]
    NotCa,
    /// A leaf that is a CA.
    #[error("leaf is a ca")]
    LeafIsCa,
    /// More CAs below than pathLenConstraint allows.
    #[error("pathLenConstraint allows {max} cas below, got {got}")]
    PathLength {
        /// pathLenConstraint.
        max: u8,
        /// CA certificates that follow.
        got: usize,
    },
    /// No keyUsage.
    #[error("keyUsage is absent")]
    KeyUsageAbsent,
    /// A CA that may not sign certificates, or a leaf that may not sign or may sign certificates.
    #[error("keyUsage does not fit the certificate's place")]
    KeyUsage,
    /// Its issuer is not the subject of the certificate above.
    #[error("issuer is not the subject of the certificate above")]
    Issuer,
    /// Not signed by the key of the certificate above.
    #[error("signature does not verify under the certificate above")]
    Signature,
    /// Used before its time.
    #[error("not valid before {not_before}, used at {at}")]
    NotYetValid {
        /// Start of validity.
        not_before: UnixTime,
        /// The instant of verification.
        at: UnixTime,
    },
    /// Used after its time.
    #[error("not valid after {not_after}, used at {at}")]
    Expired {
        /// End of validity.
        not_after: UnixTime,
        /// The instant of verification.
        at: UnixTime,
    },
}

impl CertificateFault {
    /// A stable word for logs, APIs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotDer => "certificate-not-der",
            Self::Version { .. } => "certificate-version",
            Self::SignatureAlgorithm => "certificate-signature-algorithm",
            Self::PublicKey => "certificate-public-key",
            Self::DuplicateExtension { .. } => "certificate-duplicate-extension",
            Self::UnknownCriticalExtension { .. } => "certificate-unknown-critical-extension",
            Self::BasicConstraintsAbsent => "certificate-basic-constraints-absent",
            Self::NotCa => "certificate-not-ca",
            Self::LeafIsCa => "certificate-leaf-is-ca",
            Self::PathLength { .. } => "certificate-path-length",
            Self::KeyUsageAbsent => "certificate-key-usage-absent",
            Self::KeyUsage => "certificate-key-usage",
            Self::Issuer => "certificate-issuer",
            Self::Signature => "certificate-signature",
            Self::NotYetValid { .. } => "certificate-not-yet-valid",
            Self::Expired { .. } => "certificate-expired",
        }
    }
}

/// Why evidence is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EvidenceError {
    /// More bytes than any document has.
    #[error("document has {got} bytes, at most {max} are read")]
    DocumentTooLarge {
        /// The limit.
        max: usize,
        /// The document's length.
        got: usize,
    },
    /// Not the strict CBOR of a document.
    #[error("document is malformed in its {part}")]
    Cbor {
        /// Where.
        part: &'static str,
        /// What.
        source: CborError,
    },
    /// Not the four items of an untagged `COSE_Sign1`.
    #[error("expected the 4 items of COSE_Sign1, got {got}")]
    CoseShape {
        /// How many.
        got: u64,
    },
    /// A protected header other than "alg: ES384" alone.
    #[error("expected the protected header a1013822 (ES384), got {got}")]
    ProtectedHeader {
        /// The first bytes, hex.
        got: String,
    },
    /// An unprotected header, which nothing signs.
    #[error("expected an empty unprotected header, got {got} entries")]
    UnprotectedHeader {
        /// How many.
        got: u64,
    },
    /// Not a raw `r || s`; DER would be another length.
    #[error("expected a raw signature of 96 bytes, got {got}")]
    SignatureLength {
        /// Its length.
        got: usize,
    },
    /// A map of another size than nine.
    #[error("expected 9 entries, got {got}")]
    EntryCount {
        /// How many.
        got: u64,
    },
    /// A key that no document has.
    #[error("unknown key {key:?}")]
    UnknownKey {
        /// The key, cut to 32 characters.
        key: String,
    },
    /// A key twice.
    #[error("key {key:?} occurs twice")]
    DuplicateKey {
        /// The key.
        key: &'static str,
    },
    /// A key that every document has; an absent value is written as null.
    #[error("key {key:?} is absent")]
    MissingKey {
        /// The key.
        key: &'static str,
    },
    /// A field outside its length.
    #[error("{field} has {got} bytes, expected {min} to {max}")]
    FieldLength {
        /// Which.
        field: &'static str,
        /// At least.
        min: usize,
        /// At most.
        max: usize,
        /// Its length.
        got: usize,
    },
    /// Registers hashed with something else.
    #[error("expected digest SHA384, got {got:?}")]
    DigestAlgorithm {
        /// The name, cut to 32 characters.
        got: String,
    },
    /// A register number that does not exist.
    #[error("pcr index {index} is above {max}")]
    PcrIndex {
        /// The number.
        index: u64,
        /// The highest.
        max: u64,
    },
    /// A register twice.
    #[error("pcr {index} occurs twice")]
    DuplicatePcr {
        /// Which.
        index: u64,
    },
    /// A register that every document has.
    #[error("pcr {index} is absent")]
    MissingPcr {
        /// Which.
        index: usize,
    },
    /// A register of another length than SHA-384's.
    #[error("pcr {index} has {got} bytes, expected 48")]
    PcrLength {
        /// Which.
        index: u64,
        /// Its length.
        got: usize,
    },
    /// Too many certificates, or none.
    #[error("cabundle has {got} certificates, expected 1 to {max}")]
    CabundleLength {
        /// At most.
        max: u64,
        /// How many.
        got: u64,
    },
    /// The chain does not start at the pinned root.
    #[error("chain starts at root {got}, expected {expected}")]
    Root {
        /// SHA-256 of the pinned root, hex.
        expected: String,
        /// SHA-256 of `cabundle[0]`, hex.
        got: String,
    },
    /// A certificate of the chain is unfit.
    #[error("{position} certificate refused")]
    Certificate {
        /// Which.
        position: Position,
        /// Why.
        source: CertificateFault,
    },
    /// Not signed by the leaf's key.
    #[error("document signature does not verify under the leaf certificate")]
    DocumentSignature,
    /// Made later than now.
    #[error("document was made at {timestamp}, which is after {at}")]
    FromTheFuture {
        /// The document's time.
        timestamp: UnixTime,
        /// The instant of verification.
        at: UnixTime,
    },
    /// Made at a time when its leaf certificate was not valid.
    #[error("document was made at {timestamp}, outside its leaf certificate's validity")]
    TimestampOutsideLeaf {
        /// The document's time.
        timestamp: UnixTime,
    },
    /// A zero register: the enclave runs in debug mode, and its host can read its memory.
    #[error("pcr {index} is zero: the enclave runs in debug mode")]
    DebugMode {
        /// Which.
        index: usize,
    },
    /// An image that the reference values do not list.
    #[error("measurement with pcr0 {} is not among the reference values", hex::encode(got.pcr0))]
    Measurement {
        /// What runs.
        got: Box<Measurement>,
    },
    /// Another `user_data` than expected.
    #[error("user_data is not the expected one: expected {expected}, got {got}")]
    UserData {
        /// Expected, hex or "null".
        expected: String,
        /// In the document, hex or "null".
        got: String,
    },
    /// Another nonce than expected: the document answers another challenge, or none.
    #[error("nonce is not the expected one: expected {expected}, got {got}")]
    Nonce {
        /// Expected, hex or "null".
        expected: String,
        /// In the document, hex or "null".
        got: String,
    },
    /// `public_key` holds no signer key.
    #[error("public_key is not an x-only public key of 32 bytes")]
    SignerKey,
}

impl EvidenceError {
    /// A stable word for logs, APIs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::DocumentTooLarge { .. } => "document-too-large",
            Self::Cbor { .. } => "document-cbor",
            Self::CoseShape { .. } => "cose-shape",
            Self::ProtectedHeader { .. } => "cose-protected-header",
            Self::UnprotectedHeader { .. } => "cose-unprotected-header",
            Self::SignatureLength { .. } => "cose-signature-length",
            Self::EntryCount { .. } => "document-entry-count",
            Self::UnknownKey { .. } => "document-unknown-key",
            Self::DuplicateKey { .. } => "document-duplicate-key",
            Self::MissingKey { .. } => "document-missing-key",
            Self::FieldLength { .. } => "document-field-length",
            Self::DigestAlgorithm { .. } => "document-digest-algorithm",
            Self::PcrIndex { .. } => "pcr-index",
            Self::DuplicatePcr { .. } => "pcr-duplicate",
            Self::MissingPcr { .. } => "pcr-missing",
            Self::PcrLength { .. } => "pcr-length",
            Self::CabundleLength { .. } => "cabundle-length",
            Self::Root { .. } => "root-not-pinned",
            Self::Certificate { source, .. } => source.code(),
            Self::DocumentSignature => "document-signature",
            Self::FromTheFuture { .. } => "document-from-the-future",
            Self::TimestampOutsideLeaf { .. } => "timestamp-outside-leaf",
            Self::DebugMode { .. } => "debug-mode",
            Self::Measurement { .. } => "measurement-not-listed",
            Self::UserData { .. } => "user-data-mismatch",
            Self::Nonce { .. } => "nonce-mismatch",
            Self::SignerKey => "signer-key-malformed",
        }
    }
}

/// Maps a CBOR fault to the part of the document it is in.
pub(crate) fn in_part(part: &'static str) -> impl Fn(CborError) -> EvidenceError {
    move |source| EvidenceError::Cbor { part, source }
}
