//! The tasks that string others together.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::shell::{cargo, output_of, root, run, succeeds};
use crate::{bitcoind, contracts, fuzz, setup, tidy, upstream, wallet_wasm};

/// Tells tests that the programs they start were built from the sources as they are.
const PROGRAMS_BUILT: &str = "GRAIL_PROGRAMS_BUILT";
/// Tells tests that need upstream's prover server to fail rather than to skip.
const UPSTREAM_REQUIRED: &str = "GRAIL_UPSTREAM_REQUIRED";
/// The committed description of the HTTP API.
const OPENAPI: &str = "docs/api/openapi.json";

/// Runs the demonstration; `keep` leaves it running.
pub fn demo(keep: bool) -> Result<()> {
    setup::install(setup::BASE)?;
    let bitcoind = bitcoind::find_or_build()?;
    // The whole workspace in one go: with a selection of packages, cargo builds what they share once more for every
    // selection.
    run(cargo().args(["build", "--workspace", "--bins"]))?;
    let own = std::env::current_exe().context("own program")?;
    run(Command::new(own.with_file_name("grail-demo"))
        .args(keep.then_some("--keep"))
        .env("BITCOIND_EXE", bitcoind))
}

/// Builds everything and runs every test; the runner's summary comes last.
pub fn test(slow: bool, with_upstream: bool) -> Result<()> {
    setup::install(setup::BASE)?;
    let bitcoind = bitcoind::find_or_build()?;
    if slow {
        setup::install(setup::CONTRACTS)?;
        contracts::build(true)?;
        wallet_wasm()?;
        oracle()?;
        fuzz::fuzz(fuzz::SECONDS_SLOW, None)?;
    }
    let upstream = if with_upstream {
        Some(upstream::find_or_build()?)
    } else {
        None
    };
    // Tests start the programs as processes, and so need them built; with the tests, so that nothing is built twice.
    run(cargo().args(["build", "--workspace", "--bins", "--tests"]))?;
    let has_nextest = succeeds(cargo().args(["nextest", "--version"]));
    let runner: &[&str] = if has_nextest {
        &["nextest", "run"]
    } else {
        &["test"]
    };
    run(&mut contracts_cargo(runner))?;
    let mut tests = cargo();
    tests
        .args(runner)
        .arg("--workspace")
        .env(PROGRAMS_BUILT, "1")
        .env("BITCOIND_EXE", bitcoind);
    if let Some(server) = upstream {
        tests
            .env(upstream::PROGRAM_VARIABLE, server)
            .env(UPSTREAM_REQUIRED, "1");
    }
    run(&mut tests)
}

/// Builds the wallet for a browser.
pub fn wallet_wasm() -> Result<()> {
    setup::install(setup::CONTRACTS)?;
    setup::install(setup::WALLET_WASM)?;
    wallet_wasm::build()
}

/// A cargo task in the contracts' own workspace.
fn contracts_cargo(task: &[&str]) -> Command {
    let mut command = cargo();
    command
        .args(task)
        .args(["--locked", "--manifest-path"])
        .arg(root().join("contracts/Cargo.toml"))
        .env("CARGO_TARGET_DIR", root().join("target/contracts-test"));
    command
}

/// The tests against upstream's own, heavy, checker: a workspace of its own.
fn oracle() -> Result<()> {
    let manifest = root().join("oracle/Cargo.toml");
    ensure!(manifest.is_file(), "{} is missing", manifest.display());
    run(cargo()
        .args(["test", "--locked", "--manifest-path"])
        .arg(manifest)
        .env("CARGO_TARGET_DIR", root().join("target/oracle")))
}

/// Tidiness, the API's description, format, dependencies and lints.
pub fn check() -> Result<()> {
    tidy::run(false)?;
    openapi(true)?;
    run(cargo().args(["fmt", "--all", "--check"]))?;
    if succeeds(cargo().args(["deny", "--version"])) {
        run(cargo().args(["deny", "check", "bans", "licenses", "sources"]))?;
    } else {
        eprintln!(
            "cargo-deny is not installed: licences are not checked (cargo install cargo-deny)"
        );
    }
    run(contracts_cargo(&["clippy"]).args(["--all-targets", "--", "-D", "warnings"]))?;
    run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Writes the HTTP API's description, or compares it with the committed one.
pub fn openapi(verify: bool) -> Result<()> {
    let writer = [
        "run",
        "--quiet",
        "--package",
        "grail-api",
        "--bin",
        "grail-openapi",
    ];
    let described = output_of(cargo().args(writer))?;
    let path = root().join(OPENAPI);
    if verify {
        let committed = fs::read_to_string(&path).with_context(|| format!("reading {OPENAPI}"))?;
        ensure!(
            committed == described,
            "{OPENAPI} is not what the code says: cargo xtask openapi"
        );
        return Ok(());
    }
    write_whole(&path, &described)
}

fn write_whole(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a file in a folder")?;
    fs::create_dir_all(folder)?;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
