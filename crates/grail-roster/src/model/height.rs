//! One height: competing proposers, lost messages, timers at any time, members that equivocate or
//! forget, and Bitcoin handing over in the middle.
//!
//! What equivocating members say is there from the start: every vote, for every entry, in every
//! round. Members that can be rolled back are honest until the model takes their memory. A delivery
//! is a whole quorum's votes, since a member's rules ask for nothing less.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fmt::Debug, sync::Arc};

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::testing::{
    Keys, anchor, genesis, handover, moved, pair, pairs, succession, unsigned, valid,
};
use crate::{
    Accepts, Agreement, Anchor, Ballot, Body, Certificate, EntryHash, Lock, LogState, Memory, Peer,
    Phase, Proposal, ValidEntry, Vote,
};

/// What is taken away from the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    None,
    /// A quorum is one vote smaller.
    SmallQuorum,
    /// Nobody remembers its lock.
    NoLock,
    /// Who sees that Bitcoin handed over refuses what a quorum has prepared already.
    RefusesCertified,
    /// Who sees that Bitcoin handed over still accepts ordinary entries.
    AcceptsRetired,
}

#[derive(Clone)]
struct Height {
    log: Arc<LogState>,
    /// Who votes; the first ones are faulty.
    voters: Vec<Peer>,
    /// How many say whatever they like.
    equivocating: usize,
    /// Whether these say nothing at all any more.
    silent: bool,
    /// How many of the others can lose their memory, once each.
    forgetting: usize,
    /// The last round.
    last: u32,
    entries: Vec<ValidEntry>,
    /// What the NFT can do: hand over, with the entry that says so.
    handover: Option<Anchor>,
    mutant: Mutant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// The honest members, behind those that equivocate.
    members: Vec<Agreement>,
    /// Who has lost its memory.
    forgot: Vec<bool>,
    /// Who has seen that Bitcoin handed over.
    seen: Vec<bool>,
    /// All votes of honest members.
    votes: BTreeSet<(usize, Phase, u32, EntryHash)>,
    /// What honest proposers proposed.
    proposals: BTreeSet<(u32, EntryHash)>,
    /// Whether somebody prepared an ordinary entry without a certificate when it knew better.
    voted_retired: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Action {
    Propose(usize, usize),
    SeeProposal(usize, usize),
    SeeLock(usize, u32, usize),
    TimeOut(usize),
    Forget(usize),
    SeeHandover(usize),
}

impl Height {
    fn new(members: u16, rolled_back: u16, equivocating: usize) -> Self {
        let log = LogState::genesis(&genesis(members, rolled_back)).unwrap();
        let signers = pairs(b's', members);
        let entries = ["one:1", "two:2"].map(|text| valid(&log, moved(&log, &signers[0], 1, text)));
        let keys = signers.iter().zip(1..).map(|(signer, number)| Keys {
            signer: *signer,
            instance: pair(b'i', number),
        });
        Self {
            voters: keys.map(|keys| keys.peer()).collect(),
            log: Arc::new(log),
            equivocating,
            silent: false,
            forgetting: 0,
            last: 1,
            entries: entries.to_vec(),
            handover: None,
            mutant: Mutant::None,
        }
    }

    /// The second entry is the handover, which Bitcoin makes at some time.
    fn handing_over(mut self) -> Self {
        let next = succession(1, &pairs(b's', 5)[1..], 3);
        self.handover = Some(anchor(&next, 9));
        let executed = Body::Executed(handover(1, next, 9));
        self.entries[1] = valid(&self.log, executed);
        self
    }

    fn agreement(&self, member: usize) -> Agreement {
        let mut quorum = *self.log.quorum();
        if self.mutant == Mutant::SmallQuorum {
            quorum = quorum.weakened(1);
        }
        Agreement::new(
            quorum,
            self.log.epoch(),
            self.log.next_height(),
            Some(member),
        )
    }

    fn quorum(&self) -> usize {
        self.log.quorum().needed() - usize::from(self.mutant == Mutant::SmallQuorum)
    }

    /// Who voted so, faulty ones included.
    fn voted(&self, state: &State, phase: Phase, round: u32, entry: EntryHash) -> Vec<usize> {
        (0..self.voters.len())
            .filter(|member| {
                (*member < self.equivocating && !self.silent)
                    || state.votes.contains(&(*member, phase, round, entry))
            })
            .collect()
    }

    fn votes(&self, state: &State, phase: Phase, round: u32, entry: EntryHash) -> Vec<Vote> {
        let ballot = Ballot {
            epoch: self.log.epoch(),
            height: self.log.next_height(),
            round,
            phase,
            entry,
            lock: None,
        };
        let voted = self.voted(state, phase, round, entry);
        let vote = |member: usize| unsigned(member, self.voters[member], ballot);
        voted.into_iter().map(vote).collect()
    }

    fn lock(&self, state: &State, round: u32, entry: &ValidEntry) -> Option<Lock> {
        let votes = self.votes(state, Phase::Prepare, round, entry.named().hash());
        let mut quorum = *self.log.quorum();
        if self.mutant == Mutant::SmallQuorum {
            quorum = quorum.weakened(1);
        }
        Lock::new(Certificate::of(&quorum, &votes)?, entry.clone())
    }

    fn counted(&self, state: &State) -> BTreeSet<EntryHash> {
        let mut counted = BTreeSet::new();
        for entry in &self.entries {
            for round in 0..=state
                .members
                .iter()
                .map(Agreement::round)
                .max()
                .unwrap_or(0)
            {
                let hash = entry.named().hash();
                if self.voted(state, Phase::Commit, round, hash).len() >= self.quorum() {
                    counted.insert(hash);
                }
            }
        }
        counted
    }

    fn is_handover(entry: &ValidEntry) -> bool {
        matches!(entry.named().entry().body, Body::Executed(_))
    }

    /// Whether a member accepts an entry, as the node does: see `Anchoring`.
    fn accepts(&self, seen: bool, entry: &ValidEntry) -> bool {
        match (&self.handover, Self::is_handover(entry)) {
            (None, _) => true,
            (Some(_), true) => seen,
            (Some(_), false) => !seen || self.mutant == Mutant::AcceptsRetired,
        }
    }

    /// Lets member `at` (counted among the honest) follow its rules.
    fn run(&self, state: &mut State, at: usize) {
        let seen = state.seen[at];
        let member = at + self.equivocating;
        let accepts: Accepts<'_> = &|entry| self.accepts(seen, entry);
        let mut voter = state.members[at].clone();
        if self.mutant == Mutant::NoLock {
            // Only behind the commit that it is for.
            let committed = voter.memory().committed;
            let later = voter.memory().lock.as_ref();
            if later.is_some_and(|lock| committed || lock.certificate().round() < voter.round()) {
                voter.forget_lock();
            }
        }
        let locked = voter
            .memory()
            .lock
            .as_ref()
            .map(|lock| lock.entry().clone());
        if self.mutant == Mutant::RefusesCertified
            && locked.is_some_and(|entry| !self.accepts(seen, &entry))
        {
            state.members[at] = voter;
            return;
        }
        let outcome = voter.advance(true, accepts);
        for ballot in outcome.ballots {
            let entry = self
                .entries
                .iter()
                .find(|it| it.named().hash() == ballot.entry);
            let fresh = ballot.phase == Phase::Prepare && ballot.lock.is_none();
            let ordinary = self.handover.is_some() && !Self::is_handover(entry.unwrap());
            state.voted_retired |= fresh && seen && ordinary;
            state
                .votes
                .insert((member, ballot.phase, ballot.round, ballot.entry));
        }
        state.members[at] = voter;
    }

    fn act(&self, state: &mut State, action: &Action) {
        match *action {
            Action::Propose(at, entry) => {
                let wish = self.entries[entry].clone();
                let proposal = state.members[at].propose(|| Some(wish)).unwrap();
                let hash = proposal.entry.named().hash();
                state.proposals.insert((proposal.round, hash));
                self.run(state, at);
            }
            Action::SeeProposal(at, entry) => {
                let proposer = state.members[at].proposer();
                let proposal = Proposal {
                    round: state.members[at].round(),
                    entry: self.entries[entry].clone(),
                    lock: None,
                };
                state.members[at].see_proposal(proposer, proposal);
                self.run(state, at);
            }
            Action::SeeLock(at, round, entry) => {
                let entry = self.entries[entry].clone();
                let lock = self.lock(state, round, &entry).unwrap();
                state.members[at].see_lock(lock);
                self.run(state, at);
            }
            Action::TimeOut(at) => {
                state.members[at].time_out();
                self.run(state, at);
            }
            Action::Forget(at) => {
                state.forgot[at] = true;
                state.members[at] = self
                    .agreement(at + self.equivocating)
                    .remembering(Memory::default());
            }
            Action::SeeHandover(at) => {
                state.seen[at] = true;
                self.run(state, at);
            }
        }
    }

    /// Whether the honest members count an entry by themselves, once everything arrives and timers
    /// run together: from now on the others are silent.
    fn finishes(&self, state: &State) -> bool {
        let quiet = Self {
            silent: true,
            ..self.clone()
        };
        let mut state = state.clone();
        let everybody = 0..state.members.len();
        for at in everybody.clone().filter(|_| self.handover.is_some()) {
            quiet.act(&mut state, &Action::SeeHandover(at));
        }
        for _ in 0..=2 * self.voters.len() {
            quiet.show_locks(&mut state);
            let round = state.members.iter().map(Agreement::round).max().unwrap();
            for at in everybody.clone() {
                while state.members[at].round() < round {
                    quiet.act(&mut state, &Action::TimeOut(at));
                }
            }
            if let Some(proposer) = state.members[0].proposer().checked_sub(self.equivocating) {
                let wish = usize::from(self.handover.is_some());
                quiet.act(&mut state, &Action::Propose(proposer, wish));
                let shown = state.members[proposer].clone().propose(|| None).unwrap();
                let entries = &mut self.entries.iter();
                let entry = entries.position(|it| it == &shown.entry).unwrap();
                for at in everybody.clone() {
                    quiet.act(&mut state, &Action::SeeProposal(at, entry));
                }
                if quiet.lock(&state, round, &self.entries[entry]).is_some() {
                    for at in everybody.clone() {
                        quiet.act(&mut state, &Action::SeeLock(at, round, entry));
                    }
                }
            }
            if !quiet.counted(&state).is_empty() {
                return true;
            }
            for at in everybody.clone() {
                quiet.act(&mut state, &Action::TimeOut(at));
            }
        }
        false
    }

    /// Everybody shows everybody its lock, as at a change of round.
    fn show_locks(&self, state: &mut State) {
        let locks = state
            .members
            .iter()
            .map(|member| member.memory().lock.clone());
        for lock in locks.flatten().collect::<Vec<_>>() {
            for at in 0..state.members.len() {
                state.members[at].see_lock(lock.clone());
                self.run(state, at);
            }
        }
    }

    /// Explores all until something fails, says how much that was, and what failed.
    fn explore(self, name: &str) -> Vec<&'static str> {
        self.explore_until(name, HasDiscoveries::AnyFailures)
    }

    fn explore_until(self, name: &str, end: HasDiscoveries) -> Vec<&'static str> {
        let checker = self
            .checker()
            .threads(2)
            .finish_when(end)
            .spawn_bfs()
            .join();
        let mut failed: Vec<_> = checker.discoveries().into_keys().collect();
        failed.sort_unstable();
        println!(
            "{name}: {} states explored, {} of them different, depth {}, counterexamples {failed:?}",
            checker.state_count(),
            checker.unique_state_count(),
            checker.max_depth(),
        );
        failed
    }
}

impl Model for Height {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let honest = self.voters.len() - self.equivocating;
        vec![State {
            members: (self.equivocating..self.voters.len())
                .map(|member| self.agreement(member))
                .collect(),
            forgot: vec![false; honest],
            seen: vec![false; honest],
            votes: BTreeSet::new(),
            proposals: BTreeSet::new(),
            voted_retired: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (at, member) in state.members.iter().enumerate() {
            let proposer = member.proposer();
            for (entry, valid) in self.entries.iter().enumerate() {
                let hash = valid.named().hash();
                if proposer == at + self.equivocating && self.accepts(state.seen[at], valid) {
                    actions.push(Action::Propose(at, entry));
                }
                let shown = proposer < self.equivocating
                    || state.proposals.contains(&(member.round(), hash));
                if shown && member.memory().prepared.is_none() {
                    actions.push(Action::SeeProposal(at, entry));
                }
                let held = member.memory().lock.as_ref();
                let from = held.map_or(0, |lock| lock.certificate().round() + 1);
                for round in from..=self.last {
                    if self.lock(state, round, valid).is_some() {
                        actions.push(Action::SeeLock(at, round, entry));
                    }
                }
            }
            if member.round() < self.last {
                actions.push(Action::TimeOut(at));
            }
            if at < self.forgetting && !state.forgot[at] {
                actions.push(Action::Forget(at));
            }
            if self.handover.is_some() && !state.seen[at] {
                actions.push(Action::SeeHandover(at));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.act(&mut state, &action);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one entry counts", |model: &Self, state: &State| {
                model.counted(state).len() <= 1
            }),
            Property::always("no vote for a retired epoch", |_, state: &State| {
                !state.voted_retired
            }),
            Property::always("the rest can finish", |model: &Self, state: &State| {
                model.finishes(state)
            }),
        ]
    }
}

/// Where nothing fails.
const NOTHING: &[&str] = &[];
const TWO_COUNT: &[&str] = &["one entry counts"];

#[test]
fn one_of_four_equivocates_and_one_entry_counts() {
    let model = Height::new(4, 1, 1);
    assert_eq!(model.explore("one of four equivocates"), NOTHING);
}

/// One round, in which the member may forget at any time.
#[test]
fn one_of_four_forgets_and_one_entry_counts() {
    let mut model = Height::new(4, 1, 0);
    (model.forgetting, model.last) = (1, 0);
    assert_eq!(model.explore("one of four forgets"), NOTHING);
}

/// Two rounds: minutes, so by hand and in the slow suite.
#[test]
#[ignore = "explores for minutes"]
fn one_of_four_forgets_in_two_rounds() {
    let mut model = Height::new(4, 1, 0);
    model.forgetting = 1;
    assert_eq!(model.explore("one of four forgets, two rounds"), NOTHING);
}

/// Three rounds: minutes, so by hand and in the slow suite.
#[test]
#[ignore = "explores for minutes"]
fn one_of_four_equivocates_in_three_rounds() {
    let mut model = Height::new(4, 1, 1);
    model.last = 2;
    assert_eq!(
        model.explore("one of four equivocates, three rounds"),
        NOTHING
    );
}

#[test]
fn bitcoin_hands_over_in_the_middle_of_a_height() {
    let model = Height::new(4, 1, 1).handing_over();
    assert_eq!(model.explore("Bitcoin hands over"), NOTHING);
}

/// The bound is tight, so the model is not blind.
#[test]
fn two_of_four_that_equivocate_are_too_many() {
    let model = Height::new(4, 1, 2);
    let end = HasDiscoveries::AnyOf(TWO_COUNT.iter().copied().collect());
    let failed = model.explore_until("two of four equivocate", end);
    assert!(failed.contains(&"one entry counts"));
}

#[test]
fn two_of_four_that_forget_are_too_many() {
    let mut model = Height::new(4, 1, 0);
    (model.forgetting, model.last) = (2, 0);
    let end = HasDiscoveries::AnyOf(TWO_COUNT.iter().copied().collect());
    let failed = model.explore_until("two of four forget", end);
    assert!(failed.contains(&"one entry counts"));
}

fn mutant(mutant: Mutant, model: Height) -> Vec<&'static str> {
    let model = Height { mutant, ..model };
    model.explore(&format!("mutant {mutant:?}"))
}

#[test]
fn finds_two_entries_where_a_quorum_is_a_vote_short() {
    let model = Height::new(4, 1, 1);
    assert_eq!(mutant(Mutant::SmallQuorum, model), TWO_COUNT);
}

#[test]
fn finds_two_entries_where_locks_are_dropped() {
    let model = Height::new(4, 1, 1);
    assert_eq!(mutant(Mutant::NoLock, model), TWO_COUNT);
}

#[test]
fn finds_no_way_on_where_certified_entries_are_refused() {
    let model = Height::new(4, 1, 1).handing_over();
    let expected = ["the rest can finish"];
    assert_eq!(mutant(Mutant::RefusesCertified, model), expected);
}

#[test]
fn finds_votes_of_a_retired_epoch_where_they_are_accepted() {
    let model = Height::new(4, 1, 1).handing_over();
    let expected = ["no vote for a retired epoch"];
    assert_eq!(mutant(Mutant::AcceptsRetired, model), expected);
}
