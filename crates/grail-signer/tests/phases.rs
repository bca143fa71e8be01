//! Making and restoring a key, evidence, and which request is served when.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;
use grail_fixtures::world as support;

use bitcoin::secp256k1::Keypair;
use common::{
    IMAGE, MACHINE, NOW, Script, Signer, adoption, answer, attempt, boot, booted, decide, fault,
    signer_with, tee,
};
use grail_attest::{Image, ImageClass, Images, TeeKind};
use grail_attest::{PinnedImages, SignerExpectation, verify_signer_evidence};
use grail_attest_dev::development_measurement;
use grail_tee::{SealContext, SealNonce, Sealer as _};
use grail_types::{BoundedBytes, Bridge, Epoch, Network, Params};
use grail_wire::{Request, Response, encode, encode_proposal};
use support::{keypair, public, world};

fn waiting() -> Signer {
    Signer::new(tee(IMAGE, MACHINE))
}

fn key() -> Keypair {
    world().keys[0]
}

fn proposal() -> Vec<u8> {
    encode_proposal(&world().usual().draft.propose(world()).wire()).unwrap()
}

/// Every request, by the name that the phase table gives it.
fn requests() -> [(&'static str, Request); 5] {
    [
        ("boot", boot(&world().bridge, None)),
        ("identify", Request::Identify),
        ("attest", Request::Attest { nonce: [9; 32] }),
        (
            "decide",
            Request::Decide {
                attempt: attempt(0),
                proposal: BoundedBytes::new(proposal()).unwrap(),
            },
        ),
        ("adopt", Request::Adopt(adoption(world(), &[]))),
    ]
}

#[test]
fn each_phase_serves_exactly_the_requests_of_the_table() {
    let mut entropy = Script::counting(0);
    for (name, request) in requests() {
        let response = waiting().handle(request, &mut entropy);
        match name {
            "boot" => assert!(matches!(response, Response::Booted(_)), "{response:?}"),
            _ => assert_eq!(fault(response), "not-booted", "{name}"),
        }
    }
    for (name, request) in requests() {
        let (mut ready, _) = signer_with(&world().bridge, &key());
        let response = ready.handle(request, &mut entropy);
        let served = match name {
            "boot" => {
                assert_eq!(fault(response), "already-booted");
                continue;
            }
            "identify" => matches!(response, Response::Identity(_)),
            "attest" => matches!(response, Response::Evidence(_)),
            "adopt" => matches!(response, Response::Adopted(_)),
            _ => matches!(response, Response::Decided(_)),
        };
        assert!(served, "{name}");
    }
}

#[test]
fn a_running_signer_cannot_be_given_another_key_or_bridge() {
    let (mut signer, _) = signer_with(&world().bridge, &key());
    let (_, other) = signer_with(&world().bridge, &world().keys[1]);
    let mut elsewhere = world().bridge;
    elsewhere.app.identity[0] ^= 1;
    let mut entropy = Script::counting(0);
    for request in [
        boot(&world().bridge, None),
        boot(&world().bridge, Some(other)),
        boot(&elsewhere, None),
    ] {
        assert_eq!(
            fault(signer.handle(request, &mut entropy)),
            "already-booted"
        );
        let Response::Identity(identity) = signer.handle(Request::Identify, &mut entropy) else {
            panic!("no identity");
        };
        assert_eq!(identity.public_key, public(&key()));
        assert_eq!(identity.bridge, world().bridge);
    }
}

#[test]
fn a_key_is_made_of_the_randomness_given_and_leaves_only_sealed() {
    let mut entropy = Script::new([key().secret_bytes()]);
    let booted = booted(waiting().handle(boot(&world().bridge, None), &mut entropy));
    assert_eq!(booted.public_key, public(&key()));
    // The key and the seal's nonce, nothing else.
    assert_eq!(entropy.draws, 2);
    let told = encode(Epoch(0), &Response::Booted(booted)).unwrap();
    let secret = key().secret_bytes();
    for half in [&secret[..16], &secret[16..]] {
        assert!(!told.windows(16).any(|window| window == half));
    }
}

#[test]
fn a_sealed_key_comes_back_and_is_not_sealed_again() {
    let (_, sealed) = signer_with(&world().bridge, &key());
    let mut entropy = Script::counting(0);
    let booted = booted(waiting().handle(boot(&world().bridge, Some(sealed)), &mut entropy));
    assert_eq!(booted.public_key, public(&key()));
    assert_eq!(booted.sealed, None);
    assert_eq!(entropy.draws, 0);
}

#[test]
fn a_restored_signer_signs_like_the_first() {
    let (mut first, sealed) = signer_with(&world().bridge, &key());
    let mut restored = waiting();
    let _ = booted(restored.handle(
        boot(&world().bridge, Some(sealed)),
        &mut Script::counting(0),
    ));
    let proposal = proposal();
    let answers = [&mut first, &mut restored]
        .map(|signer| answer(decide(signer, &proposal, &mut Script::counting(7))));
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn a_sealed_key_opens_only_for_its_image_machine_bridge_and_network() {
    let (_, sealed) = signer_with(&world().bridge, &key());
    let bridge = |change: fn(&mut Bridge)| {
        let mut other = world().bridge;
        change(&mut other);
        other
    };
    let usual = || tee(IMAGE, MACHINE);
    let strangers = [
        (tee([0x22; 48], MACHINE), bridge(|_| {})),
        (tee(IMAGE, [0x32; 32]), bridge(|_| {})),
        (usual(), bridge(|other| other.app.identity[0] ^= 1)),
        (usual(), bridge(|other| other.app.vk[0] ^= 1)),
        (usual(), bridge(|other| other.network = Network::Signet)),
    ];
    for (index, (tee, bridge)) in strangers.into_iter().enumerate() {
        let mut signer = Signer::new(tee);
        let request = boot(&bridge, Some(sealed.clone()));
        let mut entropy = Script::counting(0);
        assert_eq!(
            fault(signer.handle(request, &mut entropy)),
            "seal-foreign",
            "{index}"
        );
        // It is still waiting, and can be given a key.
        let booted = booted(signer.handle(boot(&bridge, None), &mut entropy));
        assert_ne!(booted.public_key, public(&key()));
    }
}

#[test]
fn no_tampered_sealed_key_is_opened() {
    let (_, sealed) = signer_with(&world().bridge, &key());
    for index in 0..sealed.len() {
        let mut tampered = sealed.clone();
        tampered[index] ^= 1;
        let code = fault(waiting().handle(
            boot(&world().bridge, Some(tampered)),
            &mut Script::counting(0),
        ));
        assert!(code == "seal-foreign" || code == "seal-malformed", "{code}");
    }
    for length in [0, 1, 24, 25, sealed.len() - 1] {
        let short = sealed[..length].to_vec();
        let request = boot(&world().bridge, Some(short));
        let code = fault(waiting().handle(request, &mut Script::counting(0)));
        assert!(code == "seal-foreign" || code == "seal-malformed", "{code}");
    }
    let long = vec![1; 70_000];
    let request = boot(&world().bridge, Some(long));
    let code = fault(waiting().handle(request, &mut Script::counting(0)));
    assert_eq!(code, "seal-too-large");
}

#[test]
fn sealed_bytes_that_are_no_key_are_refused() {
    let context = SealContext {
        purpose: "signer-key",
        bridge: world().bridge,
    };
    for secret in [
        vec![0; 32],
        vec![0xff; 32],
        vec![1; 31],
        vec![1; 33],
        vec![],
    ] {
        let nonce = SealNonce::from_random([5; 24]);
        let sealed = tee(IMAGE, MACHINE).seal(&secret, &context, nonce).unwrap();
        let mut signer = waiting();
        let mut entropy = Script::counting(0);
        assert_eq!(
            fault(signer.handle(boot(&world().bridge, Some(sealed)), &mut entropy)),
            "sealed-key-invalid"
        );
        assert_eq!(
            fault(signer.handle(Request::Identify, &mut entropy)),
            "not-booted"
        );
    }
}

#[test]
fn what_was_sealed_for_another_purpose_is_no_key() {
    let context = SealContext {
        purpose: "something-else",
        bridge: world().bridge,
    };
    let nonce = SealNonce::from_random([5; 24]);
    let sealed = tee(IMAGE, MACHINE)
        .seal(&key().secret_bytes(), &context, nonce)
        .unwrap();
    let request = boot(&world().bridge, Some(sealed));
    assert_eq!(
        fault(waiting().handle(request, &mut Script::counting(0))),
        "seal-foreign"
    );
}

#[test]
fn broken_randomness_makes_no_key() {
    for draws in 0..2 {
        let mut signer = waiting();
        let mut entropy = Script::breaking_after(draws);
        assert_eq!(
            fault(signer.handle(boot(&world().bridge, None), &mut entropy)),
            "entropy-unavailable"
        );
        assert_eq!(
            fault(signer.handle(Request::Identify, &mut entropy)),
            "not-booted"
        );
    }
    // Zero and all ones are no keys: after eight of them the source is taken for broken.
    let mut stuck = Script::new([[0; 32], [0xff; 32]].repeat(4));
    assert_eq!(
        fault(waiting().handle(boot(&world().bridge, None), &mut stuck)),
        "entropy-broken"
    );
    assert_eq!(stuck.draws, 8);
}

#[test]
fn a_draw_that_is_no_key_is_drawn_again() {
    let mut entropy = Script::new([[0; 32], [0xff; 32], key().secret_bytes()]);
    let booted = booted(waiting().handle(boot(&world().bridge, None), &mut entropy));
    assert_eq!(booted.public_key, public(&key()));
}

/// A document of this one image, as parameters pin it.
fn pinned(image: [u8; 48]) -> PinnedImages {
    let image = Image {
        tee: TeeKind::Development,
        class: ImageClass::Resident,
        measurement: development_measurement(image),
    };
    let images = Images::new(1, vec![image]).unwrap();
    let params = Params::preset(Network::Regtest, images.hash());
    PinnedImages::new(images, &params).unwrap()
}

#[test]
fn evidence_names_key_bridge_and_challenge() {
    let (mut signer, _) = signer_with(&world().bridge, &key());
    let nonce = [0x5a; 32];
    let request = Request::Attest { nonce };
    let Response::Evidence(evidence) = signer.handle(request, &mut Script::counting(0)) else {
        panic!("no evidence");
    };
    let (images, foreign) = (pinned(IMAGE), pinned([0x22; 48]));
    let expectation = SignerExpectation {
        images: &images,
        bridge: world().bridge,
        nonce: Some(&nonce),
    };
    let attested = verify_signer_evidence(&evidence, &expectation, NOW).unwrap();
    assert_eq!(attested.public_key(), public(&key()));

    let mut other_bridge = world().bridge;
    other_bridge.app.identity[0] ^= 1;
    let unmet = [
        SignerExpectation {
            nonce: Some(&[0x5b; 32]),
            ..expectation
        },
        SignerExpectation {
            bridge: other_bridge,
            ..expectation
        },
        SignerExpectation {
            images: &foreign,
            ..expectation
        },
    ];
    for expectation in unmet {
        assert!(verify_signer_evidence(&evidence, &expectation, NOW).is_err());
    }
}

#[test]
fn two_machines_have_two_keys_from_one_randomness_only_if_it_repeats() {
    let boots = [MACHINE, [0x32; 32]].map(|machine| {
        let mut signer = Signer::new(tee(IMAGE, machine));
        let mut entropy = Script::new([keypair(40).secret_bytes()]);
        booted(signer.handle(boot(&world().bridge, None), &mut entropy))
    });
    assert_eq!(boots[0].public_key, boots[1].public_key);
    // Equal key, equal nonce: the machine still tells the sealed bytes apart.
    assert_ne!(boots[0].sealed, boots[1].sealed);
}
