//! Which contract is the bridge.

use serde::{Deserialize, Serialize};

/// The bridge app: one contract, whose NFT (tag `n`) is the roster and whose token (tag `t`) is zkBTC.
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
