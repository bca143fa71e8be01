//! System packages.
//!
//! Installs Debian packages when it may, else says which to install. Asks no question and changes
//! nothing when all is there.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell::{on_path, output_of, run, succeeds};

/// A Debian package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    name: &'static str,
    /// Least version that will do, major and minor; any where there is none. An image with old
    /// package lists installs an older one without a word.
    least: Option<(u32, u32)>,
}

const fn any(name: &'static str) -> Package {
    Package { name, least: None }
}

/// Debian's compiler, which makes the bytes of the contract.
const fn compiler(name: &'static str) -> Package {
    let least = Some((1, 96));
    Package { name, least }
}

/// What building the programs and Bitcoin Core takes.
pub const BASE: &[Package] = &[
    any("cmake"),
    any("g++"),
    any("libboost-dev"),
    any("libevent-dev"),
    any("make"),
    any("pkg-config"),
];

/// What tests take besides: a server for each run of them, on a socket of its own.
pub const TESTS: &[Package] = &[Package {
    name: "postgresql",
    least: Some((15, 0)),
}];

/// What building the contracts takes.
pub const CONTRACTS: &[Package] = &[
    compiler("cargo-web"),
    any("lld-19"),
    compiler("rust-web-src"),
    compiler("rustc-web"),
    any("wasi-libc"),
];

/// What building the wallet for a browser takes besides.
pub const WALLET_WASM: &[Package] = &[any("clang")];

/// The browser that the web app is tried in.
pub const BROWSER: &[Package] = &[any("chromium")];

/// What building upstream's prover server takes.
pub const UPSTREAM: &[Package] = &[
    any("clang"),
    any("cmake"),
    any("g++"),
    any("libclang-dev"),
    any("libprotobuf-dev"),
    any("make"),
    any("pkg-config"),
    any("protobuf-compiler"),
];

/// Installs those of `packages` that are missing or too old.
pub fn install(packages: &[Package]) -> Result<()> {
    if on_path("dpkg-query").is_none() {
        return without_dpkg(packages);
    }
    let lacking = lacking(packages);
    if lacking.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = lacking.iter().map(|package| package.name).collect();
    let by_hand = format!(
        "apt-get update && apt-get install -y --no-install-recommends {}",
        names.join(" ")
    );
    if apt_get().is_none() {
        bail!("system packages are missing, and installing takes root: run as root\n    {by_hand}");
    }
    eprintln!("installing system packages: {}", names.join(" "));
    // A fresh image has no package lists, an old one stale ones, which name older versions.
    if lacking.iter().any(|package| package.least.is_some())
        && let Err(error) = apt(&["update"])
    {
        eprintln!("package lists stay as they are: {error:#}");
    }
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(&names);
    if apt(&arguments).is_err() {
        apt(&["update"])?;
        apt(&arguments).map_err(|error| error.context(format!("by hand: {by_hand}")))?;
    }
    match self::lacking(packages).first() {
        None => Ok(()),
        Some(Package { name, least }) => bail!(
            "installed, and still missing: {name}{}; this system's package lists may be too old",
            least.map_or_else(String::new, |(major, minor)| format!(
                " {major}.{minor} or later"
            ))
        ),
    }
}

fn apt(arguments: &[&str]) -> Result<()> {
    run(apt_get()
        .context("apt-get cannot be run any more")?
        .args(arguments))
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

fn lacking(packages: &[Package]) -> Vec<Package> {
    // One call: it lists what it knows and complains about the rest.
    let output = Command::new("dpkg-query")
        .args([
            "--show",
            "--showformat=${Package} ${db:Status-Status} ${Version}\n",
        ])
        .args(packages.iter().map(|package| package.name))
        .output();
    let listed = output.map(|output| output.stdout).unwrap_or_default();
    lacking_in(packages, &String::from_utf8_lossy(&listed))
}

fn lacking_in(packages: &[Package], listed: &str) -> Vec<Package> {
    let will_do = |package: &Package| {
        listed.lines().any(|line| {
            let mut words = line.split(' ');
            let is_there = words.next() == Some(package.name) && words.next() == Some("installed");
            is_there && package.least <= words.next().and_then(major_minor)
        })
    };
    packages
        .iter()
        .copied()
        .filter(|package| !will_do(package))
        .collect()
}

/// The first two numbers of a Debian version: `1.96.0+dfsg1-1~deb12u1` is of 1.96.
fn major_minor(version: &str) -> Option<(u32, u32)> {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    let mut numbers = upstream.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// On another system only the programs can be looked for.
fn without_dpkg(packages: &[Package]) -> Result<()> {
    let names: Vec<_> = packages.iter().map(|package| package.name).collect();
    let programs = names
        .iter()
        .filter(|name| ["cmake", "g++", "make", "pkg-config"].contains(name));
    let missing: Vec<_> = programs
        .filter(|program| on_path(program).is_none())
        .collect();
    if missing.is_empty() {
        eprintln!(
            "not a Debian system: be sure to have what Debian calls {}",
            names.join(" ")
        );
        return Ok(());
    }
    bail!(
        "not a Debian system: install what Debian calls {}; not found: {missing:?}",
        names.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_only_when_it_is_installed() {
        let listed = "cmake installed 3.25.1-1\ng++ not-installed \n\
            libevent-dev config-files 2.1.12\nmake-guile installed 4.3\n";
        let wanted = ["cmake", "g++", "libevent-dev", "make"].map(any);
        assert_eq!(lacking_in(&wanted, listed), wanted[1..]);
        assert_eq!(lacking_in(&wanted, ""), wanted);
    }

    #[test]
    fn an_older_compiler_counts_as_missing() {
        let wanted = [compiler("rustc-web")];
        for (version, will_do) in [
            ("1.85.0+dfsg3-1~deb12u3", false),
            ("1.95.9-1", false),
            ("1.96.0+dfsg1-1~deb12u1", true),
            ("1.100.0-1", true),
            ("2:2.0.1-1", true),
            ("2:1.1-1", false),
            ("", false),
            ("nonsense", false),
        ] {
            let listed = format!("rustc-web installed {version}\n");
            assert_eq!(
                lacking_in(&wanted, &listed).is_empty(),
                will_do,
                "{version}"
            );
        }
    }
}
