//! What a Nitro document costs its verifier, beside raw P-384 verifications in the same run.
//!
//! `cargo bench -p grail-attest-dev --bench document`

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use grail_attest::{ChainCache, TrustAnchor, UnixTime, verify, verify_with};
use grail_attest_dev::{InsecureDevTee, development_pcr0};
use grail_tee::{AttestRequest, Attester as _};
use grail_types::{DevelopmentAllowed, Network};
use p384::ecdsa::{
    Signature, SigningKey,
    signature::{Signer as _, Verifier as _},
};

const AT: UnixTime = UnixTime::from_secs(1_795_000_000);
/// Real documents have 4.2 to 5.2 KB, most of it signed.
const MESSAGE_BYTES: usize = 4500;

/// What a machine's enclave says: chains of different machines differ in their last two
/// certificates.
fn document(machine: u8) -> Vec<u8> {
    let allowed = DevelopmentAllowed::on(Network::Regtest).unwrap();
    InsecureDevTee::new(allowed, development_pcr0(b"signer"), [machine; 32], || AT)
        .attest(&AttestRequest {
            user_data: Some(&[7; 32]),
            nonce: Some(&[8; 32]),
            public_key: Some(&[9; 32]),
        })
        .unwrap()
}

fn documents(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("document");
    let anchor = TrustAnchor::of(Network::Regtest);
    let (first, second) = (document(1), document(2));

    let key = SigningKey::from_slice(&[5; 48]).unwrap();
    let message = vec![7; MESSAGE_BYTES];
    let signature: Signature = key.sign(&message);
    group.bench_function("one raw P-384 verification", |bencher| {
        bencher.iter(|| {
            key.verifying_key()
                .verify(black_box(&message), black_box(&signature))
                .unwrap();
        });
    });
    group.bench_function("five raw P-384 verifications", |bencher| {
        bencher.iter(|| {
            for _ in 0..5 {
                key.verifying_key()
                    .verify(black_box(&message), black_box(&signature))
                    .unwrap();
            }
        });
    });
    group.bench_function("nothing remembered", |bencher| {
        bencher.iter(|| verify(black_box(&first), &anchor, AT).unwrap());
    });
    let mut cache = ChainCache::new(64);
    verify_with(&first, &anchor, AT, &mut cache).unwrap();
    group.bench_function("another machine of the zone", |bencher| {
        bencher.iter_batched(
            || cache.clone(),
            |mut cache| verify_with(black_box(&second), &anchor, AT, &mut cache).unwrap(),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("the same enclave again", |bencher| {
        bencher.iter(|| verify_with(black_box(&first), &anchor, AT, &mut cache).unwrap());
    });
    group.finish();
}

criterion_group!(benches, documents);
criterion_main!(benches);
