//! The internal key of Grail's taproot outputs: nobody's, or a roster's joint one.

use std::sync::OnceLock;

use bitcoin::XOnlyPublicKey;
use serde::{Deserialize, Serialize};

/// The point without known discrete logarithm that BIP-341 suggests as internal key, so that no
/// key path exists.
const NUMS: [u8; 32] = [
    0x50, 0x92, 0x9b, 0x74, 0xc1, 0xa0, 0x49, 0x54, 0xb7, 0x8b, 0x4b, 0x60, 0x35, 0xe9, 0x7a, 0x5e,
    0x07, 0x8a, 0x5a, 0x0f, 0x28, 0xec, 0x96, 0xd5, 0x47, 0xbf, 0xee, 0x9a, 0xce, 0x80, 0x3a, 0xc0,
];

/// BIP-341's NUMS point as an x-only key.
pub fn nums_key() -> XOnlyPublicKey {
    // Finding the point takes a square root, and every deposit of a settlement asks for it.
    static KEY: OnceLock<XOnlyPublicKey> = OnceLock::new();
    *KEY.get_or_init(|| {
        XOnlyPublicKey::from_slice(&NUMS).expect("the constant of BIP-341 is a curve point")
    })
}

/// A key under which a roster's quorum signs together: whoever knows its secret spends every
/// output that has it as internal key. Nothing here says whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "XOnlyPublicKey", into = "XOnlyPublicKey")]
pub struct GroupKey(XOnlyPublicKey);

/// The NUMS point was named as a group key. It has its own variant, so that an output has one
/// description only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a group key, got the point that is nobody's key")]
pub struct NumsAsGroupKey;

impl TryFrom<XOnlyPublicKey> for GroupKey {
    type Error = NumsAsGroupKey;

    fn try_from(key: XOnlyPublicKey) -> Result<Self, NumsAsGroupKey> {
        if key == nums_key() {
            Err(NumsAsGroupKey)
        } else {
            Ok(Self(key))
        }
    }
}

impl From<GroupKey> for XOnlyPublicKey {
    fn from(key: GroupKey) -> Self {
        key.0
    }
}

/// What an output has as its internal key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InternalKey {
    /// The NUMS point: there is no key path.
    Nums,
    /// A roster's joint key.
    Group(GroupKey),
}

impl InternalKey {
    /// The point that is tweaked to the output key.
    pub fn point(self) -> XOnlyPublicKey {
        match self {
            Self::Nums => nums_key(),
            Self::Group(key) => key.into(),
        }
    }
}

impl From<Option<GroupKey>> for InternalKey {
    fn from(key: Option<GroupKey>) -> Self {
        key.map_or(Self::Nums, Self::Group)
    }
}
