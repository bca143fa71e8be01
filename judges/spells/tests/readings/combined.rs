//! Several changes at once, drawn at random from a fixed seed, and shrunk when they disagree.

use std::cell::RefCell;

use bitcoin::Transaction;
use bitcoin::consensus::encode::serialize;
use grail_spell_judge::mutation::bytes::Edit;
use grail_spell_judge::mutation::{Base, Mutation};
use grail_spell_judge::vectors::{bases, folder};
use grail_spell_judge::verdict::Tally;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::{Shard, is_full, seed};

const CASES: u32 = 300;
const CASES_FULL: u32 = 20_000;
/// Of any 32 bytes; of the full run the first are replaced by the seed and the shard that were
/// asked for.
const SEED: [u8; 32] = *b"grail/oracle/combined-changes/v1";

/// One change, by position in lists that depend on what it is applied to.
#[derive(Clone, Copy, Debug)]
enum Draw {
    Structured { family: Index, index: Index },
    Byte { at: Index, turn: usize },
}

fn draw() -> impl Strategy<Value = Draw> {
    let structured = (any::<Index>(), any::<Index>())
        .prop_map(|(family, index)| Draw::Structured { family, index });
    let byte = (any::<Index>(), 0..Edit::TURNS).prop_map(|(at, turn)| Draw::Byte { at, turn });
    prop_oneof![4 => structured, 1 => byte]
}

fn changed(tx: &Transaction, draw: Draw, others: &[Base]) -> Option<(String, Transaction)> {
    let base = Base::new("", tx.clone());
    let mutation = match draw {
        Draw::Byte { at, turn } => Mutation::Byte(Edit::at(at.index(serialize(tx).len()), turn)),
        Draw::Structured { family, index } => {
            // Families first: there are far more changes of payloads than of all else.
            let families: [fn(&Mutation) -> bool; 4] = [
                |mutation| matches!(mutation, Mutation::Payload(_)),
                |mutation| matches!(mutation, Mutation::Script(_)),
                |mutation| matches!(mutation, Mutation::Transaction(_)),
                |mutation| matches!(mutation, Mutation::Proof(_)),
            ];
            let wanted = families[family.index(families.len())];
            let mut listed = Mutation::structured(&base, others);
            listed.retain(wanted);
            if listed.is_empty() {
                return None;
            }
            listed.swap_remove(index.index(listed.len()))
        }
    };
    let tx = mutation.apply(&base)?;
    Some((format!("{mutation:?}"), tx))
}

#[test]
fn several_changes_at_once_read_as_charms_reads_them() {
    let Some(folder) = folder() else { return };
    let bases = bases(&folder);
    let shard = Shard::asked_for();
    let shards = u32::try_from(shard.of).expect("few shards");
    let cases = if is_full() {
        CASES_FULL / shards
    } else {
        CASES
    };
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut start = SEED;
    if is_full() {
        let place = u32::try_from(shard.place).expect("few shards");
        start[..4].copy_from_slice(&seed().to_le_bytes());
        start[4..8].copy_from_slice(&place.to_le_bytes());
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &start);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let strategy = (any::<Index>(), prop::collection::vec(draw(), 2..5));
    let total = RefCell::new(Tally::default());
    let result = runner.run(&strategy, |(vector, draws)| {
        let base = vector.get(&bases);
        let mut tx = base.tx.clone();
        let mut names = vec![base.name.clone()];
        for draw in draws {
            if let Some((name, next)) = changed(&tx, draw, &bases[..2]) {
                tx = next;
                names.push(name);
            }
        }
        let mut tally = total.borrow_mut();
        tally.judge(&names.join(", "), &tx);
        // Taken out, so that shrinking judges each transaction by itself.
        let failures = tally.take_failures();
        prop_assert!(failures.is_empty(), "{}", failures.join("\n"));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let mut tally = total.into_inner();
    tally.vectors = bases.len();
    tally.report("combined");
    assert!(tally.mutants >= cases as usize, "{tally}");
    assert!(tally.both_accept * 50 >= tally.mutants, "{tally}");
}
