//! How much of the project's own code an auditor of the enclave has to read.
//!
//! What counts: lines of `src/` of the own crates in the enclave's closure that are production
//! code. Blank lines, comments and tests do not count (items behind `#[cfg(test)]`, files
//! `tests.rs` and what lies in `tests/`), nor do modules in files of their own that no production
//! build has, behind the features [`FEATURES`].

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::names::is_rust;
use super::production::FEATURES;

/// Most such lines. More of them are more to audit for everybody who trusts an operator: whatever
/// only users, builders or the backend need lies below the line (ADR 16). It was 7,995 before the
/// steps of a rotation (ADR 27), 9,200 before deposits of former rosters (ADR 28)
/// and 9,280 before merges (ADR 30), 9,400 before clearings (ADR 42).
const LINES_MAX: usize = 10_950;

const TEST: &str = "#[cfg(test)]";

/// Folders, from the repository's root and with a slash at the end, of the sources of the own
/// crates in `closure`, whose lines are name and version.
pub fn sources(metadata: &Value, closure: &BTreeSet<String>) -> Result<Vec<String>> {
    let compiled: BTreeSet<_> = closure
        .iter()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, _)| name)
        .collect();
    let root = metadata["workspace_root"]
        .as_str()
        .context("root in cargo metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .context("packages in cargo metadata")?;
    let mut folders = Vec::new();
    for package in packages {
        let name = package["name"].as_str().context("name of a package")?;
        // Only what lies in this repository has no source.
        if !package["source"].is_null() || !compiled.contains(name) {
            continue;
        }
        let folder = package["manifest_path"]
            .as_str()
            .and_then(|manifest| manifest.strip_prefix(root))
            .and_then(|manifest| manifest.strip_suffix("Cargo.toml"))
            .with_context(|| format!("folder of {name}"))?;
        folders.push(format!("{}src/", folder.trim_start_matches('/')));
    }
    Ok(folders)
}

/// The production lines of all `files`, names and contents, in these folders.
pub fn count(folders: &[String], files: &[(&str, &str)]) -> usize {
    let own = || {
        files.iter().filter(|(name, _)| {
            is_rust(name) && folders.iter().any(|folder| name.starts_with(folder))
        })
    };
    let absent: Vec<String> = own()
        .flat_map(|(name, content)| absent_modules(name, content))
        .collect();
    own()
        .filter(|(name, _)| !name.ends_with("/tests.rs") && !name.contains("/tests/"))
        .filter(|(name, _)| !absent.iter().any(|path| name.starts_with(path)))
        .map(|(_, content)| lines(content))
        .sum()
}

/// Complains when there are too many.
pub fn check(count: usize) -> Option<String> {
    (count > LINES_MAX).then(|| {
        format!("the enclave's own code has {count} production lines, at most {LINES_MAX} are meant to be audited")
    })
}

/// The number, for people.
pub fn report(count: usize) -> String {
    format!("the enclave's own code has {count} production lines, of at most {LINES_MAX}")
}

/// Beginnings of the paths of modules that `name` declares and no production build has.
fn absent_modules(name: &str, content: &str) -> Vec<String> {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let inside = match file {
        "lib.rs" | "main.rs" | "mod.rs" => format!("{folder}/"),
        _ => format!("{folder}/{}/", file.trim_end_matches(".rs")),
    };
    let lines = || content.lines().map(str::trim);
    let is_absent = |attribute: &str| {
        attribute == TEST
            || FEATURES
                .iter()
                .any(|feature| attribute == format!("#[cfg(feature = \"{feature}\")]"))
    };
    lines()
        .zip(lines().skip(1))
        .filter(|(attribute, _)| is_absent(attribute))
        .filter_map(|(_, item)| item.strip_suffix(';')?.rsplit_once("mod "))
        .flat_map(|(_, module)| [format!("{inside}{module}.rs"), format!("{inside}{module}/")])
        .collect()
}

/// The production lines of a file.
fn lines(content: &str) -> usize {
    let mut lines = content.lines().map(str::trim);
    let mut count = 0;
    while let Some(line) = lines.next() {
        if line == TEST {
            skip_item(&mut lines);
        } else if !line.is_empty() && !line.starts_with("//") {
            count += 1;
        }
    }
    count
}

/// Skips an item: to the semicolon that ends it, or to the brace that closes its body. Reads words,
/// not Rust: a lone brace in a text of a test would mislead it.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>) {
    let mut depth = 0;
    for line in lines {
        let opened = line.matches('{').count();
        depth += opened;
        let closed = line.matches('}').count();
        let ends = closed > 0 || line.ends_with(';');
        depth = depth.saturating_sub(closed);
        if depth == 0 && ends {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_neither_blank_lines_nor_comments_nor_tests() {
        let source = "//! Doc.\n\nuse a;\n/// Doc.\nfn a() {\n    // Why.\n    b(); // and\n}\n\n\
                      #[cfg(test)]\nfn only_in_tests() -> usize {\n    1\n}\nfn c() {}\n\
                      #[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn d() {\n    }\n}\n";
        assert_eq!(lines(source), 5);
        assert_eq!(lines("#[cfg(test)]\nmod tests;\nfn a() {}\n"), 1);
        assert_eq!(lines("#[cfg(test)]\nuse a::{\n    b,\n};\nfn a() {}\n"), 1);
        assert_eq!(lines(""), 0);
    }

    #[test]
    fn counts_the_sources_of_these_crates_without_absent_modules() {
        let files = [
            (
                "crates/a/src/lib.rs",
                "mod b;\n#[cfg(feature = \"development\")]\nmod dev;\n#[cfg(test)]\nmod t;\n",
            ),
            (
                "crates/a/src/b/mod.rs",
                "#[cfg(feature = \"test-action\")]\npub(crate) mod c;\n",
            ),
            ("crates/a/src/b/c.rs", "fn a() {}\n"),
            ("crates/a/src/b/c/d.rs", "fn a() {}\n"),
            ("crates/a/src/b/cd.rs", "fn a() {}\n"),
            ("crates/a/src/dev.rs", "fn a() {}\n"),
            ("crates/a/src/t.rs", "fn a() {}\n"),
            ("crates/a/src/b/tests.rs", "fn a() {}\n"),
            ("crates/a/src/p.rs", "#[cfg(feature = \"other\")]\nmod q;\n"),
            ("crates/a/src/p/q.rs", "fn a() {}\n"),
            ("crates/a/src/data.txt", "a\n"),
            ("crates/a/tests/e.rs", "fn a() {}\n"),
            ("crates/z/src/lib.rs", "fn a() {}\n"),
        ];
        // Attributes and declarations of absent modules are still read: three lines of `lib.rs`,
        // two of `mod.rs`, one of `cd.rs`, two of `p.rs`, one of `q.rs`.
        assert_eq!(count(&["crates/a/src/".to_owned()], &files), 9);
    }

    #[test]
    fn complains_of_one_line_too_many_and_says_how_many() {
        assert_eq!(check(LINES_MAX), None);
        let complaint = check(LINES_MAX + 1).unwrap_or_default();
        assert!(
            complaint.contains(&(LINES_MAX + 1).to_string()),
            "{complaint}"
        );
    }

    #[test]
    fn sources_are_those_of_the_own_crates_in_the_closure() {
        let package = |name: &str, source: Value, folder: &str| json!({ "name": name, "source": source, "manifest_path": format!("/r/{folder}/Cargo.toml") });
        let metadata = json!({ "workspace_root": "/r", "packages": [
            package("grail-types", Value::Null, "crates/grail-types"),
            package("grail-bridge-contract", Value::Null, "contracts/bridge"),
            package("grail-host", Value::Null, "crates/grail-host"),
            package("hex", json!("registry"), "hex"),
        ] });
        let closure = [
            "grail-types 0.1.0",
            "grail-bridge-contract 0.1.0",
            "hex 0.4.3",
        ];
        assert_eq!(
            sources(&metadata, &closure.map(str::to_owned).into()).expect("whole metadata"),
            ["crates/grail-types/src/", "contracts/bridge/src/"]
        );
        assert!(sources(&json!({}), &BTreeSet::new()).is_err());
    }
}
