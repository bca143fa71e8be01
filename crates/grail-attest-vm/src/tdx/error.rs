//! Why a quote, or what Intel says of its platform, is refused.

use grail_attest::{CertificateFault, UnixTime};
use thiserror::Error;

/// Why a quote is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TdxError {
    /// More bytes than any quote has.
    #[error("quote has {got} bytes, at most {max} are read")]
    QuoteTooLarge {
        /// The limit.
        max: usize,
        /// Its length.
        got: usize,
    },
    /// The quote ends inside a field, or a length in it is not that of what it holds.
    #[error("quote's {part} has not the length that it says")]
    QuoteLength {
        /// Where.
        part: &'static str,
    },
    /// Something else than padding follows.
    #[error("bytes other than zeros follow the quote")]
    QuoteTrailing,
    /// A version with no reader here.
    #[error("expected a quote of version 4, got {got}")]
    QuoteVersion {
        /// The quote's.
        got: u16,
    },
    /// Not ECDSA P-256.
    #[error("expected attestation key type 2 (ECDSA P-256), got {got}")]
    KeyType {
        /// The quote's.
        got: u16,
    },
    /// Not of a trust domain: of an SGX enclave, say.
    #[error("expected tee type 0x81 (TDX), got {got:#x}")]
    TeeType {
        /// The quote's.
        got: u32,
    },
    /// Not Intel's quoting enclave.
    #[error("quoting enclave is of vendor {got}, not of intel")]
    Vendor {
        /// The vendor's number, hex.
        got: String,
    },
    /// The key's certificates are of a form with no reader here.
    #[error("expected certification data of type {expected}, got {got}")]
    CertificationType {
        /// What is read.
        expected: u16,
        /// The quote's.
        got: u16,
    },
    /// The host may read the guest's memory.
    #[error("the trust domain runs in debug mode")]
    DebugMode,
    /// The guest may be moved.
    #[error("the trust domain is migratable")]
    Migratable,
    /// Anything but the one set of attributes that is allowed.
    #[error("expected td attributes {expected:#x}, got {got:#x}")]
    Attributes {
        /// What is allowed.
        expected: u64,
        /// The quote's.
        got: u64,
    },
    /// Nothing was measured.
    #[error("mrtd is zero")]
    ZeroMeasurement,
    /// A chain that is not so many certificates in PEM, and nothing else.
    #[error("{which} chain is not {expected} certificates in pem")]
    ChainForm {
        /// Whose.
        which: &'static str,
        /// How many.
        expected: usize,
    },
    /// A chain that ends at another root.
    #[error("{which} chain does not end at the pinned root")]
    Root {
        /// Whose.
        which: &'static str,
    },
    /// A certificate is unfit.
    #[error("{which} certificate refused: {source}")]
    Certificate {
        /// Which.
        which: &'static str,
        /// Why.
        source: CertificateFault,
    },
    /// A certificate has been taken back.
    #[error("{which} certificate is revoked")]
    Revoked {
        /// Which.
        which: &'static str,
    },
    /// A list of revocations, TCB info or identity that is not what it must be.
    #[error("{which} is malformed: {what}")]
    CollateralForm {
        /// Which.
        which: &'static str,
        /// What of it.
        what: &'static str,
    },
    /// A list of revocations of another issuer.
    #[error("{which} is of another issuer")]
    CollateralIssuer {
        /// Which.
        which: &'static str,
    },
    /// Not signed by whom it must be.
    #[error("{which} signature does not verify")]
    CollateralSignature {
        /// Which.
        which: &'static str,
    },
    /// Used before it was issued.
    #[error("{which} was issued at {issued}, used at {at}")]
    CollateralNotYetValid {
        /// Which.
        which: &'static str,
        /// When it begins.
        issued: UnixTime,
        /// The instant of verification.
        at: UnixTime,
    },
    /// Used after it should have been renewed.
    #[error("{which} was to be renewed by {until}, used at {at}")]
    CollateralExpired {
        /// Which.
        which: &'static str,
        /// When it ends.
        until: UnixTime,
        /// The instant of verification.
        at: UnixTime,
    },
    /// The platform's certificate does not say what it must.
    #[error("pck certificate's extension is malformed: {what}")]
    PckExtension {
        /// What of it.
        what: &'static str,
    },
    /// Not signed by the platform's key.
    #[error("quoting enclave's report does not verify under the pck certificate")]
    QuotingEnclaveSignature,
    /// The quoting enclave vouches for another key, or for none.
    #[error("attestation key is not the one that the quoting enclave vouches for")]
    AttestationKey,
    /// Not signed by the attestation key.
    #[error("quote signature does not verify under its attestation key")]
    QuoteSignature,
    /// The quoting enclave's keys can be read.
    #[error("the quoting enclave runs in debug mode")]
    QuotingEnclaveDebug,
    /// Not the quoting enclave that Intel describes.
    #[error("quoting enclave's {field} is not that of intel's identity")]
    QuotingEnclave {
        /// What differs.
        field: &'static str,
    },
    /// Collateral of another platform.
    #[error("tcb info is of another {what} than the pck certificate")]
    OtherPlatform {
        /// What differs.
        what: &'static str,
    },
    /// Not a TDX module that Intel describes.
    #[error("tdx module's {field} is not that of tcb info")]
    Module {
        /// What differs.
        field: &'static str,
    },
    /// Below every level that Intel lists.
    #[error("{which} is below every level that is listed")]
    NoLevel {
        /// Platform, module or quoting enclave.
        which: &'static str,
    },
    /// Intel does not call it up to date.
    #[error("expected {which} to be UpToDate, got {got}")]
    Status {
        /// Platform, module or quoting enclave.
        which: &'static str,
        /// Intel's word, cut to 32 letters.
        got: String,
    },
    /// Lower than the verifier bears.
    #[error("{what} is below the floor")]
    BelowFloor {
        /// Which number.
        what: &'static str,
    },
}

impl TdxError {
    /// A stable word for logs, APIs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::QuoteTooLarge { .. } => "tdx-quote-too-large",
            Self::QuoteLength { .. } => "tdx-quote-length",
            Self::QuoteTrailing => "tdx-quote-trailing",
            Self::QuoteVersion { .. } => "tdx-quote-version",
            Self::KeyType { .. } => "tdx-key-type",
            Self::TeeType { .. } => "tdx-tee-type",
            Self::Vendor { .. } => "tdx-vendor",
            Self::CertificationType { .. } => "tdx-certification-type",
            Self::DebugMode => "debug-mode",
            Self::Migratable => "tdx-migratable",
            Self::Attributes { .. } => "tdx-attributes",
            Self::ZeroMeasurement => "measurement-zero",
            Self::ChainForm { .. } => "tdx-chain-form",
            Self::Root { .. } => "root-not-pinned",
            Self::Certificate { source, .. } => source.code(),
            Self::Revoked { .. } => "certificate-revoked",
            Self::CollateralForm { .. } => "tdx-collateral-form",
            Self::CollateralIssuer { .. } => "tdx-collateral-issuer",
            Self::CollateralSignature { .. } => "tdx-collateral-signature",
            Self::CollateralNotYetValid { .. } => "tdx-collateral-not-yet-valid",
            Self::CollateralExpired { .. } => "tdx-collateral-expired",
            Self::PckExtension { .. } => "tdx-pck-extension",
            Self::QuotingEnclaveSignature => "tdx-quoting-enclave-signature",
            Self::AttestationKey => "tdx-attestation-key",
            Self::QuoteSignature => "tdx-quote-signature",
            Self::QuotingEnclaveDebug => "tdx-quoting-enclave-debug",
            Self::QuotingEnclave { .. } => "tdx-quoting-enclave",
            Self::OtherPlatform { .. } => "tdx-other-platform",
            Self::Module { .. } => "tdx-module",
            Self::NoLevel { .. } => "tdx-no-level",
            Self::Status { .. } => "tdx-status",
            Self::BelowFloor { .. } => "tdx-below-floor",
        }
    }
}
