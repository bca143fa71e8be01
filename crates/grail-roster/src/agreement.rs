//! How one height gets its entry: rounds of two votes, with locks (ADR 33).
//!
//! Owns what a member remembers of a height and the rules by which it votes. Trusts that the votes,
//! certificates and entries that it is given are verified; their types say so. Signs nothing: it
//! says which ballots are to be signed, and whoever signs shows it the votes like all others'.

use std::collections::BTreeMap;

use grail_types::Epoch;

use crate::{Ballot, Certificate, EntryHash, Equivocation, Phase, Quorum, ValidEntry, Vote};

/// An entry that a quorum prepared in some round.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lock {
    certificate: Certificate,
    entry: ValidEntry,
}

impl Lock {
    /// The lock that a certificate of prepare votes makes, if it is for `entry`.
    pub fn new(certificate: Certificate, entry: ValidEntry) -> Option<Self> {
        let is_for_it = certificate.entry() == entry.named().hash();
        is_for_it.then_some(Self { certificate, entry })
    }

    /// The votes.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The entry.
    pub const fn entry(&self) -> &ValidEntry {
        &self.entry
    }
}

/// What a member remembers of a height.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Agreement {
    quorum: Quorum,
    epoch: Epoch,
    height: u64,
    me: Option<usize>,
    memory: Memory,
    proposal: Option<ValidEntry>,
    tally: BTreeMap<(usize, Phase), Vote>,
    rounds: BTreeMap<usize, u32>,
}

/// What must outlive a restart, or the member is one of those that were rolled back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// The round that it is in.
    pub round: u32,
    /// What it prepared in it.
    pub prepared: Option<EntryHash>,
    /// Whether it committed in it.
    pub committed: bool,
    /// The lock of the latest round that it saw.
    pub lock: Option<Lock>,
}

/// What the proposer of a round shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The round.
    pub round: u32,
    /// The entry.
    pub entry: ValidEntry,
    /// The lock that it is the entry of.
    pub lock: Option<Lock>,
}

/// What is to be done after the rules ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Outcome {
    /// To be kept, then signed, then sent, in this order.
    pub ballots: Vec<Ballot>,
    /// The entry that counts, with its certificate of commit votes.
    pub counted: Option<(ValidEntry, Certificate)>,
}

/// What a voter thinks of an entry that no quorum has prepared.
pub type Accepts<'a> = &'a dyn Fn(&ValidEntry) -> bool;

impl Agreement {
    /// A height nobody has voted on, as member number `me` of the roster sees it, or as somebody
    /// who only watches.
    pub fn new(quorum: Quorum, epoch: Epoch, height: u64, me: Option<usize>) -> Self {
        Self {
            quorum,
            epoch,
            height,
            me,
            memory: Memory::default(),
            proposal: None,
            tally: BTreeMap::new(),
            rounds: BTreeMap::new(),
        }
    }

    /// The same, of a member that remembers.
    #[must_use]
    pub fn remembering(self, memory: Memory) -> Self {
        Self { memory, ..self }
    }

    /// What must outlive a restart.
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The round.
    pub const fn round(&self) -> u32 {
        self.memory.round
    }

    /// Whether anybody has begun: a height without an entry to come needs no rounds.
    pub fn has_begun(&self) -> bool {
        self.memory != Memory::default() || self.proposal.is_some() || !self.tally.is_empty()
    }

    /// Whose turn it is to propose.
    pub fn proposer(&self) -> usize {
        let turn = self.height.wrapping_add(self.memory.round.into());
        let members = self.quorum.members() as u64;
        turn.checked_rem(members)
            .and_then(|turn| usize::try_from(turn).ok())
            .unwrap_or_default()
    }

    /// What this member proposes, if it is its turn: what it proposed already, the entry of its
    /// lock, or else `wish`.
    pub fn propose(&mut self, wish: impl FnOnce() -> Option<ValidEntry>) -> Option<Proposal> {
        if self.me != Some(self.proposer()) {
            return None;
        }
        let lock = self.memory.lock.clone();
        let entry = match (&lock, self.proposal.take()) {
            (Some(lock), _) => Some(lock.entry.clone()),
            (None, Some(entry)) => Some(entry),
            (None, None) => wish(),
        };
        self.proposal.clone_from(&entry);
        Some(Proposal {
            round: self.memory.round,
            entry: entry?,
            lock,
        })
    }

    /// Whether a proposal of `member` for `round` is one to look at.
    pub fn wants(&self, member: usize, round: u32) -> bool {
        let in_turn = round == self.memory.round && member == self.proposer();
        in_turn && self.proposal.is_none()
    }

    /// Takes a proposal of `member`. What it is locked by counts whoever shows it; the entry, only
    /// of the round's proposer, and only the first.
    pub fn see_proposal(&mut self, member: usize, proposal: Proposal) {
        if let Some(lock) = proposal.lock {
            self.see_lock(lock);
        }
        self.see_round(member, proposal.round);
        let in_turn = proposal.round == self.memory.round && member == self.proposer();
        if in_turn && self.proposal.is_none() {
            self.proposal = Some(proposal.entry);
        }
    }

    /// Takes a lock, if it is of a later round than the one that is held. Its round is over or now.
    pub fn see_lock(&mut self, lock: Lock) {
        let round = lock.certificate.round();
        let held = self.memory.lock.as_ref();
        if held.is_some_and(|held| held.certificate.round() >= round) {
            return;
        }
        self.memory.lock = Some(lock);
        self.enter(round);
    }

    /// Hears that `member` is in `round`.
    pub fn see_round(&mut self, member: usize, round: u32) {
        let seen = self.rounds.entry(member).or_default();
        *seen = round.max(*seen);
    }

    /// Whether this very vote, or a later one, is here already: no need to verify it again.
    pub fn knows(&self, member: usize, ballot: &Ballot) -> bool {
        let known = self.tally.get(&(member, ballot.phase));
        known.is_some_and(|known| known.ballot().round > ballot.round || known.ballot() == ballot)
    }

    /// Takes a vote. The first of a member in its latest round counts.
    pub fn see_vote(&mut self, vote: Vote) -> Option<Equivocation> {
        let ballot = vote.ballot();
        if (ballot.epoch, ballot.height) != (self.epoch, self.height) {
            return None;
        }
        self.see_round(vote.member(), ballot.round);
        let others = [Phase::Prepare, Phase::Commit].map(|phase| (vote.member(), phase));
        let mut others = others.iter().filter_map(|place| self.tally.get(place));
        let proof = others.find_map(|known| Equivocation::of(known.signed(), vote.signed()).ok());
        let place = (vote.member(), ballot.phase);
        let known = self.tally.get(&place).map(|known| known.ballot().round);
        if known.is_none_or(|known| known < ballot.round) {
            self.tally.insert(place, vote);
        }
        proof
    }

    /// Goes on to the next round, since this one takes too long.
    pub fn time_out(&mut self) {
        self.enter(self.memory.round.saturating_add(1));
    }

    /// Runs the rules until they have nothing more to say. Who does not vote only watches.
    pub fn advance(&mut self, votes: bool, accepts: Accepts<'_>) -> Outcome {
        self.follow();
        if let Some(lock) = self.prepared_by_quorum() {
            self.see_lock(lock);
        }
        let mut ballots = Vec::new();
        if votes && self.me.is_some() {
            ballots.extend(self.prepare(accepts));
            ballots.extend(self.commit());
        }
        Outcome {
            ballots,
            counted: self.committed_by_quorum(),
        }
    }

    /// Enters a later round than this one.
    fn enter(&mut self, round: u32) {
        if round > self.memory.round {
            self.memory.round = round;
            self.memory.prepared = None;
            self.memory.committed = false;
            self.proposal = None;
        }
    }

    /// Enters the latest round that so many have reached that one of them has not been rolled back.
    fn follow(&mut self) {
        let mut rounds: Vec<u32> = self.rounds.values().copied().collect();
        rounds.sort_unstable_by(|one, other| other.cmp(one));
        let place = self.quorum.some_sound().saturating_sub(1);
        if let Some(round) = rounds.get(place) {
            self.enter(*round);
        }
    }

    fn prepare(&mut self, accepts: Accepts<'_>) -> Option<Ballot> {
        let proposal = self.proposal.as_ref()?;
        let hash = proposal.named().hash();
        if self.memory.prepared.is_some() {
            return None;
        }
        let lock = self.memory.lock.as_ref();
        let agrees = match lock {
            Some(lock) => lock.certificate.entry() == hash,
            None => accepts(proposal),
        };
        let lock = lock.map(|lock| lock.certificate.round());
        if !agrees || lock == Some(self.memory.round) {
            return None;
        }
        self.memory.prepared = Some(hash);
        Some(self.ballot(Phase::Prepare, hash, lock))
    }

    fn commit(&mut self) -> Option<Ballot> {
        let lock = self.memory.lock.as_ref()?;
        if self.memory.committed || lock.certificate.round() != self.memory.round {
            return None;
        }
        let hash = lock.certificate.entry();
        self.memory.committed = true;
        Some(self.ballot(Phase::Commit, hash, None))
    }

    const fn ballot(&self, phase: Phase, entry: EntryHash, lock: Option<u32>) -> Ballot {
        Ballot {
            epoch: self.epoch,
            height: self.height,
            round: self.memory.round,
            phase,
            entry,
            lock,
        }
    }

    fn prepared_by_quorum(&self) -> Option<Lock> {
        let certificates = self.certificates(Phase::Prepare);
        let latest = certificates.into_iter().max_by_key(Certificate::round)?;
        let entry = self.known(latest.entry())?;
        Lock::new(latest, entry)
    }

    fn committed_by_quorum(&self) -> Option<(ValidEntry, Certificate)> {
        let certificates = self.certificates(Phase::Commit);
        let mut known = certificates.into_iter().filter_map(|certificate| {
            let entry = self.known(certificate.entry())?;
            Some((entry, certificate))
        });
        known.next()
    }

    /// The certificates that the votes of a phase make.
    fn certificates(&self, phase: Phase) -> Vec<Certificate> {
        let mut alike: BTreeMap<(u32, EntryHash), Vec<Vote>> = BTreeMap::new();
        for ((_, of_phase), vote) in &self.tally {
            if *of_phase == phase {
                let ballot = vote.ballot();
                let votes = alike.entry((ballot.round, ballot.entry)).or_default();
                votes.push(*vote);
            }
        }
        let votes = alike.values();
        votes
            .filter_map(|votes| Certificate::of(&self.quorum, votes))
            .collect()
    }

    /// The entry of that name, if it was shown.
    fn known(&self, hash: EntryHash) -> Option<ValidEntry> {
        let locked = self.memory.lock.as_ref().map(|lock| &lock.entry);
        [self.proposal.as_ref(), locked]
            .into_iter()
            .flatten()
            .find(|entry| entry.named().hash() == hash)
            .cloned()
    }

    /// Drops the lock: for the models, which must find what breaks.
    #[cfg(test)]
    pub(crate) fn forget_lock(&mut self) {
        self.memory.lock = None;
    }
}
