//! What only somebody with the channel's keys can say, and any bytes at all, in every state.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{Keypair, Secp256k1},
};
use grail_types::{BoundedBytes, Bridge, BridgeApp, Epoch, Measurement, Network, ParamsHash};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::{
    frame::{Opening, Sealing},
    identity::Premises,
    limits::{FRAME_BODY_MAX_BYTES, MESSAGE_MAX_BYTES, PING_AFTER},
    verify::{Claim, EvidenceRefused},
};

const NOW: Millis = Millis(1_000_000);

/// Believes everything: what is tried here comes before evidence or after it.
struct Credulous;

impl Verifier for Credulous {
    fn verify(&mut self, _: &Claim, _: &[u8]) -> Result<Vouched, EvidenceRefused> {
        Ok(Vouched {
            measurement: Measurement {
                pcr0: [1; 48],
                pcr1: [1; 48],
                pcr2: [1; 48],
            },
            evidence_digest: [1; 32],
        })
    }
}

fn pair(number: u8) -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[number; 32]).unwrap()
}

/// Keys 1, 2, 101 and 102 are made once: fuzzing asks for them without end.
fn public(number: u8) -> XOnlyPublicKey {
    static KEYS: OnceLock<[XOnlyPublicKey; 4]> = OnceLock::new();
    let keys = KEYS.get_or_init(|| [1, 2, 101, 102].map(|key| pair(key).x_only_public_key().0));
    keys[usize::from(number % 100) - 1 + 2 * usize::from(number / 100)]
}

fn local(number: u8) -> Local {
    Local {
        premises: Premises {
            bridge: Bridge {
                network: Network::Regtest,
                app: BridgeApp {
                    identity: [4; 32],
                    vk: [5; 32],
                },
            },
            epoch: Epoch(7),
            params: ParamsHash([6; 32]),
        },
        id: PeerId {
            signer: public(number),
            instance: public(number + 100),
        },
        images_counter: 1,
    }
}

fn seed(number: u8) -> Seed {
    Seed::from_random(Box::new(Zeroizing::new([number; 32])))
}

fn dialling() -> (Channel, Vec<u8>) {
    let dial = Dial {
        local: local(1),
        to: public(2),
        seed: seed(1),
    };
    let (channel, mut outputs) = Channel::dial(NOW, dial);
    let Some(Output::Bytes(hello)) = outputs.pop() else {
        panic!("a hello comes first");
    };
    (channel, hello)
}

/// A caller before the answer, without the cost of a key pair.
fn waiting() -> Channel {
    static HELLO: OnceLock<crate::message::Hello> = OnceLock::new();
    let hello = HELLO.get_or_init(|| {
        let (_, hello) = dialling();
        grail_wire::decode(&hello[2..]).unwrap().message
    });
    let mut channel = Channel::new(Role::Initiator, local(1), NOW);
    channel.state = handshake::waiting_for_answer(hello.clone(), seed(1));
    channel
}

fn listening() -> Channel {
    static MEMBERS: OnceLock<Arc<BTreeSet<XOnlyPublicKey>>> = OnceLock::new();
    let members = MEMBERS.get_or_init(|| Arc::new(BTreeSet::from([public(1), public(2)])));
    let listen = Listen {
        local: local(2),
        members: members.clone(),
        seed: seed(2),
        gate: None,
    };
    Channel::listen(NOW, listen)
}

fn bytes_of(outputs: Vec<Output>) -> Vec<u8> {
    let sent = outputs.into_iter().filter_map(|output| match output {
        Output::Bytes(bytes) => Some(bytes),
        _ => None,
    });
    sent.flatten().collect()
}

fn prove(number: u8, outputs: &[Output]) -> Box<Proof> {
    let Some(Output::Prove(statement)) = outputs
        .iter()
        .find(|output| matches!(output, Output::Prove(_)))
    else {
        panic!("a proof is asked for");
    };
    let secp = Secp256k1::new();
    Box::new(Proof {
        signer: secp.sign_schnorr_no_aux_rand(&statement.signer_message(), &pair(number)),
        instance: secp.sign_schnorr_no_aux_rand(&statement.instance_message(), &pair(number + 100)),
        evidence: BoundedBytes::new(vec![0; 100]).unwrap(),
    })
}

/// A responder with keys, at rest in each of the states that have them, and what seals to it and
/// opens what it says.
fn keyed(state: usize) -> (Channel, Keys) {
    let far = Keys {
        sealing: Sealing::new(Box::new(Zeroizing::new([3; 32]))),
        opening: Opening::new(Box::new(Zeroizing::new([4; 32]))),
    };
    let mut channel = listening();
    channel.keys = Some(Box::new(Keys {
        sealing: Sealing::new(Box::new(Zeroizing::new([4; 32]))),
        opening: Opening::new(Box::new(Zeroizing::new([3; 32]))),
    }));
    channel.state = match state {
        0 => State::Open(Open::default()),
        1 => handshake::waiting_for_peer(&local(2), local(1).id),
        _ => handshake::waiting_for_own(&local(2), local(1).id),
    };
    (channel, far)
}

fn hear(channel: &mut Channel, bytes: &[u8]) -> Vec<Output> {
    channel.handle(NOW, Input::Received(bytes), &mut Credulous)
}

/// What an open channel says to one authentic frame.
fn hear_sealed(kind: FrameKind, body: &[u8]) -> (Option<Reason>, Vec<Output>) {
    let (mut channel, mut far) = keyed(0);
    let outputs = hear(&mut channel, &far.sealing.seal(kind, body).unwrap());
    (channel.closed(), outputs)
}

#[test]
fn a_second_proof_in_an_open_channel_is_out_of_turn() {
    let (reason, _) = hear_sealed(FrameKind::Proof, b"fresh evidence");
    assert_eq!(reason, Some(Reason::OutOfTurn));
}

#[test]
fn authentic_frames_that_make_no_sense_close() {
    for (kind, body) in [
        (FrameKind::Ping, b"x".as_slice()),
        (FrameKind::Part, b"not full"),
        (FrameKind::Part, b""),
        (FrameKind::Farewell, b""),
        (FrameKind::Farewell, b"xx"),
    ] {
        let (reason, _) = hear_sealed(kind, body);
        assert_eq!(reason, Some(Reason::FrameMalformed), "{kind:?}");
    }
    let (reason, _) = hear_sealed(FrameKind::Farewell, &[9]);
    assert_eq!(reason, Some(Reason::ByPeer(9)));
    assert_eq!(hear_sealed(FrameKind::Ping, b""), (None, Vec::new()));
}

#[test]
fn a_message_grows_to_its_limit_and_no_further() {
    let part = vec![1; FRAME_BODY_MAX_BYTES];
    let parts = MESSAGE_MAX_BYTES / FRAME_BODY_MAX_BYTES;
    let rest = MESSAGE_MAX_BYTES - parts * FRAME_BODY_MAX_BYTES;
    for (length, reason) in [(rest, None), (rest + 1, Some(Reason::MessageTooLong))] {
        let (mut channel, mut far) = keyed(0);
        for _ in 0..parts {
            let frame = far.sealing.seal(FrameKind::Part, &part).unwrap();
            assert!(hear(&mut channel, &frame).is_empty());
        }
        let last = far.sealing.seal(FrameKind::Last, &vec![1; length]).unwrap();
        let _outputs = hear(&mut channel, &last);
        assert_eq!(channel.closed(), reason);
    }
}

#[test]
fn nothing_but_a_proof_or_farewell_comes_before_the_channel_is_open() {
    for kind in [FrameKind::Last, FrameKind::Part, FrameKind::Ping] {
        for state in [1, 2] {
            let (mut channel, mut far) = keyed(state);
            let outputs = hear(&mut channel, &far.sealing.seal(kind, b"").unwrap());
            assert_eq!(channel.closed(), Some(Reason::OutOfTurn));
            assert!(
                !outputs
                    .iter()
                    .any(|output| matches!(output, Output::Message(_)))
            );
        }
    }
    // While this end makes its own proof, a proof is out of turn too; a farewell is heard.
    let (mut channel, mut far) = keyed(2);
    let _outputs = hear(
        &mut channel,
        &far.sealing.seal(FrameKind::Proof, b"").unwrap(),
    );
    assert_eq!(channel.closed(), Some(Reason::OutOfTurn));
    let (mut channel, mut far) = keyed(2);
    let _outputs = hear(
        &mut channel,
        &far.sealing.seal(FrameKind::Farewell, &[3]).unwrap(),
    );
    assert_eq!(channel.closed(), Some(Reason::ByPeer(3)));
}

#[test]
fn a_proof_that_nobody_asked_for_closes() {
    let (mut channel, hello) = dialling();
    let mut responder = listening();
    let accept = bytes_of(hear(&mut responder, &hello));
    let outputs = hear(&mut channel, &accept);
    let proof = prove(1, &outputs);
    let mut other = listening();
    let _outputs = other.handle(NOW, Input::Proven(proof), &mut Credulous);
    assert_eq!(other.closed(), Some(Reason::OutOfTurn));
}

#[test]
fn a_proof_of_another_epoch_is_refused_by_its_envelope() {
    let (mut channel, hello) = dialling();
    let mut responder = listening();
    let accept = bytes_of(hear(&mut responder, &hello));
    let outputs = hear(&mut channel, &accept);
    let proof = prove(1, &outputs);
    let bytes = grail_wire::encode(Epoch(8), proof.as_ref()).unwrap();
    let keys = channel.keys.as_mut().unwrap();
    let frame = keys.sealing.seal(FrameKind::Proof, &bytes).unwrap();
    let _outputs = hear(&mut responder, &frame);
    assert_eq!(responder.closed(), Some(Reason::EpochDiffers));
}

#[test]
fn keys_are_gone_once_a_channel_is_closed() {
    let (mut channel, _) = keyed(0);
    let outputs = channel.handle(NOW, Input::Close, &mut Credulous);
    assert_eq!(outputs.last(), Some(&Output::Closed(Reason::Closed)));
    assert!(channel.keys.is_none());
}

#[test]
fn both_directions_have_keys_of_their_own() {
    let (mut channel, hello) = dialling();
    let mut responder = listening();
    let accept = bytes_of(hear(&mut responder, &hello));
    let _outputs = hear(&mut channel, &accept);
    let [ours, theirs] = [&mut channel, &mut responder].map(|end| end.keys.as_mut().unwrap());
    let [forth, back] = [ours, theirs].map(|keys| keys.sealing.seal(FrameKind::Ping, b"").unwrap());
    assert_ne!(forth, back);
}

#[test]
fn silence_closes_just_after_thirty_seconds() {
    let late = |millis| {
        let (mut channel, _) = keyed(0);
        let at = Millis(NOW.0 + millis);
        let _outputs = channel.handle(at, Input::Tick, &mut Credulous);
        channel.closed()
    };
    assert_eq!(late(30_000), None);
    assert_eq!(late(30_001), Some(Reason::Silent));
}

#[test]
fn a_ping_comes_just_after_ten_seconds() {
    let (mut channel, _) = keyed(0);
    let at = NOW.after(PING_AFTER);
    let early = channel.handle(Millis(at.0 - 1), Input::Tick, &mut Credulous);
    assert!(early.is_empty());
    assert_eq!(channel.handle(at, Input::Tick, &mut Credulous).len(), 1);
    assert!(channel.handle(at, Input::Tick, &mut Credulous).is_empty());
}

/// Every state that hears something.
fn every_state() -> Vec<Channel> {
    let mut all = vec![listening(), waiting()];
    all.extend((0..3).map(|state| keyed(state).0));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_in_any_state_open_nothing_and_never_panic(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6)
    ) {
        for mut channel in every_state() {
            let was_open = channel.is_open();
            for chunk in &chunks {
                let outputs = hear(&mut channel, chunk);
                let is_harmless = outputs.iter().all(|output| {
                    matches!(output, Output::Bytes(_) | Output::Closed(_))
                });
                prop_assert!(is_harmless);
            }
            prop_assert!(was_open || !channel.is_open());
        }
    }

    #[test]
    fn any_authentic_bytes_never_panic_and_close_for_good(
        bodies in prop::collection::vec((0..5_usize, prop::collection::vec(any::<u8>(), 0..300)), 1..6),
        state in 0..3_usize,
    ) {
        let kinds = [
            FrameKind::Last, FrameKind::Part, FrameKind::Ping, FrameKind::Farewell, FrameKind::Proof,
        ];
        let (mut channel, mut far) = keyed(state);
        for (kind, body) in bodies {
            let was_closed = channel.closed();
            let outputs = hear(&mut channel, &far.sealing.seal(kinds[kind], &body).unwrap());
            if was_closed.is_some() {
                prop_assert!(outputs.is_empty());
                prop_assert_eq!(channel.closed(), was_closed);
            }
        }
    }
}

mod fuzz;
