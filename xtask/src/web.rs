//! Builds the web app: its core to wasm, its page by Node, both into `web/dist`.
//!
//! What is committed there is what the backend embeds, so that nothing else asks for Node (ADR 39).
//! The core is built as the contract is, by Debian's compiler with this machine's paths taken out,
//! so that `--verify` finds the same bytes elsewhere.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::contracts::{self, LINKER, RUST_SOURCES};
use crate::setup;
use crate::shell::{cargo, on_path, output_of, root, run};

const TARGET: &str = "wasm32-unknown-unknown";
/// Least version of Node, major and minor: what Vite asks for.
const NODE_LEAST: (u32, u32) = (20, 19);

/// Which core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Core {
    /// As it ships.
    Production,
    /// With the development root.
    Development,
}

impl Core {
    const fn file(self) -> &'static str {
        match self {
            Self::Production => "core.wasm",
            Self::Development => "core-development.wasm",
        }
    }
}

/// Builds all, and writes or compares `web/dist`.
pub fn build(verify: bool) -> Result<()> {
    check_node()?;
    core()?;
    install_packages()?;
    // The API's types, as its committed description has them.
    node(&[
        "node_modules/openapi-typescript/bin/cli.js",
        "../docs/api/openapi.json",
        "--output",
        "built/schema.d.ts",
    ])?;
    node(&["node_modules/vite/bin/vite.js", "build"])?;
    let pack = ["tools/pack.mjs", "--verify"];
    node(if verify { &pack } else { &pack[..1] })
}

/// Builds both cores to `web/built`.
pub fn core() -> Result<()> {
    setup::install(setup::CONTRACTS)?;
    setup::install(setup::WALLET_WASM)?;
    contracts::check_toolchain()?;
    let built = folder().join("built");
    fs::create_dir_all(&built).with_context(|| format!("making {}", built.display()))?;
    for core in [Core::Production, Core::Development] {
        let wasm = compile(core)?;
        let to = built.join(core.file());
        fs::write(&to, &wasm).with_context(|| format!("writing {}", to.display()))?;
        println!("{}: {} bytes", core.file(), wasm.len());
    }
    Ok(())
}

/// What the page's own checks are: types, words, accessibility, units, and the core's promises.
pub fn test() -> Result<()> {
    build(true)?;
    node(&[
        "node_modules/svelte-check/bin/svelte-check",
        "--fail-on-warnings",
        "--tsconfig",
        "tsconfig.json",
    ])?;
    node(&["node_modules/vitest/vitest.mjs", "run"])?;
    // The same calls, natively and in both files.
    for features in ["", "development"] {
        run(cargo().current_dir(folder().join("core")).args([
            "test",
            "--locked",
            "--features",
            features,
        ]))?;
    }
    node(&["--test", "tests/imports.mjs", "tests/verdicts.mjs"])
}

/// The page in a real browser, on a bridge that runs: a peg-in from the form to `paid`.
pub fn end_to_end(demo: &Path, bitcoind: &Path) -> Result<()> {
    check_node()?;
    install_packages()?;
    run(node_in_web()?
        .args(["--test", "tests/peg-in.e2e.mjs"])
        .env("GRAIL_DEMO", demo)
        .env("BITCOIND_EXE", bitcoind))
}

fn compile(core: Core) -> Result<Vec<u8>> {
    let workspace = folder().join("core");
    let target_dir = root().join("target/web-core");
    run(contracts::cargo(&workspace).args(["fetch", "--locked"]))?;
    let flags = rustflags(&target_dir)?;
    let mut cargo = contracts::cargo(&workspace);
    cargo
        .args([
            "build",
            "--locked",
            "--release",
            "--lib",
            "--target",
            TARGET,
        ])
        .args([
            "-Zbuild-std=std,panic_abort",
            "-Zbuild-std-features=optimize_for_size",
        ])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", LINKER)
        .env("CC_wasm32_unknown_unknown", "clang")
        .env("AR_wasm32_unknown_unknown", "ar")
        .env("CFLAGS_wasm32_unknown_unknown", "-Oz")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join(OsStr::new("\u{1f}")));
    if core == Core::Development {
        cargo.args(["--features", "development"]);
    }
    run(&mut cargo)?;
    let path = target_dir.join(TARGET).join("release/grail_web_core.wasm");
    let wasm = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    for folder in [root().to_owned(), target_dir, contracts::cargo_home()?] {
        let needle = folder.as_os_str().as_encoded_bytes();
        ensure!(
            !wasm.windows(needle.len()).any(|window| window == needle),
            "the core names {}, a path of this machine: the recipe misses a remapping",
            folder.display()
        );
    }
    Ok(wasm)
}

/// Small, without the places of panics: a trap says nothing in a browser anyway.
fn rustflags(target_dir: &Path) -> Result<Vec<OsString>> {
    let mut flags: Vec<OsString> = [
        "-Zlocation-detail=none",
        "-Zunstable-options",
        "-Cpanic=immediate-abort",
    ]
    .map(OsString::from)
    .to_vec();
    let mut remap = |from: &Path, to: &str| {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push(format!("={to}"));
        flags.push(flag);
    };
    remap(root(), "/grail");
    remap(target_dir, "/target");
    for sources in contracts::registry_sources()? {
        remap(&sources, "/registry");
    }
    for sources in RUST_SOURCES {
        remap(Path::new(sources), "/rust");
    }
    Ok(flags)
}

fn install_packages() -> Result<()> {
    let npm = on_path("npm").context("npm is missing: it comes with Node")?;
    run(Command::new(npm)
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder()))
}

fn check_node() -> Result<()> {
    let (major, minor) = NODE_LEAST;
    let Some(node) = on_path("node") else {
        bail!(
            "the page is built by Node {major}.{minor} or later, and none is on the path: \
             nodejs.org has one for every system. Nothing else here needs it"
        );
    };
    let version = output_of(Command::new(node).arg("--version"))?;
    ensure!(
        is_new_enough(&version),
        "the page is built by Node {major}.{minor} or later, and this one is {}",
        version.trim()
    );
    Ok(())
}

/// Of `v20.19.4`.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim().trim_start_matches('v').split('.');
    let mut next = || numbers.next().and_then(|number| number.parse().ok());
    matches!((next(), next()), (Some(major), Some(minor)) if (major, minor) >= NODE_LEAST)
}

fn node(arguments: &[&str]) -> Result<()> {
    run(node_in_web()?.args(arguments))
}

fn node_in_web() -> Result<Command> {
    let mut command = Command::new(on_path("node").context("node is missing")?);
    command.current_dir(folder());
    Ok(command)
}

fn folder() -> PathBuf {
    root().join("web")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_node_is_not_enough() {
        for (version, will_do) in [
            ("v20.19.0\n", true),
            ("v20.20.2", true),
            ("v22.0.0", true),
            ("v20.18.9", false),
            ("v18.20.0", false),
            ("", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_new_enough(version), will_do, "{version}");
        }
    }
}
