//! Values that tests share.

use grail_types::{BridgeApp, Measurement, Network, Params};

/// Regtest parameters: deposits need 1 confirmation, settlements 2, reclaim delay 24, margin 6.
pub(crate) fn params() -> Params {
    let bridge = BridgeApp {
        identity: [1; 32],
        vk: [2; 32],
    };
    let image = Measurement {
        pcr0: [1; 48],
        pcr1: [2; 48],
        pcr2: [3; 48],
    };
    Params::preset(Network::Regtest, bridge, vec![image])
}
