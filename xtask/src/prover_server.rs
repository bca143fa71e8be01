//! Upstream's prover server for tests: found, or built once from the workspace
//! `judges/prover-server`.
//!
//! Owns its place in the cache, named after everything that decides the result. The build takes 15
//! to 30 minutes, which is why no other task asks for it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::cache;
use crate::setup;
use crate::shell::{cargo, root, run};

/// Names a server that is there already; tests read it too.
pub const PROGRAM_VARIABLE: &str = "CHARMS_EXE";
/// The program that the workspace builds.
const PROGRAM: &str = "grail-prover-server";
/// What decides the result, in that workspace.
const SOURCES: [&str; 3] = ["Cargo.toml", "Cargo.lock", "src/main.rs"];

/// `CHARMS_EXE`, else the cached build, made now if need be.
pub fn find_or_build() -> Result<PathBuf> {
    if let Some(exe) = std::env::var_os(PROGRAM_VARIABLE).filter(|exe| !exe.is_empty()) {
        let exe = PathBuf::from(exe);
        ensure!(
            exe.is_file(),
            "{PROGRAM_VARIABLE} is {}, which is not a file",
            exe.display()
        );
        return Ok(exe);
    }
    let cache = cache::folder()?;
    let entry = cache.join(name()?);
    let built = entry.join("bin").join(PROGRAM);
    if !built.is_file() {
        setup::install(setup::UPSTREAM)?;
        fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
        let _lock = cache::lock(&cache, "upstream's prover server")?;
        // Another run may have built it while we waited.
        if !built.is_file() {
            build(&entry)?;
        }
    }
    Ok(built)
}

fn name() -> Result<String> {
    let sources = SOURCES
        .iter()
        .map(|name| {
            fs::read(root().join("judges/prover-server").join(name))
                .with_context(|| name.to_string())
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(cache::name(
        "prover-server",
        sources.iter().map(Vec::as_slice),
    ))
}

/// Builds in the tree's `target/`, and puts the program into the cache in one step.
fn build(entry: &std::path::Path) -> Result<()> {
    eprintln!("building upstream's prover server once, 15 to 30 minutes on two cores");
    let target = root().join("target/judges/prover-server");
    run(cargo()
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(root().join("judges/prover-server/Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target))?;
    let staged = entry.with_extension("staged");
    if staged.exists() {
        fs::remove_dir_all(&staged).context("removing an unfinished build")?;
    }
    fs::create_dir_all(staged.join("bin")).context("making the cache entry")?;
    fs::copy(
        target.join("release").join(PROGRAM),
        staged.join("bin").join(PROGRAM),
    )
    .with_context(|| format!("copying {PROGRAM}"))?;
    fs::rename(&staged, entry).context("putting the cache entry into place")
}
