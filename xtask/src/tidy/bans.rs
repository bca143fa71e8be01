//! Crates that must not come in, not even through others, and what a crate without I/O must not
//! use.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Name, or beginning of names, and why.
const BANS: &[(Name, &str)] = &[
    (
        Name::Starts("sp1-"),
        "a prover's toolchain; proofs are checked with arkworks",
    ),
    (
        Name::Is("charms-client"),
        "455 crates; only judges/spells compares with it",
    ),
    (Name::Starts("cml-"), "Cardano, by way of charms-client"),
    (Name::Is("openssl"), "TLS is rustls"),
    (Name::Is("openssl-sys"), "TLS is rustls"),
    (Name::Is("native-tls"), "TLS is rustls"),
    (Name::Starts("libp2p"), "peers are few and known"),
    (Name::Is("serde_cbor"), "unmaintained; use ciborium"),
];

/// The crate that runs in a browser as well as in a program.
pub const WITHOUT_IO: &str = "grail-wallet";

/// What does I/O, or knows the time, or makes randomness. The compiler would let most of it in: it
/// builds for wasm, and fails where it is called.
const IO_CRATES: &[(Name, &str)] = &[
    (Name::Is("ureq"), "asks servers"),
    (Name::Is("hyper"), "asks servers"),
    (Name::Is("reqwest"), "asks servers"),
    (Name::Starts("rustls"), "asks servers"),
    (Name::Starts("tokio"), "waits for sockets and clocks"),
    (Name::Is("mio"), "waits for sockets"),
    (Name::Is("socket2"), "opens sockets"),
    (Name::Starts("sqlx"), "keeps files"),
    (Name::Starts("libsqlite3"), "keeps files"),
    (Name::Is("tempfile"), "keeps files"),
    (Name::Is("getrandom"), "entropy is handed in"),
    (Name::Is("chrono"), "the time is handed in"),
    (Name::Is("time"), "the time is handed in"),
    (Name::Is("jiff"), "the time is handed in"),
    (Name::Is("web-time"), "the time is handed in"),
    (Name::Is("indicatif"), "draws on a terminal"),
    (Name::Is("clap"), "reads the environment"),
    (Name::Starts("wasm-bindgen"), "a page's glue is the page's"),
    (Name::Is("js-sys"), "a page's glue is the page's"),
    (Name::Is("web-sys"), "a page's glue is the page's"),
];

/// Modules of the standard library that reach outside the program.
const IO_MODULES: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread", "time"];
/// Macros that do.
const IO_MACROS: &[&str] = &["eprint!", "eprintln!", "print!", "println!"];

#[derive(Clone, Copy)]
enum Name {
    Is(&'static str),
    Starts(&'static str),
}

impl Name {
    fn matches(self, name: &str) -> bool {
        match self {
            Self::Is(banned) => name == banned,
            Self::Starts(banned) => name.starts_with(banned),
        }
    }
}

/// The names of all packages that `cargo metadata` resolved.
pub fn names(metadata: &Value) -> Result<Vec<String>> {
    let packages = metadata["packages"]
        .as_array()
        .context("packages in cargo metadata")?;
    packages
        .iter()
        .map(|package| {
            Ok(package["name"]
                .as_str()
                .context("name of a package")?
                .to_owned())
        })
        .collect()
}

/// Complains of each banned package.
pub fn check(names: &[String]) -> Vec<String> {
    let banned = |name: &&String| BANS.iter().find(|(ban, _)| ban.matches(name));
    names
        .iter()
        .filter_map(|name| banned(&name).map(|(_, why)| format!("crate {name} is banned: {why}")))
        .collect()
}

/// Complains of each crate in the closure of [`WITHOUT_IO`] that does I/O; lines of name and
/// version.
pub fn check_without_io(closure: &BTreeSet<String>) -> Vec<String> {
    let why = |name: &str| IO_CRATES.iter().find(|(ban, _)| ban.matches(name));
    closure
        .iter()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, _)| why(name).map(|(_, why)| (name, why)))
        .map(|(name, why)| format!("{WITHOUT_IO} must not depend on {name}: {why}"))
        .collect()
}

/// Complains of each line of [`WITHOUT_IO`]'s source `name` that reaches outside the program.
///
/// Reads words, not Rust: so that nothing hides from it, the standard library's modules are named
/// one by one, without braces, globs or another name for `std`.
pub fn check_source(name: &str, content: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(content.lines()) {
        let code = line.split_once("//").map_or(line, |(code, _)| code);
        for reached in reaches_outside(code) {
            complaints.push(format!(
                "{name}:{number}: {reached}, in a crate without I/O"
            ));
        }
    }
    complaints
}

fn reaches_outside(code: &str) -> Vec<String> {
    let starts_word = |start: usize| {
        let before = code[..start].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    };
    let mut found = Vec::new();
    for (start, _) in code.match_indices("std").filter(|(at, _)| starts_word(*at)) {
        let rest = code[start + "std".len()..].trim_start();
        let Some(path) = rest.strip_prefix("::") else {
            if rest.starts_with("as ") || rest.starts_with(';') {
                found.push("another way to name std".to_owned());
            }
            continue;
        };
        let module: String = path
            .trim_start()
            .chars()
            .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
            .collect();
        if module.is_empty() || module == "self" {
            found.push("std's modules not named one by one".to_owned());
        } else if IO_MODULES.contains(&module.as_str()) {
            found.push(format!("std::{module}"));
        }
    }
    for call in IO_MACROS {
        let mut calls = code.match_indices(call);
        if calls.any(|(start, _)| starts_word(start)) {
            found.push((*call).to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_io_depends_on_nothing_that_does_io() {
        let closure = |names: &[&str]| names.iter().map(|name| format!("{name} 1.2.3")).collect();
        assert_eq!(
            check_without_io(&closure(&["bitcoin", "serde", "time-core"])),
            [""; 0]
        );
        for (banned, _) in IO_CRATES {
            let (Name::Is(name) | Name::Starts(name)) = *banned;
            let complaints = check_without_io(&closure(&["bitcoin", name]));
            assert_eq!(complaints.len(), 1, "{name}");
        }
        assert_eq!(check_without_io(&closure(&["tokio-util"])).len(), 1);
    }

    #[test]
    fn a_crate_without_io_reaches_for_nothing_outside() {
        for outside in [
            "use std::fs;",
            "use std::fs::File;",
            "let file = std::fs::read(path)?;",
            "use ::std::net::TcpStream;",
            "let now = std::time::SystemTime::now();",
            "use std :: env;",
            "use std::{collections::BTreeMap, fs};",
            "use std::*;",
            "use std::self as s;",
            "use std as s;",
            "extern crate std;",
            "    println!(\"{seed}\");",
            "eprintln!();",
        ] {
            assert_eq!(check_source("a.rs", outside).len(), 1, "{outside}");
        }
        let lines = "fine\nuse std::thread;\n";
        assert_eq!(
            check_source("crates/x/src/a.rs", lines),
            ["crates/x/src/a.rs:2: std::thread, in a crate without I/O"]
        );
        for inside in [
            "use std::collections::BTreeMap;",
            "use std::fmt::Display;",
            "// as std::fs does",
            "let x = 1; // std::time",
            "use mystd::fs;",
            "features = [\"std\"]",
            "sprintln!()",
        ] {
            assert_eq!(check_source("a.rs", inside), [""; 0], "{inside}");
        }
    }

    #[test]
    fn refuses_what_is_banned_and_nothing_that_sounds_like_it() {
        let count = |name: &str| check(&[name.to_owned()]).len();
        for banned in [
            "sp1-sdk",
            "charms-client",
            "cml-chain",
            "openssl",
            "libp2p-core",
            "serde_cbor",
        ] {
            assert_eq!(count(banned), 1, "{banned}");
        }
        for fine in [
            "charms-data",
            "openssl-probe",
            "serde_cbor_2",
            "sp1",
            "ciborium",
        ] {
            assert_eq!(count(fine), 0, "{fine}");
        }
    }
}
