//! Proofs that one instance voted as honest code never does.

use bitcoin::secp256k1::{Secp256k1, Verification};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Ballot, LogId, Peer, Phase, SignedVote, VoteError};

/// Two votes of one instance that contradict each other. Foreign until [`Equivocation::verify`].
///
/// It says that this instance is broken, or was copied while it ran. It takes nobody's vote away:
/// whoever could make proofs could otherwise make quorums smaller.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equivocation {
    /// One vote: where the rounds differ, the earlier.
    pub one: SignedVote,
    /// The other.
    pub other: SignedVote,
}

/// Why two votes prove nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EquivocationError {
    /// Of two instances: a takeover, or a restart.
    #[error("the votes are of two instances")]
    OtherInstance,
    /// Honest instances do that.
    #[error("the votes do not contradict each other")]
    NoContradiction,
    /// One is not signed.
    #[error(transparent)]
    Vote(#[from] VoteError),
}

impl Equivocation {
    /// The proof that two votes are, in either order, if they are one.
    pub fn of(one: &SignedVote, other: &SignedVote) -> Result<Self, EquivocationError> {
        let (one, other) = if one.ballot.round <= other.ballot.round {
            (*one, *other)
        } else {
            (*other, *one)
        };
        if one.voter != other.voter {
            return Err(EquivocationError::OtherInstance);
        }
        if !contradict(&one.ballot, &other.ballot) {
            return Err(EquivocationError::NoContradiction);
        }
        Ok(Self { one, other })
    }

    /// Whether both votes are signed and contradict each other, in this order.
    pub fn verify<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        log: &LogId,
    ) -> Result<(), EquivocationError> {
        if *self != Self::of(&self.one, &self.other)? {
            return Err(EquivocationError::NoContradiction);
        }
        self.one.check_signatures(secp, log)?;
        self.other.check_signatures(secp, log)?;
        Ok(())
    }

    /// Which instance it is about.
    pub const fn culprit(&self) -> &Peer {
        &self.one.voter
    }
}

/// Whether no honest instance casts both, `earlier` being of no later round than `later`.
fn contradict(earlier: &Ballot, later: &Ballot) -> bool {
    if earlier.height != later.height || earlier.entry == later.entry {
        return false;
    }
    if earlier.round == later.round {
        return earlier.phase == later.phase;
    }
    // Who committed is locked; only a certificate of a later round makes it prepare another entry,
    // and then the vote says which.
    earlier.phase == Phase::Commit
        && later.phase == Phase::Prepare
        && later.lock.is_none_or(|lock| lock <= earlier.round)
}
