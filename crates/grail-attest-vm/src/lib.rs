//! Evidence of confidential VMs: AMD SEV-SNP reports and Intel TDX quotes (ADR 31, hazard 49).
//!
//! Owns the one path of [`verify`]: a kind of evidence, its parts, a chain to the anchor that is
//! pinned for the kind, [`VerifiedVm`]; what that must say is `grail-attest`'s, the same for every
//! kind. Trusts AMD's and Intel's published certificates, and the caller's clock. Reads each byte
//! once, by readers of its own: what is checked is what was signed. Does no I/O, fetches nothing,
//! and has no switch that turns a check off.
//!
//! The feature `development` adds roots of one's own, for tests on regtest (ADR 10).

mod anchor;
mod binding;
mod certificate;
mod cursor;
mod snp;
mod tdx;
mod verify;

pub use anchor::{Product, SnpAnchor, TdxAnchor};
pub use binding::report_data;
pub use snp::{
    SNP_REPORT_BYTES, SnpError, SnpEvidence, SnpFloor, Tcb, TcbMalformed, TcbName, VCEK_BYTES_MAX,
};
pub use tdx::{
    COLLATERAL_BYTES_MAX, Collateral, CollateralError, QUOTE_BYTES_MAX, TdxError, TdxEvidence,
    TdxFloor,
};
pub use verify::{Evidence, Platform, Trust, VerifiedVm, VmError, verify};
