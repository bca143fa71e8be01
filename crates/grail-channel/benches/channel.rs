//! What a channel costs: a handshake with evidence both ways, what a stranger costs, frames.
//!
//! `cargo bench -p grail-channel --bench channel`
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;

use common::{Counting, Enclave, End, START, Stream, pair, proof, seed};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use grail_channel::{Channel, FRAME_BODY_MAX_BYTES, Input, Output, Statement, Verifier as _};

fn handshake(criterion: &mut Criterion) {
    let [one, two] = [Enclave::new(1, 1), Enclave::new(2, 2)];
    let mut group = criterion.benchmark_group("handshake");
    group.sample_size(20);
    group.bench_function("both ends, evidence made and verified", |bencher| {
        bencher.iter(|| {
            let mut stream = Stream::between(&one, &two);
            stream.run_honestly();
            assert_eq!(stream.ends(), ("open", "open"));
        });
    });
    // On hardware the making is the security module's work: what is left is the channel's own.
    let made: [_; 2] = std::array::from_fn(|_| std::cell::RefCell::new(None));
    let keep = |slot: usize, said: &Statement, enclave: &Enclave| {
        let known = &made[slot];
        let proof = known
            .borrow_mut()
            .get_or_insert_with(|| enclave.prove(said))
            .clone();
        Some(proof)
    };
    // The same seeds give the same handshake, so that the proofs fit again.
    group.bench_function("both ends, evidence verified", |bencher| {
        bencher.iter(|| {
            let initiator =
                End::dialling_as(one.local(), two.id().signer, 1, |said| keep(0, said, &one));
            let responder = End::listening_as(two.local(), 2, None, |said| keep(1, said, &two));
            let mut stream = Stream::new(initiator, responder);
            stream.run_honestly();
            assert_eq!(stream.ends(), ("open", "open"));
        });
    });
    let evidence = proof_of(&one, &two);
    group.bench_function("one document, verified in full", |bencher| {
        bencher.iter_batched(
            Counting::new,
            |mut verifier| {
                // The claim is made up: signatures and certificates come first.
                let claim = grail_channel::Claim {
                    bridge: common::BRIDGE,
                    signer: two.id().signer,
                    nonce: [0; 32],
                    user_data: [0; 32],
                    images_counter: 1,
                };
                let refused = verifier.verify(&claim, &evidence).unwrap_err();
                assert_eq!(refused.0, "user-data-mismatch");
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn proof_of(one: &Enclave, two: &Enclave) -> Vec<u8> {
    let kept = std::cell::RefCell::new(Vec::new());
    let responder = End::listening_as(two.local(), 2, None, |said| {
        let proof = two.prove(said);
        *kept.borrow_mut() = proof.evidence.to_vec();
        Some(proof)
    });
    let mut stream = Stream::new(End::dialling(one, two.id().signer, 1), responder);
    stream.run_honestly();
    drop(stream);
    kept.into_inner()
}

/// What strangers cost a responder that they flood.
fn strangers(criterion: &mut Criterion) {
    let [one, two] = [Enclave::new(1, 1), Enclave::new(2, 2)];
    let hello = End::dialling(&one, two.id().signer, 1).outbox.remove(0);
    let stranger = Enclave::new(50, 1);
    let foreign = End::dialling(&stranger, two.id().signer, 1)
        .outbox
        .remove(0);
    let forger = |said: &Statement| Some(proof(said, &pair(77), &one.instance, vec![0; 4_000]));
    let mut forged = Stream::new(
        End::dialling_as(one.local(), two.id().signer, 1, forger),
        End::listening(&two, 2),
    );
    forged.run_honestly();
    let frames: Vec<_> = {
        let record = forged.record.borrow();
        let forth = record
            .iter()
            .filter(|(way, _)| *way == common::Way::ToResponder);
        forth.map(|(_, frame)| frame.clone()).collect()
    };
    let mut group = criterion.benchmark_group("a stranger costs");
    let cases = [
        ("a hello of no member", vec![foreign]),
        ("a hello in a member's name", vec![hello]),
        ("that and a forged proof", frames),
    ];
    for (name, frames) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || End::listening(&two, 2),
                |mut end| {
                    for frame in &frames {
                        end.feed(START, Input::Received(frame));
                    }
                    end
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Sealing, carrying and opening.
fn frames(criterion: &mut Criterion) {
    let [one, two] = [Enclave::new(1, 1), Enclave::new(2, 2)];
    let mut group = criterion.benchmark_group("frames, sealed and opened");
    for length in [100, 4_096, FRAME_BODY_MAX_BYTES] {
        let mut stream = Stream::between(&one, &two);
        stream.run_honestly();
        let mut verifier = Counting::new();
        let mut pass = |from: &mut Channel, to: &mut Channel, message: &[u8]| {
            let outputs = from.handle(START, Input::Send(message), &mut verifier);
            let Output::Bytes(frame) = &outputs[0] else {
                panic!("one frame");
            };
            let heard = to.handle(START, Input::Received(frame), &mut verifier);
            assert!(matches!(heard[0], Output::Message(_)));
        };
        let message = vec![7; length];
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(format!("{length} bytes"), |bencher| {
            bencher.iter(|| {
                let Stream {
                    initiator,
                    responder,
                    ..
                } = &mut stream;
                pass(
                    &mut initiator.channel,
                    &mut responder.channel,
                    black_box(&message),
                );
            });
        });
    }
    group.finish();
    let _ = seed(0);
}

criterion_group!(benches, handshake, strangers, frames);
criterion_main!(benches);
