//! The operators' administrators: who must agree, besides the enclaves, that a roster hands over.

use bitcoin::XOnlyPublicKey;
use grail_types::{BoundedVec, TaggedHasher};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Most administrators: as many as a roster may have signers.
pub const ADMINISTRATORS_MAX: usize = 100;

/// Keys of the administrators and how many of them must agree. Always valid: made only by
/// [`Governance::new`]. The NFT's state carries its hash; the keys are offline, and travel in what
/// needs them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawGovernance", into = "RawGovernance")]
pub struct Governance {
    administrators: Vec<XOnlyPublicKey>,
    threshold: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGovernance {
    administrators: BoundedVec<XOnlyPublicKey, ADMINISTRATORS_MAX>,
    threshold: u16,
}

/// Why keys and a threshold are no governance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GovernanceError {
    /// Nobody, or more than anybody checks.
    #[error("expected 1 to {ADMINISTRATORS_MAX} administrators, got {0}")]
    Count(usize),
    /// Unsorted or repeated: one key would count twice, or two documents would say the same.
    #[error("administrators must be strictly ascending")]
    Unsorted,
    /// Two disjoint quorums, or none at all.
    #[error("a threshold of {threshold} is not above half of {administrators} and at most all")]
    Threshold {
        /// Threshold found.
        threshold: u16,
        /// Number of administrators.
        administrators: usize,
    },
}

impl Governance {
    /// Keys, strictly ascending by their bytes, of whom `threshold` must agree: more than half.
    pub fn new(
        administrators: Vec<XOnlyPublicKey>,
        threshold: u16,
    ) -> Result<Self, GovernanceError> {
        let count = administrators.len();
        if !(1..=ADMINISTRATORS_MAX).contains(&count) {
            return Err(GovernanceError::Count(count));
        }
        if !administrators.is_sorted_by(|one, next| one.serialize() < next.serialize()) {
            return Err(GovernanceError::Unsorted);
        }
        let needed = usize::from(threshold);
        if needed > count || needed.saturating_mul(2) <= count {
            return Err(GovernanceError::Threshold {
                threshold,
                administrators: count,
            });
        }
        Ok(Self {
            administrators,
            threshold,
        })
    }

    /// The keys, strictly ascending.
    pub fn administrators(&self) -> &[XOnlyPublicKey] {
        &self.administrators
    }

    /// How many must agree.
    pub const fn threshold(&self) -> u16 {
        self.threshold
    }

    /// What the NFT's state carries of it.
    pub fn hash(&self) -> [u8; 32] {
        let head = TaggedHasher::new("grail/governance/v1")
            .u64(u64::from(self.threshold))
            .u64(self.administrators.len() as u64);
        let keys = self.administrators.iter();
        keys.fold(head, |hasher, key| hasher.bytes(&key.serialize()))
            .finish()
    }
}

impl TryFrom<RawGovernance> for Governance {
    type Error = GovernanceError;

    fn try_from(raw: RawGovernance) -> Result<Self, GovernanceError> {
        Self::new(raw.administrators.into_inner(), raw.threshold)
    }
}

impl From<Governance> for RawGovernance {
    fn from(governance: Governance) -> Self {
        let administrators = BoundedVec::new(governance.administrators);
        Self {
            administrators: administrators.expect("no more than were checked"),
            threshold: governance.threshold,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::secp256k1::{Keypair, Secp256k1};

    use super::*;

    fn keys(count: u8) -> Vec<XOnlyPublicKey> {
        let secp = Secp256k1::new();
        let key = |seed| Keypair::from_seckey_slice(&secp, &[seed; 32]).unwrap();
        let mut keys: Vec<_> = (1..=count)
            .map(|seed| key(seed).x_only_public_key().0)
            .collect();
        keys.sort_by_key(XOnlyPublicKey::serialize);
        keys
    }

    #[test]
    fn more_than_half_and_at_most_all_must_agree() {
        for (count, least) in [(1, 1), (2, 2), (4, 3), (5, 3), (16, 9)] {
            let with = |threshold| Governance::new(keys(count), threshold);
            assert!(with(least).is_ok() && with(count.into()).is_ok());
            for threshold in [0, least - 1, u16::from(count) + 1] {
                let error = GovernanceError::Threshold {
                    threshold,
                    administrators: count.into(),
                };
                assert_eq!(with(threshold), Err(error));
            }
        }
    }

    #[test]
    fn nobody_and_too_many_and_a_key_twice_are_refused() {
        assert_eq!(Governance::new(vec![], 0), Err(GovernanceError::Count(0)));
        let many = keys(101);
        assert_eq!(Governance::new(many, 60), Err(GovernanceError::Count(101)));
        let mut twice = keys(4);
        twice[1] = twice[0];
        assert_eq!(Governance::new(twice, 3), Err(GovernanceError::Unsorted));
        let mut swapped = keys(4);
        swapped.swap(0, 1);
        assert_eq!(Governance::new(swapped, 3), Err(GovernanceError::Unsorted));
    }

    #[test]
    fn keys_threshold_and_their_number_make_the_hash() {
        let hash = |count, threshold| Governance::new(keys(count), threshold).unwrap().hash();
        let base = hash(4, 3);
        assert_ne!(base, hash(4, 4));
        assert_ne!(base, hash(5, 3));
        let mut other = keys(5);
        other.pop();
        let other = Governance::new(other, 3).unwrap();
        assert_eq!(other.hash() == base, other.administrators() == keys(4));
    }

    #[test]
    fn json_reads_back_and_is_checked() {
        let governance = Governance::new(keys(4), 3).unwrap();
        let mut json = serde_json::to_value(&governance).unwrap();
        assert_eq!(
            serde_json::from_value::<Governance>(json.clone()).unwrap(),
            governance
        );
        json["threshold"] = 2.into();
        assert!(serde_json::from_value::<Governance>(json.clone()).is_err());
        json["threshold"] = 3.into();
        json["extra"] = 1.into();
        assert!(serde_json::from_value::<Governance>(json).is_err());
    }
}
