//! Spells that Grail builds and its mock prover proves, and changes of them, with mocks allowed.

use bitcoin::consensus::encode::serialize;
use bitcoin::{Amount, Transaction};
use grail_spell_judge::mutation::bytes::Edit;
use grail_spell_judge::mutation::cbor::Item;
use grail_spell_judge::mutation::{Base, Mutation};
use grail_spell_judge::verdict::{Difference, Tally, judge_all};

use crate::common::{BRIDGE, Bridge};
use crate::{is_full, sample};

fn bases() -> Vec<Base> {
    let bridge = Bridge::with_contract(BRIDGE);
    vec![
        Base::new("deployment", bridge.deployment),
        Base::new("settlement", bridge.settlement),
    ]
}

fn judge(jobs: &[(&Base, Mutation)]) -> Tally {
    judge_all(jobs, |(base, mutation)| {
        let tx = mutation.apply(base)?;
        Some((format!("{mutation:?} of {}", base.name), tx))
    })
}

#[test]
fn what_grail_builds_reads_as_charms_reads_it_even_strictly() {
    let bases = bases();
    let tally = judge_all(&bases, |base| Some((base.name.clone(), base.tx.clone())));
    tally.report("built");
    assert_eq!(
        (tally.both_accept, tally.strict),
        (bases.len(), bases.len()),
        "{tally}"
    );
    // Without mocks.
    assert_eq!(tally.both_refuse, bases.len(), "{tally}");
}

#[test]
fn what_grail_builds_with_one_byte_changed_reads_as_documented() {
    let bases = bases();
    let mut jobs = Vec::new();
    for base in &bases {
        let edits = (0..serialize(&base.tx).len()).flat_map(|at| {
            let turns = if is_full() {
                0..Edit::TURNS
            } else {
                at % Edit::TURNS..at % Edit::TURNS + 1
            };
            turns.map(move |turn| Edit::at(at, turn))
        });
        let edits = sample(edits.collect(), 5, 0);
        jobs.extend(edits.into_iter().map(|edit| (base, Mutation::Byte(edit))));
    }
    let mut tally = judge(&jobs);
    tally.vectors = bases.len();
    tally.report("built, single bytes");
    assert!(tally.mutants >= 300, "{tally}");
    // How many of the bytes that nothing covers the sample meets moves with each layout.
    assert!(tally.both_accept >= 5, "{tally}");
    assert!(tally.both_refuse * 4 >= tally.mutants, "{tally}");
    assert!(tally.allowed(Difference::MockProofFalse) >= 20, "{tally}");
}

#[test]
fn what_grail_builds_changed_in_structure_reads_as_documented() {
    let bases = bases();
    let mut jobs = Vec::new();
    for (turn, base) in bases.iter().enumerate() {
        let mutations = Mutation::structured(base, &bases);
        let mutations = sample(mutations, 19, turn);
        jobs.extend(mutations.into_iter().map(|mutation| (base, mutation)));
    }
    let mut tally = judge(&jobs);
    tally.vectors = bases.len();
    tally.report("built, structure");
    assert!(tally.mutants >= 400, "{tally}");
    assert!(tally.both_accept >= 30, "{tally}");
    assert!(tally.allowed(Difference::MockProofFalse) >= 30, "{tally}");
}

/// The doc comment of `read_compatible`, one line after the other.
#[test]
fn each_documented_difference_occurs_and_is_told_from_the_others() {
    let bases = bases();
    let settlement = &bases[1];
    let mut differences = Vec::new();
    let mut expect = |difference: Difference, tx: Transaction| differences.push((difference, tx));

    let mut tx = settlement.tx.clone();
    tx.output[1].value += Amount::from_sat(1);
    expect(Difference::MockProofFalse, tx);

    let mut proof = settlement.proof().unwrap();
    proof.push(0);
    expect(
        Difference::MockProofTrailing,
        settlement.with_proof(&proof).unwrap(),
    );

    let with = |change: &dyn Fn(&mut Item)| {
        let mut item = settlement.carried.as_ref().unwrap().item.clone().unwrap();
        change(item.at(&[0]).unwrap());
        settlement.with_payload(&item.to_bytes()).unwrap()
    };
    // The key of the NFT's charm: its app's index.
    let foreign = with(&|spell| {
        let outs = spell.entry("tx").unwrap().entry("outs").unwrap();
        *outs.at(&[0, 0]).unwrap() = Item::number(2);
    });
    expect(Difference::AppIndex, foreign);
    let zero = with(&|spell| *spell.entry("version").unwrap() = Item::number(0));
    expect(Difference::MockProofFalse, zero);
    let mut payload = settlement.carried.as_ref().unwrap().payload.clone();
    payload.resize(400_001, 0);
    expect(
        Difference::PayloadTooLong,
        settlement.with_payload(&payload).unwrap(),
    );

    let mut tx = settlement.tx.clone();
    let more = tx.output[1].clone();
    tx.output.resize(30_000, more);
    expect(Difference::TransactionTooLarge, tx);

    for (difference, tx) in differences {
        let mut tally = Tally::default();
        tally.judge(&format!("{difference:?}"), &tx);
        tally.report(&format!("{difference:?}"));
        assert_eq!(tally.allowed(difference), 1, "{difference:?}: {tally}");
    }
}
