//! What an operator's decision and a backend's completion cost, beside the raw cryptography that no
//! implementation can do without, measured in the same run.
//!
//! `cargo bench -p grail-signer --bench settlement`

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;
use grail_fixtures::world as support;

use std::{collections::BTreeMap, hint::black_box};

use ark_bls12_381::{Bls12_381, Fr};
use ark_ff::PrimeField as _;
use ark_groth16::{Groth16, PreparedVerifyingKey, Proof, VerifyingKey, prepare_verifying_key};
use ark_serialize::CanonicalDeserialize as _;
use bitcoin::{
    XOnlyPublicKey, consensus,
    secp256k1::{Message, Scalar},
};
use common::{Script, answer, decide, signer_with};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use grail_script::{Sighashes, nums_key};
use grail_spell::{MOCK_SPELL_VK, decode_op_return, public_values, read_strict};
use grail_txbuild::Collector;
use grail_types::{MockAllowed, Network};
use grail_wire::{Contribution, Contributions, encode_proposal};
use sha2::{Digest as _, Sha256};
use support::{Proposal, peg_in, peg_out, public, world};

/// Inputs of the settlements measured: the most that are allowed, and fewer to see the growth. The
/// roster NFT and the vault are two of them.
const INPUTS: [usize; 3] = [20, 100, 200];
const THRESHOLD: usize = 12;

/// A settlement of so many inputs, half peg-ins and half peg-outs.
fn proposal(inputs: usize) -> Proposal {
    let deposits = inputs - 2;
    let pegs: Vec<_> = (0..deposits)
        .map(|index| {
            if index % 2 == 0 {
                peg_in(1_000_000)
            } else {
                peg_out(1_000_000)
            }
        })
        .collect();
    let proposal = world().case(&pegs).draft.propose(world());
    assert_eq!(proposal.transaction.input.len(), inputs);
    proposal
}

/// One Groth16 verification with everything prepared: key, proof and public input of the
/// settlement's own spell.
fn groth16_check(proposal: &Proposal) -> impl Fn() -> bool {
    let allowed = MockAllowed::on(Network::Regtest);
    let spell = read_strict(&proposal.transaction, allowed).unwrap();
    let proof = decode_op_return(&proposal.transaction)
        .unwrap()
        .unwrap()
        .proof;
    let key = include_bytes!("../../grail-spell/vk/mock.bin");
    let key: VerifyingKey<Bls12_381> =
        VerifyingKey::deserialize_compressed(key.as_slice()).unwrap();
    let key: PreparedVerifyingKey<Bls12_381> = prepare_verifying_key(&key);
    let proof: Proof<Bls12_381> = Proof::deserialize_compressed(proof.as_slice()).unwrap();
    let values = public_values(spell.version(), &MOCK_SPELL_VK, spell.spell()).unwrap();
    let mut digest: [u8; 32] = Sha256::digest(values).into();
    digest[31] = 0;
    let input = Fr::from_le_bytes_mod_order(&digest);
    move || Groth16::<Bls12_381>::verify_proof(&key, &proof, &[input]).unwrap()
}

fn sign(criterion: &mut Criterion) {
    let world = world();
    let key = world.keys[0];
    let mut group = criterion.benchmark_group("sign a settlement");
    group.sample_size(30);
    for inputs in INPUTS {
        let proposal = proposal(inputs);
        let shown = proposal.wire();
        let encoded = encode_proposal(&shown).unwrap();
        let (mut signer, _) = signer_with(&world.bridge, &key);

        let check = groth16_check(&proposal);
        assert!(check());
        let messages: Vec<_> = (0..inputs)
            .map(|index| Message::from_digest(Sha256::digest(index.to_be_bytes()).into()))
            .collect();
        group.bench_function(
            BenchmarkId::new("raw: signatures and one Groth16 check", inputs),
            |bencher| {
                bencher.iter(|| {
                    assert!(check());
                    for message in &messages {
                        black_box(
                            world
                                .secp
                                .sign_schnorr_with_aux_rand(message, &key, &[7; 32]),
                        );
                    }
                });
            },
        );
        // What the rules ask for besides: the NFT's and the zkBTC's previous transaction have a
        // spell of their own, and each deposit's address is recomputed.
        let tweaks: Vec<_> = (1..inputs - 1)
            .map(|index| Scalar::from_be_bytes(Sha256::digest(index.to_be_bytes()).into()).unwrap())
            .collect();
        group.bench_function(
            BenchmarkId::new("raw: and a check per spell, an address per deposit", inputs),
            |bencher| {
                bencher.iter(|| {
                    for _ in 0..3 {
                        assert!(check());
                    }
                    for tweak in &tweaks {
                        black_box(nums_key().add_tweak(&world.secp, tweak).unwrap());
                    }
                    for message in &messages {
                        black_box(
                            world
                                .secp
                                .sign_schnorr_with_aux_rand(message, &key, &[7; 32]),
                        );
                    }
                });
            },
        );
        group.bench_function(BenchmarkId::new("judge", inputs), |bencher| {
            bencher.iter(|| {
                grail_policy::judge(&world.secp, black_box(&shown), &world.bridge).unwrap()
            });
        });
        group.bench_function(
            BenchmarkId::new("decode, approve, sign, answer", inputs),
            |bencher| {
                let mut entropy = Script::counting(0);
                bencher.iter(|| answer(decide(&mut signer, black_box(&encoded), &mut entropy)));
            },
        );
    }
    group.finish();
}

fn combine(criterion: &mut Criterion) {
    let world = world();
    let mut group = criterion.benchmark_group("verify and complete a settlement");
    group.sample_size(10);
    for inputs in INPUTS {
        let signing = || {
            let judged = world.judge(&proposal(inputs)).unwrap();
            judged.get().signing().clone()
        };
        let signing = signing();
        let messages = {
            let mut sighashes = Sighashes::new(&signing.transaction, &signing.prevouts);
            let spends = signing.inputs.iter().enumerate();
            spends
                .map(|(index, input)| sighashes.of(index, &input.spend).unwrap())
                .collect::<Vec<_>>()
        };
        let contributions: BTreeMap<XOnlyPublicKey, Contributions> = world.keys[..THRESHOLD]
            .iter()
            .map(|key| {
                let signed = messages.iter().zip(0..).map(|(message, input_index)| {
                    Contribution::Signature {
                        input_index,
                        signature: world.secp.sign_schnorr_no_aux_rand(message, key),
                    }
                });
                (public(key), Contributions::new(signed.collect()).unwrap())
            })
            .collect();

        group.bench_function(
            BenchmarkId::new("raw: 12 signatures per input", inputs),
            |bencher| {
                bencher.iter(|| {
                    for (key, signed) in &contributions {
                        for (contribution, message) in signed.iter().zip(&messages) {
                            let Contribution::Signature { signature, .. } = contribution;
                            world.secp.verify_schnorr(signature, message, key).unwrap();
                        }
                    }
                });
            },
        );
        group.bench_function(
            BenchmarkId::new("sighashes, verify, complete", inputs),
            |bencher| {
                bencher.iter(|| {
                    let collector = Collector::new(signing.clone()).unwrap();
                    let checked = contributions
                        .iter()
                        .map(|(key, signed)| {
                            (*key, collector.check(&world.secp, key, signed).unwrap())
                        })
                        .collect();
                    let transaction = collector.complete(&checked).unwrap();
                    black_box(consensus::serialize(&transaction))
                });
            },
        );
    }
    group.finish();
}

criterion_group!(benches, sign, combine);
criterion_main!(benches);
