//! Mutation testing: every change of a rule that cargo-mutants can think of must break a test, or
//! be explained.
//!
//! Owns the comparison of survivors with the committed list `docs/mutants.txt`. The list names a
//! mutant by file and by what is changed, without line numbers, so that it holds while other lines
//! move.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;

use crate::shell::{cargo, output_of, root, succeeds};
use crate::suites::Part;

/// Survivors that are explained: `file: change | reason` a line.
const EXPLAINED: &str = "docs/mutants.txt";

/// Tests that try random things for long, by parts of their names.
const RANDOM_TESTS: [&str; 5] = [
    "histories",
    "whatever_is_approved",
    "no_flipped_bit",
    "no_changed_field",
    "enough_changes",
];

/// What is mutated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// The bridge's contract.
    Contract,
    /// The operator's policy.
    Policy,
}

impl Subject {
    fn package(self) -> &'static str {
        match self {
            Self::Contract => "grail-bridge-contract",
            Self::Policy => "grail-policy",
        }
    }

    /// Its sources, from the root of the working tree.
    fn folder(self) -> &'static str {
        match self {
            Self::Contract => "contracts/bridge",
            Self::Policy => "crates/grail-policy",
        }
    }

    fn workspace(self) -> PathBuf {
        match self {
            Self::Contract => root().join("contracts"),
            Self::Policy => root().to_owned(),
        }
    }
}

/// Mutates a part of the subject and tests it; fails on a survivor that is not explained, and on an
/// explanation without one.
pub fn run(subject: Subject, part: Part) -> Result<()> {
    ensure!(
        succeeds(cargo().args(["mutants", "--version"])),
        "cargo-mutants is not installed: cargo install --locked cargo-mutants"
    );
    let prefix = format!("{}/", subject.folder());
    let explained: BTreeSet<String> = explained()?
        .into_iter()
        .filter(|line| line.starts_with(&prefix))
        .collect();
    let tried = Tried::by_testing(subject, part)?;
    let wrong = tried.against(&explained, &listed(subject)?);
    println!(
        "{} {part}: {} survivors, {} of them explained",
        subject.package(),
        tried.survived.len(),
        tried.survived.intersection(&explained).count()
    );
    ensure!(
        wrong.is_empty(),
        "{EXPLAINED} is not what tests say:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

/// What became of the mutants of a part.
#[derive(Debug, Default)]
struct Tried {
    survived: BTreeSet<String>,
    killed: BTreeSet<String>,
}

impl Tried {
    fn by_testing(subject: Subject, part: Part) -> Result<Self> {
        let out = root().join("target/mutants").join(subject.package());
        if out.exists() {
            fs::remove_dir_all(&out).with_context(|| format!("emptying {}", out.display()))?;
        }
        fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
        let status = command(subject, part, &out)
            .status()
            .context("cargo mutants")?;
        // 2: some survive, 3: some time out. Both are read from the lists below; anything else is a
        // failure to run.
        if !matches!(status.code(), Some(0 | 2 | 3)) {
            bail!("cargo mutants on {} failed: {status}", subject.package());
        }
        let read = |lists: [&str; 2]| -> Result<BTreeSet<String>> {
            let mut mutants = BTreeSet::new();
            for list in lists {
                let path = out.join("mutants.out").join(list);
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("reading {}", path.display()))?;
                mutants.extend(text.lines().map(|line| without_position(subject, line)));
            }
            Ok(mutants)
        };
        let survived = read(["missed.txt", "timeout.txt"])?;
        let killed = read(["caught.txt", "unviable.txt"])?;
        Ok(Self { survived, killed })
    }

    /// Complains of survivors without an explanation, and of explanations of what is killed or not
    /// even `listed`.
    fn against(&self, explained: &BTreeSet<String>, listed: &BTreeSet<String>) -> Vec<String> {
        let survives = self.survived.difference(explained);
        // Two mutants may read alike: one that survives is enough.
        let killed = explained
            .intersection(&self.killed)
            .filter(|it| !self.survived.contains(*it));
        let unknown = explained.difference(listed);
        survives
            .map(|it| format!("survives: {it}"))
            .chain(killed.map(|it| format!("is killed: {it}")))
            .chain(unknown.map(|it| format!("is no mutant: {it}")))
            .collect()
    }
}

/// Every mutant of the subject, whatever the part.
fn listed(subject: Subject) -> Result<BTreeSet<String>> {
    let list = output_of(
        cargo()
            .current_dir(subject.workspace())
            .args(["mutants", "--list", "--colors", "never"])
            .args(["--package", subject.package()]),
    )?;
    Ok(list
        .lines()
        .map(|line| without_position(subject, line))
        .collect())
}

/// The lines of the list, without their reasons.
fn explained() -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(root().join(EXPLAINED))
        .with_context(|| format!("reading {EXPLAINED}"))?;
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (mutant, reason) = line
                .rsplit_once(" | ")
                .with_context(|| format!("{EXPLAINED}: expected `mutant | reason`, got {line}"))?;
            ensure!(
                !reason.trim().is_empty(),
                "{EXPLAINED}: no reason for {mutant}"
            );
            Ok(mutant.to_owned())
        })
        .collect()
}

fn command(subject: Subject, part: Part, out: &Path) -> Command {
    let mut command = cargo();
    command
        .current_dir(subject.workspace())
        .arg("mutants")
        .args(["--package", subject.package()])
        // Counted from zero there.
        .args(["--shard", &format!("{}/{}", part.place(), part.of())])
        .args(["--test-tool", "cargo", "--colors", "never"])
        // A loop that never ends is caught by the clock, a slow machine must not be.
        .args(["--minimum-test-timeout", "120"])
        .arg("--output")
        .arg(out)
        // Tests of the contract ask the committed wasm as well, which no mutant changes: it would
        // kill all of them.
        .env("GRAIL_NATIVE_ALONE", "1")
        // The copies that are built share what they depend on.
        .env("CARGO_TARGET_DIR", root().join("target/mutants/build"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        // What a rule's own test does not notice is a gap, even if a long random history or change
        // does.
        .args(["--", "--"]);
    for random in RANDOM_TESTS {
        command.args(["--skip", random]);
    }
    command
}

/// `src/a.rs:1:2: change` as `folder/src/a.rs: change`.
fn without_position(subject: Subject, line: &str) -> String {
    let mut parts = line.splitn(4, ':');
    let (file, change) = (parts.next().unwrap_or(line), parts.nth(2).unwrap_or(""));
    let file = match subject {
        Subject::Contract => format!("contracts/{file}"),
        Subject::Policy => file.to_owned(),
    };
    format!("{file}:{change}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn complains_of_survivors_and_of_explanations_without_one() {
        let listed = set(&["a", "b", "c", "d"]);
        let tried = Tried {
            survived: set(&["a", "b"]),
            killed: set(&["c"]),
        };
        // What another part has to try is not this part's business.
        assert_eq!(tried.against(&set(&["a", "b", "d"]), &listed), [""; 0]);
        assert_eq!(tried.against(&set(&["a"]), &listed), ["survives: b"]);
        assert_eq!(
            tried.against(&set(&["a", "b", "c", "e"]), &listed),
            ["is killed: c", "is no mutant: e"]
        );
    }

    #[test]
    fn a_mutant_is_named_without_its_line() {
        let line = "src/a.rs:12:5: replace || with && in f";
        assert_eq!(
            without_position(Subject::Policy, line),
            "src/a.rs: replace || with && in f"
        );
        assert_eq!(
            without_position(Subject::Contract, line),
            "contracts/src/a.rs: replace || with && in f"
        );
    }
}
