//! Bitcoin Core: found, or built once from the sources that a crate carries.
//!
//! Owns the recipe and the cache. The cache lies outside `target/`, named after everything that
//! decides the result, so that a clean tree does not build a node again and a changed recipe does.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cache;
use crate::setup;
use crate::shell::{cargo, on_path, output_of};

/// The crate that carries Bitcoin Core's sources in its folder `bitcoin/`.
const CRATE: &str = "libbitcoinkernel-sys";
const CRATE_VERSION: &str = "0.4.1";
/// SHA-256 of its package: what is built and run is what was reviewed.
const CRATE_CHECKSUM: &str = "345d18a1ce19a1becfcaaa066e3a60e9c7813ef5c23ea8c20704ca4ba1a46339";

/// A node alone: no wallet, since wallets are made with BDK, and no client, since our programs
/// speak RPC themselves.
const CMAKE_OPTIONS: &[&str] = &[
    "-DCMAKE_BUILD_TYPE=Release",
    // A node for tests: what -O2 takes longer to compile it never gives back here.
    "-DCMAKE_C_FLAGS_RELEASE=-O1",
    "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
    // Whoever wrote the sources has read their warnings.
    "-DAPPEND_CXXFLAGS=-w",
    "-DENABLE_WALLET=OFF",
    "-DBUILD_TESTS=OFF",
    "-DBUILD_BENCH=OFF",
    "-DBUILD_BITCOIN_BIN=OFF",
    "-DBUILD_TX=OFF",
    "-DBUILD_UTIL=OFF",
    "-DBUILD_CLI=OFF",
    "-DBUILD_DAEMON=ON",
    "-DENABLE_IPC=OFF",
    "-DWITH_ZMQ=OFF",
    "-DBUILD_FUZZ_BINARY=OFF",
    "-DENABLE_EXTERNAL_SIGNER=OFF",
    // Its data file is not in the crate.
    "-DWITH_EMBEDDED_ASMAP=OFF",
];

/// Compiles many sources as one.
const UNITY_SCRIPT: &str = include_str!("bitcoind.cmake");

const PROGRAM: &str = "bitcoind";

/// Lines of the build's log shown when it fails.
const LOG_LINES_SHOWN: usize = 40;

/// `BITCOIND_EXE`, else `bitcoind` on `PATH`, else the cached build, made now if need be.
pub fn find_or_build() -> Result<PathBuf> {
    if let Some(exe) = std::env::var_os("BITCOIND_EXE").filter(|exe| !exe.is_empty()) {
        let exe = PathBuf::from(exe);
        ensure!(
            exe.is_file(),
            "BITCOIND_EXE is {}, which is not a file",
            exe.display()
        );
        return Ok(exe);
    }
    if let Some(exe) = on_path("bitcoind") {
        return Ok(exe);
    }
    let cache = cache::folder()?;
    let built = cache.join(build_name()).join("bin/bitcoind");
    if !built.is_file() {
        setup::install(setup::BASE)?;
        fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
        let _lock = cache::lock(&cache, "Bitcoin Core")?;
        // Another run may have built it while we waited.
        if !built.is_file() {
            build(&cache)?;
        }
    }
    Ok(built)
}

fn build_name() -> String {
    let parts = [CRATE, CRATE_VERSION, CRATE_CHECKSUM, UNITY_SCRIPT]
        .iter()
        .chain(CMAKE_OPTIONS);
    cache::name("bitcoind", parts.map(|part| part.as_bytes()))
}

fn build(cache: &Path) -> Result<()> {
    let sources = sources(cache)?;
    let name = build_name();
    let folder = cache.join(format!("building-{name}"));
    let log = cache.join(format!("{name}.log"));
    eprintln!(
        "building Bitcoin Core once, two to five minutes; log: {}",
        log.display()
    );
    let mut log_file = File::create(&log).context("the build's log")?;
    let jobs = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .to_string();

    let result = configure(&sources, &folder, &mut log_file).and_then(|()| {
        let mut compile = Command::new("cmake");
        compile
            .arg("--build")
            .arg(&folder)
            .args(["-j", &jobs, "--target", PROGRAM]);
        logged(&mut compile, &mut log_file)
    });
    if let Err(error) = result {
        return Err(error.context(format!("end of {}:\n{}", log.display(), end_of(&log))));
    }
    install(&folder, cache, &name)?;
    // Half a gigabyte of objects; the log stays.
    fs::remove_dir_all(&folder).context("removing the build folder")
}

fn configure(sources: &Path, folder: &Path, log: &mut File) -> Result<()> {
    let script = folder.with_extension("cmake");
    fs::write(&script, UNITY_SCRIPT).context("the script of the unity build")?;
    let mut include = OsString::from("-DCMAKE_PROJECT_INCLUDE=");
    include.push(&script);
    let mut configure = Command::new("cmake");
    configure
        .arg("-S")
        .arg(sources)
        .arg("-B")
        .arg(folder)
        .args(CMAKE_OPTIONS)
        .arg(include);
    logged(&mut configure, log)
}

/// Puts the finished program into place in one step: a cache entry is whole or absent.
fn install(folder: &Path, cache: &Path, name: &str) -> Result<()> {
    let staged = cache.join(format!("staged-{name}"));
    if staged.exists() {
        fs::remove_dir_all(&staged).context("removing an unfinished build")?;
    }
    fs::create_dir_all(staged.join("bin")).context("making the cache entry")?;
    fs::copy(
        folder.join("bin").join(PROGRAM),
        staged.join("bin").join(PROGRAM),
    )
    .with_context(|| format!("copying {PROGRAM}"))?;
    fs::rename(&staged, cache.join(name)).context("putting the cache entry into place")
}

/// Fetches the crate and returns its folder of C++ sources.
///
/// A manifest of its own keeps it out of the workspace's dependencies.
fn sources(cache: &Path) -> Result<PathBuf> {
    let folder = cache.join("bitcoind-fetch");
    fs::create_dir_all(&folder).context("making the fetch folder")?;
    let manifest = folder.join("Cargo.toml");
    fs::write(
        &manifest,
        format!(
            "[package]\nname = \"bitcoind-fetch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[lib]\npath = \"lib.rs\"\n\n\
             [dependencies]\n{CRATE} = \"={CRATE_VERSION}\"\n\n[workspace]\n"
        ),
    )?;
    fs::write(folder.join("lib.rs"), "")?;
    let metadata = output_of(
        cargo()
            .current_dir(&folder)
            .args(["metadata", "--format-version=1", "--manifest-path"])
            .arg(&manifest),
    )?;
    let lock =
        fs::read_to_string(folder.join("Cargo.lock")).context("the fetch folder's lock file")?;
    ensure!(
        lock.contains(&format!("checksum = \"{CRATE_CHECKSUM}\"")),
        "{CRATE} {CRATE_VERSION} does not have the expected checksum {CRATE_CHECKSUM}"
    );
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let package = metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|package| package["name"] == CRATE))
        .and_then(|package| package["manifest_path"].as_str())
        .with_context(|| format!("cargo does not say where {CRATE} is"))?;
    let sources = Path::new(package).with_file_name("bitcoin");
    ensure!(
        sources.join("CMakeLists.txt").is_file(),
        "no sources in {}",
        sources.display()
    );
    Ok(sources)
}

/// Runs a command into the log, showing the percentages that it prints.
fn logged(command: &mut Command, log: &mut File) -> Result<()> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(log.try_clone()?)
        .spawn()
        .with_context(|| format!("running {}", command.get_program().display()))?;
    let mut shown = None;
    let output = child.stdout.take().expect("asked for above");
    // Bytes, not strings: compilers print file names in any encoding.
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        log.write_all(&line)?;
        log.write_all(b"\n")?;
        if let Some(percent) = percent(&String::from_utf8_lossy(&line)) {
            show_progress(&mut shown, percent);
        }
    }
    if shown.is_some() && std::io::stderr().is_terminal() {
        eprintln!();
    }
    let status = child.wait()?;
    if status.success() {
        Ok(())
    } else {
        bail!("cmake failed: {status}")
    }
}

/// On a terminal one line that counts; elsewhere a line for each ten percent.
fn show_progress(shown: &mut Option<u8>, percent: u8) {
    if std::io::stderr().is_terminal() {
        eprint!("\rBitcoin Core: {percent:3} %");
    } else if shown.is_none_or(|shown| percent / 10 > shown / 10) {
        eprintln!("Bitcoin Core: {percent:3} %");
    }
    *shown = Some(shown.unwrap_or(0).max(percent));
}

/// Reads `[ 42%] Building ...`.
fn percent(line: &str) -> Option<u8> {
    let number = line.strip_prefix('[')?.split_once("%]")?.0;
    number.trim().parse().ok().filter(|percent| *percent <= 100)
}

fn end_of(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_the_percentages_of_make() {
        assert_eq!(percent("[  1%] Building CXX object"), Some(1));
        assert_eq!(percent("[100%] Linking"), Some(100));
        for other in [
            "[101%] x",
            "-- Configuring done",
            "[x%] y",
            "[",
            "",
            "[12] z",
        ] {
            assert_eq!(percent(other), None, "{other}");
        }
    }

    #[test]
    fn the_cache_entry_appears_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (built, cache) = (folder.path().join("build"), folder.path().join("cache"));
        fs::create_dir_all(built.join("bin")).unwrap();
        // The program is missing: nothing may be put into place.
        assert!(install(&built, &cache, "entry").is_err());
        assert!(!cache.join("entry").exists());
        fs::write(built.join("bin/bitcoind"), "1").unwrap();
        install(&built, &cache, "entry").unwrap();
        assert_eq!(
            fs::read_to_string(cache.join("entry/bin/bitcoind")).unwrap(),
            "1"
        );
        assert!(!cache.join("staged-entry").exists());
    }
}
