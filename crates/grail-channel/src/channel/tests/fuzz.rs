//! Frames by the hundred thousand: valid ones of every state, altered in every way, seeded.

use super::*;

/// In the default suite; [`a_million_fuzzed_frames`] has the whole.
const FRAMES: u64 = 20_000;
const MILLION: u64 = 1_000_000;

/// What there is to alter: a valid hello, accept, retry and refusal, and proofs.
fn originals() -> Vec<Vec<u8>> {
    let (mut channel, hello) = dialling();
    let mut responder = listening();
    let accept = bytes_of(hear(&mut responder, &hello));
    let outputs = hear(&mut channel, &accept);
    let proof = grail_wire::encode(Epoch(7), prove(1, &outputs).as_ref()).unwrap();
    let retry = crate::message::Retry { cookie: [1; 32] };
    let retry = grail_wire::encode(Epoch(7), &retry).unwrap();
    let refusal = grail_wire::encode(Epoch(7), &Refusal { reason: 3 }).unwrap();
    vec![
        hello[2..].to_vec(),
        accept[2..].to_vec(),
        proof,
        retry,
        refusal,
        Vec::new(),
    ]
}

/// Bits flipped, bytes put in, taken out, cut off, repeated or drawn.
fn alter(draw: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    for _ in 0..draw.usize(0..4) {
        let length = bytes.len();
        let place = draw.usize(0..=length);
        match draw.u8(0..6) {
            0 if place < length => bytes[place] ^= 1 << draw.u8(0..8),
            1 if place < length => bytes[place] = draw.u8(..),
            2 => bytes.insert(place, draw.u8(..)),
            3 => bytes.truncate(place),
            4 if place < length => {
                bytes.remove(place);
            }
            _ => {
                let more = draw.usize(0..40);
                bytes.extend(std::iter::repeat_with(|| draw.u8(..)).take(more));
            }
        }
    }
}

/// One frame to one channel in a drawn state; in states with keys half of them are authentic.
fn one(draw: &mut fastrand::Rng, originals: &[Vec<u8>], closed: &mut u64) {
    let mut body = draw.choice(originals).unwrap().clone();
    alter(draw, &mut body);
    body.truncate(FRAME_BODY_MAX_BYTES);
    let state = draw.usize(0..5);
    let (mut channel, frame) = match state {
        0 => (listening(), frame::plain(&body).unwrap()),
        1 => (waiting(), frame::plain(&body).unwrap()),
        _ => {
            let (channel, mut far) = keyed(state - 2);
            let kinds = [
                FrameKind::Last,
                FrameKind::Part,
                FrameKind::Ping,
                FrameKind::Farewell,
                FrameKind::Proof,
            ];
            let mut frame = far
                .sealing
                .seal(*draw.choice(kinds.iter()).unwrap(), &body)
                .unwrap();
            if draw.bool() {
                let place = draw.usize(0..frame.len());
                frame[place] ^= 1 << draw.u8(0..8);
            }
            (channel, frame)
        }
    };
    let cut = draw.usize(0..=frame.len());
    let (one, other) = frame.split_at(cut);
    let mut outputs = hear(&mut channel, one);
    outputs.extend(hear(&mut channel, other));
    assert!(
        outputs
            .iter()
            .all(|output| !matches!(output, Output::Established(_)))
    );
    if channel.closed().is_some() {
        *closed += 1;
        assert!(hear(&mut channel, &frame).is_empty());
    }
}

fn fuzz(frames: u64) {
    let mut draw = fastrand::Rng::with_seed(32);
    let originals = originals();
    let mut closed = 0;
    for _ in 0..frames {
        one(&mut draw, &originals, &mut closed);
    }
    println!("{frames} fuzzed frames, {closed} channels closed by them");
    // The others are messages that are authentic, or frames that are not whole yet.
    assert!(closed > frames / 2, "{closed}");
}

#[test]
fn fuzzed_frames_never_panic_nor_establish_anything() {
    fuzz(FRAMES);
}

/// `cargo test --release -p grail-channel --lib a_million -- --ignored --nocapture`
#[test]
#[ignore = "a minute in release"]
fn a_million_fuzzed_frames() {
    fuzz(MILLION);
}
