//! The enclave's dependencies against the committed list, and the reason of each that the enclave's
//! own crates ask for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The first lines of the committed list.
const HEADER: &str = "# Every crate that is compiled into the enclave. Rewritten by `cargo xtask tidy --bless`;\n\
                      # a change of this file is a change of what operators trust.\n";

/// Reads `cargo tree --prefix none`: name and version of each line.
pub fn from_tree(tree: &str) -> BTreeSet<String> {
    tree.lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(' ')?;
            let version = rest.split(' ').next()?.strip_prefix('v')?;
            Some(format!("{name} {version}"))
        })
        .collect()
}

/// Reads the committed list.
pub fn from_text(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Writes the committed list.
pub fn to_text(closure: &BTreeSet<String>) -> String {
    let mut text = HEADER.to_owned();
    for line in closure {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Complains of each difference.
pub fn check(committed: &BTreeSet<String>, now: &BTreeSet<String>) -> Vec<String> {
    let new = now
        .difference(committed)
        .map(|line| format!("the enclave now contains {line}"));
    let gone = committed
        .difference(now)
        .map(|line| format!("the enclave no longer contains {line}"));
    let mut complaints: Vec<_> = new.chain(gone).collect();
    if !complaints.is_empty() {
        complaints.push("review that, then: cargo xtask tidy --bless".into());
    }
    complaints
}

/// The crates of others that the closure's own crates name as dependencies: the direct ones.
///
/// `closure` is what [`from_tree`] read; which of its crates are the project's own, and what those
/// ask for, is read from `cargo metadata`.
pub fn direct(metadata: &Value, closure: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let compiled: BTreeSet<_> = closure
        .iter()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, _)| name)
        .collect();
    let packages = metadata["packages"]
        .as_array()
        .context("packages in cargo metadata")?;
    let mut direct = BTreeSet::new();
    for package in packages {
        let name = package["name"].as_str().context("name of a package")?;
        // Only what lies in this repository has no source.
        if !package["source"].is_null() || !compiled.contains(name) {
            continue;
        }
        for dependency in package["dependencies"]
            .as_array()
            .context("dependencies of a package")?
        {
            let name = dependency["name"]
                .as_str()
                .context("name of a dependency")?;
            // Neither for tests nor for builds, and from elsewhere.
            let asked_for = dependency["kind"].is_null() && !dependency["source"].is_null();
            if asked_for && compiled.contains(name) {
                direct.insert(name.to_owned());
            }
        }
    }
    Ok(direct)
}

/// Compares the file of reasons, lines of `crate: reason`, with the direct dependencies.
pub fn check_reasons(text: &str, direct: &BTreeSet<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut reasons = BTreeMap::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        match line.split_once(": ") {
            Some((name, reason)) if !reason.trim().is_empty() => {
                if reasons.insert(name, reason).is_some() {
                    complaints.push(format!("two reasons for {name} in the enclave"));
                }
            }
            _ => complaints.push(format!("expected `crate: reason`, got {line:?}")),
        }
    }
    for name in direct {
        if !reasons.contains_key(name.as_str()) {
            complaints.push(format!("no reason for {name} in the enclave"));
        }
    }
    for name in reasons.keys() {
        if !direct.contains(*name) {
            complaints.push(format!(
                "a reason for {name}, which no crate of the enclave asks for"
            ));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "grail-enclave v0.1.0 (/somewhere/grail-enclave)\nhex v0.4.3\nserde v1.0.228\n\
                        serde_derive v1.0.228 (proc-macro)\nhex v0.4.3 (*)\nhex v0.5.0\n\n";

    #[test]
    fn reads_names_and_versions_without_places_and_repetitions() {
        let expected = [
            "grail-enclave 0.1.0",
            "hex 0.4.3",
            "hex 0.5.0",
            "serde 1.0.228",
            "serde_derive 1.0.228",
        ];
        assert_eq!(from_tree(TREE).into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_list_written_and_read_is_the_same() {
        assert_eq!(from_text(&to_text(&from_tree(TREE))), from_tree(TREE));
    }

    #[test]
    fn complains_of_what_came_what_went_and_what_changed_version() {
        let now = from_tree(TREE);
        assert_eq!(check(&now, &now), [""; 0]);
        let mut other = now.clone();
        other.remove("hex 0.5.0");
        assert_eq!(check(&other, &now)[0], "the enclave now contains hex 0.5.0");
        assert_eq!(
            check(&now, &other)[0],
            "the enclave no longer contains hex 0.5.0"
        );
        other.insert("hex 0.5.1".into());
        assert_eq!(check(&other, &now).len(), 3);
    }

    fn metadata() -> Value {
        serde_json::json!({ "packages": [
            { "name": "grail-enclave", "source": null, "dependencies": [
                { "name": "hex", "kind": null, "source": "registry" },
                { "name": "grail-types", "kind": null, "source": null },
                { "name": "proptest", "kind": "dev", "source": "registry" },
                { "name": "cc", "kind": "build", "source": "registry" },
                { "name": "windows", "kind": null, "source": "registry" },
            ] },
            { "name": "grail-types", "source": null, "dependencies": [
                { "name": "serde", "kind": null, "source": "registry" },
            ] },
            { "name": "grail-host", "source": null, "dependencies": [
                { "name": "tokio", "kind": null, "source": "registry" },
            ] },
            { "name": "serde", "source": "registry", "dependencies": [
                { "name": "serde_core", "kind": null, "source": "registry" },
            ] },
        ] })
    }

    fn direct_names() -> BTreeSet<String> {
        let lines = [
            "grail-enclave 0.1.0",
            "grail-types 0.1.0",
            "hex 0.4.3",
            "serde 1.0.0",
            "serde_core 1.0.0",
            "cc 1.0.0",
            "proptest 1.0.0",
            "tokio 1.0.0",
        ];
        direct(&metadata(), &lines.map(str::to_owned).into()).expect("whole metadata")
    }

    #[test]
    fn direct_is_what_an_own_crate_of_the_closure_asks_for_to_run() {
        assert_eq!(direct_names(), ["hex", "serde"].map(str::to_owned).into());
    }

    #[test]
    fn complains_of_reasons_missing_stale_empty_and_given_twice() {
        let check = |text: &str| check_reasons(text, &direct_names());
        let complete = "# A comment.\n\nhex: ids are shown so\nserde: stored so: as JSON\n";
        assert_eq!(check(complete), [""; 0]);
        assert_eq!(
            check("hex: ids are shown so\n"),
            ["no reason for serde in the enclave"]
        );
        assert_eq!(
            check(&format!("{complete}tokio: why not\n")),
            ["a reason for tokio, which no crate of the enclave asks for"]
        );
        assert_eq!(
            check(&format!("{complete}hex: again\n")),
            ["two reasons for hex in the enclave"]
        );
        for line in ["hex", "hex:", "hex:  "] {
            assert_eq!(
                check(&complete.replace("hex: ids are shown so", line)),
                [
                    format!("expected `crate: reason`, got {line:?}"),
                    "no reason for hex in the enclave".to_owned(),
                ]
            );
        }
    }
}
