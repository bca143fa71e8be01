//! A roster as it travels.

use bitcoin::XOnlyPublicKey;
use grail_types::{BoundedBytes, Epoch, Roster, RosterError, SIGNERS_MAX, Threshold};
use serde::{Deserialize, Serialize};

/// A roster that somebody shows: epoch, threshold, and the keys as bytes, one after the other. The
/// asker's word, which nothing takes for more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WireRoster", into = "WireRoster")]
pub struct ShownRoster(pub Roster);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRoster {
    epoch: Epoch,
    signers: BoundedBytes<{ 32 * SIGNERS_MAX }>,
    threshold: Threshold,
}

/// Why bytes are no roster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShownRosterError {
    /// The keys are cut off, or one is not on the curve.
    #[error("expected a whole number of 32-byte keys, each on the curve")]
    Keys,
    /// Keys and threshold are no roster.
    #[error(transparent)]
    Roster(#[from] RosterError),
}

impl TryFrom<WireRoster> for ShownRoster {
    type Error = ShownRosterError;

    fn try_from(wire: WireRoster) -> Result<Self, ShownRosterError> {
        let (keys, rest) = wire.signers.as_chunks::<32>();
        let keys: Result<Vec<_>, _> = keys
            .iter()
            .map(|key| XOnlyPublicKey::from_slice(key))
            .collect();
        let keys = keys.ok().filter(|_| rest.is_empty());
        let signers = keys.ok_or(ShownRosterError::Keys)?;
        Ok(Self(Roster::new(wire.epoch, signers, wire.threshold)?))
    }
}

impl From<ShownRoster> for WireRoster {
    fn from(ShownRoster(roster): ShownRoster) -> Self {
        let signers = roster.signers().iter();
        let signers = signers.flat_map(XOnlyPublicKey::serialize).collect();
        Self {
            epoch: roster.epoch(),
            signers: BoundedBytes::new(signers).expect("a roster is within the bound"),
            threshold: roster.threshold(),
        }
    }
}
