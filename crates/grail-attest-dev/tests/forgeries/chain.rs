use grail_attest::{CertificateFault, EvidenceError, Position, UnixTime, verify};
use grail_attest_dev::{CertificatePlan, ChainPlan, Extension, basic_constraints, key_usage};

use super::{AT, accepted, anchor, plans_at, refusal, signed, with_chain, with_issued};

const DIGITAL_SIGNATURE: u8 = 0b1000_0000;
const KEY_CERT_SIGN: u8 = 0b0000_0100;

fn certificate(position: Position, source: CertificateFault) -> EvidenceError {
    EvidenceError::Certificate { position, source }
}

fn zonal(chain: &mut ChainPlan) -> &mut CertificatePlan {
    chain.intermediates.get_mut(1).unwrap()
}

const ZONAL: Position = Position::Intermediate(2);

/// The refusal of a chain whose zonal certificate was issued with these extensions.
fn zonal_refusal(extensions: Vec<Extension>) -> EvidenceError {
    refusal(&with_chain(|chain| zonal(chain).extensions = extensions))
}

fn leaf_refusal(extensions: Vec<Extension>) -> EvidenceError {
    refusal(&with_chain(|chain| chain.leaf.extensions = extensions))
}

/// The refusal of a chain whose zonal certificate had bytes replaced after it was issued.
fn replaced(from: &[u8], to: &[u8]) -> EvidenceError {
    refusal(&with_issued(|chain| {
        let certificate = chain.cabundle.get_mut(2).unwrap();
        let start = certificate
            .windows(from.len())
            .position(|window| window == from)
            .unwrap();
        certificate.splice(start..start + from.len(), to.iter().copied());
    }))
}

#[test]
fn refuses_a_root_that_the_document_brings_itself() {
    let document = with_chain(|chain| chain.root.key = chain.leaf.key.clone());
    assert_eq!(refusal(&document).code(), "root-not-pinned");
}

#[test]
fn refuses_a_chain_without_the_pinned_root_in_front() {
    let document = with_issued(|chain| _ = chain.cabundle.remove(0));
    assert_eq!(refusal(&document).code(), "root-not-pinned");
    let document = with_issued(|chain| chain.cabundle.swap(0, 1));
    assert_eq!(refusal(&document).code(), "root-not-pinned");
}

#[test]
fn refuses_a_foreign_chain_behind_the_pinned_root() {
    let pinned = plans_at(AT).0.issue().cabundle.remove(0);
    let (mut chain, document) = plans_at(AT);
    chain.root.key = chain.leaf.key.clone();
    let mut chain = chain.issue();
    *chain.cabundle.first_mut().unwrap() = pinned;
    assert_eq!(
        refusal(&signed(&document, &chain)),
        certificate(Position::Intermediate(1), CertificateFault::Signature)
    );
}

#[test]
fn refuses_an_empty_chain_and_one_of_nine() {
    let empty = with_issued(|chain| chain.cabundle.clear());
    assert_eq!(
        refusal(&empty),
        EvidenceError::CabundleLength { max: 8, got: 0 }
    );
    let nine = with_issued(|chain| chain.cabundle.resize(9, vec![0]));
    assert_eq!(
        refusal(&nine),
        EvidenceError::CabundleLength { max: 8, got: 9 }
    );
}

#[test]
fn refuses_certificates_out_of_order() {
    let document = with_issued(|chain| chain.cabundle.swap(1, 2));
    let error = refusal(&document);
    assert_eq!(error.code(), "certificate-path-length", "{error}");
    let document = with_issued(|chain| _ = chain.cabundle.remove(2));
    assert_eq!(
        refusal(&document),
        certificate(Position::Intermediate(2), CertificateFault::Issuer)
    );
}

#[test]
fn refuses_a_leaf_that_is_a_ca() {
    let extensions = vec![basic_constraints(true, None), key_usage(DIGITAL_SIGNATURE)];
    assert_eq!(
        leaf_refusal(extensions),
        certificate(Position::Leaf, CertificateFault::LeafIsCa)
    );
}

#[test]
fn refuses_a_leaf_used_as_a_ca() {
    let (mut chain, document) = plans_at(AT);
    // What the holder of a genuine leaf key can make: a leaf below its own.
    let mut forged = plans_at(AT).0.leaf;
    forged.issuer = chain.leaf.subject.clone();
    forged.key = chain.root.key.clone();
    chain
        .intermediates
        .push(std::mem::replace(&mut chain.leaf, forged));
    assert_eq!(
        refusal(&signed(&document, &chain.issue())),
        certificate(Position::Intermediate(4), CertificateFault::NotCa)
    );
}

#[test]
fn refuses_more_cas_below_than_the_path_length_allows() {
    let (mut chain, document) = plans_at(AT);
    let mut extra = plans_at(AT).0.intermediates.remove(2);
    extra.issuer = chain.intermediates.last().unwrap().subject.clone();
    chain.intermediates.push(extra);
    assert_eq!(
        refusal(&signed(&document, &chain.issue())),
        certificate(
            Position::Intermediate(3),
            CertificateFault::PathLength { max: 0, got: 1 }
        )
    );
    assert_eq!(
        zonal_refusal(vec![
            basic_constraints(true, Some(0)),
            key_usage(KEY_CERT_SIGN)
        ]),
        certificate(ZONAL, CertificateFault::PathLength { max: 0, got: 1 })
    );
}

#[test]
fn an_absent_path_length_allows_any_number_below() {
    accepted(&with_chain(|chain| {
        zonal(chain).extensions = vec![basic_constraints(true, None), key_usage(KEY_CERT_SIGN)];
    }));
}

#[test]
fn refuses_an_intermediate_that_is_no_critical_ca() {
    let not_ca = certificate(ZONAL, CertificateFault::NotCa);
    assert_eq!(
        zonal_refusal(vec![
            basic_constraints(false, None),
            key_usage(KEY_CERT_SIGN)
        ]),
        not_ca
    );
    let mut lax = basic_constraints(true, Some(1));
    lax.critical = false;
    assert_eq!(zonal_refusal(vec![lax, key_usage(KEY_CERT_SIGN)]), not_ca);
    assert_eq!(
        zonal_refusal(vec![key_usage(KEY_CERT_SIGN)]),
        certificate(ZONAL, CertificateFault::BasicConstraintsAbsent)
    );
}

#[test]
fn refuses_a_key_usage_that_does_not_fit_the_place() {
    assert_eq!(
        zonal_refusal(vec![
            basic_constraints(true, Some(1)),
            key_usage(DIGITAL_SIGNATURE)
        ]),
        certificate(ZONAL, CertificateFault::KeyUsage)
    );
    assert_eq!(
        zonal_refusal(vec![basic_constraints(true, Some(1))]),
        certificate(ZONAL, CertificateFault::KeyUsageAbsent)
    );
    for bits in [
        DIGITAL_SIGNATURE | KEY_CERT_SIGN,
        KEY_CERT_SIGN,
        0b0100_0000,
    ] {
        assert_eq!(
            leaf_refusal(vec![basic_constraints(false, None), key_usage(bits)]),
            certificate(Position::Leaf, CertificateFault::KeyUsage)
        );
    }
    assert_eq!(
        leaf_refusal(vec![basic_constraints(false, None)]),
        certificate(Position::Leaf, CertificateFault::KeyUsageAbsent)
    );
}

#[test]
fn refuses_unknown_critical_extensions_and_ignores_others() {
    // nameConstraints, 2.5.29.30.
    let unknown = |critical| Extension {
        oid: vec![0x55, 0x1d, 0x1e],
        critical,
        value: vec![0x30, 0],
    };
    accepted(&with_chain(|chain| {
        zonal(chain).extensions.push(unknown(false));
    }));
    assert_eq!(
        refusal(&with_chain(|chain| zonal(chain)
            .extensions
            .push(unknown(true)))),
        certificate(
            ZONAL,
            CertificateFault::UnknownCriticalExtension {
                oid: "2.5.29.30".to_owned()
            }
        )
    );
}

#[test]
fn refuses_an_extension_twice() {
    let document = with_chain(|chain| zonal(chain).extensions.push(basic_constraints(true, None)));
    assert_eq!(
        refusal(&document),
        certificate(
            ZONAL,
            CertificateFault::DuplicateExtension {
                oid: "2.5.29.19".to_owned()
            }
        )
    );
}

#[test]
fn refuses_another_version() {
    assert_eq!(
        refusal(&with_chain(|chain| zonal(chain).version = 2)),
        certificate(ZONAL, CertificateFault::Version { got: 2 })
    );
}

#[test]
fn refuses_another_signature_algorithm() {
    let oid = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    let algorithms = [
        // ecdsa-with-SHA256; ecdsa-with-SHA384 with a null parameter.
        [&[0x30, 0x0a, 0x06, 0x08], &oid[..], &[0x02]].concat(),
        [&[0x30, 0x0c, 0x06, 0x08], &oid[..], &[0x03, 0x05, 0x00]].concat(),
    ];
    for algorithm in algorithms {
        assert_eq!(
            refusal(&with_chain(|chain| zonal(chain).algorithm = algorithm)),
            certificate(ZONAL, CertificateFault::SignatureAlgorithm)
        );
    }
    // Inside alone.
    let inner = [&oid[..], &[0x03]].concat();
    let other = [&oid[..], &[0x02]].concat();
    assert_eq!(
        replaced(&inner, &other),
        certificate(ZONAL, CertificateFault::SignatureAlgorithm)
    );
}

#[test]
fn refuses_a_public_key_on_another_curve_or_on_none() {
    let public_key = certificate(ZONAL, CertificateFault::PublicKey);
    // secp521r1.
    assert_eq!(
        replaced(
            &[0x2b, 0x81, 0x04, 0x00, 0x22],
            &[0x2b, 0x81, 0x04, 0x00, 0x23]
        ),
        public_key
    );
    // A bit string of 98 bytes: no unused bits, uncompressed point; here the hybrid form instead.
    assert_eq!(
        replaced(&[0x03, 0x62, 0x00, 0x04], &[0x03, 0x62, 0x00, 0x06]),
        public_key
    );
    let (mut chain, _) = plans_at(AT);
    let point = zonal(&mut chain).key.verifying_key().to_sec1_point(false);
    let mut moved = point.as_bytes().to_vec();
    *moved.last_mut().unwrap() ^= 1;
    assert_eq!(replaced(point.as_bytes(), &moved), public_key);
}

#[test]
fn refuses_an_issuer_that_is_not_the_subject_above() {
    assert_eq!(
        refusal(&with_chain(|chain| zonal(chain).issuer.push('x'))),
        certificate(ZONAL, CertificateFault::Issuer)
    );
}

#[test]
fn refuses_a_certificate_that_another_key_signed() {
    let (chain, document) = plans_at(AT);
    let forged = chain.leaf.issue(&chain.leaf.key);
    let mut issued = chain.issue();
    issued.leaf = forged;
    assert_eq!(
        refusal(&signed(&document, &issued)),
        certificate(Position::Leaf, CertificateFault::Signature)
    );
}

#[test]
fn refuses_a_certificate_changed_after_it_was_signed() {
    let broken = certificate(ZONAL, CertificateFault::Signature);
    assert_eq!(replaced(b"zonal", b"lunar"), broken);
    // pathLenConstraint 1 to 2.
    assert_eq!(
        replaced(
            &[0x01, 0x01, 0xff, 0x02, 0x01, 0x01],
            &[0x01, 0x01, 0xff, 0x02, 0x01, 0x02]
        ),
        broken
    );
}

#[test]
fn refuses_what_is_not_exactly_one_certificate() {
    let not_der = certificate(ZONAL, CertificateFault::NotDer);
    let longer = with_issued(|chain| chain.cabundle.get_mut(2).unwrap().push(0));
    assert_eq!(refusal(&longer), not_der);
    let shorter = with_issued(|chain| _ = chain.cabundle.get_mut(2).unwrap().pop());
    assert_eq!(refusal(&shorter), not_der);
    let large = with_issued(|chain| *chain.cabundle.get_mut(2).unwrap() = vec![0; 1025]);
    assert_eq!(refusal(&large).code(), "document-field-length");
    let empty = with_issued(|chain| chain.leaf.clear());
    assert_eq!(refusal(&empty).code(), "document-field-length");
}

#[test]
fn refuses_each_certificate_outside_its_validity_and_takes_both_ends() {
    type Plan = fn(&mut ChainPlan) -> &mut CertificatePlan;
    let plan_of: [(Position, Plan); 4] = [
        (Position::Intermediate(1), |chain| {
            chain.intermediates.first_mut().unwrap()
        }),
        (ZONAL, zonal),
        (Position::Intermediate(3), |chain| {
            chain.intermediates.last_mut().unwrap()
        }),
        (Position::Leaf, |chain| &mut chain.leaf),
    ];
    for (position, plan) in plan_of {
        accepted(&with_chain(|chain| plan(chain).not_before = AT));
        accepted(&with_chain(|chain| plan(chain).not_after = AT));
        let not_before = AT.later_by_millis(1000);
        assert_eq!(
            refusal(&with_chain(|chain| plan(chain).not_before = not_before)),
            certificate(
                position,
                CertificateFault::NotYetValid { not_before, at: AT }
            )
        );
        let not_after = AT.earlier_by_millis(1000);
        assert_eq!(
            refusal(&with_chain(|chain| plan(chain).not_after = not_after)),
            certificate(position, CertificateFault::Expired { not_after, at: AT })
        );
    }
}

#[test]
fn refuses_the_anchor_outside_its_validity() {
    let first = UnixTime::from_secs(1_577_836_800);
    let last = UnixTime::from_secs(2_524_607_999);
    for (at, code) in [
        (
            first.earlier_by_millis(1000),
            Some("certificate-not-yet-valid"),
        ),
        (first, None),
        (last, None),
        (last.later_by_millis(1000), Some("certificate-expired")),
    ] {
        let (chain, document) = plans_at(at);
        let result = verify(&signed(&document, &chain.issue()), &anchor(), at);
        assert_eq!(result.as_ref().err().map(EvidenceError::code), code, "{at}");
        if let Err(error) = result {
            assert!(matches!(
                error,
                EvidenceError::Certificate {
                    position: Position::Anchor,
                    ..
                }
            ));
        }
    }
}

#[test]
fn refuses_the_document_once_its_leaf_has_expired() {
    let (chain, document) = plans_at(AT);
    let end = chain.leaf.not_after;
    let document = signed(&document, &chain.issue());
    assert_eq!(
        verify(&document, &anchor(), end).unwrap().leaf_not_after(),
        end
    );
    let at = end.later_by_millis(1000);
    assert_eq!(
        verify(&document, &anchor(), at).unwrap_err(),
        certificate(
            Position::Leaf,
            CertificateFault::Expired { not_after: end, at }
        )
    );
}
