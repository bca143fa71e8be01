//! Bitcoin networks, and the two permissions that only regtest grants, in development builds alone
//! (invariant I11).

use serde::{Deserialize, Serialize};

/// A Bitcoin network that Grail runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Local test chain.
    Regtest,
    /// Public test chain with signed blocks.
    Signet,
    /// Public test chain with proof of work (BIP-94).
    Testnet4,
    /// Bitcoin.
    Mainnet,
}

impl Network {
    /// All networks.
    pub const ALL: [Self; 4] = [Self::Regtest, Self::Signet, Self::Testnet4, Self::Mainnet];

    /// Fewest blocks between the announcement of a rotation and its execution, whatever the
    /// parameters say: compiled in, so that no quorum can shorten it under an honest enclave.
    pub const fn notice_min(self) -> u16 {
        match self {
            Self::Regtest => 1,
            Self::Signet | Self::Testnet4 => 36,
            Self::Mainnet => 1_008,
        }
    }

    /// One byte that stands for the network in hashes.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Regtest => 0,
            Self::Signet => 1,
            Self::Testnet4 => 2,
            Self::Mainnet => 3,
        }
    }
}

impl From<Network> for bitcoin::Network {
    fn from(network: Network) -> Self {
        match network {
            Network::Regtest => Self::Regtest,
            Network::Signet => Self::Signet,
            Network::Testnet4 => Self::Testnet4,
            Network::Mainnet => Self::Bitcoin,
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Regtest => "regtest",
            Self::Signet => "signet",
            Self::Testnet4 => "testnet4",
            Self::Mainnet => "mainnet",
        })
    }
}

impl std::str::FromStr for Network {
    type Err = UnknownNetwork;

    fn from_str(text: &str) -> Result<Self, UnknownNetwork> {
        Self::ALL
            .into_iter()
            .find(|network| network.to_string() == text)
            .ok_or(UnknownNetwork)
    }
}

/// The text names no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected regtest, signet, testnet4 or mainnet")]
pub struct UnknownNetwork;

/// What the two permissions are made of. A production build has no value of it, so that nothing in
/// such a program, this module included, can make a permission.
#[derive(Clone, Copy, Debug)]
enum Development {
    #[cfg(feature = "development")]
    Regtest,
}

impl Development {
    const fn on(network: Network) -> Option<Self> {
        match network {
            #[cfg(feature = "development")]
            Network::Regtest => Some(Self::Regtest),
            #[cfg(not(feature = "development"))]
            Network::Regtest => None,
            Network::Signet | Network::Testnet4 | Network::Mainnet => None,
        }
    }
}

/// Permission to make or accept mock proofs. Exists only for regtest and only in development
/// builds, so that no code path can accept one elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct MockAllowed(#[allow(dead_code, reason = "held, never read")] Development);

impl MockAllowed {
    /// The permission, on regtest alone; in a production build `None` on every network.
    pub const fn on(network: Network) -> Option<Self> {
        match Development::on(network) {
            Some(development) => Some(Self(development)),
            None => None,
        }
    }
}

/// Permission to use the development TEE and its root. Exists only for regtest and only in
/// development builds.
#[derive(Clone, Copy, Debug)]
pub struct DevelopmentAllowed(#[allow(dead_code, reason = "held, never read")] Development);

impl DevelopmentAllowed {
    /// The permission, on regtest alone; in a production build `None` on every network.
    pub const fn on(network: Network) -> Option<Self> {
        match Development::on(network) {
            Some(development) => Some(Self(development)),
            None => None,
        }
    }
}

// Every compilation of a program is held to invariant I11: no test needs to be run for it.
const _: () = {
    let is_development = cfg!(feature = "development");
    assert!(MockAllowed::on(Network::Regtest).is_some() == is_development);
    assert!(DevelopmentAllowed::on(Network::Regtest).is_some() == is_development);
    let mut index = 0;
    while index < Network::ALL.len() {
        let network = Network::ALL[index];
        let is_other = network.tag() != Network::Regtest.tag();
        assert!(!is_other || MockAllowed::on(network).is_none());
        assert!(!is_other || DevelopmentAllowed::on(network).is_none());
        index += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_development_builds_alone_grant_permissions_and_on_regtest_alone() {
        for network in Network::ALL {
            let expected = cfg!(feature = "development") && network == Network::Regtest;
            let mock = MockAllowed::on(network);
            assert_eq!(mock.is_some(), expected, "{network}");
            let development = DevelopmentAllowed::on(network);
            assert_eq!(development.is_some(), expected, "{network}");
        }
    }

    #[test]
    fn names_parse_back() {
        for network in Network::ALL {
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        assert!("bitcoin".parse::<Network>().is_err());
    }
}
