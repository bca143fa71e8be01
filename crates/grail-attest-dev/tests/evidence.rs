//! A signer's evidence, from a simulated enclave to its verifier.
#![allow(clippy::unwrap_used)]

use bitcoin::XOnlyPublicKey;
use grail_attest::{
    AttestedSigner, EvidenceError, Expected, PinnedImages, SignerExpectation, TrustAnchor,
    UnixTime, verify, verify_signer_evidence,
};
use grail_attest::{Image, ImageClass, Images, TeeKind};
use grail_attest_dev::{InsecureDevTee, development_measurement, development_pcr0};
use grail_tee::{
    AttestError, AttestRequest, Attester, EvidencePurpose, attest_signer, evidence_user_data,
};
use grail_types::{Bridge, BridgeApp, DevelopmentAllowed, Measurement, Network, Params};

const AT: UnixTime = UnixTime::from_secs(1_795_000_000);
const BRIDGE: Bridge = Bridge {
    network: Network::Regtest,
    app: BridgeApp {
        identity: [4; 32],
        vk: [5; 32],
    },
};
const NONCE: &[u8] = b"a challenge";

fn allowed() -> DevelopmentAllowed {
    DevelopmentAllowed::on(Network::Regtest).unwrap()
}

fn anchor() -> TrustAnchor {
    TrustAnchor::of(BRIDGE.network)
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

fn user_data(signer: &XOnlyPublicKey) -> [u8; 32] {
    evidence_user_data(&BRIDGE, EvidencePurpose::Signer, signer)
}

/// Images of one kind of TEE, pinned by parameters that name them.
fn pinned(tee: TeeKind, measurements: &[Measurement]) -> PinnedImages {
    let mut list: Vec<_> = measurements
        .iter()
        .map(|&measurement| Image {
            tee,
            class: ImageClass::Resident,
            measurement,
        })
        .collect();
    list.sort();
    let images = Images::new(1, list).unwrap();
    let params = Params::preset(BRIDGE.network, images.hash());
    PinnedImages::new(images, &params).unwrap()
}

fn development(measurements: &[Measurement]) -> PinnedImages {
    pinned(TeeKind::Development, measurements)
}

fn evidence() -> Vec<u8> {
    let [signer, _] = signers();
    attest_signer(&tee(b"signer"), &BRIDGE, &signer, Some(NONCE)).unwrap()
}

fn check(
    document: &[u8],
    change: impl FnOnce(&mut SignerExpectation<'_>),
) -> Result<AttestedSigner, EvidenceError> {
    let images = development(&[reference(b"an older signer"), reference(b"signer")]);
    let mut expectation = SignerExpectation {
        images: &images,
        bridge: BRIDGE,
        nonce: Some(NONCE),
    };
    change(&mut expectation);
    verify_signer_evidence(document, &expectation, AT)
}

fn check_images(document: &[u8], images: &PinnedImages) -> Result<AttestedSigner, EvidenceError> {
    let expectation = SignerExpectation {
        images,
        bridge: BRIDGE,
        nonce: Some(NONCE),
    };
    verify_signer_evidence(document, &expectation, AT)
}

#[test]
fn proves_a_signers_key_its_image_and_its_bridge() {
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
fn refuses_an_image_that_is_not_listed() {
    // Each register counts.
    for change in [
        |image: &mut Measurement| image.pcr0 = [1; 48],
        |image: &mut Measurement| image.pcr1 = [1; 48],
        |image: &mut Measurement| image.pcr2 = [1; 48],
    ] {
        let mut other = reference(b"signer");
        change(&mut other);
        let error = check_images(&evidence(), &development(&[other])).unwrap_err();
        let expected = EvidenceError::Measurement {
            got: Box::new(reference(b"signer")),
        };
        assert_eq!(error, expected);
    }
}

#[test]
fn refuses_an_image_that_is_listed_for_another_kind_of_tee() {
    let nitro = pinned(TeeKind::Nitro, &[reference(b"signer")]);
    let error = check_images(&evidence(), &nitro).unwrap_err();
    assert_eq!(error.code(), "measurement-not-listed");
    let _signer = check_images(&evidence(), &development(&[reference(b"signer")])).unwrap();
}

#[test]
fn refuses_zero_registers_even_when_they_are_listed() {
    let debug = InsecureDevTee::new(allowed(), [0; 48], [1; 32], || AT);
    let [signer, _] = signers();
    let document = attest_signer(&debug, &BRIDGE, &signer, Some(NONCE)).unwrap();
    assert_eq!(
        check_images(&document, &development(&[*debug.measurement()])).unwrap_err(),
        EvidenceError::DebugMode { index: 0 }
    );
}

#[test]
fn refuses_evidence_of_another_bridge() {
    let [signer, _] = signers();
    for change in [
        |app: &mut BridgeApp| app.identity[0] ^= 1,
        |app: &mut BridgeApp| app.vk[0] ^= 1,
    ] {
        let mut other = BRIDGE;
        change(&mut other.app);
        let error = check(&evidence(), |expectation| expectation.bridge = other).unwrap_err();
        let expected = evidence_user_data(&other, EvidencePurpose::Signer, &signer);
        assert_eq!(
            error,
            EvidenceError::UserData {
                expected: hex::encode(expected),
                got: hex::encode(user_data(&signer)),
            }
        );
    }
}

#[test]
fn i11_refuses_development_evidence_on_every_other_network() {
    for network in [Network::Signet, Network::Testnet4, Network::Mainnet] {
        let bridge = Bridge { network, ..BRIDGE };
        let [signer, _] = signers();
        let document = attest_signer(&tee(b"signer"), &bridge, &signer, Some(NONCE)).unwrap();
        let error = check(&document, |expectation| expectation.bridge = bridge).unwrap_err();
        assert_eq!(error.code(), "root-not-pinned", "{network}");
    }
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
    let unchallenged = attest_signer(&tee(b"signer"), &BRIDGE, &signer, None).unwrap();
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
            user_data: Some(&user_data(&signer)),
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
                user_data: Some(&user_data(&signer)),
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
    let images = development(&[reference(b"signer")]);
    let expectation = SignerExpectation {
        images: &images,
        bridge: BRIDGE,
        nonce: Some(NONCE),
    };
    let at = AT.later_by_millis(3 * 3600 * 1000);
    let error = verify_signer_evidence(&evidence(), &expectation, at).unwrap_err();
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
fn user_data_depends_on_each_of_its_parts() {
    let [signer, other] = signers();
    let data = user_data(&signer);
    assert_ne!(data, user_data(&other));
    let changes: [fn(&mut Bridge); 3] = [
        |bridge| bridge.network = Network::Signet,
        |bridge| bridge.app.identity[0] ^= 1,
        |bridge| bridge.app.vk[0] ^= 1,
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut bridge = BRIDGE;
        change(&mut bridge);
        let changed = evidence_user_data(&bridge, EvidencePurpose::Signer, &signer);
        assert_ne!(data, changed, "change {index}");
    }
    // Pinned: what enclaves have signed must stay verifiable.
    assert_eq!(
        hex::encode(data),
        "c777d4465c5886773d1d8aabb5aa784ab6175b3e339a1278520c059571967f36"
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
