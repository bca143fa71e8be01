//! System packages.
//!
//! Installs Debian packages when it may, else says which to install. Asks no question and changes
//! nothing when all is there.

use std::process::Command;

use anyhow::{Result, bail};

use crate::shell::{on_path, output_of, run, succeeds};

/// What building the programs and Bitcoin Core takes.
pub const BASE: &[&str] = &[
    "cmake",
    "g++",
    "libboost-dev",
    "libevent-dev",
    "make",
    "pkg-config",
];

/// What building the contracts takes.
pub const CONTRACTS: &[&str] = &[
    "cargo-web",
    "lld-19",
    "rust-web-src",
    "rustc-web",
    "wasi-libc",
];

/// What building the wallet for a browser takes besides.
pub const WALLET_WASM: &[&str] = &["clang"];

/// What building upstream's prover server takes.
pub const UPSTREAM: &[&str] = &[
    "clang",
    "cmake",
    "g++",
    "libclang-dev",
    "libprotobuf-dev",
    "make",
    "pkg-config",
    "protobuf-compiler",
];

/// Installs those of `packages` that are missing.
pub fn install(packages: &[&str]) -> Result<()> {
    if on_path("dpkg-query").is_none() {
        return without_dpkg(packages);
    }
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!(
        "apt-get install -y --no-install-recommends {}",
        missing.join(" ")
    );
    let Some(mut apt) = apt_get() else {
        bail!("system packages are missing, and installing takes root: run\n    sudo {by_hand}");
    };
    eprintln!("installing system packages: {}", missing.join(" "));
    let install = |apt: &mut Command| {
        run(apt
            .args(["install", "-y", "--no-install-recommends"])
            .args(&missing))
    };
    if install(&mut apt).is_ok() {
        return Ok(());
    }
    // A fresh image has no package lists, an old one stale ones.
    run(apt_get().expect("was there before").arg("update"))?;
    install(&mut apt_get().expect("was there before"))
        .map_err(|error| error.context(format!("by hand: {by_hand}")))
}

/// `apt-get` with the rights to install, if we can have them without a question.
fn apt_get() -> Option<Command> {
    let is_root = output_of(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let mut command = if is_root {
        Command::new("apt-get")
    } else if succeeds(Command::new("sudo").args(["-n", "true"])) {
        let mut command = Command::new("sudo");
        command.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        command
    } else {
        return None;
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Some(command)
}

fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    // One call: it lists what it knows and complains about the rest.
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\n"])
        .args(packages)
        .output();
    let listed = output.map(|output| output.stdout).unwrap_or_default();
    missing_in(packages, &String::from_utf8_lossy(&listed))
}

fn missing_in<'a>(packages: &[&'a str], listed: &str) -> Vec<&'a str> {
    let is_there = |package: &str| {
        listed
            .lines()
            .any(|line| line == format!("{package} installed"))
    };
    packages
        .iter()
        .copied()
        .filter(|package| !is_there(package))
        .collect()
}

/// On another system only the programs can be looked for.
fn without_dpkg(packages: &[&str]) -> Result<()> {
    let programs = packages
        .iter()
        .filter(|name| ["cmake", "g++", "make", "pkg-config"].contains(name));
    let missing: Vec<_> = programs
        .filter(|program| on_path(program).is_none())
        .collect();
    if missing.is_empty() {
        eprintln!(
            "not a Debian system: be sure to have what Debian calls {}",
            packages.join(" ")
        );
        return Ok(());
    }
    bail!(
        "not a Debian system: install what Debian calls {}; not found: {missing:?}",
        packages.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_only_when_it_is_installed() {
        let listed =
            "cmake installed\ng++ not-installed\nlibevent-dev config-files\nmake-guile installed\n";
        let wanted = ["cmake", "g++", "libevent-dev", "make"];
        assert_eq!(missing_in(&wanted, listed), ["g++", "libevent-dev", "make"]);
        assert_eq!(missing_in(&wanted, ""), wanted);
    }
}
