//! `sev` and `dcap-qvl` as judges of reports and quotes.
#![allow(clippy::unwrap_used)]

use std::{fs, path::PathBuf};

use dcap_qvl::{QuoteCollateralV3, quote::Report};
use grail_attest::{Claims as _, UnixTime};
use grail_attest_vm::{
    Collateral, Evidence, SnpAnchor, SnpEvidence, SnpFloor, Tcb, TdxAnchor, TdxEvidence, TdxFloor,
    Trust, VerifiedVm, VmError, verify,
};
use sev::{
    certs::snp::{Certificate, Chain, Verifiable as _, builtin::milan, ca},
    firmware::guest::AttestationReport,
    parser::ByteParser as _,
};

/// 2025-07-01.
const AT_SECS: u64 = 1_751_328_000;

fn sample(name: &str) -> Vec<u8> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    fs::read(root.join("../../crates/grail-attest-vm/vectors").join(name)).unwrap()
}

fn trust() -> Trust {
    Trust {
        snp: SnpAnchor::amd(),
        snp_floor: SnpFloor::same(Tcb::default()),
        tdx: TdxAnchor::intel(),
        tdx_floor: TdxFloor {
            evaluation_number: 0,
            tee_tcb_svn: [0; 16],
            quoting_enclave_svn: 0,
        },
    }
}

fn our_report(report: &[u8], vcek: &[u8]) -> Result<VerifiedVm, VmError> {
    let evidence = Evidence::SevSnp(SnpEvidence { report, vcek });
    verify(&evidence, &trust(), UnixTime::from_secs(AT_SECS))
}

fn our_quote(quote: &[u8], at_secs: u64) -> Result<VerifiedVm, VmError> {
    let collateral = Collateral::from_json(&sample("tdx_quote_collateral.json")).unwrap();
    let evidence = Evidence::Tdx(TdxEvidence {
        quote,
        collateral: &collateral,
    });
    verify(&evidence, &trust(), UnixTime::from_secs(at_secs))
}

/// Whether `sev` finds the signatures good; it looks at nothing else.
fn judged_report(report: &[u8], vcek: &[u8]) -> bool {
    let Ok(vek) = Certificate::from_der(vcek) else {
        return false;
    };
    let ca = ca::Chain {
        ark: milan::ark().unwrap(),
        ask: milan::ask().unwrap(),
    };
    let chain = Chain { ca, vek };
    AttestationReport::from_bytes(report).is_ok_and(|report| (&chain, &report).verify().is_ok())
}

fn judged_quote(quote: &[u8], at_secs: u64) -> Option<dcap_qvl::verify::VerifiedReport> {
    let collateral: QuoteCollateralV3 =
        serde_json::from_slice(&sample("tdx_quote_collateral.json")).unwrap();
    dcap_qvl::verify::verify(quote, &collateral, at_secs).ok()
}

#[test]
fn sev_accepts_the_report_that_is_accepted_and_reads_the_same() {
    let (report, vcek) = (sample("snp_report_milan"), sample("vcek_milan.der"));
    let ours = our_report(&report, &vcek).unwrap();
    assert!(judged_report(&report, &vcek));
    let judged = AttestationReport::from_bytes(&report).unwrap();
    assert_eq!(ours.measurement().pcr0[..], judged.measurement[..]);
    assert_eq!(ours.report_data()[..], judged.report_data[..]);
}

#[test]
fn what_sev_refuses_is_refused() {
    let (report, vcek) = (sample("snp_report_milan"), sample("vcek_milan.der"));
    for position in (0..report.len()).step_by(7) {
        let mut changed = report.clone();
        changed[position] ^= 1;
        let refused = our_report(&changed, &vcek).is_err();
        assert!(refused || judged_report(&changed, &vcek), "byte {position}");
    }
}

#[test]
fn dcap_qvl_accepts_the_quote_that_is_accepted_and_reads_the_same() {
    let quote = sample("tdx_quote");
    let ours = our_quote(&quote, AT_SECS).unwrap();
    let judged = judged_quote(&quote, AT_SECS).unwrap();
    assert_eq!(judged.status, "UpToDate");
    let Report::TD10(report) = judged.report else {
        panic!("not a report of td 1.0");
    };
    assert_eq!(ours.measurement().pcr0, report.mr_td);
    assert_eq!(*ours.report_data(), report.report_data);
    let rtmr0 = ours.registers().find(|(name, _)| *name == "RTMR0");
    assert_eq!(rtmr0.unwrap().1, report.rt_mr0);
}

#[test]
fn both_refuse_collateral_outside_its_dates() {
    let quote = sample("tdx_quote");
    for at_secs in [AT_SECS - 30 * 86_400, AT_SECS + 30 * 86_400] {
        assert!(our_quote(&quote, at_secs).is_err());
        assert!(judged_quote(&quote, at_secs).is_none());
    }
}

#[test]
fn what_dcap_qvl_refuses_is_refused() {
    let quote = sample("tdx_quote");
    for position in (0..quote.len()).step_by(23) {
        let mut changed = quote.clone();
        changed[position] ^= 1;
        let refused = our_quote(&changed, AT_SECS).is_err();
        assert!(
            refused || judged_quote(&changed, AT_SECS).is_some(),
            "byte {position}"
        );
    }
}
