//! A part of a suite: the I-th of N, drawn from a seed.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};

/// More parts than this only cost builds.
const SHARDS_MAX: u32 = 64;

/// The `index`-th of `of` parts, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    index: u32,
    of: u32,
}

impl Part {
    /// The only part of one.
    pub const WHOLE: Self = Self { index: 1, of: 1 };

    /// All parts, in order.
    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        (1..=of).map(move |index| Self { index, of })
    }

    /// How many there are in all.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Its place, counted from zero.
    pub fn place(self) -> u32 {
        self.index - 1
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Part {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (index, of) = text.split_once('/').context("expected I/N, such as 3/12")?;
        let part = Self {
            index: index.parse().context("I of I/N")?,
            of: of.parse().context("N of I/N")?,
        };
        ensure!(
            (1..=SHARDS_MAX).contains(&part.of) && (1..=part.of).contains(&part.index),
            "expected I/N with I from 1 to N and N at most {SHARDS_MAX}, got {text}"
        );
        Ok(part)
    }
}

/// A part of a suite, and the seed of what it draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part.
    pub part: Part,
    /// Where randomness starts. The same seed tries the same things.
    pub seed: u32,
}

impl Shard {
    /// A seed that no other part of the same run has.
    pub fn own_seed(&self) -> u32 {
        self.seed
            .wrapping_mul(SHARDS_MAX)
            .wrapping_add(self.part.index)
    }

    /// Those of `items` that are this part's: every N-th.
    pub fn takes<T>(&self, items: Vec<T>) -> Vec<T> {
        let (skipped, step) = (self.part.place() as usize, self.part.of as usize);
        items.into_iter().skip(skipped).step_by(step).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parts_are_read_as_they_are_shown() {
        for text in ["1/1", "1/12", "12/12", "64/64"] {
            assert_eq!(text.parse::<Part>().unwrap().to_string(), text);
        }
        for wrong in ["", "1", "0/3", "4/3", "1/0", "1/65", "-1/3", "a/b", "1/2/3"] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_item_is_in_just_one_part() {
        let items: Vec<u32> = (0..10).collect();
        let mut taken: Vec<u32> = Part::all(4)
            .flat_map(|part| Shard { part, seed: 0 }.takes(items.clone()))
            .collect();
        taken.sort_unstable();
        assert_eq!(taken, items);
    }

    #[test]
    fn seeds_of_parts_differ_within_and_between_runs() {
        let mut seeds: Vec<u32> = [1, 2]
            .into_iter()
            .flat_map(|seed| Part::all(SHARDS_MAX).map(move |part| Shard { part, seed }))
            .map(|shard| shard.own_seed())
            .collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 2 * SHARDS_MAX as usize);
    }
}
