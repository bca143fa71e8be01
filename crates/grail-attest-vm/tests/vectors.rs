//! Evidence from real hardware, each with its verdict. Sources: `vectors/README.md`.
#![allow(clippy::unwrap_used)]

use grail_attest::{Claims as _, ImageClass, TeeKind, UnixTime};
use grail_attest_vm::{
    Collateral, Evidence, Platform, Product, SnpAnchor, SnpEvidence, SnpFloor, Tcb, TdxAnchor,
    TdxEvidence, TdxFloor, Trust, VerifiedVm, VmError, verify,
};

const REPORT: &[u8] = include_bytes!("../vectors/snp_report_milan");
const VCEK: &[u8] = include_bytes!("../vectors/vcek_milan.der");
const VCEK_OF_TURIN: &[u8] = include_bytes!("../vectors/vcek_turin.der");
const QUOTE: &[u8] = include_bytes!("../vectors/tdx_quote");
const QUOTE_5: &[u8] = include_bytes!("../vectors/tdx_quote_version_5");
const COLLATERAL: &[u8] = include_bytes!("../vectors/tdx_quote_collateral.json");

/// 2025-07-01, within the dates of everything here.
const AT: UnixTime = UnixTime::from_secs(1_751_328_000);

fn trust() -> Trust {
    Trust {
        snp: SnpAnchor::amd(),
        snp_floor: SnpFloor::same(Tcb::default()),
        tdx: TdxAnchor::intel(),
        tdx_floor: TdxFloor {
            evaluation_number: 17,
            tee_tcb_svn: [0; 16],
            quoting_enclave_svn: 4,
        },
    }
}

fn collateral() -> Collateral {
    Collateral::from_json(COLLATERAL).unwrap()
}

fn snp(report: &[u8], vcek: &[u8], at: UnixTime) -> Result<VerifiedVm, VmError> {
    verify(
        &Evidence::SevSnp(SnpEvidence { report, vcek }),
        &trust(),
        at,
    )
}

fn tdx(quote: &[u8], at: UnixTime) -> Result<VerifiedVm, VmError> {
    let collateral = collateral();
    let evidence = TdxEvidence {
        quote,
        collateral: &collateral,
    };
    verify(&Evidence::Tdx(evidence), &trust(), at)
}

fn code<T>(result: Result<T, VmError>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "accepted")
}

#[test]
fn a_real_report_of_milan_verifies() {
    let verified = snp(REPORT, VCEK, AT).unwrap();
    assert_eq!(verified.tee(), TeeKind::SevSnp);
    assert_eq!(verified.class(), ImageClass::Resident);
    let Platform::SevSnp {
        product,
        report_version,
        reported_tcb,
        chip_id,
    } = verified.platform()
    else {
        panic!("{verified:?}");
    };
    assert_eq!((*product, *report_version), (Product::Milan, 2));
    assert_eq!(reported_tcb.to_string(), "0.3.0.8.115");
    assert!(hex::encode(chip_id).starts_with("d49554ec717f4e5b"));
    let (name, launch) = verified.registers().next().unwrap();
    assert_eq!(name, "MEASUREMENT");
    assert!(hex::encode(launch).starts_with("7a1e5c266c0108db"));
}

#[test]
fn a_real_quote_verifies_within_its_collaterals_dates() {
    let verified = tdx(QUOTE, AT).unwrap();
    assert_eq!(verified.tee(), TeeKind::Tdx);
    let Platform::Tdx {
        fmspc,
        evaluation_number,
        ..
    } = verified.platform()
    else {
        panic!("{verified:?}");
    };
    assert_eq!(hex::encode(fmspc), "b0c06f000000");
    assert_eq!(*evaluation_number, 17);
    // Issued on 2025-06-19, to be renewed on 2025-07-19.
    assert_eq!(
        code(tdx(QUOTE, UnixTime::from_secs(1_750_204_800))),
        "tdx-collateral-not-yet-valid"
    );
    assert_eq!(
        code(tdx(QUOTE, UnixTime::from_secs(1_753_056_000))),
        "tdx-collateral-expired"
    );
}

#[test]
fn real_evidence_is_refused_outside_its_certificates_dates() {
    // 2020-01-01 and 2031-01-01.
    let (early, late) = (
        UnixTime::from_secs(1_577_836_800),
        UnixTime::from_secs(1_924_992_000),
    );
    assert_eq!(code(snp(REPORT, VCEK, early)), "certificate-not-yet-valid");
    assert_eq!(code(snp(REPORT, VCEK, late)), "certificate-expired");
}

#[test]
fn a_real_report_with_another_chips_certificate_is_refused() {
    assert_eq!(code(snp(REPORT, VCEK_OF_TURIN, AT)), "snp-chip");
}

#[test]
fn a_real_quote_of_version_5_is_refused_by_name() {
    assert_eq!(code(tdx(QUOTE_5, AT)), "tdx-quote-version");
}

#[test]
fn real_evidence_is_refused_with_a_byte_changed_anywhere() {
    for position in 0..REPORT.len() {
        let mut report = REPORT.to_vec();
        *report.get_mut(position).unwrap() ^= 1;
        assert!(snp(&report, VCEK, AT).is_err(), "report at byte {position}");
    }
    // Steps that meet every kind of field over the lengths of these.
    for position in (0..VCEK.len()).step_by(5) {
        let mut vcek = VCEK.to_vec();
        *vcek.get_mut(position).unwrap() ^= 1;
        assert!(snp(REPORT, &vcek, AT).is_err(), "vcek at byte {position}");
    }
}
