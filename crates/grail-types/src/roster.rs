//! Who may sign in an epoch.

use bitcoin::XOnlyPublicKey;
use serde::{Deserialize, Serialize};

use crate::BoundedVec;

/// Fewest signers a roster may have. The bridge contract enforces the same number.
pub const SIGNERS_MIN: usize = 4;
/// Most signers a roster may have; bounds every list that is as long as a roster.
pub const SIGNERS_MAX: usize = 100;

/// Number of a roster. Only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Signers that must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Threshold(pub u16);

/// Position of a signer in its roster's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignerIndex(pub u16);

impl std::fmt::Display for SignerIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Ordered signers and their threshold at an epoch. Always valid: made only by [`Roster::new`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawRoster", into = "RawRoster")]
pub struct Roster {
    epoch: Epoch,
    signers: Vec<XOnlyPublicKey>,
    threshold: Threshold,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoster {
    epoch: Epoch,
    signers: BoundedVec<XOnlyPublicKey, SIGNERS_MAX>,
    threshold: Threshold,
}

/// Why signers and threshold are no roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// Too few or too many signers.
    #[error("expected {SIGNERS_MIN} to {SIGNERS_MAX} signers, got {0}")]
    SignerCount(usize),
    /// Keys unsorted or repeated.
    #[error("signers must be strictly ascending")]
    Unsorted,
    /// Above the number of signers, or low enough for two disjoint quorums.
    #[error("expected a threshold above half of {signers} and at most that, got {threshold}")]
    Threshold {
        /// Number of signers.
        signers: usize,
        /// The threshold that does not fit.
        threshold: u16,
    },
}

impl Roster {
    /// A roster of `signers`, strictly ascending by their 32 bytes, of which `threshold` (more than
    /// half) must agree.
    pub fn new(
        epoch: Epoch,
        signers: Vec<XOnlyPublicKey>,
        threshold: Threshold,
    ) -> Result<Self, RosterError> {
        let count = signers.len();
        if !(SIGNERS_MIN..=SIGNERS_MAX).contains(&count) {
            return Err(RosterError::SignerCount(count));
        }
        let ascending = signers
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.serialize() < b.serialize()));
        if !ascending {
            return Err(RosterError::Unsorted);
        }
        let needed = usize::from(threshold.0);
        if needed > count || needed.saturating_mul(2) <= count {
            return Err(RosterError::Threshold {
                signers: count,
                threshold: threshold.0,
            });
        }
        Ok(Self {
            epoch,
            signers,
            threshold,
        })
    }

    /// Number of this roster.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Keys in signing order, strictly ascending.
    pub fn signers(&self) -> &[XOnlyPublicKey] {
        &self.signers
    }

    /// Signers that must agree.
    pub const fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// Where `key` stands, if it is a signer.
    pub fn position(&self, key: &XOnlyPublicKey) -> Option<SignerIndex> {
        let index = self.signers.iter().position(|signer| signer == key)?;
        u16::try_from(index).ok().map(SignerIndex)
    }

    /// The signer at `index`.
    pub fn signer(&self, index: SignerIndex) -> Option<&XOnlyPublicKey> {
        self.signers.get(usize::from(index.0))
    }
}

impl TryFrom<RawRoster> for Roster {
    type Error = RosterError;

    fn try_from(raw: RawRoster) -> Result<Self, RosterError> {
        Self::new(raw.epoch, raw.signers.into_inner(), raw.threshold)
    }
}

impl From<Roster> for RawRoster {
    fn from(roster: Roster) -> Self {
        Self {
            epoch: roster.epoch,
            signers: BoundedVec::new(roster.signers).expect("a roster is within the bound"),
            threshold: roster.threshold,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::secp256k1::{Keypair, Secp256k1};

    fn keys(count: u8) -> Vec<XOnlyPublicKey> {
        let secp = Secp256k1::new();
        let mut keys: Vec<_> = (1..=count)
            .map(|n| {
                Keypair::from_seckey_slice(&secp, &[n; 32])
                    .unwrap()
                    .x_only_public_key()
                    .0
            })
            .collect();
        keys.sort_by_key(XOnlyPublicKey::serialize);
        keys
    }

    #[test]
    fn accepts_twelve_of_sixteen() {
        let roster = Roster::new(Epoch(0), keys(16), Threshold(12)).unwrap();
        assert_eq!(roster.position(&roster.signers()[3]), Some(SignerIndex(3)));
    }

    #[test]
    fn refuses_a_threshold_of_half() {
        assert!(Roster::new(Epoch(0), keys(16), Threshold(9)).is_ok());
        assert!(matches!(
            Roster::new(Epoch(0), keys(16), Threshold(8)),
            Err(RosterError::Threshold { .. })
        ));
    }

    #[test]
    fn refuses_a_threshold_above_the_signers() {
        assert!(Roster::new(Epoch(0), keys(16), Threshold(16)).is_ok());
        assert!(matches!(
            Roster::new(Epoch(0), keys(16), Threshold(17)),
            Err(RosterError::Threshold { .. })
        ));
    }

    #[test]
    fn refuses_a_repeated_and_an_unsorted_signer() {
        let mut repeated = keys(5);
        repeated[1] = repeated[0];
        assert_eq!(
            Roster::new(Epoch(0), repeated, Threshold(3)),
            Err(RosterError::Unsorted)
        );
        let mut unsorted = keys(5);
        unsorted.swap(0, 1);
        assert_eq!(
            Roster::new(Epoch(0), unsorted, Threshold(3)),
            Err(RosterError::Unsorted)
        );
    }

    #[test]
    fn refuses_three_signers() {
        assert_eq!(
            Roster::new(Epoch(0), keys(3), Threshold(2)),
            Err(RosterError::SignerCount(3))
        );
    }
}
