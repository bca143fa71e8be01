//! Single bytes of the transactions: every position, in the spell and around it.

use bitcoin::consensus::encode::serialize;
use grail_spell_judge::mutation::bytes::Edit;
use grail_spell_judge::mutation::{Base, Mutation};
use grail_spell_judge::vectors::{bases, folder};
use grail_spell_judge::verdict::{Tally, judge_all};

use crate::{Shard, is_full};

/// Transactions of which the short run takes every position too: the smallest.
const WHOLE: usize = 1;
/// Of what stands before the proof in the others it takes one position in so many.
const HEAD_STEP: usize = 4;
/// Of the rest one in so many.
const STEP: usize = 80;

struct Job<'a> {
    base: &'a Base,
    edit: Edit,
}

/// The positions that matter most: those of the spell before its proof, and of the lengths before
/// it.
fn spell_head(base: &Base, bytes: &[u8]) -> std::ops::Range<usize> {
    let marker = b"gversion";
    let found = bytes
        .windows(marker.len())
        .position(|window| window == marker);
    let Some(start) = found.filter(|_| base.carried.is_some()) else {
        return 0..0;
    };
    start.saturating_sub(16)..start + 64
}

fn jobs(bases: &[Base]) -> Vec<Job<'_>> {
    let mut by_size: Vec<&Base> = bases.iter().collect();
    by_size.sort_by_key(|base| serialize(&base.tx).len());
    let mut jobs = Vec::new();
    for (index, base) in by_size.into_iter().enumerate() {
        let bytes = serialize(&base.tx);
        let head = spell_head(base, &bytes);
        for at in 0..bytes.len() {
            let step = if head.contains(&at) { HEAD_STEP } else { STEP };
            let sampled = index < WHOLE || (at + index) % step == 0;
            if is_full() {
                // A bit or an extreme, a deletion, an insertion.
                let turns = [at % 10, 10, 11 + at % 2];
                let edits = turns.map(|turn| Edit::at(at, turn));
                jobs.extend(edits.map(|edit| Job { base, edit }));
            } else if sampled {
                let edit = Edit::at(at, at + index);
                jobs.push(Job { base, edit });
            }
        }
    }
    Shard::asked_for().takes(jobs, 0)
}

fn judge(jobs: &[Job<'_>]) -> Tally {
    judge_all(jobs, |job| {
        let tx = Mutation::Byte(job.edit).apply(job.base)?;
        Some((format!("{:?} of {}", job.edit, job.base.name), tx))
    })
}

#[test]
fn transactions_with_one_byte_changed_read_as_charms_reads_them() {
    let Some(folder) = folder() else { return };
    let bases = bases(&folder);
    let jobs = jobs(&bases);
    let mut tally = judge(&jobs);
    tally.vectors = bases.len();
    tally.report("single bytes");
    let least = Shard::asked_for().least(if is_full() { 20_000 } else { 900 });
    assert!(tally.mutants >= least, "{tally}");
    assert!(tally.both_accept * 50 >= tally.mutants, "{tally}");
    assert!(tally.both_refuse * 2 >= tally.mutants, "{tally}");
}
