//! Every single lie of TDX evidence, each refused by its own name.
#![allow(clippy::unwrap_used)]
// A lie is one assignment, and reads best as one.
#![allow(clippy::assigning_clones, clippy::semicolon_if_nothing_returned)]

mod common;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use common::der::{OCTET_STRING, octets, oid, sequence};
use common::issue::{Extension, Issuer, KEY_CERT_SIGN, basic_constraints, key_usage};
use common::tdx::{HEADER, PCK_EXTENSION, Plan, SIGNED, key, verify_tdx};
use common::{AT, DAY_MS, NONCE, USER_DATA, codes_of};
use grail_attest::{Claims as _, Expected, ImageClass, TeeKind};
use grail_attest_vm::{
    COLLATERAL_BYTES_MAX, Collateral, CollateralError, Platform, TdxAnchor, Trust,
};
use grail_types::Measurement;
use proptest::prelude::*;
use serde_json::json;

fn expected(references: &[Measurement]) -> Expected<'_> {
    Expected {
        references,
        user_data: Some(USER_DATA),
        nonce: Some(NONCE),
    }
}

#[test]
fn true_evidence_is_attested() {
    let verified = Plan::new().verify().unwrap();
    assert_eq!(verified.tee(), TeeKind::Development);
    assert_eq!(verified.class(), ImageClass::Resident);
    let Platform::Tdx {
        evaluation_number,
        collateral_until,
        quoting_enclave_svn,
        ..
    } = verified.platform()
    else {
        panic!("{verified:?}");
    };
    // The lower of the two that took part, and the end of what ends first.
    assert_eq!((*evaluation_number, *quoting_enclave_svn), (17, 4));
    assert_eq!(collateral_until.as_secs(), 1_797_465_600);
    let references = [*verified.measurement()];
    let attested = verified.expect(&expected(&references)).unwrap();
    assert_eq!(attested.evidence().measurement().pcr0, [0x22; 48]);
}

#[test]
fn refuses_another_image_binding_or_nonce_each_by_name() {
    let verified = Plan::new().verify().unwrap();
    let references = [*verified.measurement()];
    let right = expected(&references);
    let code = |expected: Expected<'_>| verified.clone().expect(&expected).unwrap_err().code();
    for change in [
        |image: &mut Measurement| image.pcr0[0] ^= 1,
        |image: &mut Measurement| image.pcr1[0] ^= 1,
        |image: &mut Measurement| image.pcr2[0] ^= 1,
    ] {
        let mut other = references;
        change(&mut other[0]);
        assert_eq!(code(expected(&other)), "measurement-not-listed");
    }
    for user_data in [Some(&b"other"[..]), None] {
        assert_eq!(code(Expected { user_data, ..right }), "user-data-mismatch");
    }
    for nonce in [Some(&b"other"[..]), None] {
        assert_eq!(code(Expected { nonce, ..right }), "nonce-mismatch");
    }
}

type Lie = (&'static str, fn(&mut Plan));

/// One thing wrong each, signed again where a signature covers it.
const LIES: &[Lie] = &[
    // The quote's form.
    ("tdx-quote-too-large", |plan| {
        plan.after = |quote| quote.resize(16 * 1024 + 1, 0)
    }),
    ("tdx-quote-length", |plan| plan.after = Vec::clear),
    ("tdx-quote-length", |plan| {
        plan.after = |quote| quote.truncate(HEADER + 1)
    }),
    ("tdx-quote-length", |plan| {
        plan.after = |quote| quote.truncate(SIGNED + 1)
    }),
    ("tdx-quote-length", |plan| {
        plan.after = |quote| _ = quote.pop()
    }),
    ("tdx-quote-length", |plan| {
        plan.after = |quote| quote[SIGNED] ^= 1
    }),
    ("tdx-quote-length", |plan| {
        plan.after = |quote| quote[SIGNED + 3] = 0xff
    }),
    ("tdx-quote-trailing", |plan| {
        plan.after = |quote| quote.push(1)
    }),
    ("tdx-quote-version", |plan| plan.put(0, &[3])),
    ("tdx-quote-version", |plan| plan.put(0, &[5])),
    ("tdx-key-type", |plan| plan.put(2, &[3])),
    ("tdx-tee-type", |plan| plan.put(4, &[0])),
    ("tdx-vendor", |plan| plan.put(12, &[0])),
    ("tdx-certification-type", |plan| plan.certification_type = 5),
    ("tdx-certification-type", |plan| plan.chain_type = 4),
    // The guest.
    ("debug-mode", |plan| plan.put(HEADER + 120, &[1])),
    ("debug-mode", |plan| plan.put(HEADER + 120, &[0x80])),
    ("tdx-migratable", |plan| plan.put(HEADER + 123, &[0x30])),
    ("tdx-attributes", |plan| plan.put(HEADER + 123, &[0])),
    ("tdx-attributes", |plan| plan.put(HEADER + 123, &[0x50])),
    ("tdx-attributes", |plan| plan.put(HEADER + 127, &[0x80])),
    ("measurement-zero", |plan| plan.put(HEADER + 136, &[0; 48])),
    // The platform's chain.
    ("root-not-pinned", |plan| {
        plan.anchor = Some(TdxAnchor::intel())
    }),
    ("root-not-pinned", |plan| {
        plan.chain = |chain| chain[2].push(0)
    }),
    ("tdx-chain-form", |plan| {
        plan.chain = |chain| _ = chain.remove(1)
    }),
    ("tdx-chain-form", |plan| {
        plan.chain = |chain| {
            let root = chain[2].clone();
            chain.push(root);
        };
    }),
    ("tdx-chain-form", |plan| plan.chain = Vec::clear),
    ("tdx-chain-form", |plan| {
        plan.chain_text = |text| text.insert(0, 'x')
    }),
    ("tdx-chain-form", |plan| {
        plan.chain_text = |text| text.insert(40, '!')
    }),
    ("tdx-chain-form", |plan| {
        plan.chain_text = |text| text.push_str("-----BEGIN")
    }),
    ("tdx-chain-form", |plan| {
        plan.chain = |chain| chain[0] = vec![0; 9000]
    }),
    ("certificate-not-der", |plan| {
        plan.chain = |chain| chain[0].push(0)
    }),
    ("certificate-signature", |plan| {
        plan.pck.signed_by = Issuer::P256(key(9))
    }),
    ("certificate-signature", |plan| {
        plan.authority.signed_by = Issuer::P256(key(9))
    }),
    ("certificate-issuer", |plan| {
        plan.pck.issuer = "Other".to_owned()
    }),
    ("certificate-issuer", |plan| {
        plan.authority.issuer = "Other".to_owned()
    }),
    ("certificate-expired", |plan| {
        plan.pck.not_after = AT.earlier_by_millis(1000)
    }),
    ("certificate-expired", |plan| {
        plan.authority.not_after = AT.earlier_by_millis(1000)
    }),
    ("certificate-expired", |plan| {
        plan.root.not_after = AT.earlier_by_millis(1000)
    }),
    ("certificate-expired", |plan| {
        plan.signer.not_after = AT.earlier_by_millis(1000)
    }),
    ("certificate-not-yet-valid", |plan| {
        plan.pck.not_before = AT.later_by_millis(1000)
    }),
    ("certificate-not-ca", |plan| {
        plan.authority.extensions[0] = basic_constraints(false, None)
    }),
    ("certificate-basic-constraints-absent", |plan| {
        plan.authority.extensions.remove(0);
    }),
    ("certificate-leaf-is-ca", |plan| {
        plan.pck.extensions[0] = basic_constraints(true, None)
    }),
    ("certificate-key-usage", |plan| {
        plan.pck.extensions[1] = key_usage(KEY_CERT_SIGN)
    }),
    ("certificate-key-usage", |plan| {
        plan.authority.extensions[1] = key_usage(0x80)
    }),
    ("certificate-key-usage", |plan| {
        plan.signer.extensions[1] = key_usage(KEY_CERT_SIGN)
    }),
    ("certificate-key-usage-absent", |plan| {
        _ = plan.pck.extensions.pop()
    }),
    ("certificate-path-length", |plan| {
        plan.root.extensions[0] = basic_constraints(true, Some(0))
    }),
    ("certificate-revoked", |plan| {
        plan.pck_crl.serials.push(vec![3])
    }),
    ("certificate-revoked", |plan| {
        plan.root_crl.serials.push(vec![2])
    }),
    ("certificate-revoked", |plan| {
        plan.root_crl.serials.push(vec![4])
    }),
    // The platform.
    ("tdx-pck-extension", |plan| {
        plan.pck_fields.raw = Some(vec![])
    }),
    ("tdx-pck-extension", |plan| {
        plan.pck_fields.raw = Some(sequence(&[]))
    }),
    ("tdx-pck-extension", |plan| {
        let twice = sequence(&[oid("1.2.3"), octets(&[])]);
        plan.pck_fields.raw = Some(sequence(&[twice.clone(), twice]));
    }),
    ("tdx-pck-extension", |plan| {
        let many = (1..50).map(|number| sequence(&[oid(&format!("1.2.{number}")), octets(&[])]));
        plan.pck_fields.raw = Some(sequence(&many.collect::<Vec<_>>()));
    }),
    ("tdx-pck-extension", |plan| {
        // The right fields in another shell.
        let mut der = plan.pck_fields.encode();
        der[0] = OCTET_STRING;
        plan.pck_fields.raw = Some(der);
    }),
    ("tdx-pck-extension", |plan| plan.pck_fields.fmspc.push(0)),
    ("tdx-pck-extension", |plan| plan.pck_fields.pce_id.clear()),
    ("tdx-other-platform", |plan| plan.pck_fields.fmspc[0] = 0),
    ("tdx-other-platform", |plan| plan.pck_fields.pce_id[0] = 1),
    ("tdx-other-platform", |plan| {
        plan.tcb_info["fmspc"] = "000000000000".into()
    }),
    // Signatures, from the platform down.
    ("tdx-quoting-enclave-signature", |plan| {
        plan.enclave_signer = key(9)
    }),
    ("tdx-attestation-key", |plan| {
        plan.enclave_binding = Some(vec![0; 32])
    }),
    ("tdx-attestation-key", |plan| {
        plan.after = |quote| quote[SIGNED + 4 + 64] ^= 1
    }),
    ("tdx-attestation-key", |plan| plan.after_binding[31] = 1),
    ("tdx-quote-signature", |plan| plan.attestation_key = key(9)),
    ("tdx-quote-signature", |plan| {
        plan.after = |quote| quote[SIGNED + 4] ^= 1
    }),
    // The quoting enclave.
    ("tdx-quoting-enclave-debug", |plan| {
        plan.put_enclave(48, &[0x13])
    }),
    ("tdx-quoting-enclave", |plan| plan.put_enclave(48, &[0x10])),
    ("tdx-quoting-enclave", |plan| plan.put_enclave(16, &[1])),
    ("tdx-quoting-enclave", |plan| plan.put_enclave(128, &[0])),
    ("tdx-quoting-enclave", |plan| plan.put_enclave(256, &[1])),
    ("tdx-status", |plan| plan.put_enclave(258, &[3])),
    ("tdx-no-level", |plan| plan.put_enclave(258, &[1])),
    // Levels.
    ("tdx-status", |plan| plan.pck_fields.components[15] = 4),
    ("tdx-status", |plan| plan.pck_fields.pce_svn = 10),
    ("tdx-no-level", |plan| plan.pck_fields.components[0] = 3),
    ("tdx-no-level", |plan| plan.pck_fields.pce_svn = 4),
    ("tdx-status", |plan| plan.put(HEADER + 2, &[2])),
    ("tdx-no-level", |plan| plan.put(HEADER + 2, &[1])),
    ("tdx-status", |plan| plan.put(HEADER, &[5])),
    ("tdx-no-level", |plan| plan.put(HEADER, &[3])),
    ("tdx-status", |plan| {
        plan.tcb_info["tcbLevels"][0]["tcbStatus"] = "ConfigurationNeeded".into()
    }),
    ("tdx-status", |plan| {
        plan.tcb_info["tcbLevels"][0]["tcbStatus"] = "Revoked".into()
    }),
    ("tdx-status", |plan| {
        plan.identity["tcbLevels"][0]["tcbStatus"] = "uptodate".into()
    }),
    ("tdx-module", |plan| plan.put(HEADER + 1, &[3])),
    ("tdx-module", |plan| plan.put(HEADER + 64, &[1])),
    ("tdx-module", |plan| plan.put(HEADER + 112, &[1])),
    ("tdx-below-floor", |plan| plan.floor.evaluation_number = 18),
    ("tdx-below-floor", |plan| plan.floor.tee_tcb_svn[15] = 1),
    ("tdx-below-floor", |plan| plan.floor.quoting_enclave_svn = 5),
    // Collateral.
    ("tdx-collateral-expired", |plan| {
        plan.at = AT.later_by_millis(29 * DAY_MS + 1000)
    }),
    ("tdx-collateral-not-yet-valid", |plan| {
        plan.at = AT.earlier_by_millis(2 * DAY_MS)
    }),
    ("tdx-collateral-expired", |plan| {
        plan.root_crl.until = Some(AT.earlier_by_millis(1000))
    }),
    ("tdx-collateral-expired", |plan| {
        plan.pck_crl.until = Some(AT.earlier_by_millis(1000))
    }),
    ("tdx-collateral-not-yet-valid", |plan| {
        plan.pck_crl.issued = AT.later_by_millis(1000)
    }),
    ("tdx-collateral-expired", |plan| {
        plan.tcb_info["nextUpdate"] = "2026-11-18T00:00:00Z".into()
    }),
    ("tdx-collateral-expired", |plan| {
        plan.identity["nextUpdate"] = "2026-11-18T00:00:00Z".into()
    }),
    ("tdx-collateral-not-yet-valid", |plan| {
        plan.tcb_info["issueDate"] = "2026-11-19T00:00:00Z".into()
    }),
    ("tdx-collateral-not-yet-valid", |plan| {
        plan.identity["issueDate"] = "2026-11-19T00:00:00Z".into()
    }),
    ("tdx-collateral-signature", |plan| {
        plan.collateral_key = key(9)
    }),
    ("tdx-collateral-signature", |plan| {
        plan.root_crl.signed_by = Issuer::P256(key(9))
    }),
    ("tdx-collateral-signature", |plan| {
        plan.pck_crl.signed_by = Issuer::P256(key(1))
    }),
    ("tdx-collateral-signature", |plan| {
        plan.after_collateral = |all| {
            let text = all["tcb_info"]
                .as_str()
                .unwrap()
                .replace("OutOfDate", "UpToDate");
            all["tcb_info"] = text.into();
        };
    }),
    ("tdx-collateral-signature", |plan| {
        plan.after_collateral = |all| {
            let text = all["qe_identity"]
                .as_str()
                .unwrap()
                .replace("OutOfDate", "UpToDate");
            all["qe_identity"] = text.into();
        };
    }),
    // Each signature for the other's text.
    ("tdx-collateral-signature", |plan| {
        plan.after_collateral = |all| all["tcb_info"] = all["qe_identity"].clone();
    }),
    ("tdx-collateral-issuer", |plan| {
        plan.pck_crl.issuer = "Test Root".to_owned()
    }),
    ("tdx-collateral-issuer", |plan| {
        plan.root_crl.issuer = "Other".to_owned()
    }),
    ("tdx-collateral-form", |plan| plan.root_crl.until = None),
    ("tdx-collateral-form", |plan| {
        plan.pck_crl.algorithm = Some(sequence(&[oid("1.2.3")]))
    }),
    ("tdx-collateral-form", |plan| {
        plan.pck_crl.extensions.push(Extension {
            critical: true,
            ..Extension::new("2.5.29.28", sequence(&[]))
        });
    }),
    ("tdx-collateral-form", |plan| {
        plan.after_collateral = |all| all["pck_crl"] = "".into()
    }),
    ("tdx-collateral-form", |plan| {
        plan.tcb_info["id"] = "SGX".into()
    }),
    ("tdx-collateral-form", |plan| {
        plan.tcb_info["version"] = 2.into()
    }),
    ("tdx-collateral-form", |plan| {
        plan.identity["id"] = "QE".into()
    }),
    ("tdx-collateral-form", |plan| {
        plan.identity["version"] = 1.into()
    }),
    ("tdx-collateral-form", |plan| {
        plan.tcb_info["fmspc"] = "B0".into()
    }),
    ("tdx-collateral-form", |plan| {
        plan.tcb_info["nextUpdate"] = "later".into()
    }),
    ("tdx-collateral-form", |plan| {
        plan.tcb_info["tcbLevels"] = json!({})
    }),
    ("tdx-collateral-form", |plan| {
        let all = &mut plan.tcb_info["tcbLevels"][0]["tcb"]["sgxtcbcomponents"];
        all.as_array_mut().unwrap().pop();
    }),
    ("root-not-pinned", |plan| {
        plan.after_collateral = |all| {
            let chain = all["tcb_info_issuer_chain"].as_str().unwrap();
            let leaf = chain
                .split_inclusive("-----END CERTIFICATE-----\n")
                .next()
                .unwrap();
            all["tcb_info_issuer_chain"] = leaf.repeat(2).into();
        };
    }),
    ("tdx-chain-form", |plan| {
        plan.after_collateral = |all| all["qe_identity_issuer_chain"] = "".into();
    }),
    ("collateral-malformed", |plan| {
        plan.after_collateral = |all| all["other"] = 1.into()
    }),
    ("collateral-malformed", |plan| {
        plan.after_collateral = |all| all["pck_crl"] = "x".into()
    }),
];

#[test]
fn refuses_every_single_lie_by_its_name() {
    for (index, (code, lie)) in LIES.iter().enumerate() {
        let mut plan = Plan::new();
        lie(&mut plan);
        let got = plan.verify().map_or_else(|code| code, |_| "accepted");
        assert_eq!(got, *code, "lie {index}");
    }
}

#[test]
fn there_is_a_lie_for_every_reason() {
    let told: BTreeSet<&str> = LIES.iter().map(|(code, _)| *code).collect();
    let reasons = codes_of(include_str!("../src/tdx/error.rs"));
    assert!(reasons.len() > 28, "{reasons:?}");
    for reason in reasons {
        assert!(told.contains(reason), "no lie for {reason}");
    }
}

#[test]
fn a_module_of_version_0_is_held_against_the_first_two_levels_too() {
    let mut plan = Plan::new();
    plan.put(HEADER + 1, &[0]);
    plan.floor.tee_tcb_svn = [0; 16];
    // Level 9 of the module is asked for, and it has 6.
    assert_eq!(plan.verify().unwrap_err(), "tdx-no-level");
    plan.put(HEADER, &[9]);
    plan.verify().unwrap();
    plan.put(HEADER + 64, &[1]);
    assert_eq!(plan.verify().unwrap_err(), "tdx-module");
}

#[test]
fn zeros_after_a_quote_are_padding() {
    let mut plan = Plan::new();
    plan.after = |quote| quote.extend([0; 70]);
    plan.verify().unwrap();
}

/// Signed bytes that decide nothing: what is reserved, the quoting enclave's own number for the
/// machine, and the module's exact build, of which signer and level count.
const FREE: &[Range<usize>] = &[8..12, 28..HEADER, HEADER + 16..HEADER + 64];

#[test]
fn every_other_signed_byte_is_checked_or_bound() {
    let base = Plan::new();
    let (trust, collateral) = (base.trust(), base.collateral().to_string());
    let references = [*base.verify().unwrap().measurement()];
    for offset in 0..SIGNED {
        let is_level = (HEADER..HEADER + 16).contains(&offset);
        if is_level || FREE.iter().any(|range| range.contains(&offset)) {
            continue;
        }
        let mut plan = base.clone();
        plan.quote[offset] ^= 1;
        let accepted = verify_tdx(&plan.quote(), collateral.as_bytes(), &trust, AT)
            .ok()
            .and_then(|verified| verified.expect(&expected(&references)).ok());
        assert!(accepted.is_none(), "offset {offset}");
    }
}

#[test]
fn every_byte_changed_after_signing_is_refused() {
    let base = Plan::new();
    let (trust, collateral) = (base.trust(), base.collateral().to_string());
    let quote = base.quote();
    // The chain's text is base64, some of whose bits mean nothing: a step meets the rest.
    let last = quote.len() - 1;
    for offset in (0..SIGNED + 4).chain((SIGNED + 4..last).step_by(7)) {
        let mut changed = quote.clone();
        changed[offset] ^= 0x80;
        let got = verify_tdx(&changed, collateral.as_bytes(), &trust, AT);
        assert!(got.is_err(), "offset {offset}");
    }
}

#[test]
fn collateral_is_bounded() {
    let large = vec![b' '; COLLATERAL_BYTES_MAX + 1];
    assert!(matches!(
        Collateral::from_json(&large),
        Err(CollateralError::TooLarge { .. })
    ));
    let at_limit = vec![b' '; COLLATERAL_BYTES_MAX];
    assert!(matches!(
        Collateral::from_json(&at_limit),
        Err(CollateralError::Json(_))
    ));
    assert!(PCK_EXTENSION.starts_with("1.2.840.113741"));
}

/// True evidence, made once.
struct True {
    quote: Vec<u8>,
    collateral: Vec<u8>,
    trust: Trust,
}

static TRUE: LazyLock<True> = LazyLock::new(|| {
    let plan = Plan::new();
    True {
        quote: plan.quote(),
        collateral: plan.collateral().to_string().into_bytes(),
        trust: plan.trust(),
    }
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_it_panic(
        quote in proptest::collection::vec(any::<u8>(), 0..6000),
        collateral in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let True { collateral: own, trust, .. } = &*TRUE;
        prop_assert!(verify_tdx(&quote, own, trust, AT).is_err());
        prop_assert!(Collateral::from_json(&collateral).is_err());
    }

    #[test]
    fn neither_a_cut_nor_a_changed_quote_makes_it_panic(
        cut in 600..5000_usize,
        at in 0..5000_usize,
        bits in 1..=255_u8,
    ) {
        let True { collateral, trust, .. } = &*TRUE;
        let mut quote = TRUE.quote.clone();
        let length = quote.len();
        quote.truncate(cut);
        if let Some(byte) = quote.get_mut(at) {
            *byte ^= bits;
        }
        let result = verify_tdx(&quote, collateral, trust, AT);
        // White space in the chain's text may change.
        prop_assert!(result.is_err() || (cut >= length && at > SIGNED));
    }

    #[test]
    fn neither_cut_nor_changed_collateral_makes_it_panic(
        cut in 1..20_000_usize,
        at in 0..20_000_usize,
        bits in 1..=255_u8,
    ) {
        let mut collateral = TRUE.collateral.clone();
        collateral.truncate(cut);
        if let Some(byte) = collateral.get_mut(at) {
            *byte ^= bits;
        }
        // White space and letters' case in hexadecimal may change: what counts is no panic.
        let _ = verify_tdx(&TRUE.quote, &collateral, &TRUE.trust, AT);
    }
}
