//! Two instances of one operator that would like to vote, and three other operators that grant it:
//! lost and late messages, silent holders, restarts of those who grant.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::lease::{Grants, Lease};
use crate::testing::{genesis, pair, public};
use crate::{LogState, Peer, Quorum};

/// How far time goes in a step, and how many steps there are: half a lease, and a lease and a half.
const STEP_MS: u64 = 5_000;
const STEPS: u64 = 3;
/// Most questions of an instance.
const NUMBERS: u64 = 1;
const GRANTORS: usize = 3;

/// What is taken away from the rules, or added to what may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    AsItIs,
    /// Who grants forgets it and answers at once.
    AnswersAtOnce,
    /// One grant less does.
    FewerGrants,
    /// An instance can be paused: its clock stands still.
    Pause,
}

#[derive(Clone)]
struct Slot {
    variant: Variant,
    quorum: Quorum,
    instances: [Peer; 2],
    grantors: Vec<bitcoin::XOnlyPublicKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    step: u64,
    /// The clock of each instance, in steps.
    clocks: [u64; 2],
    paused: [bool; 2],
    leases: [Lease; 2],
    grants: Vec<Grants>,
    restarted: bool,
    asks: BTreeSet<(usize, usize, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Pass,
    Pause(usize),
    Ask(usize),
    /// The question arrives, and the answer at once: a late one only holds for less long.
    Answer(usize, usize, u64),
    Restart(usize),
}

impl Slot {
    fn new(variant: Variant) -> Self {
        let log = LogState::genesis(&genesis(4, 1)).unwrap();
        let quorum = *log.quorum();
        let operator = log.roster().signers()[0];
        let instance = |number| public(&pair(b'i', number));
        Self {
            grantors: log.roster().signers()[1..].to_vec(),
            variant,
            quorum: match variant {
                Variant::FewerGrants => quorum.of_fewer(2),
                _ => quorum,
            },
            instances: [1, 2].map(|number| Peer {
                operator,
                instance: instance(number),
            }),
        }
    }

    fn is_held(state: &State, at: usize) -> bool {
        state.leases[at].is_held(state.clocks[at] * STEP_MS)
    }

    fn explore(self) -> Vec<&'static str> {
        let name = self.variant;
        let checker = self.checker().threads(2);
        let checker = checker.finish_when(HasDiscoveries::AnyFailures);
        let checker = checker.spawn_bfs().join();
        let mut found: Vec<_> = checker.discoveries().into_keys().collect();
        found.sort_unstable();
        println!(
            "slot {name:?}: {} states explored, {} of them different, found {found:?}",
            checker.state_count(),
            checker.unique_state_count(),
        );
        found
    }
}

impl Model for Slot {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            step: 0,
            clocks: [0; 2],
            paused: [false; 2],
            leases: [Lease::default(), Lease::default()],
            grants: vec![Grants::at_once(); GRANTORS],
            restarted: false,
            asks: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.step < STEPS {
            actions.push(Action::Pass);
        }
        for at in 0..2 {
            actions.push(Action::Ask(at));
            if self.variant == Variant::Pause && at == 0 {
                actions.push(Action::Pause(at));
            }
        }
        let asks = state.asks.iter();
        actions.extend(asks.map(|(at, grantor, number)| Action::Answer(*at, *grantor, *number)));
        // More than one that forgets at once is more than the log bears, too.
        if !state.restarted {
            actions.extend((0..GRANTORS).map(Action::Restart));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Pass => {
                state.step += 1;
                for at in (0..2).filter(|at| !last.paused[*at]) {
                    state.clocks[at] += 1;
                }
            }
            Action::Pause(at) => state.paused[at] = !state.paused[at],
            Action::Ask(at) => {
                let number = state.leases[at].ask(state.clocks[at] * STEP_MS)?;
                if number > NUMBERS || state.paused[at] {
                    return None;
                }
                let asks = (0..GRANTORS).map(|grantor| (at, grantor, number));
                state.asks.extend(asks);
            }
            Action::Answer(at, grantor, number) => {
                state.asks.remove(&(at, grantor, number));
                let grants = &mut state.grants[grantor];
                if grants.grant(&self.instances[at], state.step * STEP_MS) {
                    let operator = self.grantors[grantor];
                    state.leases[at].grant(&self.quorum, operator, number);
                }
            }
            Action::Restart(grantor) => {
                state.restarted = true;
                state.grants[grantor] = match self.variant {
                    Variant::AnswersAtOnce => Grants::at_once(),
                    _ => Grants::since(state.step * STEP_MS),
                };
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one instance votes", |_, state: &State| {
                !(Self::is_held(state, 0) && Self::is_held(state, 1))
            }),
            Property::sometimes("another takes over", |_, state: &State| {
                let first = state.leases[0] != Lease::default();
                first && !Self::is_held(state, 0) && Self::is_held(state, 1)
            }),
        ]
    }
}

#[test]
fn one_instance_votes_and_another_takes_over() {
    assert_eq!(Slot::new(Variant::AsItIs).explore(), ["another takes over"]);
}

/// So a lease is for progress, and the quorum bears what it lets through.
#[test]
fn finds_two_voters_where_one_was_paused() {
    let found = Slot::new(Variant::Pause).explore();
    assert!(found.contains(&"one instance votes"));
}

#[test]
fn finds_two_voters_where_grants_are_forgotten() {
    let found = Slot::new(Variant::AnswersAtOnce).explore();
    assert!(found.contains(&"one instance votes"));
}

#[test]
fn finds_two_voters_where_a_grant_less_does() {
    let found = Slot::new(Variant::FewerGrants).explore();
    assert!(found.contains(&"one instance votes"));
}
