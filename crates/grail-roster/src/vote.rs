//! Votes, and the certificates that a quorum of them makes.

use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{Message as Digest, Secp256k1, Verification, schnorr::Signature},
};
use grail_types::{BoundedVec, Epoch, Roster, SIGNERS_MAX, TaggedHasher};
use grail_wire::bytes::{public_key, signature};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{EntryHash, LogId, Quorum};

/// Which of a round's two votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The first: for what the round's proposer proposes.
    Prepare,
    /// The second: for what a quorum prepared.
    Commit,
}

/// What a member votes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ballot {
    /// The roster that votes.
    pub epoch: Epoch,
    /// The entry's height.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// Which vote.
    pub phase: Phase,
    /// The entry.
    pub entry: EntryHash,
    /// With a prepare vote: the round of the certificate that the voter is locked by.
    pub lock: Option<u32>,
}

/// Who votes: an operator, and which of its instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// The operator: its signer's key.
    #[serde(with = "public_key")]
    pub operator: XOnlyPublicKey,
    /// The instance's key, made when it started and never stored.
    #[serde(with = "public_key")]
    pub instance: XOnlyPublicKey,
}

/// Both signatures of a vote, over [`vote_digest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteSignatures {
    /// By the signer's key: what counts.
    #[serde(with = "signature")]
    pub signer: Signature,
    /// By the instance's key: who it was.
    #[serde(with = "signature")]
    pub instance: Signature,
}

/// A vote as it travels. Foreign until [`SignedVote::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedVote {
    /// Who votes.
    pub voter: Peer,
    /// For what.
    pub ballot: Ballot,
    /// The signatures.
    pub signatures: VoteSignatures,
}

/// Whoever holds both keys signs votes, and nothing else, by it.
pub trait VoteSigner {
    /// Signs [`vote_digest`] of `ballot` for the voter that it is.
    fn sign(&self, log: &LogId, ballot: &Ballot) -> VoteSignatures;
}

/// Why a vote or a certificate does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VoteError {
    /// The voter is not in the roster that votes.
    #[error("the voter is no member")]
    NotMember,
    /// The signer's signature is not good.
    #[error("the signer's signature is invalid")]
    Signer,
    /// The instance's signature is not good.
    #[error("the instance's signature is invalid")]
    Instance,
    /// A lock where there is none, or of a round that is not over.
    #[error("the vote states a lock that it cannot have")]
    Lock,
    /// The vote is for another entry, height, round or epoch than the certificate.
    #[error("a vote of the certificate is for something else")]
    OtherBallot,
    /// Members are not strictly ascending: one would count twice.
    #[error("the voters are not strictly ascending")]
    Order,
    /// Too few.
    #[error("expected {expected} votes, got {got}")]
    Count {
        /// The quorum.
        expected: usize,
        /// Votes found.
        got: usize,
    },
}

/// The digest that both signatures of a vote are over. A tagged hash: never a sighash.
pub fn vote_digest(log: &LogId, voter: &Peer, ballot: &Ballot) -> Digest {
    let lock = ballot
        .lock
        .map_or(0, |round| u64::from(round).saturating_add(1));
    let hasher = TaggedHasher::new("grail/roster-vote/v1")
        .bytes(&log.0)
        .bytes(&voter.operator.serialize())
        .bytes(&voter.instance.serialize())
        .u64(ballot.epoch.0)
        .u64(ballot.height)
        .u64(ballot.round.into())
        .u8(match ballot.phase {
            Phase::Prepare => 0,
            Phase::Commit => 1,
        })
        .bytes(&ballot.entry.0)
        .u64(lock);
    Digest::from_digest(hasher.finish())
}

impl SignedVote {
    /// The vote, if a member of `roster` gave it.
    pub fn verify<C: Verification>(
        self,
        secp: &Secp256k1<C>,
        log: &LogId,
        roster: &Roster,
    ) -> Result<Vote, VoteError> {
        let member = roster
            .position(&self.voter.operator)
            .ok_or(VoteError::NotMember)?;
        if self.ballot.epoch != roster.epoch() {
            return Err(VoteError::OtherBallot);
        }
        self.check_signatures(secp, log)?;
        Ok(Vote {
            member: member.0.into(),
            signed: self,
        })
    }

    /// Whether both keys signed, whoever they are.
    pub fn check_signatures<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        log: &LogId,
    ) -> Result<(), VoteError> {
        let sound = match (self.ballot.phase, self.ballot.lock) {
            (_, None) => true,
            (Phase::Prepare, Some(lock)) => lock < self.ballot.round,
            (Phase::Commit, Some(_)) => false,
        };
        if !sound {
            return Err(VoteError::Lock);
        }
        let digest = vote_digest(log, &self.voter, &self.ballot);
        secp.verify_schnorr(&self.signatures.signer, &digest, &self.voter.operator)
            .map_err(|_| VoteError::Signer)?;
        secp.verify_schnorr(&self.signatures.instance, &digest, &self.voter.instance)
            .map_err(|_| VoteError::Instance)
    }
}

/// A verified vote of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vote {
    member: usize,
    signed: SignedVote,
}

impl Vote {
    /// The voter's position in the roster.
    pub const fn member(&self) -> usize {
        self.member
    }

    /// For what.
    pub const fn ballot(&self) -> &Ballot {
        &self.signed.ballot
    }

    /// The vote as it travels.
    pub const fn signed(&self) -> &SignedVote {
        &self.signed
    }

    /// A vote whose signatures nobody looks at: the models' votes come from nowhere else.
    #[cfg(test)]
    pub(crate) const fn unsigned(member: usize, signed: &SignedVote) -> Self {
        Self {
            member,
            signed: *signed,
        }
    }
}

/// Votes of one round and phase for one entry, by voters in the roster's order. Foreign until
/// [`Votes::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Votes(pub BoundedVec<SignedVote, SIGNERS_MAX>);

/// A quorum's votes of one round and phase for one entry. Made by verification, or by
/// [`Certificate::of`] from verified votes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Certificate {
    round: u32,
    entry: EntryHash,
    votes: Votes,
}

impl Votes {
    /// The certificate that these votes are, for `entry` at `height`.
    pub fn verify<C: Verification>(
        self,
        secp: &Secp256k1<C>,
        roster: (&LogId, &Roster, &Quorum),
        height: u64,
        phase: Phase,
        entry: EntryHash,
    ) -> Result<Certificate, VoteError> {
        let (log, roster, quorum) = roster;
        let (expected, got) = (quorum.needed(), self.0.len());
        let Some(first) = self.0.first().filter(|_| got >= expected) else {
            return Err(VoteError::Count { expected, got });
        };
        let round = first.ballot.round;
        let mut last = None;
        for signed in self.0.iter() {
            let ballot = &signed.ballot;
            let alike = (ballot.height, ballot.round, ballot.phase, ballot.entry);
            if alike != (height, round, phase, entry) {
                return Err(VoteError::OtherBallot);
            }
            let member = roster.position(&signed.voter.operator);
            if member.is_none() {
                return Err(VoteError::NotMember);
            }
            if member <= last {
                return Err(VoteError::Order);
            }
            last = member;
        }
        for signed in self.0.iter() {
            signed.verify(secp, log, roster)?;
        }
        Ok(Certificate {
            round,
            entry,
            votes: self,
        })
    }
}

impl Certificate {
    /// The certificate that `votes` make, if they are a quorum's and alike.
    pub fn of(quorum: &Quorum, votes: &[Vote]) -> Option<Self> {
        let first = votes.first()?.ballot();
        let alike = |vote: &Vote| {
            let it = vote.ballot();
            (it.height, it.round, it.phase, it.entry)
                == (first.height, first.round, first.phase, first.entry)
        };
        let ascending = votes.is_sorted_by(|one, next| one.member() < next.member());
        if votes.len() < quorum.needed() || !ascending || !votes.iter().all(alike) {
            return None;
        }
        let votes = votes.iter().map(|vote| *vote.signed()).collect();
        Some(Self {
            round: first.round,
            entry: first.entry,
            votes: Votes(BoundedVec::new(votes).ok()?),
        })
    }

    /// The round.
    pub const fn round(&self) -> u32 {
        self.round
    }

    /// The entry.
    pub const fn entry(&self) -> EntryHash {
        self.entry
    }

    /// The votes as they travel.
    pub const fn votes(&self) -> &Votes {
        &self.votes
    }
}
