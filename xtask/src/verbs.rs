//! The tasks that string others together.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::shell::{cargo, output_of, root, run, succeeds};
use crate::suites::contracts_cargo;
use crate::{bitcoind, setup, tidy};

/// The committed description of the HTTP API.
const OPENAPI: &str = "docs/api/openapi.json";

/// Runs the demonstration; `keep` leaves it running.
pub fn demo(keep: bool) -> Result<()> {
    setup::install(setup::BASE)?;
    let bitcoind = bitcoind::find_or_build()?;
    // The whole workspace in one go: with a selection of packages, cargo builds what they share
    // once more for every selection.
    run(cargo().args([
        "build",
        "--workspace",
        "--bins",
        "--features",
        "development",
    ]))?;
    let own = std::env::current_exe().context("path of this program")?;
    run(Command::new(own.with_file_name("grail-demo"))
        .args(keep.then_some("--keep"))
        .env("BITCOIND_EXE", bitcoind))
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
    // As they ship: without development, which the workspace as a whole turns on.
    let mut shipped = cargo();
    shipped.arg("clippy");
    for program in tidy::PROGRAMS {
        shipped.args(["--package", program]);
    }
    run(shipped.args(["--", "-D", "warnings"]))?;
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
