//! Which votes count, and which contradict each other.
#![allow(clippy::unwrap_used)]

use grail_types::{BoundedVec, Epoch};

use crate::testing::{Keys, ballot, genesis, images, pair, pairs, secp, valid};
use crate::{
    Ballot, EntryHash, Equivocation, EquivocationError, LogId, LogState, Peer, Phase, SignedVote,
    VoteError, Votes, vote_digest,
};

fn log() -> LogState {
    LogState::genesis(&genesis(4, 1)).unwrap()
}

fn keys() -> Vec<Keys> {
    let signers = pairs(b's', 4).into_iter().zip(1..);
    let keys = signers.map(|(signer, number)| Keys {
        signer,
        instance: pair(b'i', number),
    });
    keys.collect()
}

fn commit(log: &LogState) -> Ballot {
    ballot(log, 0, Phase::Commit, &valid(log, images(2, 3)))
}

fn certify(log: &LogState, votes: Vec<SignedVote>) -> Result<(), VoteError> {
    let votes = Votes(BoundedVec::new(votes).unwrap());
    let roster = (log.log(), log.roster(), log.quorum());
    let entry = commit(log).entry;
    let certificate = votes.verify(&secp(), roster, 1, Phase::Commit, entry);
    certificate.map(|_| ())
}

#[test]
fn every_part_of_a_vote_is_signed() {
    let (log, keys) = (log(), keys());
    let vote = keys[0].vote(log.log(), commit(&log));
    let verify = |vote: SignedVote| vote.verify(&secp(), log.log(), log.roster()).map(|_| ());
    assert_eq!(verify(vote), Ok(()));
    let changes: [fn(&mut SignedVote); 4] = [
        |it| it.ballot.height = 2,
        |it| it.ballot.round = 1,
        |it| it.ballot.phase = Phase::Prepare,
        |it| it.ballot.entry = EntryHash([1; 32]),
    ];
    for change in changes {
        let mut changed = vote;
        change(&mut changed);
        assert_eq!(verify(changed), Err(VoteError::Signer));
    }
    let mut other = vote;
    other.voter.instance = keys[1].peer().instance;
    assert_eq!(verify(other), Err(VoteError::Signer));
    let mut other = vote;
    other.signatures.instance = vote.signatures.signer;
    assert_eq!(verify(other), Err(VoteError::Instance));
    let mut other = vote;
    other.ballot.epoch = Epoch(1);
    assert_eq!(verify(other), Err(VoteError::OtherBallot));
    let foreign = vote.check_signatures(&secp(), &LogId([1; 32]));
    assert_eq!(foreign, Err(VoteError::Signer));
    let mut locked = commit(&log);
    locked.phase = Phase::Prepare;
    let digest = vote_digest(log.log(), &keys[0].peer(), &locked);
    locked.lock = Some(0);
    assert_ne!(digest, vote_digest(log.log(), &keys[0].peer(), &locked));
}

#[test]
fn refuses_the_vote_of_a_stranger() {
    let log = log();
    let stranger = Keys {
        signer: pair(b'x', 1),
        instance: pair(b'i', 1),
    };
    let vote = stranger.vote(log.log(), commit(&log));
    let refused = vote.verify(&secp(), log.log(), log.roster());
    assert_eq!(refused, Err(VoteError::NotMember));
    let mut votes: Vec<_> = keys()[..2]
        .iter()
        .map(|it| it.vote(log.log(), commit(&log)))
        .collect();
    votes.push(vote);
    assert_eq!(certify(&log, votes), Err(VoteError::NotMember));
}

#[test]
fn refuses_a_lock_that_a_vote_cannot_have() {
    let (log, keys) = (log(), keys());
    let mut ballot = commit(&log);
    ballot.lock = Some(0);
    let commits = keys[0].vote(log.log(), ballot);
    (ballot.phase, ballot.round) = (Phase::Prepare, 1);
    let sound = keys[0].vote(log.log(), ballot);
    ballot.lock = Some(1);
    let too_late = keys[0].vote(log.log(), ballot);
    let check = |vote: SignedVote| vote.check_signatures(&secp(), log.log());
    assert_eq!(check(sound), Ok(()));
    assert_eq!(check(commits), Err(VoteError::Lock));
    assert_eq!(check(too_late), Err(VoteError::Lock));
}

#[test]
fn a_certificate_is_a_quorum_of_different_members_for_one_entry() {
    let (log, keys) = (log(), keys());
    let votes: Vec<_> = keys
        .iter()
        .map(|keys| keys.vote(log.log(), commit(&log)))
        .collect();
    assert_eq!(certify(&log, votes[..3].to_vec()), Ok(()));
    assert_eq!(certify(&log, votes.clone()), Ok(()));
    let (expected, got) = (3, 2);
    let error = VoteError::Count { expected, got };
    assert_eq!(certify(&log, votes[..2].to_vec()), Err(error));
    let twice = vec![votes[0], votes[1], votes[1]];
    assert_eq!(certify(&log, twice), Err(VoteError::Order));
    let unsorted = vec![votes[1], votes[0], votes[2]];
    assert_eq!(certify(&log, unsorted), Err(VoteError::Order));
    let changes: [fn(&mut Ballot); 4] = [
        |it| it.round = 1,
        |it| it.height = 2,
        |it| it.phase = Phase::Prepare,
        |it| it.entry = EntryHash([1; 32]),
    ];
    for change in changes {
        let mut other = commit(&log);
        change(&mut other);
        let mut mixed = votes[..3].to_vec();
        mixed[2] = keys[2].vote(log.log(), other);
        assert_eq!(certify(&log, mixed), Err(VoteError::OtherBallot));
    }
    let mut forged = votes[..3].to_vec();
    forged[2].signatures = forged[1].signatures;
    assert_eq!(certify(&log, forged), Err(VoteError::Signer));
}

fn contradict(voters: [Peer; 2], ballots: [Ballot; 2]) -> Result<(), EquivocationError> {
    let (log, keys) = (log(), keys());
    let [one, other] = [0, 1].map(|place| SignedVote {
        voter: voters[place],
        ..keys[0].vote(log.log(), ballots[place])
    });
    let proof = Equivocation::of(&one, &other)?;
    assert_eq!(
        Equivocation::of(&other, &one).unwrap().culprit(),
        proof.culprit()
    );
    proof.verify(&secp(), log.log())
}

#[test]
fn two_entries_in_one_round_and_phase_are_a_proof() {
    let (log, me) = (log(), keys()[0].peer());
    let one = commit(&log);
    let other = Ballot {
        entry: EntryHash([1; 32]),
        ..one
    };
    assert_eq!(contradict([me, me], [one, other]), Ok(()));
    let nothing = Err(EquivocationError::NoContradiction);
    assert_eq!(contradict([me, me], [one, one]), nothing);
    for changed in [
        Ballot { round: 1, ..other },
        Ballot { height: 2, ..other },
        Ballot {
            phase: Phase::Prepare,
            ..other
        },
    ] {
        assert_eq!(contradict([me, me], [one, changed]), nothing);
    }
    let mut clone = me;
    clone.instance = keys()[1].peer().instance;
    let two = Err(EquivocationError::OtherInstance);
    assert_eq!(contradict([me, clone], [one, other]), two);
}

#[test]
fn a_lock_that_is_broken_is_a_proof() {
    let (log, me) = (log(), keys()[0].peer());
    let committed = Ballot {
        round: 3,
        ..commit(&log)
    };
    let prepared = |round, lock| Ballot {
        round,
        lock,
        phase: Phase::Prepare,
        entry: EntryHash([1; 32]),
        ..committed
    };
    for lock in [None, Some(0), Some(3)] {
        let ballots = [committed, prepared(5, lock)];
        assert_eq!(contradict([me, me], ballots), Ok(()));
    }
    let nothing = Err(EquivocationError::NoContradiction);
    // A certificate of a later round, or another order of the rounds.
    assert_eq!(
        contradict([me, me], [committed, prepared(5, Some(4))]),
        nothing
    );
    assert_eq!(
        contradict([me, me], [committed, prepared(2, None)]),
        nothing
    );
    let same = Ballot {
        entry: committed.entry,
        ..prepared(5, None)
    };
    assert_eq!(contradict([me, me], [committed, same]), nothing);
}

#[test]
fn a_proof_needs_both_signatures_and_its_order() {
    let (log, keys) = (log(), keys());
    let one = keys[0].vote(log.log(), commit(&log));
    let other = Ballot {
        entry: EntryHash([1; 32]),
        ..commit(&log)
    };
    let mut other = keys[0].vote(log.log(), other);
    other.signatures = one.signatures;
    let proof = Equivocation::of(&one, &other).unwrap();
    let error = EquivocationError::Vote(VoteError::Signer);
    assert_eq!(proof.verify(&secp(), log.log()), Err(error));
}
