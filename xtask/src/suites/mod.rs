//! The suites of tests: what each is called, what it may cost, and what runs it.
//!
//! Owns the list. `docs/testing.md` shows it with what was measured, and `cargo xtask tidy` holds
//! the two equal. CI runs those of the first tier; the others are too long for it, and so are cut
//! into shards that a person or a spare machine can run one by one.

mod budget;
mod recipes;
mod run;
mod shard;
mod state;

use anyhow::Result;

use crate::verbs;

pub use recipes::{apps_cargo, contracts_cargo};
pub use run::{Order, list, run};
pub use shard::{Part, Shard};

/// All that CI may take on two cores that have nothing built yet, in minutes.
#[cfg(test)]
const CI_MINUTES_MAX: u64 = 60;

/// When a suite is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// By `cargo xtask check`: no test, but a part of what CI's minutes go to.
    Check,
    /// By `cargo xtask test`, and so by CI.
    Default,
    /// By `cargo xtask test --slow`.
    Slow,
}

impl Tier {
    /// Its name in `docs/testing.md`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Default => "default",
            Self::Slow => "slow",
        }
    }
}

/// Tests that are run together.
pub struct Suite {
    /// What it is called on the command line.
    pub name: &'static str,
    /// When it is run.
    pub tier: Tier,
    /// Into how many shards it is cut when nobody says otherwise.
    pub shards: u32,
    /// What one of those shards may take on two cores, in minutes, builds included.
    pub budget_minutes: u64,
    /// Runs one shard.
    recipe: fn(&Shard) -> Result<()>,
}

/// Every suite, in the order in which they run: the longest of the first tier last, so that its
/// summary ends CI's log.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "check",
        tier: Tier::Check,
        shards: 1,
        budget_minutes: 7,
        recipe: |_| verbs::check(),
    },
    Suite {
        name: "contract-wasm",
        tier: Tier::Default,
        shards: 1,
        budget_minutes: 3,
        recipe: |_| recipes::contract_wasm(),
    },
    Suite {
        name: "contracts",
        tier: Tier::Default,
        shards: 1,
        budget_minutes: 3,
        recipe: |_| recipes::contracts(),
    },
    Suite {
        name: "spells",
        tier: Tier::Default,
        shards: 1,
        budget_minutes: 7,
        recipe: |_| recipes::spells(),
    },
    Suite {
        name: "apps",
        tier: Tier::Default,
        shards: 1,
        budget_minutes: 5,
        recipe: |_| recipes::apps(),
    },
    Suite {
        name: "fuzz",
        tier: Tier::Default,
        shards: 1,
        budget_minutes: 4,
        recipe: |_| recipes::fuzz_shortly(),
    },
    Suite {
        name: "wallet-wasm",
        tier: Tier::Default,
        shards: 1,
        budget_minutes: 3,
        recipe: |_| recipes::wallet_wasm(),
    },
    Suite {
        name: "workspace",
        tier: Tier::Default,
        shards: 1,
        budget_minutes: 28,
        recipe: |_| recipes::workspace(),
    },
    Suite {
        name: "spells-full",
        tier: Tier::Slow,
        shards: 12,
        budget_minutes: 40,
        recipe: recipes::spells_full,
    },
    Suite {
        name: "histories",
        tier: Tier::Slow,
        shards: 10,
        budget_minutes: 15,
        recipe: recipes::histories,
    },
    Suite {
        name: "chaos",
        tier: Tier::Slow,
        shards: 10,
        budget_minutes: 25,
        recipe: recipes::chaos,
    },
    Suite {
        name: "fuzz-long",
        tier: Tier::Slow,
        shards: 9,
        budget_minutes: 25,
        recipe: recipes::fuzz_for_long,
    },
    Suite {
        name: "mutants-contract",
        tier: Tier::Slow,
        shards: 2,
        budget_minutes: 30,
        recipe: recipes::mutants_of_the_contract,
    },
    Suite {
        name: "mutants-policy",
        tier: Tier::Slow,
        shards: 8,
        budget_minutes: 60,
        recipe: recipes::mutants_of_the_policy,
    },
    Suite {
        name: "production",
        tier: Tier::Slow,
        shards: 1,
        budget_minutes: 45,
        recipe: |_| recipes::production(),
    },
    Suite {
        name: "prover-server",
        tier: Tier::Slow,
        shards: 1,
        budget_minutes: 90,
        recipe: |_| recipes::prover_server(),
    },
    Suite {
        name: "web",
        tier: Tier::Slow,
        shards: 1,
        budget_minutes: 45,
        recipe: |_| recipes::web(),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ci_runs_fits_into_its_hour() {
        let minutes: u64 = SUITES
            .iter()
            .filter(|suite| suite.tier != Tier::Slow)
            .map(|suite| suite.budget_minutes * u64::from(suite.shards))
            .sum();
        assert!(minutes <= CI_MINUTES_MAX, "{minutes}");
    }

    #[test]
    fn names_are_unique_and_slow_shards_end_within_two_hours() {
        for (index, suite) in SUITES.iter().enumerate() {
            assert!(suite.shards > 0, "{}", suite.name);
            assert!(suite.budget_minutes <= 120, "{}", suite.name);
            let again = SUITES[..index].iter().any(|other| other.name == suite.name);
            assert!(!again, "{}", suite.name);
        }
    }

    #[test]
    fn the_workspace_comes_last_in_ci() {
        let last = SUITES.iter().rfind(|suite| suite.tier != Tier::Slow);
        assert_eq!(last.map(|suite| suite.name), Some("workspace"));
    }
}
