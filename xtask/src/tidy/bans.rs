//! Crates that must not come in, not even through others.

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

#[cfg(test)]
mod tests {
    use super::*;

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
