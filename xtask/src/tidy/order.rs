//! The order of the crates: each depends only on those above it.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The project's crates, from the purest to the programs.
const ORDER: &[&str] = &[
    "grail-types",
    "grail-script",
    "grail-spell",
    "grail-attest",
    "grail-policy",
    "grail-signer",
    "grail-flow",
    "grail-txbuild",
    "grail-chain",
    "grail-audit",
    "grail-api",
    "grail-wallet",
    "grail-store",
    "grail-broker",
    "grail-prover",
    "grail-enclave",
    "grail-host",
    "grail-backend",
    "grail-cli",
    "grail-testkit",
    "xtask",
];

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

/// Complains of each dependency that points downwards.
pub fn check(crates: &[Crate]) -> Vec<String> {
    let place = |name: &str| ORDER.iter().position(|known| *known == name);
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
        // Tests may look downwards, since what is built does not; the harness alone is for programs.
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
