//! What an enclave image hashes to.

use serde::{Deserialize, Serialize};

/// Nitro platform configuration registers that identify an image, SHA-384 each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// The whole image.
    #[serde(with = "crate::bytes::hex_array")]
    pub pcr0: [u8; 48],
    /// Kernel and boot ramdisk.
    #[serde(with = "crate::bytes::hex_array")]
    pub pcr1: [u8; 48],
    /// The application.
    #[serde(with = "crate::bytes::hex_array")]
    pub pcr2: [u8; 48],
}
