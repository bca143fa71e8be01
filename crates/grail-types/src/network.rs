//! Bitcoin networks, and the two permissions that only regtest grants (invariant I11).

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

/// Permission to make or accept mock proofs. Exists only for regtest, so that no code path can accept one
/// elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct MockAllowed(());

impl MockAllowed {
    /// The permission, on regtest alone.
    pub const fn on(network: Network) -> Option<Self> {
        match network {
            Network::Regtest => Some(Self(())),
            Network::Signet | Network::Testnet4 | Network::Mainnet => None,
        }
    }
}

/// Permission to use the development TEE and its root. Exists only for regtest.
#[derive(Clone, Copy, Debug)]
pub struct DevelopmentAllowed(());

impl DevelopmentAllowed {
    /// The permission, on regtest alone.
    pub const fn on(network: Network) -> Option<Self> {
        match network {
            Network::Regtest => Some(Self(())),
            Network::Signet | Network::Testnet4 | Network::Mainnet => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mock_and_development_are_granted_on_regtest_alone() {
        for network in Network::ALL {
            let is_regtest = network == Network::Regtest;
            assert_eq!(MockAllowed::on(network).is_some(), is_regtest, "{network}");
            assert_eq!(
                DevelopmentAllowed::on(network).is_some(),
                is_regtest,
                "{network}"
            );
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
