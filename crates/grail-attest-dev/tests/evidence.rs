//! A signer's evidence, from a simulated enclave to its verifier.
#![allow(clippy::unwrap_used)]

use bitcoin::XOnlyPublicKey;
use grail_attest::{
    AttestError, AttestRequest, AttestedSigner, Attester, EvidenceError, Expected,
    SignerExpectation, TrustAnchor, UnixTime, attest_signer, evidence_user_data, verify,
    verify_signer_evidence,
};
use grail_attest_dev::{InsecureDevTee, development_measurement, development_pcr0};
use grail_types::{DevelopmentAllowed, Measurement, Network, ParamsHash};

const AT: UnixTime = UnixTime::from_secs(1_795_000_000);
const PARAMS: ParamsHash = ParamsHash([5; 32]);
const NONCE: &[u8] = b"a challenge";

fn allowed() -> DevelopmentAllowed {
    DevelopmentAllowed::on(Network::Regtest).unwrap()
}

fn anchor() -> TrustAnchor {
    TrustAnchor::development(allowed())
}

fn tee(program: &[u8]) -> InsecureDevTee {
    InsecureDevTee::new(allowed(), development_pcr0(program), [1; 32], || AT)
}

/// The x coordinates of G and 2G.
fn signers() -> [XOnlyPublicKey; 2] {
    [
        "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
    ]
    .map(|text| text.parse().unwrap())
}

fn reference(program: &[u8]) -> Measurement {
    development_measurement(development_pcr0(program))
}

fn evidence() -> Vec<u8> {
    let [signer, _] = signers();
    attest_signer(&tee(b"signer"), &PARAMS, &signer, Some(NONCE)).unwrap()
}

fn check(
    document: &[u8],
    change: impl FnOnce(&mut SignerExpectation<'_>),
) -> Result<AttestedSigner, EvidenceError> {
    let references = [reference(b"an older signer"), reference(b"signer")];
    let mut expectation = SignerExpectation {
        references: &references,
        params_hash: PARAMS,
        nonce: Some(NONCE),
    };
    change(&mut expectation);
    verify_signer_evidence(document, &anchor(), &expectation, AT)
}

#[test]
fn proves_a_signers_key_its_image_and_its_parameters() {
    let document = evidence();
    let signer = check(&document, |_| {}).unwrap();
    assert_eq!(signer.public_key(), signers()[0]);
    assert_eq!(*signer.measurement(), reference(b"signer"));
    assert_eq!(signer.at(), AT);
    assert_eq!(
        signer.evidence_digest(),
        verify(&document, &anchor(), AT).unwrap().digest()
    );
}

#[test]
fn refuses_an_image_that_is_not_listed_and_every_image_when_none_is() {
    let error = check(&evidence(), |expectation| expectation.references = &[]).unwrap_err();
    assert_eq!(
        error,
        EvidenceError::Measurement {
            got: Box::new(reference(b"signer"))
        }
    );
    // Each register counts.
    for change in [
        |image: &mut Measurement| image.pcr0 = [1; 48],
        |image: &mut Measurement| image.pcr1 = [1; 48],
        |image: &mut Measurement| image.pcr2 = [1; 48],
    ] {
        let mut other = reference(b"signer");
        change(&mut other);
        let references = [other];
        let expectation = SignerExpectation {
            references: &references,
            params_hash: PARAMS,
            nonce: Some(NONCE),
        };
        let error = verify_signer_evidence(&evidence(), &anchor(), &expectation, AT).unwrap_err();
        assert_eq!(error.code(), "measurement-not-listed");
    }
}

#[test]
fn refuses_zero_registers_even_when_they_are_listed() {
    let debug = InsecureDevTee::new(allowed(), [0; 48], [1; 32], || AT);
    let [signer, _] = signers();
    let document = attest_signer(&debug, &PARAMS, &signer, Some(NONCE)).unwrap();
    let references = [*debug.measurement()];
    let expectation = SignerExpectation {
        references: &references,
        params_hash: PARAMS,
        nonce: Some(NONCE),
    };
    assert_eq!(
        verify_signer_evidence(&document, &anchor(), &expectation, AT).unwrap_err(),
        EvidenceError::DebugMode { index: 0 }
    );
}

#[test]
fn refuses_other_parameters() {
    let error = check(&evidence(), |expectation| {
        expectation.params_hash = ParamsHash([6; 32]);
    })
    .unwrap_err();
    let [signer, _] = signers();
    assert_eq!(
        error,
        EvidenceError::UserData {
            expected: hex::encode(evidence_user_data(&ParamsHash([6; 32]), &signer)),
            got: hex::encode(evidence_user_data(&PARAMS, &signer)),
        }
    );
}

#[test]
fn refuses_another_nonce_a_missing_one_and_one_too_many() {
    let other = check(&evidence(), |expectation| {
        expectation.nonce = Some(b"another challenge");
    });
    assert_eq!(
        other.unwrap_err(),
        EvidenceError::Nonce {
            expected: hex::encode(b"another challenge"),
            got: hex::encode(NONCE),
        }
    );
    let too_many = check(&evidence(), |expectation| expectation.nonce = None);
    assert_eq!(too_many.unwrap_err().code(), "nonce-mismatch");

    let [signer, _] = signers();
    let unchallenged = attest_signer(&tee(b"signer"), &PARAMS, &signer, None).unwrap();
    let missing = check(&unchallenged, |_| {});
    assert_eq!(missing.unwrap_err().code(), "nonce-mismatch");
    let empty = check(&unchallenged, |expectation| expectation.nonce = Some(&[]));
    assert_eq!(empty.unwrap_err().code(), "nonce-mismatch");
    let none = check(&unchallenged, |expectation| expectation.nonce = None).unwrap();
    assert_eq!(none.public_key(), signer);
}

#[test]
fn refuses_a_key_that_user_data_does_not_name() {
    let [signer, other] = signers();
    let document = tee(b"signer")
        .attest(&AttestRequest {
            user_data: Some(&evidence_user_data(&PARAMS, &signer)),
            nonce: Some(NONCE),
            public_key: Some(&other.serialize()),
        })
        .unwrap();
    assert_eq!(
        check(&document, |_| {}).unwrap_err().code(),
        "user-data-mismatch"
    );
}

#[test]
fn refuses_what_is_no_signer_key() {
    let [signer, _] = signers();
    let compressed = [&[2], &signer.serialize()[..]].concat();
    for public_key in [None, Some(&[][..]), Some(&[0xff; 32]), Some(&compressed)] {
        let document = tee(b"signer")
            .attest(&AttestRequest {
                user_data: Some(&evidence_user_data(&PARAMS, &signer)),
                nonce: Some(NONCE),
                public_key,
            })
            .unwrap();
        assert_eq!(
            check(&document, |_| {}).unwrap_err(),
            EvidenceError::SignerKey
        );
    }
}

#[test]
fn refuses_old_evidence_by_todays_clock() {
    let references = [reference(b"signer")];
    let expectation = SignerExpectation {
        references: &references,
        params_hash: PARAMS,
        nonce: Some(NONCE),
    };
    let at = AT.later_by_millis(3 * 3600 * 1000);
    let error = verify_signer_evidence(&evidence(), &anchor(), &expectation, at).unwrap_err();
    assert_eq!(error.code(), "certificate-expired");
}

#[test]
fn expects_user_data_and_nonce_exactly() {
    let document = tee(b"signer")
        .attest(&AttestRequest::default())
        .map(|document| verify(&document, &anchor(), AT).unwrap())
        .unwrap();
    let references = [reference(b"signer")];
    let nothing = Expected {
        references: &references,
        user_data: None,
        nonce: None,
    };
    let attested = document.clone().expect(&nothing).unwrap();
    assert_eq!(*attested.document(), document);
    let empty = Expected {
        user_data: Some(&[]),
        ..nothing
    };
    assert_eq!(
        document.expect(&empty).unwrap_err(),
        EvidenceError::UserData {
            expected: String::new(),
            got: "null".to_owned()
        }
    );
}

#[test]
fn user_data_depends_on_both_of_its_parts() {
    let [signer, other] = signers();
    let user_data = evidence_user_data(&PARAMS, &signer);
    assert_ne!(user_data, evidence_user_data(&PARAMS, &other));
    assert_ne!(user_data, evidence_user_data(&ParamsHash([6; 32]), &signer));
    // Pinned: what enclaves have signed must stay verifiable.
    assert_eq!(
        hex::encode(user_data),
        "02a1c28bf3b594343bb6bbca07b29153f3d1365fef8c32c93417ac2eb37d0682"
    );
}

#[test]
fn the_simulated_hardware_takes_no_more_than_the_real_one() {
    type Request = fn(&[u8]) -> AttestRequest<'_>;
    let tee = tee(b"signer");
    let requests: [(&str, usize, Request); 3] = [
        ("user_data", 512, |bytes| AttestRequest {
            user_data: Some(bytes),
            ..AttestRequest::default()
        }),
        ("nonce", 512, |bytes| AttestRequest {
            nonce: Some(bytes),
            ..AttestRequest::default()
        }),
        ("public_key", 1024, |bytes| AttestRequest {
            public_key: Some(bytes),
            ..AttestRequest::default()
        }),
    ];
    for (field, max, request) in requests {
        let fits = tee.attest(&request(&vec![1; max])).unwrap();
        verify(&fits, &anchor(), AT).unwrap();
        let got = max + 1;
        assert_eq!(
            tee.attest(&request(&vec![1; got])),
            Err(AttestError::FieldLength { field, max, got })
        );
    }
}

#[test]
fn i11_the_development_tee_cannot_be_had_off_regtest() {
    for network in Network::ALL {
        let tee = DevelopmentAllowed::on(network)
            .map(|allowed| InsecureDevTee::new(allowed, [7; 48], [1; 32], || AT));
        assert_eq!(tee.is_some(), network == Network::Regtest, "{network}");
        let anchor = DevelopmentAllowed::on(network).map(TrustAnchor::development);
        assert_eq!(anchor.is_some(), network == Network::Regtest, "{network}");
    }
    // And what it made on regtest is refused by the anchor that the others have.
    let error = verify(&evidence(), &TrustAnchor::aws_nitro(), AT).unwrap_err();
    assert_eq!(error.code(), "root-not-pinned");
}
