//! Intel TDX: a quote of version 4 over a report of TD 1.0, signed by a key that Intel's quoting
//! enclave made, which the platform's key (PCK) vouches for, which Intel certifies. What of all
//! that is still good is said by collateral that Intel signs. Source: "Intel TDX DCAP Quoting
//! Library API", appendix A; "Intel SGX PCK Certificate and Certificate Revocation List Profile
//! Specification"; Intel's provisioning certification service, version 4.

mod chain;
mod collateral;
mod error;
mod identity;
mod pck;
mod quote;
mod revocation;
mod tcb_info;

use bitcoin::hashes::{Hash as _, sha256, sha384};
use grail_attest::UnixTime;
use grail_types::Measurement;
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};

use crate::{
    anchor::TdxAnchor,
    verify::{Platform, Verified},
};

pub use collateral::{COLLATERAL_BYTES_MAX, Collateral, CollateralError};
pub use error::TdxError;
pub use quote::QUOTE_BYTES_MAX;

use chain::{Chain, PCK, Root};
use pck::Pck;
use quote::{Quote, TdReport};

/// A quote, and what Intel says of its platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TdxEvidence<'a> {
    /// The quote; zeros may follow it, as some platforms pad.
    pub quote: &'a [u8],
    /// Intel's collateral for the quote's platform.
    pub collateral: &'a Collateral,
}

/// The lowest levels that a verifier bears, beside Intel's own verdict. There is no default: it is
/// a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TdxFloor {
    /// Of Intel's evaluations, which only grow: older collateral within its dates is refused.
    pub evaluation_number: u32,
    /// Of each component of the TDX module and its platform (`TEE_TCB_SVN`).
    pub tee_tcb_svn: [u8; 16],
    /// Of the quoting enclave.
    pub quoting_enclave_svn: u16,
}

/// Verifies a quote as of the instant `at`. It carries no time of its own.
pub(crate) fn verify(
    evidence: &TdxEvidence<'_>,
    anchor: &TdxAnchor,
    floor: &TdxFloor,
    at: UnixTime,
) -> Result<Verified, TdxError> {
    let quote = Quote::parse(evidence.quote)?;
    quote.report.check_guest()?;
    let root = Root::parse(anchor.der(), at)?;
    let chain = Chain::read(PCK, quote.pck_chain, &root)?;
    let verdict = evidence.collateral.verify(&root, at)?;

    let (leaf, authority) = chain.leaf_and_authority()?;
    authority.check_authority_under(&root, at)?;
    leaf.check_end_of(&authority, at)?;
    verdict.root_revocations.check(&authority)?;
    evidence
        .collateral
        .revocations_of(&authority, at)?
        .check(&leaf)?;

    check_signatures(&quote, &leaf.p256_key()?)?;
    quote.quoting_enclave.check_not_debug()?;
    verdict.identity.check(&quote.quoting_enclave)?;
    let pck = Pck::read(&leaf)?;
    verdict.tcb_info.check(&pck, &quote.report)?;
    check_floor(&quote, floor, verdict.evaluation_number())?;

    let report = &quote.report;
    Ok(Verified {
        measurement: measurement(report),
        report_data: report.report_data,
        registers: registers(report),
        platform: Platform::Tdx {
            fmspc: pck.fmspc,
            tee_tcb_svn: report.tee_tcb_svn,
            quoting_enclave_svn: quote.quoting_enclave.isv_svn,
            evaluation_number: verdict.evaluation_number(),
            collateral_until: verdict.until,
        },
    })
}

/// From the platform's key to the quoting enclave, to its key, to the quote.
fn check_signatures(quote: &Quote<'_>, platform: &VerifyingKey) -> Result<(), TdxError> {
    let signature = |raw: &[u8; 64]| Signature::from_slice(raw);
    signature(&quote.quoting_enclave_signature)
        .and_then(|signature| platform.verify(quote.quoting_enclave.signed, &signature))
        .map_err(|_| TdxError::QuotingEnclaveSignature)?;
    let bound = [&quote.attestation_key[..], quote.authentication_data].concat();
    let (hash, rest) = quote.quoting_enclave.report_data.split_at(32);
    if hash != sha256::Hash::hash(&bound).to_byte_array() || rest != [0; 32] {
        return Err(TdxError::AttestationKey);
    }
    let point = [&[4], &quote.attestation_key[..]].concat();
    let key = VerifyingKey::from_sec1_bytes(&point).map_err(|_| TdxError::AttestationKey)?;
    signature(&quote.signature)
        .and_then(|signature| key.verify(quote.signed, &signature))
        .map_err(|_| TdxError::QuoteSignature)
}

fn check_floor(
    quote: &Quote<'_>,
    floor: &TdxFloor,
    evaluation_number: u32,
) -> Result<(), TdxError> {
    let svns = quote.report.tee_tcb_svn.iter().zip(floor.tee_tcb_svn);
    let below = if evaluation_number < floor.evaluation_number {
        "tcb evaluation number"
    } else if svns.into_iter().any(|(svn, least)| *svn < least) {
        "tee tcb svn"
    } else if quote.quoting_enclave.isv_svn < floor.quoting_enclave_svn {
        "quoting enclave svn"
    } else {
        return Ok(());
    };
    Err(TdxError::BelowFloor { what: below })
}

/// The registers of ADR 31: what was loaded, how it was launched, what was loaded since.
fn measurement(report: &TdReport) -> Measurement {
    let launch = [
        &report.attributes.to_le_bytes()[..],
        &report.xfam,
        &report.mr_config_id,
        &report.mr_owner,
        &report.mr_owner_config,
    ]
    .concat();
    Measurement {
        pcr0: report.mr_td,
        pcr1: sha384::Hash::hash(&launch).to_byte_array(),
        pcr2: sha384::Hash::hash(&report.rtmrs.concat()).to_byte_array(),
    }
}

fn registers(report: &TdReport) -> Vec<(&'static str, Vec<u8>)> {
    let [rtmr0, rtmr1, rtmr2, rtmr3] = report.rtmrs;
    [
        ("MRTD", report.mr_td),
        ("RTMR0", rtmr0),
        ("RTMR1", rtmr1),
        ("RTMR2", rtmr2),
        ("RTMR3", rtmr3),
        ("MRCONFIGID", report.mr_config_id),
    ]
    .map(|(name, value)| (name, value.to_vec()))
    .to_vec()
}
