//! What a quorum and a ceremony cost, beside one raw signature and verification in the same run.
//! `cargo bench -p grail-frost`.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::{collections::BTreeMap, hint::black_box, time::Instant};

use bitcoin::secp256k1::{Message, Secp256k1};
use common::{Holders, Operators, asker, bytes, draw, order_signed};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use grail_frost::{
    AggregateNonce, Answer, Attempt, Commitments, HolderId, Order, Proposal, Session, ToSign,
    dkg::{Coordinator, deal, recover},
};

const PROPOSAL: Proposal = Proposal([5; 32]);
const INPUTS: usize = 200;

fn raw(criterion: &mut Criterion) {
    let secp = Secp256k1::new();
    let pair = asker();
    let (key, _) = pair.x_only_public_key();
    let message = Message::from_digest([3; 32]);
    let signature = secp.sign_schnorr_with_aux_rand(&message, &pair, &[1; 32]);
    criterion.bench_function("raw/sign", |bench| {
        bench.iter(|| secp.sign_schnorr_with_aux_rand(&message, &pair, black_box(&[1; 32])));
    });
    criterion.bench_function("raw/verify", |bench| {
        bench.iter(|| secp.verify_schnorr(black_box(&signature), &message, &key));
    });
}

/// All answered: what the coordinator then works on.
fn answered(
    holders: &mut Holders,
    inputs: &[ToSign],
) -> (
    Vec<HolderId>,
    Vec<Commitments>,
    Attempt,
    BTreeMap<HolderId, Answer>,
) {
    let ids = holders.some(12);
    let commitments: Vec<Commitments> = ids
        .iter()
        .map(|id| holders.commit(*id, PROPOSAL, inputs, 0))
        .collect();
    let attempt = Attempt::new(
        &holders.group,
        PROPOSAL,
        inputs.to_vec(),
        commitments.clone(),
    )
    .unwrap();
    let answers = holders.answers(&ids, &attempt);
    (ids, commitments, attempt, answers)
}

fn signing(criterion: &mut Criterion) {
    let mut holders = Holders::new(12, 16, 1);
    for count in [1, INPUTS] {
        let inputs = holders.inputs(count);
        let name = |what: &str| format!("12-of-16/{count} inputs/{what}");
        criterion.bench_function(&name("commit"), |bench| {
            bench.iter(|| holders.commit(HolderId(3), PROPOSAL, &inputs, 0));
        });
        let pair = asker();
        criterion.bench_function(&name("sign"), |bench| {
            // A session answers once: each round has its own, and only the answer is timed.
            bench.iter_custom(|rounds| {
                (0..rounds)
                    .map(|_| {
                        let attempt = holders.attempt(
                            &(0..12).map(HolderId).collect::<Vec<_>>(),
                            PROPOSAL,
                            &inputs,
                        );
                        let order: Order = attempt.order(HolderId(3)).unwrap();
                        let signature = order_signed(&pair, &order);
                        let start = Instant::now();
                        holders.sessions[3]
                            .sign(&holders.shares[3], &holders.group, &order, &signature, 0)
                            .unwrap();
                        start.elapsed()
                    })
                    .sum()
            });
        });
        let (_, commitments, attempt, answers) = answered(&mut holders, &inputs);
        let group = holders.group.clone();
        criterion.bench_function(&name("aggregate nonces"), |bench| {
            bench.iter_batched(
                || (inputs.clone(), commitments.clone()),
                |(inputs, commitments)| Attempt::new(&group, PROPOSAL, inputs, commitments),
                BatchSize::SmallInput,
            );
        });
        criterion.bench_function(&name("combine and verify"), |bench| {
            bench.iter(|| attempt.finish(black_box(&answers)).unwrap());
        });
    }
}

fn shares(criterion: &mut Criterion) {
    let mut holders = Holders::new(12, 16, 2);
    let inputs = holders.inputs(1);
    let (ids, commitments, _, answers) = answered(&mut holders, &inputs);
    criterion.bench_function("12-of-16/signer set", |bench| {
        bench.iter(|| holders.group.signers(black_box(&ids)).unwrap());
    });
    let signers = holders.group.signers(&ids).unwrap();
    let aggregate = AggregateNonce::sum(commitments.iter().map(|from| &from.nonces[0]));
    let session = Session::new(&signers, &inputs[0].key, &aggregate, &inputs[0].message).unwrap();
    criterion.bench_function("12-of-16/verify one share", |bench| {
        bench.iter(|| {
            session
                .verify(
                    ids[4],
                    &commitments[4].nonces[0],
                    &answers[&ids[4]].shares[0],
                )
                .unwrap();
        });
    });
}

fn ceremonies(criterion: &mut Criterion) {
    for (threshold, count) in [(12, 16), (95, 100)] {
        let mut random = fastrand::Rng::with_seed(3);
        let operators = Operators::new(count, &mut random);
        let params = operators.params(threshold, 1);
        let name = |what: &str| format!("ceremony/{threshold}-of-{count}/{what}");
        let mut group = criterion.benchmark_group("ceremony");
        group.sample_size(10);
        group.bench_function(name("deal"), |bench| {
            bench.iter(|| deal(&operators.hosts[0], &params, draw(&mut random)).unwrap());
        });
        let (dealt, deals): (Vec<_>, Vec<_>) = operators
            .hosts
            .iter()
            .map(|host| deal(host, &params, draw(&mut random)).unwrap())
            .unzip();
        group.bench_function(name("coordinator"), |bench| {
            bench.iter(|| Coordinator::collect(&params, &deals).unwrap());
        });
        let (coordinator, broadcast) = Coordinator::collect(&params, &deals).unwrap();
        // A deal is received once: each round deals anew, and only the receipt is timed.
        group.bench_function(name("receive"), |bench| {
            bench.iter_custom(|rounds| {
                (0..rounds)
                    .map(|_| {
                        let mut deals = deals.clone();
                        let (dealt, own) =
                            deal(&operators.hosts[0], &params, draw(&mut random)).unwrap();
                        deals[0] = own;
                        let (_, broadcast) = Coordinator::collect(&params, &deals).unwrap();
                        let auxiliary = bytes(&mut random);
                        let start = Instant::now();
                        let received = dealt
                            .receive(&operators.hosts[0], &broadcast, &auxiliary)
                            .unwrap();
                        let elapsed = start.elapsed();
                        drop(received);
                        elapsed
                    })
                    .sum()
            });
        });
        let (received, signatures): (Vec<_>, Vec<_>) = dealt
            .into_iter()
            .zip(&operators.hosts)
            .map(|(dealt, host)| {
                let (received, signature) = dealt.receive(host, &broadcast, &[1; 32]).unwrap();
                (received, signature.to_vec())
            })
            .unzip();
        drop(received);
        let (_, _, transcript) = coordinator.certify(&signatures).unwrap();
        group.bench_function(name("certificate"), |bench| {
            bench.iter(|| coordinator.certify(&signatures).unwrap());
        });
        group.bench_function(name("recover"), |bench| {
            bench.iter(|| recover(&operators.hosts[0], &params, &transcript).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, raw, signing, shares, ceremonies);
criterion_main!(benches);
