//! Scripts that an order's output can have.

use alloc::vec::Vec;
use core::fmt;

/// A script of one of the standard address types: P2PKH, P2SH, P2WPKH, P2WSH or P2TR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination(Vec<u8>);

/// The script is of no allowed type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationError;

impl fmt::Display for DestinationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a P2PKH, P2SH, P2WPKH, P2WSH or P2TR script")
    }
}

impl core::error::Error for DestinationError {}

impl Destination {
    /// The output script.
    pub fn script(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Destination {
    type Error = DestinationError;

    fn try_from(script: &[u8]) -> Result<Self, DestinationError> {
        let known = match script {
            [0x76, 0xa9, 0x14, hash @ .., 0x88, 0xac] | [0xa9, 0x14, hash @ .., 0x87] => {
                hash.len() == 20
            }
            [0x00, 0x14, program @ ..] => program.len() == 20,
            [0x00 | 0x51, 0x20, program @ ..] => program.len() == 32,
            _ => false,
        };
        known.then(|| Self(script.to_vec())).ok_or(DestinationError)
    }
}
