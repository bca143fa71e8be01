//! The operators' administrators: who must agree, besides the enclaves, that a roster hands over.

use bitcoin::XOnlyPublicKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{BoundedVec, Roster, TaggedHasher};

/// Most administrators: as many as a roster may have signers.
pub const ADMINISTRATORS_MAX: usize = 100;

/// Most bytes of [`Governance::to_bytes`].
pub const GOVERNANCE_MAX_BYTES: usize = 2 + 32 * ADMINISTRATORS_MAX;

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
    /// A smaller share of the administrators than of the roster's signers.
    #[error(
        "{threshold} of {administrators} administrators are a smaller share than \
         {roster_threshold} of {signers} signers"
    )]
    Share {
        /// Administrators that must agree.
        threshold: u16,
        /// Number of administrators.
        administrators: usize,
        /// Signers that must agree.
        roster_threshold: u16,
        /// Number of signers.
        signers: usize,
    },
}

/// Why bytes are no governance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GovernanceBytesError {
    /// Not a threshold and a whole number of keys, or more than there may be.
    #[error("governance of {0} bytes")]
    Length(usize),
    /// Not the x coordinate of a point.
    #[error("an administrator's key is no key")]
    Key,
    /// Keys and threshold do not fit together.
    #[error(transparent)]
    Values(#[from] GovernanceError),
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

    /// How many must agree to take an announcement back: so many that those left are too few to
    /// announce.
    pub fn cancel_threshold(&self) -> usize {
        let rest = self.administrators.len();
        rest.saturating_sub(usize::from(self.threshold))
            .saturating_add(1)
    }

    /// How many must agree to spend a vault that nothing has moved for long, without its roster:
    /// the threshold and half of those beyond it, rounded up. Who can rotate cannot also take.
    pub fn last_resort(&self) -> usize {
        let threshold = usize::from(self.threshold);
        let rest = self.administrators.len().saturating_sub(threshold);
        threshold.saturating_add(rest.div_ceil(2))
    }

    /// Whether it takes at least as large a share of the administrators to replace `roster` as it
    /// takes of its signers to spend: 12 of 16 are not replaced by 2 of 3.
    pub fn check_share(&self, roster: &Roster) -> Result<(), GovernanceError> {
        let (administrators, signers) = (self.administrators.len(), roster.signers().len());
        let ours = u64::from(self.threshold).saturating_mul(signers as u64);
        let theirs = u64::from(roster.threshold().0).saturating_mul(administrators as u64);
        if ours >= theirs {
            Ok(())
        } else {
            Err(GovernanceError::Share {
                threshold: self.threshold,
                administrators,
                roster_threshold: roster.threshold().0,
                signers,
            })
        }
    }

    /// Positions of those who are no administrators in `today`, ascending.
    pub fn newcomers_after<'a>(&'a self, today: &'a Self) -> impl Iterator<Item = u16> + 'a {
        (0_u16..)
            .zip(&self.administrators)
            .filter(|(_, key)| !today.administrators.contains(key))
            .map(|(position, _)| position)
    }

    /// The canonical bytes: threshold (u16, big-endian), then 32 bytes a key.
    pub fn to_bytes(&self) -> Vec<u8> {
        let keys = self.administrators.iter();
        let keys = keys.flat_map(XOnlyPublicKey::serialize);
        self.threshold
            .to_be_bytes()
            .into_iter()
            .chain(keys)
            .collect()
    }

    /// Reads canonical bytes; each governance has one encoding.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GovernanceBytesError> {
        let (threshold, keys) = bytes
            .split_first_chunk::<2>()
            .ok_or(GovernanceBytesError::Length(bytes.len()))?;
        let (keys, rest) = keys.as_chunks::<32>();
        if !rest.is_empty() || keys.len() > ADMINISTRATORS_MAX {
            return Err(GovernanceBytesError::Length(bytes.len()));
        }
        let keys = keys
            .iter()
            .map(|key| XOnlyPublicKey::from_slice(key).map_err(|_| GovernanceBytesError::Key))
            .collect::<Result<_, _>>()?;
        Ok(Self::new(keys, u16::from_be_bytes(*threshold))?)
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
    fn so_many_cancel_that_the_rest_cannot_announce() {
        for (count, threshold, expected) in [(16, 12, 5), (4, 3, 2), (1, 1, 1), (5, 5, 1)] {
            let governance = Governance::new(keys(count), threshold).unwrap();
            assert_eq!(governance.cancel_threshold(), expected);
            let rest = usize::from(count) - expected;
            assert!(rest < usize::from(threshold));
        }
    }

    #[test]
    fn the_last_resort_takes_half_of_the_rest_besides_and_at_most_all() {
        for (count, threshold, expected) in [(16, 12, 14), (4, 3, 4), (1, 1, 1), (5, 3, 4)] {
            let governance = Governance::new(keys(count), threshold).unwrap();
            assert_eq!(governance.last_resort(), expected);
        }
        for count in 1..=20_u8 {
            for threshold in u16::from(count) / 2 + 1..=u16::from(count) {
                let governance = Governance::new(keys(count), threshold).unwrap();
                let (needed, threshold) = (governance.last_resort(), usize::from(threshold));
                assert!(needed <= usize::from(count));
                assert_eq!(needed == threshold, threshold == usize::from(count));
            }
        }
    }

    #[test]
    fn a_smaller_share_than_the_rosters_is_refused() {
        let roster = |count, threshold| {
            let threshold = crate::Threshold(threshold);
            Roster::new(crate::Epoch(0), keys(count), threshold).unwrap()
        };
        let governance = Governance::new(keys(4), 3).unwrap();
        assert_eq!(governance.check_share(&roster(16, 12)), Ok(()));
        assert_eq!(governance.check_share(&roster(17, 12)), Ok(()));
        let error = GovernanceError::Share {
            threshold: 3,
            administrators: 4,
            roster_threshold: 13,
            signers: 17,
        };
        assert_eq!(governance.check_share(&roster(17, 13)), Err(error));
    }

    #[test]
    fn bytes_read_back_and_other_bytes_do_not() {
        let governance = Governance::new(keys(4), 3).unwrap();
        let bytes = governance.to_bytes();
        assert_eq!(Governance::from_bytes(&bytes), Ok(governance));
        for length in [0, 1, bytes.len() - 1] {
            let error = GovernanceBytesError::Length(length);
            assert_eq!(Governance::from_bytes(&bytes[..length]), Err(error));
        }
        let long = vec![0; GOVERNANCE_MAX_BYTES + 32];
        let error = GovernanceBytesError::Length(long.len());
        assert_eq!(Governance::from_bytes(&long), Err(error));
        let mut off_curve = bytes.clone();
        off_curve[2..34].fill(0xff);
        let error = GovernanceBytesError::Key;
        assert_eq!(Governance::from_bytes(&off_curve), Err(error));
        let mut low = bytes;
        low[1] = 2;
        assert!(matches!(
            Governance::from_bytes(&low),
            Err(GovernanceBytesError::Values(_))
        ));
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
