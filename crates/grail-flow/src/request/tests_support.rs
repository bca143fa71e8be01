//! Values that tests share.

use grail_types::{ImagesHash, Network, Params};

/// Regtest parameters: deposits need 1 confirmation, settlements 2, reclaim delay 24, margin 6.
pub(crate) fn params() -> Params {
    Params::preset(Network::Regtest, ImagesHash([1; 32]))
}
