//! Changes with a structure: of CBOR, scripts, inputs and outputs, and proofs.

use bitcoin::consensus::encode::serialize;
use grail_spell_judge::mutation::{Base, Mutation};
use grail_spell_judge::vectors::{bases, folder};
use grail_spell_judge::verdict::{Difference, Tally, judge_all};

use crate::{Shard, is_full, sample};

struct Job<'a> {
    base: &'a Base,
    mutation: Mutation,
}

fn judge(jobs: &[Job<'_>]) -> Tally {
    judge_all(jobs, |job| {
        let tx = job.mutation.apply(job.base)?;
        Some((format!("{:?} of {}", job.mutation, job.base.name), tx))
    })
}

fn jobs(bases: &[Base], step: usize, wanted: fn(&Mutation) -> bool) -> Vec<Job<'_>> {
    let mut jobs = Vec::new();
    for (turn, base) in bases.iter().enumerate() {
        let mutations = Mutation::structured(base, bases);
        let mutations = mutations.into_iter().filter(wanted).collect();
        let sampled = sample(mutations, step, turn);
        jobs.extend(sampled.into_iter().map(|mutation| Job { base, mutation }));
    }
    jobs
}

/// Judges the wanted changes of every vector, of which the short run takes every `step`-th.
fn run(title: &str, step: usize, least: (usize, usize), wanted: fn(&Mutation) -> bool) {
    let Some(folder) = folder() else { return };
    let bases = bases(&folder);
    let jobs = jobs(&bases, step, wanted);
    let mut tally = judge(&jobs);
    tally.vectors = bases.len();
    tally.report(title);
    let (in_full, in_short) = least;
    let least = Shard::asked_for().least(if is_full() { in_full } else { in_short });
    assert!(tally.mutants >= least, "{tally}");
    assert!(tally.both_accept * 100 >= tally.mutants, "{tally}");
    assert!(tally.both_refuse * 10 >= tally.mutants, "{tally}");
}

#[test]
fn payloads_changed_read_as_charms_reads_them() {
    run("payloads", 97, (30_000, 300), |mutation| {
        matches!(mutation, Mutation::Payload(_))
    });
}

#[test]
fn scripts_changed_read_as_charms_reads_them() {
    run("scripts", 29, (3_000, 120), |mutation| {
        matches!(mutation, Mutation::Script(_))
    });
}

#[test]
fn transactions_changed_read_as_charms_reads_them() {
    run("inputs and outputs", 5, (1_000, 180), |mutation| {
        matches!(mutation, Mutation::Transaction(_))
    });
}

#[test]
fn proofs_changed_read_as_charms_reads_them() {
    run("proofs", 17, (2_500, 120), |mutation| {
        matches!(mutation, Mutation::Proof(_))
    });
}

/// The limits that Charms does not have: of a payload, and of the transaction around it.
#[test]
fn payloads_read_alike_up_to_the_limit() {
    let Some(folder) = folder() else { return };
    let bases = bases(&folder);
    let newest = bases.iter().find(|base| base.name.starts_with("12_"));
    let base = newest.expect("a vector of version 12");
    let payload = &base.carried.as_ref().expect("a spell").payload;
    let lengths = [99_999, 399_999, 400_000, 400_001, 1_000_000];
    let tally = judge_all(&lengths, |&length| {
        let mut payload = payload.clone();
        payload.resize(length, 0);
        let tx = base.with_payload(&payload)?;
        assert!(serialize(&tx).len() > length);
        Some((format!("payload of {length} bytes"), tx))
    });
    tally.report("long payloads");
    // What is not decoded is read with mocks allowed too.
    assert_eq!(tally.both_accept, 3);
    assert_eq!(tally.allowed(Difference::PayloadTooLong), 2);
    assert_eq!(tally.allowed(Difference::TransactionTooLarge), 2);
}
