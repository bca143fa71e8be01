//! The host as adversary: what it can do to a stream, and how each end closes. The table of
//! `docs/spec/mesh.md` is what this test prints.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{Enclave, End, Host, START, Stream, Way, honest};
use grail_channel::{Hello, Input, Millis, Reason, Refusal};
use grail_types::Epoch;
use grail_wire::{decode, encode};

/// Hands every frame on, but this one, of which `change` makes something else.
fn at<'h>(
    way: Way,
    number: usize,
    mut change: impl FnMut(Vec<u8>) -> Vec<Vec<u8>> + 'h,
) -> Box<Host<'h>> {
    Box::new(move |other, count, frame| {
        if (other, count) == (way, number) {
            change(frame)
        } else {
            vec![frame]
        }
    })
}

/// A stream between operators 1 and 2 that one host handles as `host` says: handshake, five
/// messages each way, and then time enough for every deadline.
fn under(host: &mut Host<'_>) -> (&'static str, &'static str) {
    let [one, two] = [Enclave::new(1, 1), Enclave::new(2, 2)];
    let mut stream = Stream::between(&one, &two);
    stream.run(host);
    stream.talk(5, host);
    check_order(&stream.initiator.messages);
    check_order(&stream.responder.messages);
    stream.wait(35, host);
    stream.ends()
}

/// Whatever a host does, what is heard is a beginning of what was said.
fn check_order(messages: &[Vec<u8>]) {
    for (number, message) in messages.iter().enumerate() {
        assert_eq!(message, &vec![u8::try_from(number).unwrap(); 100]);
    }
}

fn flip(mut frame: Vec<u8>, index: usize) -> Vec<u8> {
    frame[index] ^= 1;
    frame
}

/// A frame as it goes over the wire, before there are keys.
fn wire(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap();
    [length.to_be_bytes().as_slice(), message].concat()
}

fn changed_hello(frame: &[u8], epoch: u64, change: impl FnOnce(&mut Hello)) -> Vec<u8> {
    let mut hello = decode::<Hello>(&frame[2..]).unwrap().message;
    change(&mut hello);
    wire(&encode(Epoch(epoch), &hello).unwrap())
}

use Way::{ToInitiator as Back, ToResponder as Forth};

/// The five handshake frames and messages by name, in either direction.
const PLACES: [(&str, Way, usize); 6] = [
    ("the hello", Forth, 0),
    ("the accept", Back, 0),
    ("the initiator's proof", Forth, 1),
    ("the responder's proof", Back, 1),
    ("a message of the initiator", Forth, 3),
    ("a message of the responder", Back, 3),
];

type Case = (
    String,
    (&'static str, &'static str),
    (&'static str, &'static str),
);

fn drops() -> Vec<Case> {
    let expected = [
        ("handshake-timeout", "handshake-timeout"),
        ("handshake-timeout", "handshake-timeout"),
        ("handshake-timeout", "handshake-timeout"),
        // The responder has heard a proof, is open and speaks: what it says is not the next frame.
        ("not-authentic", "by-peer"),
        ("by-peer", "not-authentic"),
        ("not-authentic", "by-peer"),
    ];
    each(expected, "drop", |_| Vec::new())
}

fn alterations() -> Vec<Case> {
    let expected = [
        ("refused", "malformed"),
        ("malformed", "not-authentic"),
        ("by-peer", "not-authentic"),
        ("not-authentic", "by-peer"),
        ("by-peer", "not-authentic"),
        ("not-authentic", "by-peer"),
    ];
    each(expected, "alter a byte of", |frame| vec![flip(frame, 2)])
}

fn replays() -> Vec<Case> {
    let expected = [
        ("by-peer", "not-authentic"),
        ("not-authentic", "by-peer"),
        ("by-peer", "not-authentic"),
        ("not-authentic", "by-peer"),
        ("by-peer", "not-authentic"),
        ("not-authentic", "by-peer"),
    ];
    each(expected, "hand on twice", |frame| {
        vec![frame.clone(), frame]
    })
}

fn injections() -> Vec<Case> {
    let expected = [
        ("refused", "malformed"),
        ("malformed", "not-authentic"),
        ("by-peer", "not-authentic"),
        ("not-authentic", "by-peer"),
        ("by-peer", "not-authentic"),
        ("not-authentic", "by-peer"),
    ];
    each(expected, "inject a frame before", |frame| {
        vec![wire(&[7; 40]), frame]
    })
}

fn oversized() -> Vec<Case> {
    let expected = [
        ("refused", "frame-too-long"),
        ("frame-too-long", "not-authentic"),
        ("by-peer", "frame-too-long"),
        ("frame-too-long", "by-peer"),
        ("by-peer", "frame-too-long"),
        ("frame-too-long", "by-peer"),
    ];
    each(expected, "claim 64 KiB in place of", |_| {
        vec![vec![0xff, 0xff]]
    })
}

fn each(
    expected: [(&'static str, &'static str); 6],
    what: &str,
    mut change: impl FnMut(Vec<u8>) -> Vec<Vec<u8>>,
) -> Vec<Case> {
    let mut cases = Vec::new();
    for ((name, way, number), expected) in PLACES.into_iter().zip(expected) {
        let got = under(&mut *at(way, number, &mut change));
        cases.push((format!("{what} {name}"), expected, got));
    }
    cases
}

/// The stream ends, at a frame's border and within one, before each of the places.
fn truncations() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, way, number) in PLACES {
        for within in [false, true] {
            let [one, two] = [Enclave::new(1, 1), Enclave::new(2, 2)];
            let mut stream = Stream::between(&one, &two);
            let mut is_cut = false;
            let mut host = |other: Way, count: usize, mut frame: Vec<u8>| {
                is_cut |= (other, count) == (way, number);
                if !is_cut {
                    return vec![frame];
                }
                frame.truncate(if within && (other, count) == (way, number) {
                    9
                } else {
                    0
                });
                vec![frame]
            };
            stream.run(&mut host);
            stream.talk(5, &mut host);
            for end in [&mut stream.initiator, &mut stream.responder] {
                end.feed(START, Input::Ended);
            }
            let how = if within { "within" } else { "before" };
            let action = format!("end the stream {how} {name}");
            cases.push((action, ("truncated", "truncated"), stream.ends()));
        }
    }
    cases
}

const fn said(way: Way) -> &'static str {
    match way {
        Forth => "to the responder",
        Back => "to the initiator",
    }
}

fn reorderings() -> Vec<Case> {
    let mut cases = Vec::new();
    for (way, expected) in [
        (Forth, ("by-peer", "not-authentic")),
        (Back, ("not-authentic", "by-peer")),
    ] {
        let mut held = None;
        let got = under(&mut |other, count, frame| match (other, count) {
            (other, 3) if other == way => {
                held = Some(frame);
                Vec::new()
            }
            (other, 4) if other == way => vec![frame, held.take().unwrap()],
            _ => vec![frame],
        });
        cases.push((format!("swap two messages {}", said(way)), expected, got));
    }
    cases
}

/// Frames are held for longer than a deadline, and then handed on.
fn delays() -> Vec<Case> {
    let mut cases = Vec::new();
    for (from, seconds, expected) in [
        (1, 11, ("handshake-timeout", "handshake-timeout")),
        (2, 31, ("silent", "silent")),
    ] {
        let [one, two] = [Enclave::new(1, 1), Enclave::new(2, 2)];
        let mut stream = Stream::between(&one, &two);
        let mut held = Vec::new();
        let mut hold = |way: Way, count: usize, frame: Vec<u8>| {
            if count < from {
                return vec![frame];
            }
            held.push((way, frame));
            Vec::new()
        };
        stream.run(&mut hold);
        stream.talk(2, &mut hold);
        stream.now = Millis(START.0 + seconds * 1_000);
        for (way, frame) in held {
            let end = if way == Forth {
                &mut stream.responder
            } else {
                &mut stream.initiator
            };
            end.feed(stream.now, Input::Received(&frame));
        }
        // Whoever had nothing held back finds out by the clock.
        stream.wait(1, &mut |_, _, _| Vec::new());
        let action = format!("hold everything for {seconds} s from frame {from} on");
        cases.push((action, expected, stream.ends()));
    }
    cases
}

fn reflections() -> Vec<Case> {
    let mut cases = Vec::new();
    let [one, two] = [Enclave::new(1, 1), Enclave::new(2, 2)];
    let mut caller = End::dialling(&one, two.id().signer, 1);
    let hello = caller.outbox.remove(0);
    caller.feed(START, Input::Received(&hello));
    let mut own = End::listening(&one, 2);
    own.feed(START, Input::Received(&hello));
    let action = "send a hello back; to the caller's own listening end".to_owned();
    cases.push((
        action,
        ("out-of-turn", "not-for-us"),
        (caller.code(), own.code()),
    ));

    // The same between clones, where the operator is right and only the instance gives it away.
    let mut caller = End::dialling(&one, one.id().signer, 1);
    let mut own = End::listening(&one, 2);
    own.feed(START, Input::Received(&caller.outbox.remove(0)));
    caller.feed(START, Input::Received(&own.outbox.remove(0)));
    let action = "send a call to a clone to the caller itself".to_owned();
    cases.push((
        action,
        ("refused", "reflected"),
        (caller.code(), own.code()),
    ));

    let mut stream = Stream::between(&one, &two);
    stream.run_honestly();
    for end in [&mut stream.initiator, &mut stream.responder] {
        end.feed(START, Input::Send(b"to be sent back"));
        let frame = end.outbox.remove(0);
        end.feed(START, Input::Received(&frame));
        assert!(end.messages.is_empty());
    }
    let action = "send each end its own message back".to_owned();
    cases.push((action, ("not-authentic", "not-authentic"), stream.ends()));
    cases
}

/// The call to operator 2 is answered by operator 3's enclave, of the same image.
fn relays() -> Vec<Case> {
    let mut cases = Vec::new();
    let [one, two, three] = [Enclave::new(1, 1), Enclave::new(2, 2), Enclave::new(3, 3)];
    let dial = || End::dialling(&one, two.id().signer, 1);
    let listen = |enclave| End::listening(enclave, 2);

    let mut stream = Stream::new(dial(), listen(&three));
    stream.run_honestly();
    let action = "lead the call to another operator".to_owned();
    cases.push((action, ("refused", "not-for-us"), stream.ends()));

    // The host says in the hello that the call is for 3.
    let to_three = |frame: &[u8]| changed_hello(frame, 7, |hello| hello.to = three.id().signer);
    let mut stream = Stream::new(dial(), listen(&three));
    stream.run(&mut *at(Forth, 0, |frame| vec![to_three(&frame)]));
    stream.wait(11, &mut honest);
    let action = "lead it there and rewrite whom the hello is for".to_owned();
    cases.push((action, ("other-operator", "not-authentic"), stream.ends()));

    // And in the accept that it is from 2.
    let mut stream = Stream::new(dial(), listen(&three));
    stream.run(&mut |way, number, frame| match (way, number) {
        (Forth, 0) => vec![to_three(&frame)],
        (Back, 0) => {
            let mut accept = decode::<grail_channel::Accept>(&frame[2..])
                .unwrap()
                .message;
            accept.from = two.id().signer;
            accept.instance = two.id().instance;
            vec![wire(&encode(Epoch(7), &accept).unwrap())]
        }
        _ => vec![frame],
    });
    // From here on both have keys of their own: no farewell of the one opens at the other.
    let action = "lead it there and rewrite hello and accept".to_owned();
    cases.push((action, ("not-authentic", "not-authentic"), stream.ends()));

    // The host puts keys of its own in the middle, and has each end's enclave prove to it.
    let forged = End::listening_as(two.local(), 3, None, |_| {
        // What operator 2's enclave says is about another handshake: with the middle.
        let evil = std::cell::RefCell::new(None);
        let answering = End::listening_as(two.local(), 4, None, |real| {
            let proof = two.prove(real);
            *evil.borrow_mut() = Some(proof.clone());
            Some(proof)
        });
        let mut other = Stream::new(End::dialling(&one, two.id().signer, 5), answering);
        other.run_honestly();
        assert_eq!(other.ends(), ("open", "open"));
        drop(other);
        evil.into_inner()
    });
    let mut stream = Stream::new(dial(), forged);
    stream.run_honestly();
    let action = "agree on keys itself and relay the other end's proof".to_owned();
    cases.push((action, ("signer-signature", "by-peer"), stream.ends()));
    cases
}

/// Two handshakes of the same two enclaves, at once.
fn splices() -> Vec<Case> {
    let mut cases = Vec::new();
    let [one, two] = [Enclave::new(1, 1), Enclave::new(2, 2)];
    let places = [
        ("accept", Back, 0, ("not-authentic", "not-authentic")),
        ("initiator's proof", Forth, 1, ("by-peer", "not-authentic")),
        ("responder's proof", Back, 1, ("not-authentic", "by-peer")),
        (
            "initiator's message",
            Forth,
            2,
            ("by-peer", "not-authentic"),
        ),
        ("responder's message", Back, 2, ("not-authentic", "by-peer")),
    ];
    for (name, way, number, expected) in places {
        let mut other = Stream::new(
            End::dialling(&one, two.id().signer, 11),
            End::listening(&two, 12),
        );
        other.run_honestly();
        other.talk(1, &mut honest);
        let frames: Vec<_> = other
            .record
            .borrow()
            .iter()
            .filter(|(recorded, _)| *recorded == way)
            .map(|(_, frame)| frame.clone())
            .collect();
        let mut stream = Stream::between(&one, &two);
        let mut host = at(way, number, |_| vec![frames[number].clone()]);
        stream.run(&mut *host);
        stream.talk(1, &mut *host);
        let action = format!("splice in the {name} of a handshake beside it");
        cases.push((action, expected, stream.ends()));
    }
    cases
}

/// A whole recorded stream, played to whoever listens later.
fn replayed_streams() -> Vec<Case> {
    let mut cases = Vec::new();
    let [one, two] = [Enclave::new(1, 1), Enclave::new(2, 2)];
    let mut recorded = Stream::between(&one, &two);
    recorded.run_honestly();
    recorded.talk(1, &mut honest);
    let frames_of = |way| -> Vec<Vec<u8>> {
        let record = recorded.record.borrow();
        let frames = record.iter().filter(|(recorded, _)| *recorded == way);
        frames.map(|(_, frame)| frame.clone()).collect()
    };
    let (forth, back) = (frames_of(Forth), frames_of(Back));

    let mut play = |action: &str, mut end: End<'_>, frames: &[Vec<u8>], expected| {
        for frame in frames {
            end.feed(START, Input::Received(frame));
        }
        assert!(end.messages.is_empty() && end.peer.is_none());
        let ends = if frames.len() == forth.len() && frames[1] == forth[1] {
            [("-", expected), ("-", end.code())]
        } else {
            [(expected, "-"), (end.code(), "-")]
        };
        cases.push((action.to_owned(), ends[0], ends[1]));
    };
    let same = End::listening(&two, 22);
    play(
        "play the caller's stream to the same instance",
        same,
        &forth,
        "not-authentic",
    );
    let next = Enclave::new(2, 8);
    let later = End::listening(&next, 22);
    play(
        "play the caller's stream to the next instance",
        later,
        &forth,
        "not-authentic",
    );
    let epoch = Enclave::new(2, 2).at_epoch(8);
    let later = End::listening(&epoch, 22);
    play(
        "play the caller's stream in the next epoch",
        later,
        &forth,
        "epoch-differs",
    );
    let mut moved = forth.clone();
    moved[0] = changed_hello(&forth[0], 8, |_| {});
    let later = End::listening(&epoch, 22);
    play(
        "play it there and rewrite the hello's epoch",
        later,
        &moved,
        "not-authentic",
    );

    let again = End::dialling(&one, two.id().signer, 21);
    play(
        "play the answers to the same instance",
        again,
        &back,
        "not-authentic",
    );
    let next = Enclave::new(1, 9);
    let later = End::dialling(&next, two.id().signer, 21);
    play(
        "play the answers to the next instance",
        later,
        &back,
        "not-authentic",
    );
    let epoch = Enclave::new(1, 1).at_epoch(8);
    let later = End::dialling(&epoch, two.id().signer, 21);
    play(
        "play the answers in the next epoch",
        later,
        &back,
        "epoch-differs",
    );
    cases
}

/// Proofs and enclaves change under an open channel.
fn swaps() -> Vec<Case> {
    let mut cases = Vec::new();
    let [one, two] = [Enclave::new(1, 1), Enclave::new(2, 2)];
    for (way, expected) in [
        (Forth, ("by-peer", "not-authentic")),
        (Back, ("not-authentic", "by-peer")),
    ] {
        // Evidence of a later handshake, which is fresher, put into the open channel.
        let mut later = Stream::new(
            End::dialling(&one, two.id().signer, 31),
            End::listening(&two, 32),
        );
        later.run_honestly();
        let proof = later
            .record
            .borrow()
            .iter()
            .rfind(|(w, _)| *w == way)
            .unwrap()
            .1
            .clone();
        let mut stream = Stream::between(&one, &two);
        stream.run_honestly();
        stream.talk(1, &mut honest);
        let end = if way == Forth {
            &mut stream.responder
        } else {
            &mut stream.initiator
        };
        end.feed(START, Input::Received(&proof));
        stream.run_honestly();
        let action = format!("put newer evidence into an open channel {}", said(way));
        cases.push((action, expected, stream.ends()));
    }

    // The host starts its enclave anew and leads the stream to it.
    let fresh = Enclave::new(2, 3);
    let mut stream = Stream::between(&one, &two);
    stream.run_honestly();
    stream.responder = End::listening(&fresh, 33);
    stream.talk(1, &mut honest);
    let action = "swap the responder's enclave under an open channel".to_owned();
    cases.push((action, ("not-authentic", "malformed"), stream.ends()));

    // And in the middle of a handshake: the accept is the old one's.
    let mut stream = Stream::between(&one, &two);
    let mut swapped = false;
    let fresh = Enclave::new(2, 3);
    let hello = stream.initiator.outbox[0].clone();
    stream.run(&mut |_, number, frame| {
        swapped |= number == 1;
        if swapped { Vec::new() } else { vec![frame] }
    });
    let mut second = End::listening(&fresh, 34);
    second.feed(START, Input::Received(&hello));
    let proof = stream.record.borrow().last().unwrap().1.clone();
    second.feed(START, Input::Received(&proof));
    let ends = (stream.initiator.code(), second.code());
    let action = "swap the responder's enclave between accept and proof".to_owned();
    cases.push((action, ("waits", "not-authentic"), ends));
    stream.wait(11, &mut |_, _, _| Vec::new());
    assert_eq!(stream.initiator.reason(), Some(Reason::HandshakeTimeout));
    cases
}

/// Words that are not sealed yet are anybody's.
fn rewritten_hellos() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut rewrite = |action: &str, change: &dyn Fn(&[u8]) -> Vec<u8>, expected| {
        let got = under(&mut *at(Forth, 0, |frame| vec![change(&frame)]));
        cases.push((action.to_owned(), expected, got));
    };
    rewrite(
        "offer suite 2 for suite 1",
        &|frame| changed_hello(frame, 7, |hello| hello.suite = 2),
        ("refused", "suite"),
    );
    rewrite(
        "offer another version of the encoding",
        &|frame| {
            let mut frame = frame.to_vec();
            frame[2] = frame[2].wrapping_sub(1);
            frame
        },
        ("refused", "malformed"),
    );
    rewrite(
        "name another caller in the hello",
        &|frame| {
            changed_hello(frame, 7, |hello| {
                hello.from = Enclave::new(3, 3).id().signer;
            })
        },
        ("not-authentic", "not-authentic"),
    );
    rewrite(
        "name another instance in the hello",
        &|frame| {
            changed_hello(frame, 7, |hello| {
                hello.instance = Enclave::new(1, 9).id().instance;
            })
        },
        ("not-authentic", "not-authentic"),
    );
    rewrite(
        "raise the counter of images in the hello",
        &|frame| changed_hello(frame, 7, |hello| hello.images_counter = 9),
        ("not-authentic", "not-authentic"),
    );
    rewrite(
        "put in another key agreement",
        &|frame| {
            let other = End::dialling(&Enclave::new(1, 1), Enclave::new(2, 2).id().signer, 77)
                .outbox
                .remove(0);
            let other = decode::<Hello>(&other[2..])
                .unwrap()
                .message
                .encapsulation_key;
            changed_hello(frame, 7, |hello| hello.encapsulation_key = other)
        },
        ("not-authentic", "not-authentic"),
    );
    rewrite(
        "put in a key that is none",
        &|frame| changed_hello(frame, 7, |hello| hello.encapsulation_key = [0xff; 1_216]),
        ("refused", "agreement"),
    );
    let refusal = Refusal {
        reason: Reason::EpochDiffers.number(),
    };
    let refusal = wire(&encode(Epoch(7), &refusal).unwrap());
    let got = under(&mut *at(Back, 0, |_| vec![refusal.clone()]));
    cases.push((
        "refuse in the responder's name".to_owned(),
        ("refused", "handshake-timeout"),
        got,
    ));
    cases
}

#[test]
fn every_action_of_a_hostile_host_closes_with_a_named_reason() {
    assert_eq!(under(&mut honest), ("open", "open"));
    let groups = [
        drops(),
        alterations(),
        replays(),
        injections(),
        oversized(),
        truncations(),
        reorderings(),
        delays(),
        reflections(),
        relays(),
        splices(),
        replayed_streams(),
        swaps(),
        rewritten_hellos(),
    ];
    println!("| The host's action | initiator | responder |\n|---|---|---|");
    let mut wrong = Vec::new();
    for (action, expected, got) in groups.into_iter().flatten() {
        println!("| {action} | {} | {} |", got.0, got.1);
        if got != expected {
            wrong.push(format!("{action}: expected {expected:?}, got {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
