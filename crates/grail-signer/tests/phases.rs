//! Birth, restoring, evidence, and which request is served when.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "../../grail-policy/tests/support/mod.rs"]
mod support;

use bitcoin::secp256k1::Keypair;
use common::{IMAGE, MACHINE, NOW, Script, answer, boot, born, decide, fault, signer_with, tee};
use grail_attest::{
    SealContext, SealNonce, Sealer as _, SignerExpectation, TrustAnchor,
    dev::development_measurement, verify_signer_evidence,
};
use grail_signer::{Request, Response, Signer, encode_proposal, encode_response};
use grail_types::{DevelopmentAllowed, Network, Params};
use support::{keypair, public, world};

fn waiting() -> Signer {
    Signer::new(tee(IMAGE, MACHINE))
}

fn key() -> Keypair {
    world().keys[0]
}

fn params() -> Params {
    world().params.clone()
}

fn proposal() -> Vec<u8> {
    encode_proposal(&world().usual().draft.propose(world())).unwrap()
}

/// Every request, by the name that the phase table gives it.
fn requests() -> [(&'static str, Request); 4] {
    [
        ("boot", boot(&params(), None)),
        ("identify", Request::Identify),
        ("attest", Request::Attest { nonce: [9; 32] }),
        (
            "decide",
            Request::Decide {
                proposal: proposal(),
            },
        ),
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
        let (mut ready, _) = signer_with(&params(), &key());
        let response = ready.handle(request, &mut entropy);
        let served = match name {
            "boot" => {
                assert_eq!(fault(response), "already-booted");
                continue;
            }
            "identify" => matches!(response, Response::Identity(_)),
            "attest" => matches!(response, Response::Evidence(_)),
            _ => matches!(response, Response::Decided(_)),
        };
        assert!(served, "{name}");
    }
}

#[test]
fn a_running_signer_cannot_be_given_another_key_or_other_params() {
    let (mut signer, _) = signer_with(&params(), &key());
    let (_, other) = signer_with(&params(), &world().keys[1]);
    let mut generous = params();
    generous.fee_rate_max = bitcoin::FeeRate::from_sat_per_kwu(2_000_000);
    let mut entropy = Script::counting(0);
    for request in [
        boot(&params(), None),
        boot(&params(), Some(other)),
        boot(&generous, None),
    ] {
        assert_eq!(
            fault(signer.handle(request, &mut entropy)),
            "already-booted"
        );
        let Response::Identity(identity) = signer.handle(Request::Identify, &mut entropy) else {
            panic!("no identity");
        };
        assert_eq!(identity.public_key, public(&key()));
        assert_eq!(identity.params_hash, params().hash());
        assert_eq!(identity.allowed, params().measurements);
    }
}

#[test]
fn a_key_is_born_from_the_randomness_given_and_leaves_only_sealed() {
    let mut entropy = Script::new([key().secret_bytes()]);
    let born = born(waiting().handle(boot(&params(), None), &mut entropy));
    assert_eq!(born.public_key, public(&key()));
    // The key and the seal's nonce, nothing else.
    assert_eq!(entropy.draws, 2);
    let told = encode_response(&Response::Booted(born)).unwrap();
    let secret = key().secret_bytes();
    for half in [&secret[..16], &secret[16..]] {
        assert!(!told.windows(16).any(|window| window == half));
    }
}

#[test]
fn a_sealed_key_comes_back_and_is_not_sealed_again() {
    let (_, sealed) = signer_with(&params(), &key());
    let mut entropy = Script::counting(0);
    let born = born(waiting().handle(boot(&params(), Some(sealed)), &mut entropy));
    assert_eq!(born.public_key, public(&key()));
    assert_eq!(born.sealed, None);
    assert_eq!(entropy.draws, 0);
}

#[test]
fn a_restored_signer_signs_like_the_first() {
    let (mut first, sealed) = signer_with(&params(), &key());
    let mut restored = waiting();
    let _ = born(restored.handle(boot(&params(), Some(sealed)), &mut Script::counting(0)));
    let proposal = proposal();
    let answers = [&mut first, &mut restored]
        .map(|signer| answer(decide(signer, &proposal, &mut Script::counting(7))));
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn a_sealed_key_opens_only_in_its_image_on_its_machine_with_its_params() {
    let (_, sealed) = signer_with(&params(), &key());
    let mut other_params = params();
    other_params.sweep_margin += 1;
    let strangers = [
        (tee([0x22; 48], MACHINE), params()),
        (tee(IMAGE, [0x32; 32]), params()),
        (tee(IMAGE, MACHINE), other_params),
    ];
    for (index, (tee, params)) in strangers.into_iter().enumerate() {
        let mut signer = Signer::new(tee);
        let request = boot(&params, Some(sealed.clone()));
        let mut entropy = Script::counting(0);
        assert_eq!(
            fault(signer.handle(request, &mut entropy)),
            "seal-foreign",
            "{index}"
        );
        // It is still waiting, and can be born.
        let born = born(signer.handle(boot(&params, None), &mut entropy));
        assert_ne!(born.public_key, public(&key()));
    }
}

#[test]
fn no_tampered_sealed_key_is_opened() {
    let (_, sealed) = signer_with(&params(), &key());
    for index in 0..sealed.len() {
        let mut tampered = sealed.clone();
        tampered[index] ^= 1;
        let code =
            fault(waiting().handle(boot(&params(), Some(tampered)), &mut Script::counting(0)));
        assert!(code == "seal-foreign" || code == "seal-malformed", "{code}");
    }
    for length in [0, 1, 24, 25, sealed.len() - 1] {
        let short = sealed[..length].to_vec();
        let request = boot(&params(), Some(short));
        let code = fault(waiting().handle(request, &mut Script::counting(0)));
        assert!(code == "seal-foreign" || code == "seal-malformed", "{code}");
    }
    let long = vec![1; 70_000];
    let request = boot(&params(), Some(long));
    let code = fault(waiting().handle(request, &mut Script::counting(0)));
    assert_eq!(code, "seal-too-large");
}

#[test]
fn sealed_bytes_that_are_no_key_are_refused() {
    let context = SealContext {
        purpose: "signer-key",
        params_hash: params().hash(),
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
            fault(signer.handle(boot(&params(), Some(sealed)), &mut entropy)),
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
        params_hash: params().hash(),
    };
    let nonce = SealNonce::from_random([5; 24]);
    let sealed = tee(IMAGE, MACHINE)
        .seal(&key().secret_bytes(), &context, nonce)
        .unwrap();
    let request = boot(&params(), Some(sealed));
    assert_eq!(
        fault(waiting().handle(request, &mut Script::counting(0))),
        "seal-foreign"
    );
}

#[test]
fn params_that_contradict_themselves_do_not_boot() {
    let mut wrong = params();
    wrong.carrier = bitcoin::Amount::from_sat(1);
    let mut signer = waiting();
    let mut entropy = Script::counting(0);
    assert_eq!(
        fault(signer.handle(boot(&wrong, None), &mut entropy)),
        "params-invalid"
    );
    assert_eq!(entropy.draws, 0);
    assert_eq!(
        fault(signer.handle(Request::Identify, &mut entropy)),
        "not-booted"
    );
}

#[test]
fn broken_randomness_gives_birth_to_nothing() {
    for draws in 0..2 {
        let mut signer = waiting();
        let mut entropy = Script::breaking_after(draws);
        assert_eq!(
            fault(signer.handle(boot(&params(), None), &mut entropy)),
            "entropy"
        );
        assert_eq!(
            fault(signer.handle(Request::Identify, &mut entropy)),
            "not-booted"
        );
    }
    // Zero and all ones are no keys: after eight of them the source is taken for broken.
    let mut stuck = Script::new([[0; 32], [0xff; 32]].repeat(4));
    assert_eq!(
        fault(waiting().handle(boot(&params(), None), &mut stuck)),
        "entropy-broken"
    );
    assert_eq!(stuck.draws, 8);
}

#[test]
fn a_draw_that_is_no_key_is_drawn_again() {
    let mut entropy = Script::new([[0; 32], [0xff; 32], key().secret_bytes()]);
    let born = born(waiting().handle(boot(&params(), None), &mut entropy));
    assert_eq!(born.public_key, public(&key()));
}

#[test]
fn evidence_names_key_params_and_challenge() {
    let (mut signer, _) = signer_with(&params(), &key());
    let nonce = [0x5a; 32];
    let request = Request::Attest { nonce };
    let Response::Evidence(evidence) = signer.handle(request, &mut Script::counting(0)) else {
        panic!("no evidence");
    };
    let anchor = TrustAnchor::development(DevelopmentAllowed::on(Network::Regtest).unwrap());
    let references = [development_measurement(IMAGE)];
    let expectation = SignerExpectation {
        references: &references,
        params_hash: params().hash(),
        nonce: Some(&nonce),
    };
    let attested = verify_signer_evidence(&evidence, &anchor, &expectation, NOW).unwrap();
    assert_eq!(attested.public_key(), public(&key()));

    let mut other_params = params();
    other_params.sweep_margin += 1;
    let foreign = [development_measurement([0x22; 48])];
    let unmet = [
        SignerExpectation {
            nonce: Some(&[0x5b; 32]),
            ..expectation
        },
        SignerExpectation {
            params_hash: other_params.hash(),
            ..expectation
        },
        SignerExpectation {
            references: &foreign,
            ..expectation
        },
    ];
    for expectation in unmet {
        assert!(verify_signer_evidence(&evidence, &anchor, &expectation, NOW).is_err());
    }
}

#[test]
fn two_machines_have_two_keys_from_one_randomness_only_if_it_repeats() {
    let births = [MACHINE, [0x32; 32]].map(|machine| {
        let mut signer = Signer::new(tee(IMAGE, machine));
        let mut entropy = Script::new([keypair(40).secret_bytes()]);
        born(signer.handle(boot(&params(), None), &mut entropy))
    });
    assert_eq!(births[0].public_key, births[1].public_key);
    // Equal key, equal nonce: the machine still tells the sealed bytes apart.
    assert_ne!(births[0].sealed, births[1].sealed);
}
