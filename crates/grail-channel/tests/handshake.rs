//! Honest channels, and who may speak for whom.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;

use common::{
    AT, Counting, Enclave, End, PREMISES, START, Stream, honest, images, pair, proof, public, seed,
};
use grail_attest_dev::development_pcr0;
use grail_channel::{
    Address, AttestVerifier, Channel, CookieKey, Dial, DocumentCache, FRAME_BODY_MAX_BYTES,
    FRAME_MAX_BYTES, Gate, Input, MESSAGE_MAX_BYTES, Millis, NotSent, Output, Reason, Role,
    Statement, Verifier as _,
};
use grail_tee::{AttestRequest, Attester as _, attest_signer};
use grail_types::Epoch;
use zeroize::Zeroizing;

fn two() -> [Enclave; 2] {
    [Enclave::new(1, 1), Enclave::new(2, 2)]
}

#[test]
fn two_enclaves_know_each_other_and_talk() {
    let [one, two] = two();
    let mut stream = Stream::between(&one, &two);
    stream.run_honestly();
    let peer = stream.initiator.peer.unwrap();
    assert_eq!((peer.id, peer.own_role), (two.id(), Role::Initiator));
    assert_eq!(peer.vouched.measurement, *two.tee.measurement());
    let peer = stream.responder.peer.unwrap();
    assert_eq!((peer.id, peer.own_role), (one.id(), Role::Responder));
    for message in [b"".to_vec(), b"a word".to_vec(), vec![7; MESSAGE_MAX_BYTES]] {
        stream.initiator.feed(START, Input::Send(&message));
        stream.run_honestly();
        assert_eq!(stream.responder.messages.pop(), Some(message.clone()));
        stream.responder.feed(START, Input::Send(&message));
        stream.run_honestly();
        assert_eq!(stream.initiator.messages.pop(), Some(message));
    }
    assert_eq!(stream.ends(), ("open", "open"));
}

#[test]
fn a_handshake_costs_each_end_one_verification_of_evidence() {
    let [one, two] = two();
    let mut stream = Stream::between(&one, &two);
    stream.run_honestly();
    for end in [&stream.initiator, &stream.responder] {
        assert_eq!(end.verifier.asked, 1);
        assert_eq!(end.verifier.cache.verified_in_full(), 1);
    }
}

#[test]
fn the_stream_may_be_cut_anywhere() {
    let [one, two] = two();
    let mut stream = Stream::between(&one, &two);
    let mut cut = |_, _, frame: Vec<u8>| frame.chunks(7).map(<[u8]>::to_vec).collect();
    stream.run(&mut cut);
    stream.talk(3, &mut cut);
    assert_eq!(stream.ends(), ("open", "open"));
    assert_eq!(stream.responder.messages.len(), 3);
}

#[test]
fn clones_of_one_operator_talk_too() {
    let clones = [Enclave::new(1, 1), Enclave::new(1, 2)];
    let mut stream = Stream::between(&clones[0], &clones[1]);
    stream.run_honestly();
    assert_eq!(stream.ends(), ("open", "open"));
    assert_eq!(stream.initiator.peer.unwrap().id, clones[1].id());
}

#[test]
fn messages_go_in_frames_of_32_kib_at_most() {
    let [one, two] = two();
    let mut stream = Stream::between(&one, &two);
    stream.run_honestly();
    for (length, frames) in [
        (0, 1),
        (FRAME_BODY_MAX_BYTES, 1),
        (FRAME_BODY_MAX_BYTES + 1, 2),
        (2 * FRAME_BODY_MAX_BYTES, 2),
    ] {
        stream.initiator.feed(START, Input::Send(&vec![1; length]));
        assert_eq!(stream.initiator.outbox.len(), frames, "{length}");
        assert!(
            stream
                .initiator
                .outbox
                .iter()
                .all(|frame| frame.len() <= FRAME_MAX_BYTES)
        );
        stream.run_honestly();
        assert_eq!(stream.responder.messages.pop().unwrap().len(), length);
    }
}

#[test]
fn a_message_too_long_or_too_early_is_not_sent_and_closes_nothing() {
    let [one, two] = two();
    let mut stream = Stream::between(&one, &two);
    let verifier = &mut Counting::new();
    let early = stream
        .initiator
        .channel
        .handle(START, Input::Send(b"x"), verifier);
    assert_eq!(early, [Output::NotSent(NotSent::NotOpen)]);
    stream.run_honestly();
    let long = vec![0; MESSAGE_MAX_BYTES + 1];
    let refused = stream
        .initiator
        .channel
        .handle(START, Input::Send(&long), verifier);
    let expected = NotSent::TooLong {
        max: MESSAGE_MAX_BYTES,
        got: MESSAGE_MAX_BYTES + 1,
    };
    assert_eq!(refused, [Output::NotSent(expected)]);
    stream.talk(1, &mut honest);
    assert_eq!(stream.responder.messages.len(), 1);
}

#[test]
fn a_farewell_tells_an_end_from_a_cut() {
    let [one, two] = two();
    let mut stream = Stream::between(&one, &two);
    stream.run_honestly();
    stream.initiator.feed(START, Input::Close);
    stream.run_honestly();
    assert_eq!(stream.initiator.reason(), Some(Reason::Closed));
    let said = Reason::ByPeer(Reason::Closed.number());
    assert_eq!(stream.responder.reason(), Some(said));
}

#[test]
fn closed_is_final_whatever_comes() {
    let [one, two] = two();
    let mut stream = Stream::between(&one, &two);
    stream.run_honestly();
    stream.talk(1, &mut honest);
    let before = stream.record.borrow().clone();
    stream.responder.feed(START, Input::Ended);
    let verifier = &mut Counting::new();
    let end = &mut stream.responder;
    for (_, frame) in &before {
        let outputs = end.channel.handle(START, Input::Received(frame), verifier);
        assert!(outputs.is_empty());
    }
    for input in [Input::Ended, Input::Unproven, Input::Close, Input::Tick] {
        assert!(
            end.channel
                .handle(Millis(u64::MAX), input, verifier)
                .is_empty()
        );
    }
    let sent = end.channel.handle(START, Input::Send(b"x"), verifier);
    assert_eq!(sent, [Output::NotSent(NotSent::NotOpen)]);
    assert_eq!(end.channel.closed(), Some(Reason::Truncated));
}

#[test]
fn an_idle_channel_stays_open_by_pings() {
    let [one, two] = two();
    let mut stream = Stream::between(&one, &two);
    stream.run_honestly();
    stream.wait(120, &mut honest);
    assert_eq!(stream.ends(), ("open", "open"));
    let pings = stream.carried[0] - 2;
    assert!((11..=13).contains(&pings), "{pings}");
}

#[test]
fn a_channel_ends_with_its_day() {
    let [one, two] = two();
    let mut stream = Stream::between(&one, &two);
    stream.run_honestly();
    // 24 hours in steps of 20 seconds, so that it never falls silent.
    let day = 24 * 60 * 60 * 1_000;
    let mut at = 0;
    while at < day {
        at += 20_000;
        stream.now = Millis(START.0 + at);
        stream.initiator.feed(stream.now, Input::Tick);
        stream.responder.feed(stream.now, Input::Tick);
        stream.run_honestly();
    }
    assert_eq!(stream.ends(), ("open", "open"));
    stream
        .initiator
        .feed(Millis(START.0 + day + 1), Input::Tick);
    stream.run_honestly();
    assert_eq!(stream.initiator.reason(), Some(Reason::TooOld));
    assert_eq!(stream.responder.code(), "by-peer");
}

#[test]
fn a_clock_that_goes_back_counts_as_one_that_stands() {
    let [one, two] = two();
    let mut stream = Stream::between(&one, &two);
    stream.run_honestly();
    stream.now = Millis(0);
    stream.talk(2, &mut honest);
    assert_eq!(stream.ends(), ("open", "open"));
}

/// Operator 2's word given in its name by somebody else, who answers operator 1's call.
fn speaking_for_two(
    impostor: impl Fn(&Statement) -> Option<grail_channel::Proof>,
) -> (Reason, usize) {
    let [one, two] = two();
    let responder = End::listening_as(two.local(), 2, None, impostor);
    let mut stream = Stream::new(End::dialling(&one, two.id().signer, 1), responder);
    stream.run_honestly();
    assert!(stream.initiator.peer.is_none());
    (
        stream.initiator.reason().unwrap(),
        stream.initiator.verifier.asked,
    )
}

#[test]
fn another_enclave_of_the_same_image_cannot_speak_for_an_operator() {
    let [_, two] = two();
    let three = Enclave::new(3, 2);
    let (reason, verified) = speaking_for_two(|said| {
        let evidence = said.attest(&three.tee).unwrap();
        Some(proof(said, &three.signer, &two.instance, evidence))
    });
    // And costs no verification of evidence.
    assert_eq!((reason, verified), (Reason::SignerSignature, 0));
}

#[test]
fn a_stolen_signer_key_needs_its_own_enclave() {
    // Operator 3's genuine enclave makes evidence for its own key alone.
    let [_, two] = two();
    let three = Enclave::new(3, 2);
    let (reason, _) = speaking_for_two(|said| {
        let evidence = three
            .tee
            .attest(&AttestRequest {
                user_data: Some(&[1; 32]),
                nonce: Some(&said.transcript()),
                public_key: Some(&three.id().signer.serialize()),
            })
            .unwrap();
        Some(proof(said, &two.signer, &two.instance, evidence))
    });
    assert_eq!(reason, Reason::Evidence("signer-key-mismatch"));
}

#[test]
fn the_instance_named_must_have_signed() {
    let [_, two] = two();
    let (reason, verified) = speaking_for_two(|said| {
        let evidence = said.attest(&two.tee).unwrap();
        Some(proof(said, &two.signer, &pair(77), evidence))
    });
    assert_eq!((reason, verified), (Reason::InstanceSignature, 0));
}

#[test]
fn signer_and_instance_key_do_not_stand_in_for_each_other() {
    let [_, two] = two();
    let (reason, _) = speaking_for_two(|said| {
        let good = two.prove(said);
        Some(grail_channel::Proof {
            signer: good.instance,
            instance: good.signer,
            ..good
        })
    });
    assert_eq!(reason, Reason::SignerSignature);
}

#[test]
fn evidence_about_a_signer_is_no_evidence_about_a_channel() {
    let [_, two] = two();
    let (reason, _) = speaking_for_two(|said| {
        let nonce = said.transcript();
        let premises = said.premises();
        let signer = two.id().signer;
        let evidence = attest_signer(&two.tee, &premises.bridge, &signer, Some(&nonce)).unwrap();
        Some(proof(said, &two.signer, &two.instance, evidence))
    });
    assert_eq!(reason, Reason::Evidence("user-data-mismatch"));
}

#[test]
fn evidence_of_another_handshake_does_not_fit() {
    let [one, two] = two();
    // What operator 2 said in an earlier handshake of the same pair.
    let earlier = std::cell::RefCell::new(None);
    let responder = End::listening_as(two.local(), 12, None, |said| {
        let proof = two.prove(said);
        *earlier.borrow_mut() = Some(proof.evidence.clone());
        Some(proof)
    });
    let mut stream = Stream::new(End::dialling(&one, two.id().signer, 11), responder);
    stream.run_honestly();
    assert_eq!(stream.ends(), ("open", "open"));
    drop(stream);
    let evidence = earlier.into_inner().unwrap().into_inner();
    let (reason, _) =
        speaking_for_two(|said| Some(proof(said, &two.signer, &two.instance, evidence.clone())));
    assert_eq!(reason, Reason::Evidence("user-data-mismatch"));
}

#[test]
fn another_image_and_a_debug_enclave_are_refused() {
    for (enclave, code) in [
        (Enclave::running(b"another", 2, 2), "measurement-not-listed"),
        (Enclave::with_pcr0([0; 48], 2, 2), "debug-mode"),
    ] {
        let (reason, _) = speaking_for_two(|said| Some(enclave.prove(said)));
        assert_eq!(reason, Reason::Evidence(code));
    }
    assert_ne!(development_pcr0(b"another"), development_pcr0(b"signer"));
}

#[test]
fn no_evidence_at_all_and_none_to_be_had_close_the_channel() {
    let [_, two] = two();
    let (reason, _) =
        speaking_for_two(|said| Some(proof(said, &two.signer, &two.instance, Vec::new())));
    assert!(matches!(reason, Reason::Evidence(_)), "{reason}");
    let (reason, _) = speaking_for_two(|_| None);
    assert_eq!(reason, Reason::ByPeer(Reason::NoProof.number()));
}

type Change = fn(&mut Enclave);

#[test]
fn what_differs_before_any_talk_is_named() {
    let one = Enclave::new(1, 1);
    let cases: [(Change, Reason); 4] = [
        (|two| two.premises.epoch = Epoch(8), Reason::EpochDiffers),
        (|two| two.premises.params.0 = [7; 32], Reason::ParamsDiffer),
        (
            |two| two.premises.bridge.app.vk = [6; 32],
            Reason::BridgeDiffers,
        ),
        (
            |two| two.premises.bridge.network = grail_types::Network::Signet,
            Reason::BridgeDiffers,
        ),
    ];
    for (change, reason) in cases {
        let mut two = Enclave::new(2, 2);
        change(&mut two);
        let mut stream = Stream::between(&one, &two);
        stream.run_honestly();
        assert_eq!(stream.responder.reason(), Some(reason));
        assert_eq!(
            stream.initiator.reason(),
            Some(Reason::Refused(reason.number()))
        );
    }
}

#[test]
fn only_members_are_let_in() {
    let stranger = Enclave::new(50, 1);
    let two = Enclave::new(2, 2);
    let mut stream = Stream::between(&stranger, &two);
    stream.run_honestly();
    assert_eq!(stream.responder.reason(), Some(Reason::NotAMember));
    assert_eq!(stream.initiator.code(), "refused");
}

#[test]
fn the_initiator_proves_first_and_strangers_get_no_proof() {
    // Whoever has no member's key cannot make a responder attest, nor verify.
    let one = Enclave::new(1, 1);
    let two = Enclave::new(2, 2);
    let impostor = |said: &Statement| Some(proof(said, &pair(77), &one.instance, Vec::new()));
    let initiator = End::dialling_as(one.local(), two.id().signer, 1, impostor);
    let responder = End::listening_as(two.local(), 2, None, |_| panic!("nothing to prove"));
    let mut stream = Stream::new(initiator, responder);
    stream.run_honestly();
    assert_eq!(stream.responder.reason(), Some(Reason::SignerSignature));
    assert_eq!(stream.responder.verifier.asked, 0);
}

fn gate(key: u8) -> Gate {
    Gate {
        key: Arc::new(CookieKey::from_random(Box::new(Zeroizing::new([key; 32])))),
        address: Address([3; 16]),
    }
}

#[test]
fn under_load_a_hello_comes_back_with_a_cookie_and_passes() {
    let [one, two] = two();
    let responder = End::listening_as(two.local(), 2, Some(gate(1)), |s| Some(two.prove(s)));
    let mut stream = Stream::new(End::dialling(&one, two.id().signer, 1), responder);
    stream.run_honestly();
    assert_eq!(stream.ends(), ("open", "open"));
    // One hello more than without.
    assert_eq!(stream.carried, [3, 3]);
}

#[test]
fn a_foreign_cookie_and_a_second_hello_without_one_close() {
    let [one, two] = two();
    let listen = |key| End::listening_as(two.local(), 2, Some(gate(key)), |s| Some(two.prove(s)));
    let dial = || End::dialling(&one, two.id().signer, 1);
    // Another enclave's cookie.
    let mut stream = Stream::new(dial(), listen(1));
    let mut record = Vec::new();
    stream.run(&mut |_, _, frame| {
        record.push(frame.clone());
        vec![frame]
    });
    let mut other = listen(2);
    other.feed(START, Input::Received(&record[2]));
    assert_eq!(other.reason(), Some(Reason::Cookie));
    // No cookie, twice.
    let mut deaf = listen(1);
    for _ in 0..2 {
        deaf.feed(START, Input::Received(&record[0]));
    }
    assert_eq!(deaf.reason(), Some(Reason::Cookie));
    // A cookie where none was asked for, and two retries in a row.
    let mut open = End::listening(&two, 2);
    open.feed(START, Input::Received(&record[2]));
    assert_eq!(open.reason(), Some(Reason::Cookie));
    let mut caller = dial();
    for _ in 0..2 {
        caller.feed(START, Input::Received(&record[1]));
    }
    assert_eq!(caller.reason(), Some(Reason::OutOfTurn));
}

#[test]
fn a_handshake_ends_after_ten_seconds_even_if_its_own_tee_is_slow() {
    let [one, two] = two();
    let local = one.local();
    let to = two.id().signer;
    let (mut channel, hello) = Channel::dial(
        START,
        Dial {
            local,
            to,
            seed: seed(1),
        },
    );
    let Output::Bytes(hello) = &hello[0] else {
        panic!("a hello comes first");
    };
    let mut responder = End::listening(&two, 2);
    responder.feed(START, Input::Received(hello));
    let verifier = &mut Counting::new();
    let outputs = channel.handle(START, Input::Received(&responder.outbox[0]), verifier);
    let Output::Prove(statement) = &outputs[0] else {
        panic!("then a proof is asked for");
    };
    let proof = Input::Proven(Box::new(one.prove(statement)));
    let late = Millis(START.0 + 10_001);
    let outputs = channel.handle(late, proof, verifier);
    assert_eq!(
        outputs.last(),
        Some(&Output::Closed(Reason::HandshakeTimeout))
    );
}

#[test]
fn a_document_shown_twice_is_verified_once_and_held_to_each_claim() {
    let [one, two] = two();
    let mut statements = Vec::new();
    let kept = std::cell::RefCell::new(Vec::new());
    {
        let responder = End::listening_as(two.local(), 2, None, |said| {
            kept.borrow_mut().push(*said);
            Some(two.prove(said))
        });
        let mut stream = Stream::new(End::dialling(&one, two.id().signer, 1), responder);
        stream.run_honestly();
    }
    statements.append(&mut kept.borrow_mut());
    let evidence = statements[0].attest(&two.tee).unwrap();
    let images = images();
    let mut cache = DocumentCache::default();
    let claim = grail_channel::Claim {
        bridge: PREMISES.bridge,
        signer: two.id().signer,
        nonce: statements[0].transcript(),
        user_data: user_data_of(&evidence),
        images_counter: 1,
    };
    for _ in 0..3 {
        let mut verifier = AttestVerifier {
            images: &images,
            at: AT,
            cache: &mut cache,
        };
        let _vouched = verifier.verify(&claim, &evidence).unwrap();
        let other = grail_channel::Claim {
            user_data: [0; 32],
            ..claim
        };
        let refused = verifier.verify(&other, &evidence).unwrap_err();
        assert_eq!(refused.0, "user-data-mismatch");
        let other = grail_channel::Claim {
            signer: public(&pair(3)),
            ..claim
        };
        let refused = verifier.verify(&other, &evidence).unwrap_err();
        assert_eq!(refused.0, "signer-key-mismatch");
    }
    assert_eq!(cache.verified_in_full(), 1);
    // After five minutes it is verified again; hours later its certificate is over.
    for (minutes, verified, is_good) in [(5, 1, true), (6, 2, true), (24 * 60, 3, false)] {
        let at = AT.later_by_millis(minutes * 60_000);
        let mut verifier = AttestVerifier {
            images: &images,
            at,
            cache: &mut cache,
        };
        assert_eq!(
            verifier.verify(&claim, &evidence).is_ok(),
            is_good,
            "{minutes}"
        );
        assert_eq!(cache.verified_in_full(), verified, "{minutes}");
    }
}

/// What the document says, read with production's parser.
fn user_data_of(evidence: &[u8]) -> [u8; 32] {
    let anchor = grail_attest::TrustAnchor::of(PREMISES.bridge.network);
    let document = grail_attest::verify(evidence, &anchor, AT).unwrap();
    document.user_data().unwrap().try_into().unwrap()
}
