//! AMD SEV-SNP: a report of 1,184 bytes, signed by the chip's key (VCEK), which AMD certifies
//! together with the chip's number and its firmware's level. Source: "SEV Secure Nested Paging
//! Firmware ABI Specification", AMD 56860, and "Versioned Chip Endorsement Key Certificate and KDS
//! Interface Specification", AMD 57230.

mod error;
mod report;
mod tcb;
mod vcek;

use bitcoin::hashes::{Hash as _, sha384};
use grail_attest::UnixTime;
use grail_types::Measurement;
use p384::ecdsa::signature::Verifier as _;

use crate::{
    anchor::{Product, SnpAnchor},
    certificate::Certificate,
    verify::{Platform, Verified},
};

pub use error::SnpError;
pub use report::SNP_REPORT_BYTES;
pub use tcb::{SnpFloor, Tcb, TcbMalformed, TcbName};
pub use vcek::VCEK_BYTES_MAX;

use report::Report;
use vcek::Vcek;

/// A report and the certificate of the key that signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnpEvidence<'a> {
    /// The report, 1,184 bytes.
    pub report: &'a [u8],
    /// The VCEK's certificate, DER.
    pub vcek: &'a [u8],
}

/// Verifies a report as of the instant `at`. It carries no time of its own.
pub(crate) fn verify(
    evidence: &SnpEvidence<'_>,
    anchor: &SnpAnchor,
    floor: &SnpFloor,
    at: UnixTime,
) -> Result<Verified, SnpError> {
    let report = Report::parse(evidence.report)?;
    report.check_guest()?;
    let vcek = Vcek::parse(evidence.vcek)?;
    let product = check_chain(vcek.certificate(), anchor, at)?;
    report.check_processor(product)?;
    vcek.check_chip(product, &report.chip_id)?;
    vcek.check_tcb(product, report.reported_tcb)?;
    for (name, raw) in report.tcbs() {
        Tcb::of(product, raw).check_floor(name, floor.of(product))?;
    }
    vcek.key()?
        .verify(report.signed, &report.signature)
        .map_err(|_| SnpError::ReportSignature)?;
    Ok(Verified {
        measurement: measurement(&report),
        report_data: report.report_data,
        registers: vec![
            ("MEASUREMENT", report.measurement.to_vec()),
            ("HOST_DATA", report.host_data.to_vec()),
            ("POLICY", report.policy.to_be_bytes().to_vec()),
        ],
        platform: Platform::SevSnp {
            product,
            report_version: report.version,
            reported_tcb: Tcb::of(product, report.reported_tcb),
            chip_id: report.chip_id,
        },
    })
}

/// The pinned intermediate that issued the VCEK, by its name, and then by its signature.
fn check_chain(
    vcek: &Certificate<'_>,
    anchor: &SnpAnchor,
    at: UnixTime,
) -> Result<Product, SnpError> {
    for (product, der) in anchor.products() {
        let of_intermediate = |source| SnpError::Certificate {
            which: "ask",
            source,
        };
        let of_chip = |source| SnpError::Certificate {
            which: "vcek",
            source,
        };
        let intermediate = Certificate::parse(der).map_err(of_intermediate)?;
        if intermediate.subject() != vcek.issuer() {
            continue;
        }
        intermediate.check_validity(at).map_err(of_intermediate)?;
        vcek.check_validity(at).map_err(of_chip)?;
        vcek.check_signed_by_rsa(&intermediate).map_err(of_chip)?;
        return Ok(product);
    }
    Err(SnpError::Root {
        got: vcek.issuer().to_string().chars().take(128).collect(),
    })
}

/// The registers of ADR 31: what was loaded, how it was launched, and nothing.
fn measurement(report: &Report<'_>) -> Measurement {
    let launch = [
        &report.policy.to_le_bytes()[..],
        &report.family_id,
        &report.image_id,
        &report.guest_svn.to_le_bytes(),
        &report.host_data,
        &report.id_key_digest,
        &report.author_key_digest,
    ]
    .concat();
    Measurement {
        pcr0: report.measurement,
        pcr1: sha384::Hash::hash(&launch).to_byte_array(),
        pcr2: [0; 48],
    }
}
