//! How each suite is run.

use std::process::Command;

use anyhow::Result;

use super::Shard;
use crate::shell::{cargo, root, run, succeeds};
use crate::{
    bitcoind, contracts, fuzz, mutants, production, prover_server, setup, verbs, wallet_wasm, web,
};

/// Tells tests that the programs they start were built from the sources as they are.
const PROGRAMS_BUILT: &str = "GRAIL_PROGRAMS_BUILT";
/// Tells tests that need upstream's prover server to fail rather than to skip.
const UPSTREAM_REQUIRED: &str = "GRAIL_UPSTREAM_REQUIRED";
/// Histories of one shard.
const HISTORIES: u32 = 10_000;
/// Rounds of one shard of chaos, and disturbances of a round: ten shards kill a thousand processes
/// and take blocks back two hundred times.
const CHAOS_ROUNDS: u32 = 19;
const CHAOS_DISTURBANCES: u32 = 20;

/// Contract and apps, built again: the committed wasm, bit for bit.
pub fn contract_wasm() -> Result<()> {
    setup::install(setup::CONTRACTS)?;
    contracts::build(true)
}

/// The tests of the contracts' own workspace.
pub fn contracts() -> Result<()> {
    run(&mut contracts_cargo(runner()))
}

/// The tests of the apps' own workspace.
pub fn apps() -> Result<()> {
    run(apps_cargo(runner()).arg("--workspace"))
}

/// The workspace's tests, on a real Bitcoin Core.
pub fn workspace() -> Result<()> {
    setup::install(setup::BASE)?;
    setup::install(setup::TESTS)?;
    let bitcoind = bitcoind::find_or_build()?;
    build_programs_and_tests()?;
    // The enclave is what operators trust, and quick to build as it ships; the other programs take
    // the slow suite's time.
    production::check_beside_development(&[production::Program::Enclave])?;
    run(cargo()
        .args(runner())
        .arg("--workspace")
        .env(PROGRAMS_BUILT, "1")
        .env("BITCOIND_EXE", bitcoind))
}

/// Upstream's own, heavy, checker as judge of a sample.
pub fn spells() -> Result<()> {
    run(&mut judge_of_spells())
}

/// The same judge of every change that it knows.
pub fn spells_full(shard: &Shard) -> Result<()> {
    run(judge_of_spells()
        .args(["--test", "readings", "--", "--nocapture"])
        .env("GRAIL_JUDGE_FULL", "1")
        .env("GRAIL_JUDGE_SHARD", shard.part.to_string())
        .env("GRAIL_JUDGE_SEED", shard.seed.to_string()))
}

/// Random histories of the bridge, judged by contract and model.
pub fn histories(shard: &Shard) -> Result<()> {
    run(contracts_cargo(&["test"])
        .args([
            "--release",
            "--test",
            "bridge",
            "--",
            "histories",
            "--nocapture",
        ])
        .env("GRAIL_HISTORY_CASES", HISTORIES.to_string())
        .env("GRAIL_HISTORY_SEED", shard.own_seed().to_string()))
}

/// A whole bridge, disturbed.
pub fn chaos(shard: &Shard) -> Result<()> {
    setup::install(setup::BASE)?;
    let bitcoind = bitcoind::find_or_build()?;
    verbs::build_development()?;
    run(Command::new(root().join("target/debug/grail-chaos"))
        .args(["--seed", &shard.own_seed().to_string()])
        .args(["--rounds", &CHAOS_ROUNDS.to_string()])
        .args(["--disturbances", &CHAOS_DISTURBANCES.to_string()])
        .env("BITCOIND_EXE", bitcoind))
}

/// Every fuzz target from its corpus, for a few seconds.
pub fn fuzz_shortly() -> Result<()> {
    let drawn = fuzz::Start::Anywhere;
    fuzz::fuzz(&fuzz::targets(None)?, fuzz::SECONDS_SHORT, drawn)
}

/// The shard's fuzz targets, for long.
pub fn fuzz_for_long(shard: &Shard) -> Result<()> {
    let targets = shard.takes(fuzz::targets(None)?);
    fuzz::fuzz(
        &targets,
        fuzz::SECONDS_LONG,
        fuzz::Start::Seed(shard.own_seed()),
    )
}

/// Every change of the contract that cargo-mutants can think of.
pub fn mutants_of_the_contract(shard: &Shard) -> Result<()> {
    mutants::run(mutants::Subject::Contract, shard.part)
}

/// The same for the operators' policy.
pub fn mutants_of_the_policy(shard: &Shard) -> Result<()> {
    mutants::run(mutants::Subject::Policy, shard.part)
}

/// Every program as it ships: nothing for development in its bytes.
pub fn production() -> Result<()> {
    production::check(&production::Program::ALL)
}

/// The wallet's core, built and linked for a browser.
pub fn wallet_wasm() -> Result<()> {
    wallet_wasm::build()
}

/// The web app: built again, its own tests, its core against the native one, and a real browser in
/// front of a bridge.
pub fn web() -> Result<()> {
    setup::install(setup::BASE)?;
    setup::install(setup::BROWSER)?;
    let bitcoind = bitcoind::find_or_build()?;
    web::test()?;
    verbs::build_development()?;
    web::end_to_end(&root().join("target/debug/grail-demo"), &bitcoind)
}

/// Grail against upstream's own prover server.
pub fn prover_server() -> Result<()> {
    setup::install(setup::BASE)?;
    let bitcoind = bitcoind::find_or_build()?;
    let server = prover_server::find_or_build()?;
    build_programs_and_tests()?;
    run(cargo()
        .args(runner())
        .args(["--package", "grail-prover", "--package", "grail-testkit"])
        .args(["--test", "upstream"])
        .env(PROGRAMS_BUILT, "1")
        .env("BITCOIND_EXE", bitcoind)
        .env(prover_server::PROGRAM_VARIABLE, server)
        .env(UPSTREAM_REQUIRED, "1"))
}

/// Tests start the programs as processes, and so need them built; with the tests, so that nothing
/// is built twice.
fn build_programs_and_tests() -> Result<()> {
    run(cargo().args(["build", "--workspace", "--bins", "--tests"]))
}

/// What runs tests: nextest where it is there.
fn runner() -> &'static [&'static str] {
    if succeeds(cargo().args(["nextest", "--version"])) {
        &["nextest", "run"]
    } else {
        &["test"]
    }
}

/// A cargo task in the contracts' own workspace.
pub fn contracts_cargo(task: &[&str]) -> Command {
    cargo_in("contracts", task)
}

/// A cargo task in the apps' own workspace.
pub fn apps_cargo(task: &[&str]) -> Command {
    cargo_in("apps", task)
}

fn cargo_in(workspace: &str, task: &[&str]) -> Command {
    let mut command = cargo();
    command
        .args(task)
        .args(["--locked", "--manifest-path"])
        .arg(root().join(workspace).join("Cargo.toml"))
        .env(
            "CARGO_TARGET_DIR",
            root().join("target").join(format!("{workspace}-test")),
        );
    command
}

fn judge_of_spells() -> Command {
    let mut command = cargo();
    command
        .args(["test", "--locked", "--manifest-path"])
        .arg(root().join("judges/spells/Cargo.toml"))
        .env("CARGO_TARGET_DIR", root().join("target/judges/spells"));
    command
}
