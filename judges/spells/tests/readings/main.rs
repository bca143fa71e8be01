//! The reading of spells, held against `charms-client` on real transactions, on changes of them and
//! on Grail's own.
//!
//! Short by default: positions are sampled, the same ones every time. `GRAIL_JUDGE_FULL=1` takes
//! all; `GRAIL_JUDGE_SHARD=I/N` of those the I-th of N parts (`cargo xtask test --slow
//! spells-full`), and `GRAIL_JUDGE_SEED` other combinations.

#![allow(missing_docs)]

use grail_fixtures::paper as common;

mod built;
mod bytes;
mod combined;
mod structure;
mod vectors;

use std::env;
use std::str::FromStr;

/// Whether to take all positions and changes.
fn is_full() -> bool {
    env::var_os("GRAIL_JUDGE_FULL").is_some_and(|value| value == "1")
}

/// A part of the full run: the `place`-th, counted from zero, of `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shard {
    place: usize,
    of: usize,
}

impl Shard {
    /// All there is, unless told otherwise. The short run has no parts.
    fn asked_for() -> Self {
        let whole = Self { place: 0, of: 1 };
        match env::var("GRAIL_JUDGE_SHARD") {
            Ok(shard) if is_full() => shard.parse().expect("GRAIL_JUDGE_SHARD"),
            _ => whole,
        }
    }

    /// Those of `items` that are this part's; where it starts differs by `turn`.
    fn takes<T>(self, items: Vec<T>, turn: usize) -> Vec<T> {
        let skipped = (self.place + turn) % self.of;
        items.into_iter().skip(skipped).step_by(self.of).collect()
    }

    /// What a part has to try at least, when all have to try `least`.
    fn least(self, least: usize) -> usize {
        least / self.of
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, of)| {
            let (index, of): (usize, usize) = (index.parse().ok()?, of.parse().ok()?);
            (1..=of).contains(&index).then_some((index, of))
        });
        let (index, of) = numbers.ok_or_else(|| format!("expected I/N, got {text}"))?;
        Ok(Self {
            place: index - 1,
            of,
        })
    }
}

/// Where randomness starts: the same seed draws the same combinations.
fn seed() -> u32 {
    env::var("GRAIL_JUDGE_SEED").map_or(1, |seed| seed.parse().expect("GRAIL_JUDGE_SEED"))
}

/// Every `step`-th of `items`, or in the full run all of the shard; where it starts differs by
/// `turn`.
fn sample<T>(items: Vec<T>, step: usize, turn: usize) -> Vec<T> {
    if is_full() {
        return Shard::asked_for().takes(items, turn);
    }
    items.into_iter().skip(turn % step).step_by(step).collect()
}

#[test]
fn shards_are_read_strictly_and_share_everything() {
    for wrong in ["", "1", "0/2", "3/2", "1/0", "a/2"] {
        assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
    }
    let all: Vec<u32> = (0..7).collect();
    let mut taken = Vec::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let shard: Shard = shard.parse().unwrap();
        taken.extend(shard.takes(all.clone(), 5));
    }
    taken.sort_unstable();
    assert_eq!(taken, all);
}
