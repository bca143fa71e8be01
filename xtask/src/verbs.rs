//! The tasks that string others together.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::shell::{cargo, output_of, root, run, succeeds};
use crate::suites::{apps_cargo, contracts_cargo};
use crate::{bitcoind, setup, tidy};

/// The committed description of the HTTP API.
const OPENAPI: &str = "docs/api/openapi.json";
/// What the backend's board is written to, by what its writer calls it.
const BOARD: [(&str, &str); 2] = [
    ("grafana", "docs/operators/grafana.json"),
    ("alerts", "docs/operators/alerts.yml"),
];

/// Runs the demonstration; `keep` leaves it running.
pub fn demo(keep: bool) -> Result<()> {
    setup::install(setup::BASE)?;
    let bitcoind = bitcoind::find_or_build()?;
    build_development()?;
    let own = std::env::current_exe().context("path of this program")?;
    run(Command::new(own.with_file_name("grail-demo"))
        .args(keep.then_some("--keep"))
        .env("BITCOIND_EXE", bitcoind))
}

/// Builds every program as a bridge on regtest runs it (ADR 10). The whole workspace in one go:
/// with a selection of packages, cargo builds what they share once more for every selection.
pub fn build_development() -> Result<()> {
    run(cargo().args([
        "build",
        "--workspace",
        "--bins",
        "--features",
        "development",
    ]))
}

/// Tidiness, the API's description, format, dependencies and lints.
pub fn check() -> Result<()> {
    tidy::run(false)?;
    openapi(true)?;
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo()
        .args(["fmt", "--all", "--check", "--manifest-path"])
        .arg(root().join("apps/Cargo.toml")))?;
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
    for mut lint in [
        contracts_cargo(&["clippy"]),
        apps_cargo(&["clippy", "--workspace"]),
    ] {
        run(lint.args(["--all-targets", "--", "-D", "warnings"]))?;
    }
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
    write_or_verify(OPENAPI, &described, "openapi", verify)
}

/// Writes the Grafana board and the alerts, or compares them with the committed ones. A test of the
/// backend compares them too.
pub fn board(verify: bool) -> Result<()> {
    for (what, path) in BOARD {
        let mut writer = cargo();
        writer.args(["run", "--quiet", "--package", "grail-backend"]);
        let written = output_of(writer.args(["--bin", "grail-board", "--", what]))?;
        write_or_verify(path, &written, "board", verify)?;
    }
    Ok(())
}

fn write_or_verify(name: &str, written: &str, verb: &str, verify: bool) -> Result<()> {
    let path = root().join(name);
    if verify {
        let committed = fs::read_to_string(&path).with_context(|| format!("reading {name}"))?;
        ensure!(
            committed == written,
            "{name} is not what the code says: cargo xtask {verb}"
        );
        return Ok(());
    }
    write_whole(&path, written)
}

fn write_whole(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a file in a folder")?;
    fs::create_dir_all(folder)?;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
