//! Running suites: which, in which order, within which time, and what came of them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::shard::{Part, Shard};
use super::state::{self, State};
use super::{SUITES, Suite, Tier, budget};
use crate::disk;
use crate::shell::root;

/// What somebody asks for.
pub struct Order {
    /// Of which tier.
    pub tier: Tier,
    /// Which of its suites; all when none is named.
    pub names: Vec<String>,
    /// Where randomness starts.
    pub seed: u32,
    /// One shard alone.
    pub part: Option<Part>,
    /// Also what has passed before.
    pub again: bool,
}

/// Runs what was asked for. A suite that fails keeps no other from being run.
pub fn run(order: &Order) -> Result<()> {
    let suites = chosen(order.tier, &order.names)?;
    ensure!(
        order.part.is_none() || suites.len() == 1,
        "--shard takes the name of one suite"
    );
    disk::check()?;
    let mut failed = Vec::new();
    for suite in suites {
        failed.extend(run_suite(suite, order)?);
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "))
}

/// Prints every suite, as `docs/testing.md` shows it.
pub fn list() {
    for suite in SUITES {
        println!(
            "{:18} {:8} {:2} of {:3} min each",
            suite.name,
            suite.tier.name(),
            suite.shards,
            suite.budget_minutes
        );
    }
}

fn chosen(tier: Tier, names: &[String]) -> Result<Vec<&'static Suite>> {
    let of_tier = |suite: &&Suite| suite.tier == tier;
    if names.is_empty() {
        return Ok(SUITES.iter().filter(of_tier).collect());
    }
    names
        .iter()
        .map(|name| {
            let suite = SUITES
                .iter()
                .find(|suite| suite.name == name)
                .with_context(|| format!("there is no suite {name}: see --list"))?;
            ensure!(
                of_tier(&suite),
                "suite {name} is of the tier {}: see --help",
                suite.tier.name()
            );
            Ok(suite)
        })
        .collect()
}

/// Runs a suite's shards; names those that failed.
fn run_suite(suite: &Suite, order: &Order) -> Result<Vec<String>> {
    let of = order.part.map_or(suite.shards, Part::of);
    let parts: Vec<Part> = match order.part {
        Some(part) => vec![part],
        None => Part::all(of).collect(),
    };
    let mut state = match suite.tier {
        Tier::Slow => Some(open_state(suite, order, of)?),
        // What CI runs is always run whole.
        Tier::Check | Tier::Default => None,
    };
    let limit = limit(suite, of);
    let mut failed = Vec::new();
    for part in parts {
        let name = name(suite, part);
        if state.as_ref().is_some_and(|state| state.is_done(part)) {
            eprintln!("suite {name}: passed before (--again runs it again)");
            continue;
        }
        let shard = Shard {
            part,
            seed: order.seed,
        };
        let started = Instant::now();
        let outcome = match suite.tier {
            Tier::Slow => budget::within(limit, || (suite.recipe)(&shard)),
            // How fast CI's machine is, is not known: too long is said, and is no failure.
            Tier::Check | Tier::Default => (suite.recipe)(&shard),
        };
        let took = started.elapsed();
        eprintln!("{}", summary(&name, &outcome, took, limit));
        match (outcome, &mut state) {
            (Ok(()), Some(state)) => state.note(part, took)?,
            (Ok(()), None) => {}
            (Err(_), _) => failed.push(name),
        }
    }
    Ok(failed)
}

fn open_state(suite: &Suite, order: &Order, of: u32) -> Result<State> {
    let folder = root().join("target/slow");
    let mut state = State::open(&folder, suite.name, order.seed, of, &state::sources()?)?;
    if order.again {
        state.forget()?;
    }
    Ok(state)
}

/// What one of `of` shards may take: more, when fewer share the work.
fn limit(suite: &Suite, of: u32) -> Duration {
    let minutes = (suite.budget_minutes * u64::from(suite.shards)).div_ceil(u64::from(of));
    Duration::from_mins(minutes.max(suite.budget_minutes))
}

fn name(suite: &Suite, part: Part) -> String {
    if part.of() == 1 {
        suite.name.to_owned()
    } else {
        format!("{} {part}", suite.name)
    }
}

fn summary(name: &str, outcome: &Result<()>, took: Duration, limit: Duration) -> String {
    let tenths = took.as_secs() / 6;
    let time = format!(
        "{}.{} of {} min",
        tenths / 10,
        tenths % 10,
        limit.as_secs() / 60
    );
    match outcome {
        Ok(()) if took > limit => format!("suite {name}: passed, {time}: OVER ITS BUDGET"),
        Ok(()) => format!("suite {name}: passed, {time}"),
        Err(error) => format!("suite {name}: FAILED, {time}: {error:#}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn suite(shards: u32) -> Suite {
        Suite {
            name: "some",
            tier: Tier::Slow,
            shards,
            budget_minutes: 30,
            recipe: |_| Ok(()),
        }
    }

    #[test]
    fn all_of_a_tier_are_chosen_unless_some_are_named() {
        let all = chosen(Tier::Default, &[]).unwrap();
        assert!(all.len() > 1 && all.iter().all(|suite| suite.tier == Tier::Default));
        let one = chosen(Tier::Slow, &["histories".into()]).unwrap();
        assert_eq!(
            one.iter().map(|suite| suite.name).collect::<Vec<_>>(),
            ["histories"]
        );
    }

    #[test]
    fn a_suite_of_another_tier_or_of_no_name_is_refused() {
        for (tier, name) in [
            (Tier::Default, "histories"),
            (Tier::Slow, "workspace"),
            (Tier::Slow, "no-such"),
        ] {
            assert!(chosen(tier, &[name.into()]).is_err(), "{name}");
        }
    }

    #[test]
    fn fewer_shards_may_take_longer_and_more_no_less() {
        let minutes = |of| limit(&suite(12), of).as_secs() / 60;
        assert_eq!((minutes(12), minutes(4), minutes(1)), (30, 90, 360));
        assert_eq!(minutes(60), 30);
    }

    #[test]
    fn what_took_too_long_is_said() {
        let said = |seconds, outcome| {
            let minute = Duration::from_mins(1);
            summary("a 1/2", &outcome, Duration::from_secs(seconds), minute)
        };
        assert_eq!(said(33, Ok(())), "suite a 1/2: passed, 0.5 of 1 min");
        assert_eq!(
            said(61, Ok(())),
            "suite a 1/2: passed, 1.0 of 1 min: OVER ITS BUDGET"
        );
        assert_eq!(
            said(6, Err(anyhow::anyhow!("broken"))),
            "suite a 1/2: FAILED, 0.1 of 1 min: broken"
        );
    }
}
