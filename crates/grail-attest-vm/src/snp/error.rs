//! Why a report is refused.

use grail_attest::CertificateFault;
use thiserror::Error;

use super::tcb::{Tcb, TcbName};

/// Why a report is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SnpError {
    /// Not the length of a report.
    #[error("expected a report of {expected} bytes, got {got}")]
    ReportLength {
        /// What a report has.
        expected: usize,
        /// What came.
        got: usize,
    },
    /// A version with no reader here.
    #[error("expected a report of version 2 to 5, got {got}")]
    Version {
        /// The report's.
        got: u32,
    },
    /// Not ECDSA P-384 with SHA-384.
    #[error("expected signature algorithm 1 (ECDSA P-384 with SHA-384), got {got}")]
    SignatureAlgorithm {
        /// The report's.
        got: u32,
    },
    /// Signed by no chip's key: a provider's (VLEK), or none.
    #[error("expected a report signed by the chip's key (0), got signing key {got}")]
    SigningKey {
        /// The report's.
        got: u32,
    },
    /// The signature is not two numbers of 48 bytes with nothing beside them.
    #[error("signature is not two padded numbers of p-384")]
    SignatureForm,
    /// The host may read the guest's memory.
    #[error("the guest's policy allows debug mode")]
    DebugMode,
    /// A migration agent may move the guest.
    #[error("the guest's policy allows a migration agent")]
    MigrationAllowed,
    /// A migration agent is bound to the guest.
    #[error("a migration agent is bound to the guest")]
    MigrationAgent,
    /// A bit that must be set is not, or one is set that has no meaning here.
    #[error("guest policy {got:#x} has a reserved bit wrong")]
    PolicyBits {
        /// The policy.
        got: u64,
    },
    /// Asked for by software below the kernel's level.
    #[error("expected vmpl 0, got {got}")]
    Vmpl {
        /// The report's.
        got: u32,
    },
    /// Nothing was measured.
    #[error("the launch measurement is zero")]
    ZeroMeasurement,
    /// The host hides the chip's number.
    #[error("the chip's number is masked")]
    ChipMasked,
    /// Family and model are of another generation than the one that certifies the key.
    #[error("processor family {family:#x} model {model:#x} is no {product}")]
    Processor {
        /// Who certifies.
        product: &'static str,
        /// As the report says.
        family: u8,
        /// As the report says.
        model: u8,
    },
    /// More bytes than such a certificate has.
    #[error("vcek has {got} bytes, at most {max} are read")]
    VcekLength {
        /// The limit.
        max: usize,
        /// Its length.
        got: usize,
    },
    /// A certificate of the chain is unfit.
    #[error("{which} certificate refused: {source}")]
    Certificate {
        /// Which.
        which: &'static str,
        /// Why.
        source: CertificateFault,
    },
    /// Issued by nobody who is pinned.
    #[error("vcek is issued by {got}, which is not pinned")]
    Root {
        /// Its issuer, cut to 128 letters.
        got: String,
    },
    /// The certificate does not say what it must about the chip.
    #[error("vcek's extension {oid} is absent or malformed")]
    VcekExtension {
        /// Which.
        oid: String,
    },
    /// Another chip's certificate.
    #[error("expected chip {expected}, as the certificate says, got {got}")]
    Chip {
        /// The certificate's, hex.
        expected: String,
        /// The report's, hex.
        got: String,
    },
    /// The certificate is of another firmware level than the report.
    #[error("expected firmware level {expected}, as the certificate says, got {got}")]
    Tcb {
        /// The certificate's, hex.
        expected: String,
        /// The report's, hex.
        got: String,
    },
    /// Firmware older than the verifier bears.
    #[error("{name} firmware level {got} is below {floor}")]
    TcbFloor {
        /// Which of the report's.
        name: TcbName,
        /// The least.
        floor: Tcb,
        /// The report's.
        got: Tcb,
    },
    /// Not signed by the key of the certificate.
    #[error("report signature does not verify under the vcek")]
    ReportSignature,
}

impl SnpError {
    /// A stable word for logs, APIs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ReportLength { .. } => "snp-report-length",
            Self::Version { .. } => "snp-version",
            Self::SignatureAlgorithm { .. } => "snp-signature-algorithm",
            Self::SigningKey { .. } => "snp-signing-key",
            Self::SignatureForm => "snp-signature-form",
            Self::DebugMode => "debug-mode",
            Self::MigrationAllowed => "snp-migration-allowed",
            Self::MigrationAgent => "snp-migration-agent",
            Self::PolicyBits { .. } => "snp-policy-bits",
            Self::Vmpl { .. } => "snp-vmpl",
            Self::ZeroMeasurement => "measurement-zero",
            Self::ChipMasked => "snp-chip-masked",
            Self::Processor { .. } => "snp-processor",
            Self::VcekLength { .. } => "snp-vcek-length",
            Self::Certificate { source, .. } => source.code(),
            Self::Root { .. } => "root-not-pinned",
            Self::VcekExtension { .. } => "snp-vcek-extension",
            Self::Chip { .. } => "snp-chip",
            Self::Tcb { .. } => "snp-tcb",
            Self::TcbFloor { .. } => "snp-tcb-floor",
            Self::ReportSignature => "snp-report-signature",
        }
    }
}
