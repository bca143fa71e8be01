//! Fuzzing: builds the targets of `judges/fuzz` for libFuzzer, on stable Rust, and runs them from
//! the committed corpus.
//!
//! Owns the compiler flags. Never writes to the committed corpus: what a run finds stays under
//! `target/fuzz`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::shell::{cargo, output_of, root, run};

/// What one target gets when nobody says otherwise.
pub const SECONDS: u64 = 20;
/// What one target gets in CI.
pub const SECONDS_SHORT: u64 = 5;
/// What one target gets in the suite `fuzz-long`.
pub const SECONDS_LONG: u64 = 900;

/// An input that takes longer is reported as a crash.
const TIMEOUT_SECONDS: u64 = 20;
/// A target that needs more memory is reported as a crash.
const MEMORY_MAX_MB: u64 = 2_048;
/// Longest input that libFuzzer makes.
const INPUT_MAX_BYTES: u64 = 65_536;
/// The coverage that libFuzzer reads. On stable Rust: flags of LLVM, no sanitizer.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=4",
];
/// Names the target to the program.
const TARGET: &str = "GRAIL_FUZZ_TARGET";

/// Where libFuzzer's randomness starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Elsewhere every time.
    Anywhere,
    /// With this seed.
    Seed(u32),
}

/// Every target, or the `wanted` one.
pub fn targets(wanted: Option<&str>) -> Result<Vec<String>> {
    targets_in(&root().join("judges/fuzz/corpus"), wanted)
}

/// Builds, replays the corpus, and fuzzes each of `targets` for `seconds`.
pub fn fuzz(targets: &[String], seconds: u64, start: Start) -> Result<()> {
    let fuzz = root().join("judges/fuzz");
    let program = build(&fuzz)?;
    let scratch = root().join("target/fuzz/run");
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut failed = Vec::new();
    for batch in targets.chunks(workers) {
        let runs = batch
            .iter()
            .map(|target| Run::start(&program, &fuzz, &scratch, target, (seconds, start)))
            .collect::<Result<Vec<_>>>()?;
        for run in runs {
            let target = run.target.clone();
            if !run.finish()? {
                failed.push(target);
            }
        }
    }
    ensure!(
        failed.is_empty(),
        "these targets broke a promise: {}",
        failed.join(", ")
    );
    Ok(())
}

/// The targets are the folders of the corpus.
fn targets_in(corpus: &Path, wanted: Option<&str>) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(corpus).context("judges/fuzz/corpus")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if wanted.is_none_or(|wanted| wanted == name) {
            targets.push(name);
        }
    }
    targets.sort();
    ensure!(
        !targets.is_empty(),
        "no such target: expected a folder of judges/fuzz/corpus"
    );
    Ok(targets)
}

/// Builds the program, instrumented, for this machine. Naming the machine keeps the flags away from
/// build scripts.
fn build(fuzz: &Path) -> Result<PathBuf> {
    let about = output_of(Command::new("rustc").arg("-vV"))?;
    let host = about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not name its host")?;
    let built = root().join("target/fuzz");
    run(cargo()
        .args([
            "build",
            "--locked",
            "--features",
            "libfuzzer",
            "--target",
            host,
        ])
        .arg("--manifest-path")
        .arg(fuzz.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &built)
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}")))?;
    Ok(built.join(host).join("debug/grail-fuzz"))
}

/// A target at work.
struct Run {
    target: String,
    child: Child,
    log: PathBuf,
    reproducers: PathBuf,
    started: Instant,
}

impl Run {
    fn start(
        program: &Path,
        fuzz: &Path,
        scratch: &Path,
        target: &str,
        (seconds, drawn): (u64, Start),
    ) -> Result<Self> {
        // Kept between runs: what was found before is where the next run goes on.
        let found = scratch.join(target).join("corpus");
        let reproducers = scratch.join(target).join("reproducers");
        for folder in [&found, &reproducers] {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let log = scratch.join(target).join("log");
        let output = fs::File::create(&log).context("the log of a target")?;
        eprintln!("+ fuzz {target} for {seconds} s");
        // Zero lets libFuzzer draw one.
        let seed = match drawn {
            Start::Anywhere => 0,
            Start::Seed(seed) => seed,
        };
        let child = Command::new(program)
            .env(TARGET, target)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-seed={seed}"))
            .arg(format!("-timeout={TIMEOUT_SECONDS}"))
            .arg(format!("-rss_limit_mb={MEMORY_MAX_MB}"))
            .arg(format!("-max_len={INPUT_MAX_BYTES}"))
            .arg("-print_final_stats=1")
            .arg(format!("-dict={}", fuzz.join("spell.dict").display()))
            .arg(format!("-artifact_prefix={}/", reproducers.display()))
            .arg(&found)
            // Read first, each input once: the replay. Never written to.
            .arg(fuzz.join("corpus").join(target))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {target}"))?;
        Ok(Self {
            target: target.into(),
            child,
            log,
            reproducers,
            started: Instant::now(),
        })
    }

    /// Waits; says what was done, or what broke. False: something broke.
    fn finish(mut self) -> Result<bool> {
        let status = self.child.wait().context("waiting for a target")?;
        let log = fs::read(&self.log).context("the log of a target")?;
        let log = String::from_utf8_lossy(&log);
        if status.success() {
            println!(
                "{}: {} executions, {} s",
                self.target,
                executions(&log)?,
                self.started.elapsed().as_secs()
            );
            return Ok(true);
        }
        let tail: Vec<&str> = log.lines().rev().take(40).collect();
        for line in tail.iter().rev() {
            eprintln!("  {line}");
        }
        eprintln!(
            "{target} broke: {status}; the input is under {}; again: {TARGET}={target} target/fuzz/<host>/debug/grail-fuzz FILE",
            self.reproducers.display(),
            target = self.target,
        );
        Ok(false)
    }
}

/// What libFuzzer says it did: nothing done is no success.
fn executions(log: &str) -> Result<u64> {
    let line = log
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .context("libFuzzer did not say what it did")?;
    match line.trim().parse()? {
        0 => bail!("libFuzzer executed nothing"),
        count => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_run_that_did_nothing_is_a_failure() {
        let log =
            |count: &str| format!("INFO\nstat::number_of_executed_units: {count}\nstat::x: 1\n");
        assert_eq!(executions(&log("17")).unwrap(), 17);
        assert!(executions(&log("0")).is_err());
        assert!(executions("INFO").is_err());
    }

    #[test]
    fn every_folder_of_the_corpus_is_a_target() {
        let corpus = tempfile::tempdir().unwrap();
        for name in ["b", "a"] {
            fs::create_dir(corpus.path().join(name)).unwrap();
        }
        assert_eq!(targets_in(corpus.path(), None).unwrap(), ["a", "b"]);
        assert_eq!(targets_in(corpus.path(), Some("b")).unwrap(), ["b"]);
        assert!(targets_in(corpus.path(), Some("c")).is_err());
    }
}
