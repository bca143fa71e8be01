//! The order of the crates: each depends only on those above it.
//!
//! The order itself is the list of own crates in the workspace's `Cargo.toml`, and stands nowhere
//! else but in the table that people read, which is held equal to it.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Where the order stands in the workspace's manifest: up to the next section.
const LIST: &str = "[workspace.dependencies]";
/// Where the table stands in `ARCHITECTURE.md`: up to the next section.
const TABLE: &str = "## Map";
/// Builds and tests the others, and so comes after all of them; nothing depends on it, so it is not
/// in the list.
const LAST: &str = "xtask";

/// For tests and the demo: the last crate, which no program is built from.
const TESTKIT: &str = "grail-testkit";
/// The programs: their tests may start a whole system. The crates above test themselves alone.
const PROGRAMS: &[&str] = &["grail-enclave", "grail-host", "grail-backend", "grail-cli"];

/// A member of the workspace and the members that it uses.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Crate {
    name: String,
    /// To build it.
    uses: Vec<String>,
    /// To test it.
    uses_in_tests: Vec<String>,
}

/// Reads the members from `cargo metadata`.
pub fn crates(metadata: &Value) -> Result<Vec<Crate>> {
    let members = metadata["workspace_members"]
        .as_array()
        .context("members in cargo metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .context("packages in cargo metadata")?;
    let own = packages
        .iter()
        .filter(|package| members.contains(&package["id"]));
    let names: Vec<_> = own
        .clone()
        .filter_map(|package| package["name"].as_str())
        .collect();
    own.map(|package| {
        let mut read = Crate {
            name: package["name"]
                .as_str()
                .context("name of a member")?
                .to_owned(),
            ..Crate::default()
        };
        for dependency in package["dependencies"]
            .as_array()
            .context("dependencies of a member")?
        {
            let name = dependency["name"]
                .as_str()
                .context("name of a dependency")?;
            if names.contains(&name) {
                let is_for_tests = dependency["kind"] == "dev";
                let list = if is_for_tests {
                    &mut read.uses_in_tests
                } else {
                    &mut read.uses
                };
                list.push(name.to_owned());
            }
        }
        Ok(read)
    })
    .collect()
}

/// Reads the order from the workspace's manifest: the crates that lie under `crates/`, as they are
/// listed.
pub fn declared(manifest: &str) -> Vec<String> {
    let own = section(manifest, LIST, "[").filter_map(|line| {
        let (name, rest) = line.split_once(" = ")?;
        rest.contains("path = \"crates/").then(|| name.to_owned())
    });
    own.chain([LAST.to_owned()]).collect()
}

/// Complains when the table of crates does not have the declared order.
pub fn check_page(architecture: &str, order: &[String]) -> Vec<String> {
    let rows = section(architecture, TABLE, "## ").filter_map(|line| line.split('|').nth(1));
    // Some rows name several crates; what is in no backticks is no crate.
    let shown: Vec<&str> = rows
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| name.starts_with("grail-") || *name == LAST)
        .collect();
    if shown == order {
        return Vec::new();
    }
    let differs = order
        .iter()
        .zip(shown.iter().chain(std::iter::repeat(&"nothing")))
        .find(|(name, shown)| name != *shown);
    let (expected, got) = differs.map_or(("nothing", "more"), |(name, shown)| (name, *shown));
    vec![format!(
        "the table of crates in ARCHITECTURE.md has another order than Cargo.toml: expected {expected}, got {got}"
    )]
}

/// The lines after the one that is `heading`, up to one that begins with `end`.
fn section<'a>(text: &'a str, heading: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .skip_while(move |line| *line != heading)
        .skip(1)
        .take_while(move |line| !line.starts_with(end))
}

/// Complains of each dependency that points downwards.
pub fn check(crates: &[Crate], order: &[String]) -> Vec<String> {
    let place = |name: &str| order.iter().position(|known| *known == name);
    let mut complaints = Vec::new();
    for Crate {
        name,
        uses,
        uses_in_tests,
    } in crates
    {
        let Some(own_place) = place(name) else {
            complaints.push(format!("crate {name} has no place in the order of crates"));
            continue;
        };
        let is_above = |used: &str| place(used).is_some_and(|place| place < own_place);
        for used in uses.iter().filter(|used| !is_above(used)) {
            complaints.push(format!("{name} depends on {used}, which is not above it"));
        }
        // Tests may look downwards, since what is built does not; the harness alone is for
        // programs.
        let uses_testkit = uses_in_tests.iter().any(|used| used == TESTKIT);
        if uses_testkit && !PROGRAMS.contains(&name.as_str()) {
            complaints.push(format!(
                "the tests of {name} use {TESTKIT}, which is for programs"
            ));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn order() -> Vec<String> {
        let names = [
            "grail-types",
            "grail-script",
            "grail-chain",
            "grail-policy",
            "grail-txbuild",
            "grail-enclave",
            "grail-host",
            "grail-backend",
            "grail-testkit",
            "xtask",
        ];
        names.map(str::to_owned).to_vec()
    }

    fn check(crates: &[Crate]) -> Vec<String> {
        super::check(crates, &order())
    }

    #[test]
    fn the_order_is_the_manifest_s_list_of_own_crates() {
        let manifest = "[workspace]\ngrail-no = { path = \"crates/grail-no\" }\n\n[workspace.dependencies]\n# Order.\n\
                        grail-bridge-contract = { path = \"contracts/bridge\" }\n\
                        grail-b = { path = \"crates/grail-b\" }\n\
                        grail-a = { path = \"crates/grail-a\", default-features = false }\n\
                        serde = { version = \"1\" }\n\n[profile.dev]\ngrail-c = { path = \"crates/grail-c\" }\n";
        assert_eq!(declared(manifest), ["grail-b", "grail-a", "xtask"]);
    }

    #[test]
    fn the_table_has_the_order_of_the_manifest() {
        let order = ["grail-a", "grail-b", "xtask"].map(str::to_owned);
        let page = |rows: &str| {
            format!(
                "# A\n| `grail-z` | no |\n## Map\n\n| Crate |\n|---|\n{rows}## Trust\n| `grail-z` |\n"
            )
        };
        let complaints = |rows: &str| check_page(&page(rows), &order);
        let whole = "| `contracts/bridge` | uses `grail-z` |\n| `grail-a`, `grail-b` | |\n| *line* | |\n| `xtask` | |\n";
        assert_eq!(complaints(whole), [""; 0]);
        for (rows, expected, got) in [
            (
                "| `grail-b` | |\n| `grail-a` | |\n| `xtask` | |\n",
                "grail-a",
                "grail-b",
            ),
            ("| `grail-a` | |\n| `xtask` | |\n", "grail-b", "xtask"),
            ("| `grail-a` | |\n| `grail-b` | |\n", "xtask", "nothing"),
            (
                "| `grail-a` | |\n| `grail-b` | |\n| `xtask` | |\n| `grail-c` | |\n",
                "nothing",
                "more",
            ),
        ] {
            let complaints = complaints(rows);
            let end = format!("expected {expected}, got {got}");
            assert!(
                complaints.len() == 1 && complaints[0].ends_with(&end),
                "{complaints:?}"
            );
        }
    }

    fn made(name: &str, uses: &[&str], uses_in_tests: &[&str]) -> Crate {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Crate {
            name: name.into(),
            uses: owned(uses),
            uses_in_tests: owned(uses_in_tests),
        }
    }

    #[test]
    fn accepts_dependencies_upwards() {
        let crates = [
            made("grail-types", &[], &[]),
            made("grail-script", &["grail-types"], &["grail-types"]),
            made("grail-testkit", &["grail-chain", "grail-backend"], &[]),
        ];
        assert_eq!(check(&crates), [""; 0]);
    }

    #[test]
    fn refuses_dependencies_downwards_to_itself_and_sideways() {
        assert_eq!(
            check(&[made("grail-types", &["grail-script"], &[])]).len(),
            1
        );
        assert_eq!(
            check(&[made("grail-types", &["grail-types"], &[])]).len(),
            1
        );
        assert_eq!(
            check(&[made("grail-enclave", &["grail-host"], &[])]).len(),
            1
        );
    }

    #[test]
    fn tests_may_use_crates_below() {
        let crates = [made("grail-policy", &[], &["grail-txbuild"])];
        assert_eq!(check(&crates), [""; 0]);
    }

    #[test]
    fn only_tests_of_programs_use_the_testkit() {
        assert_eq!(
            check(&[made("grail-backend", &[], &["grail-testkit"])]),
            [""; 0]
        );
        assert_eq!(
            check(&[made("grail-backend", &["grail-testkit"], &[])]).len(),
            1
        );
        assert_eq!(
            check(&[made("grail-chain", &[], &["grail-testkit"])]).len(),
            1
        );
    }

    #[test]
    fn refuses_a_crate_without_a_place() {
        assert_eq!(check(&[made("grail-common", &[], &[])]).len(), 1);
    }

    #[test]
    fn reads_members_and_their_kinds_of_dependencies() {
        let metadata = json!({
            "workspace_members": ["a", "b"],
            "packages": [
                { "id": "a", "name": "grail-types", "dependencies": [{ "name": "serde", "kind": null }] },
                { "id": "b", "name": "grail-script", "dependencies": [
                    { "name": "grail-types", "kind": null },
                    { "name": "grail-types", "kind": "build" },
                    { "name": "grail-types", "kind": "dev" },
                ] },
                { "id": "c", "name": "serde", "dependencies": [] },
            ],
        });
        assert_eq!(
            crates(&metadata).unwrap(),
            [
                made("grail-types", &[], &[]),
                made(
                    "grail-script",
                    &["grail-types", "grail-types"],
                    &["grail-types"]
                ),
            ]
        );
        assert!(crates(&json!({})).is_err());
    }
}
