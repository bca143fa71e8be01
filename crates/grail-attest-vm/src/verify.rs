//! The one path from evidence to what may be held against an expectation.

use std::fmt;

use bitcoin::hashes::{Hash as _, sha256};
use grail_attest::{
    Attested, Claims, EvidenceError, Expected, ImageClass, TeeKind, UnixTime, expect,
};
use grail_types::Measurement;
use thiserror::Error;

use crate::{
    anchor::{Product, SnpAnchor, TdxAnchor},
    binding,
    snp::{self, SnpError, SnpEvidence, SnpFloor, Tcb},
    tdx::{self, TdxError, TdxEvidence, TdxFloor},
};

/// Evidence of a confidential VM, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence<'a> {
    /// AMD SEV-SNP.
    SevSnp(SnpEvidence<'a>),
    /// Intel TDX.
    Tdx(TdxEvidence<'a>),
}

/// Whom a verifier believes, and how old firmware may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// For SEV-SNP.
    pub snp: SnpAnchor,
    /// For SEV-SNP.
    pub snp_floor: SnpFloor,
    /// For TDX.
    pub tdx: TdxAnchor,
    /// For TDX.
    pub tdx_floor: TdxFloor,
}

/// Why evidence is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum VmError {
    /// A report.
    #[error(transparent)]
    SevSnp(#[from] SnpError),
    /// A quote.
    #[error(transparent)]
    Tdx(#[from] TdxError),
}

/// What the hardware says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// AMD SEV-SNP.
    SevSnp {
        /// The processor's generation.
        product: Product,
        /// The form of its report.
        report_version: u32,
        /// The firmware that its key is certified for.
        reported_tcb: Tcb,
        /// The chip's number.
        chip_id: [u8; 64],
    },
    /// Intel TDX.
    Tdx {
        /// The kind of platform.
        fmspc: [u8; 6],
        /// The levels of the TDX module and its platform.
        tee_tcb_svn: [u8; 16],
        /// The quoting enclave's level.
        quoting_enclave_svn: u16,
        /// Intel's evaluation that calls all this up to date.
        evaluation_number: u32,
        /// When Intel's word has to be fetched anew.
        collateral_until: UnixTime,
    },
}

/// Evidence with a sound form, signature and chain, of a guest that neither is in debug mode nor
/// can be moved. Says what ran, not yet whether that is what should run: see
/// [`VerifiedVm::expect`].
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedVm {
    tee: TeeKind,
    says: Verified,
    digest: [u8; 32],
}

/// What a kind's own verifier has found.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) measurement: Measurement,
    pub(crate) report_data: [u8; 64],
    pub(crate) registers: Vec<(&'static str, Vec<u8>)>,
    pub(crate) platform: Platform,
}

/// Verifies evidence as of the instant `at`.
///
/// Neither kind carries a time of its own: nothing here is said about freshness, which comes from a
/// nonce alone.
pub fn verify(evidence: &Evidence<'_>, trust: &Trust, at: UnixTime) -> Result<VerifiedVm, VmError> {
    let (tee, says, signed) = match evidence {
        Evidence::SevSnp(snp) => {
            let says = snp::verify(snp, &trust.snp, &trust.snp_floor, at)?;
            (trust.snp.tee(), says, snp.report)
        }
        Evidence::Tdx(tdx) => {
            let says = tdx::verify(tdx, &trust.tdx, &trust.tdx_floor, at)?;
            (trust.tdx.tee(), says, tdx.quote)
        }
    };
    Ok(VerifiedVm {
        tee,
        says,
        digest: sha256::Hash::hash(signed).to_byte_array(),
    })
}

impl VmError {
    /// A stable word for logs, APIs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SevSnp(error) => error.code(),
            Self::Tdx(error) => error.code(),
        }
    }
}

impl VerifiedVm {
    /// Holds the evidence against what it must say.
    pub fn expect(self, expected: &Expected<'_>) -> Result<Attested<Self>, EvidenceError> {
        expect(self, expected)
    }

    /// What its platform can do with its memory: evidence of a guest that can be moved is refused.
    pub const fn class(&self) -> ImageClass {
        ImageClass::Resident
    }

    /// What the hardware says of itself.
    pub const fn platform(&self) -> &Platform {
        &self.says.platform
    }

    /// The 64 bytes that the guest chose: see [`crate::report_data`].
    pub const fn report_data(&self) -> &[u8; 64] {
        &self.says.report_data
    }

    /// The platform's own names of what it measured, with the values.
    pub fn registers(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let registers = self.says.registers.iter();
        registers.map(|(name, value)| (*name, value.as_slice()))
    }

    /// SHA-256 of the report or quote, to name it by. Not unique to what it says: ECDSA signatures
    /// can be rewritten by anyone.
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

impl Claims for VerifiedVm {
    fn tee(&self) -> TeeKind {
        self.tee
    }

    fn measurement(&self) -> &Measurement {
        &self.says.measurement
    }

    fn check_user_data(&self, expected: Option<&[u8]>) -> Result<(), EvidenceError> {
        let (got, _) = binding::halves(&self.says.report_data);
        let hash = binding::user_data_hash(expected);
        if got == hash {
            return Ok(());
        }
        Err(EvidenceError::UserData {
            expected: hex::encode(hash),
            got: hex::encode(got),
        })
    }

    fn check_nonce(&self, expected: Option<&[u8]>) -> Result<(), EvidenceError> {
        let (_, got) = binding::halves(&self.says.report_data);
        let hash = binding::nonce_hash(expected);
        if got == hash {
            return Ok(());
        }
        Err(EvidenceError::Nonce {
            expected: hex::encode(hash),
            got: hex::encode(got),
        })
    }
}

impl fmt::Debug for VerifiedVm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedVm")
            .field("tee", &self.tee)
            .field("register0", &hex::encode(self.says.measurement.pcr0))
            .field("digest", &hex::encode(self.digest))
            .finish_non_exhaustive()
    }
}
