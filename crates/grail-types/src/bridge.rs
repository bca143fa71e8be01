//! Which bridge: its network and its contract.

use serde::{Deserialize, Serialize};

use crate::Network;

/// The bridge app: one contract, whose NFT (tag `r`) is the roster and whose token (tag `z`) is
/// zkBTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeApp {
    /// SHA-256 of the UTXO id spent by the deployment: what makes this deployment unique.
    #[serde(with = "crate::bytes::hex_array")]
    pub identity: [u8; 32],
    /// SHA-256 of the contract's wasm.
    #[serde(with = "crate::bytes::hex_array")]
    pub vk: [u8; 32],
}

/// One bridge on one network. An enclave is told once, when its key is made or opened, and never
/// again: a bridge or a network that travelled with a proposal would let a foreign NFT, or a mock
/// proof, stand in for the real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// The network that it is on.
    pub network: Network,
    /// Its contract.
    pub app: BridgeApp,
}

impl std::fmt::Display for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, hex::encode(self.app.identity))
    }
}
