//! How many members' votes count an entry.

use grail_types::Roster;
use thiserror::Error;

/// How many of a roster must vote alike. Any two quorums share more members than may have been
/// rolled back at one height (ADR 33). Made by [`Quorum::new`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quorum {
    members: usize,
    rolled_back: usize,
    needed: usize,
}

/// Why a roster has no quorum of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected a quorum of at most {members} members, got {needed}")]
pub struct QuorumError {
    /// Members of the roster.
    pub members: usize,
    /// Votes that it would take.
    pub needed: usize,
}

impl Quorum {
    /// The larger of `roster`'s threshold and `floor((n + rolled_back) / 2) + 1`, where
    /// `rolled_back` members may have forgotten their votes.
    pub fn new(roster: &Roster, rolled_back: u16) -> Result<Self, QuorumError> {
        let members = roster.signers().len();
        let rolled_back = usize::from(rolled_back);
        let majority = (members.saturating_add(rolled_back) / 2).saturating_add(1);
        let needed = majority.max(usize::from(roster.threshold().0));
        if needed > members {
            return Err(QuorumError { members, needed });
        }
        Ok(Self {
            members,
            rolled_back,
            needed,
        })
    }

    /// Members of the roster.
    pub const fn members(&self) -> usize {
        self.members
    }

    /// Votes that count an entry.
    pub const fn needed(&self) -> usize {
        self.needed
    }

    /// The fewest members of whom one at least is not among the rolled-back.
    pub const fn some_sound(&self) -> usize {
        self.rolled_back.saturating_add(1)
    }

    /// The fewest of the other members that are more than half of them.
    pub const fn most_others(&self) -> usize {
        (self.members.saturating_sub(1) / 2).saturating_add(1)
    }

    /// A quorum that asks for `fewer` votes less: for the models, which must find what breaks.
    #[cfg(test)]
    pub(crate) const fn weakened(mut self, fewer: usize) -> Self {
        self.needed -= fewer;
        self
    }

    /// A quorum of a smaller roster than the one that grants leases, likewise.
    #[cfg(test)]
    pub(crate) const fn of_fewer(mut self, fewer: usize) -> Self {
        self.members -= fewer;
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use grail_types::{Epoch, Threshold};

    use super::*;
    use crate::testing::signers;

    fn needed(members: u16, threshold: u16, rolled_back: u16) -> Result<usize, QuorumError> {
        let roster = Roster::new(Epoch(0), signers(members), Threshold(threshold)).unwrap();
        Quorum::new(&roster, rolled_back).map(|quorum| quorum.needed())
    }

    #[test]
    fn twelve_of_sixteen_bear_seven_rolled_back_and_no_more() {
        assert_eq!(needed(16, 12, 7), Ok(12));
        assert_eq!(needed(16, 12, 8), Ok(13));
        assert_eq!(needed(16, 9, 1), Ok(9));
        assert_eq!(needed(16, 9, 2), Ok(10));
        assert_eq!(needed(4, 3, 1), Ok(3));
    }

    #[test]
    fn two_quorums_share_more_than_may_be_rolled_back() {
        for members in 4..=100_u16 {
            for rolled_back in 0..members {
                let Ok(needed) = needed(members, members / 2 + 1, rolled_back) else {
                    continue;
                };
                let shared = 2 * needed - usize::from(members);
                assert!(shared > usize::from(rolled_back));
                assert!(needed <= usize::from(members));
            }
        }
    }

    #[test]
    fn refuses_a_quorum_above_the_members() {
        let error = QuorumError {
            members: 4,
            needed: 5,
        };
        assert_eq!(needed(4, 3, 4), Err(error));
        assert_eq!(needed(4, 3, 3), Ok(4));
    }
}
