#![allow(clippy::unwrap_used)]

use bitcoin::{BlockHash, hashes::Hash};
use proptest::prelude::*;

use super::{
    AbandonCode, Hold, SettlementDuty as Duty, SettlementEvent as Event, SettlementSituation,
    SettlementStage, SettlementState as State,
};
use crate::{BlockRef, UnexpectedKind, request::tests_support::params};

fn block(height: u32) -> BlockRef {
    BlockRef {
        height,
        hash: BlockHash::all_zeros(),
    }
}

fn confirmed(height: u32) -> State {
    let BlockRef { height, hash } = block(height);
    State::Confirmed { height, hash }
}

fn finished(height: u32) -> State {
    let BlockRef { height, hash } = block(height);
    State::Final { height, hash }
}

const fn abandoned(code: AbandonCode) -> State {
    State::Abandoned { code }
}

/// Regtest parameters: final with two confirmations.
fn apply(
    state: State,
    event: Event,
    tip_height: u32,
) -> Result<(State, Vec<Duty>), UnexpectedKind> {
    apply_held(Hold::FromStart, state, event, tip_height)
}

fn apply_held(
    hold: Hold,
    state: State,
    event: Event,
    tip_height: u32,
) -> Result<(State, Vec<Duty>), UnexpectedKind> {
    let params = params();
    let situation = SettlementSituation {
        params: &params,
        tip_height,
        hold,
    };
    state
        .apply(&event, &situation)
        .map_err(|unexpected| unexpected.kind)
}

fn states() -> [State; 8] {
    [
        State::Draft {},
        State::Proven {},
        State::Asked { round: 1 },
        State::Signed {},
        State::Broadcast {},
        confirmed(100),
        finished(100),
        abandoned(AbandonCode::Replaced),
    ]
}

fn events() -> [Event; 19] {
    [
        Event::SpellProven,
        Event::ProvingFailed,
        Event::DryRunPassed,
        Event::DryRunRefused,
        Event::RoundTimedOut { round: 1 },
        Event::RoundTimedOut { round: 2 },
        Event::QuorumReached,
        Event::QuorumRefused,
        Event::NodeAccepted,
        Event::NodeRejected,
        Event::Relayed,
        Event::Mined { block: block(100) },
        Event::Unmined,
        Event::ConflictFound,
        Event::ParentAbandoned,
        Event::Replaced,
        Event::Cancelled,
        Event::Overdue,
        Event::ProverRefused,
    ]
}

/// What each event does in each state, at the tip that holds the settlement. `.` superseded, `!`
/// impossible, else the state that follows: P proven, A asked, S signed, B broadcast, C confirmed,
/// F final, X abandoned.
const TABLE: &str = "\
event               D P A S B C F X
spell-proven        P . . . . . . .
proving-failed      X . . . . . . .
dry-run-passed      ! A . . . . . .
dry-run-refused     ! X . . . . . .
round-timed-out     ! ! A . . . . .
round-timed-out *   ! ! . . . . . .
quorum-reached      ! ! S . . . . .
quorum-refused      ! ! X . . . . .
node-accepted       ! ! ! B . . . .
node-rejected       ! ! ! X X . . .
relayed             ! B B B . . . B
mined               ! C C C C . . C
unmined             . . . . . B B .
conflict-found      X X X X X ! ! .
parent-abandoned    X X X X X ! ! .
replaced            ! ! ! X X . . .
cancelled           X X X . . . . .
overdue             X X . . . . . .
prover-refused      X . . . . . . .
";

fn letter(state: &State) -> char {
    match state {
        State::Draft {} => 'D',
        State::Proven {} => 'P',
        State::Asked { .. } => 'A',
        State::Signed {} => 'S',
        State::Broadcast {} => 'B',
        State::Confirmed { .. } => 'C',
        State::Final { .. } => 'F',
        State::Abandoned { .. } => 'X',
    }
}

#[test]
fn every_event_does_in_every_state_what_the_table_says() {
    let mut lines = vec![format!("{:20}D P A S B C F X", "event")];
    let mut before = "";
    for event in events() {
        let star = if event.name() == before { " *" } else { "" };
        before = event.name();
        let mut line = format!("{:19}", format!("{}{star}", event.name()));
        for state in states() {
            let cell = match apply(state, event, 100) {
                Ok((next, _)) => letter(&next),
                Err(UnexpectedKind::Superseded) => '.',
                Err(UnexpectedKind::Impossible) => '!',
            };
            line.push(' ');
            line.push(cell);
        }
        lines.push(line);
    }
    assert_eq!(lines.join("\n") + "\n", TABLE);
}

#[test]
fn the_straight_way_has_each_duty_once() {
    let mined = Event::Mined { block: block(100) };
    let way = [
        (Event::SpellProven, 99, vec![Duty::DryRun]),
        (Event::DryRunPassed, 99, vec![Duty::Ask { round: 1 }]),
        (Event::QuorumReached, 99, vec![Duty::Publish]),
        (Event::NodeAccepted, 99, vec![]),
        (mined, 100, vec![]),
        (mined, 101, vec![Duty::SignalConfirmed]),
    ];
    let mut state = State::start();
    for (event, tip_height, expected) in way {
        let (next, duties) = apply(state, event, tip_height).unwrap();
        assert_eq!(duties, expected, "{}", event.name());
        state = next;
    }
    assert_eq!(state, finished(100));
    assert!(state.stage().has_ended());
    assert_eq!(apply(state, mined, 102), Err(UnexpectedKind::Superseded));
}

#[test]
fn a_settlement_is_final_with_exactly_the_confirmations_it_needs() {
    let mined = Event::Mined { block: block(100) };
    let state = confirmed(100);
    assert_eq!(apply(state, mined, 100), Err(UnexpectedKind::Superseded));
    assert_eq!(apply(state, mined, 101).unwrap().0, finished(100));
    assert_eq!(
        apply(State::Broadcast {}, mined, 101).unwrap().0,
        finished(100)
    );
}

#[test]
fn operators_are_asked_again_round_by_round() {
    let (state, duties) = apply(
        State::Asked { round: 1 },
        Event::RoundTimedOut { round: 1 },
        99,
    )
    .unwrap();
    assert_eq!(state, State::Asked { round: 2 });
    assert_eq!(duties, [Duty::Ask { round: 2 }]);
    // The first round's end, told again, changes nothing.
    let again = apply(state, Event::RoundTimedOut { round: 1 }, 99);
    assert_eq!(again, Err(UnexpectedKind::Superseded));
    let last = State::Asked { round: u32::MAX };
    let timed_out = Event::RoundTimedOut { round: u32::MAX };
    assert_eq!(apply(last, timed_out, 99), Err(UnexpectedKind::Superseded));
}

#[test]
fn a_reorg_has_the_settlement_published_again() {
    assert_eq!(
        apply(confirmed(100), Event::Unmined, 99),
        Ok((State::Broadcast {}, vec![Duty::Publish]))
    );
    assert_eq!(
        apply(finished(100), Event::Unmined, 99),
        Ok((
            State::Broadcast {},
            vec![Duty::Publish, Duty::SignalUnconfirmed]
        ))
    );
}

#[test]
fn a_settlement_that_moved_to_another_block_is_there_now() {
    let moved = Event::Mined { block: block(101) };
    assert_eq!(
        apply(confirmed(100), moved, 101),
        Ok((confirmed(101), vec![]))
    );
    // A final one does not move without word of the reorg.
    assert_eq!(
        apply(finished(100), moved, 101),
        Err(UnexpectedKind::Impossible)
    );
}

#[test]
fn every_end_tells_the_requests_why() {
    let ends = [
        (
            State::Draft {},
            Event::ProvingFailed,
            AbandonCode::ProvingFailed,
        ),
        (
            State::Proven {},
            Event::DryRunRefused,
            AbandonCode::DryRunRefused,
        ),
        (
            State::Asked { round: 3 },
            Event::QuorumRefused,
            AbandonCode::QuorumRefused,
        ),
        (
            State::Signed {},
            Event::NodeRejected,
            AbandonCode::NodeRejected,
        ),
        (
            State::Broadcast {},
            Event::ConflictFound,
            AbandonCode::InputsSpent,
        ),
        (
            State::Signed {},
            Event::ParentAbandoned,
            AbandonCode::ParentAbandoned,
        ),
        (State::Broadcast {}, Event::Replaced, AbandonCode::Replaced),
        (State::Proven {}, Event::Cancelled, AbandonCode::Cancelled),
        (State::Proven {}, Event::Overdue, AbandonCode::Overdue),
        (
            State::Draft {},
            Event::ProverRefused,
            AbandonCode::ProverRefused,
        ),
    ];
    for (state, event, code) in ends {
        assert_eq!(
            apply(state, event, 99),
            Ok((abandoned(code), vec![Duty::SignalAbandoned { code }]))
        );
    }
    let codes: std::collections::BTreeSet<_> = ends.iter().map(|end| end.2).collect();
    assert_eq!(codes.len(), AbandonCode::ALL.len());
}

#[test]
fn a_signed_settlement_cannot_be_called_off() {
    for state in [State::Signed {}, State::Broadcast {}] {
        let cancelled = apply(state, Event::Cancelled, 99);
        assert_eq!(cancelled, Err(UnexpectedKind::Superseded));
    }
}

#[test]
fn an_abandoned_settlement_that_is_mined_takes_its_requests_back() {
    let state = abandoned(AbandonCode::Replaced);
    let mined = Event::Mined { block: block(100) };
    assert_eq!(
        apply(state, mined, 100),
        Ok((confirmed(100), vec![Duty::SignalIncluded]))
    );
    assert_eq!(
        apply(state, mined, 101),
        Ok((
            finished(100),
            vec![Duty::SignalIncluded, Duty::SignalConfirmed]
        ))
    );
}

#[test]
fn a_settlement_in_a_block_above_the_tip_is_not_final() {
    let mined = Event::Mined { block: block(105) };
    assert_eq!(
        apply(State::Broadcast {}, mined, 100).unwrap().0,
        confirmed(105)
    );
}

#[test]
fn json_is_stable_and_refuses_unknown_fields() {
    let zeros = "0".repeat(64);
    let expected = [
        r#"{"state":"draft"}"#.to_owned(),
        r#"{"state":"proven"}"#.to_owned(),
        r#"{"state":"asked","round":1}"#.to_owned(),
        r#"{"state":"signed"}"#.to_owned(),
        r#"{"state":"broadcast"}"#.to_owned(),
        format!(r#"{{"state":"confirmed","height":100,"hash":"{zeros}"}}"#),
        format!(r#"{{"state":"final","height":100,"hash":"{zeros}"}}"#),
        r#"{"state":"abandoned","code":"replaced"}"#.to_owned(),
    ];
    for (index, state) in states().iter().enumerate() {
        assert_eq!(serde_json::to_string(state).unwrap(), expected[index]);
        assert_eq!(
            serde_json::from_str::<State>(&expected[index]).unwrap(),
            *state
        );
        assert_eq!(state.stage(), SettlementStage::ALL[index]);
        let more = expected[index].replacen('{', r#"{"extra":1,"#, 1);
        assert!(serde_json::from_str::<State>(&more).is_err(), "{more}");
    }
    for code in AbandonCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.code());
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => proptest::sample::select(events().to_vec()),
        1 => any::<u32>().prop_map(|height| Event::Mined { block: block(height) }),
        1 => any::<u32>().prop_map(|round| Event::RoundTimedOut { round }),
    ]
}

proptest! {
    #[test]
    fn no_event_is_accepted_silently_or_judged_twice(
        state in proptest::sample::select(states().to_vec()), event in any_event(), tip_height in any::<u32>(),
    ) {
        let once = apply(state, event, tip_height);
        prop_assert_eq!(&once, &apply(state, event, tip_height));
        if let Ok((next, duties)) = once {
            prop_assert!(next != state || !duties.is_empty());
            if state.stage().has_ended() {
                // Relayed: others sent it, so that the chain may hold it yet.
                let is_by_chain =
                    matches!(event, Event::Mined { .. } | Event::Unmined | Event::Relayed);
                prop_assert!(is_by_chain);
            }
        }
    }

    #[test]
    fn requests_hear_of_an_end_before_they_hear_of_another(
        life in prop::collection::vec((any_event(), 95_u32..110), 0..60),
    ) {
        // Signals alternate: included (as by the draft), then abandoned or confirmed, unconfirmed
        // only after confirmed.
        let mut state = State::start();
        let (mut is_included, mut is_confirmed) = (true, false);
        for (event, tip_height) in life {
            let Ok((next, duties)) = apply(state, event, tip_height) else { continue };
            for duty in duties {
                match duty {
                    Duty::SignalIncluded => { prop_assert!(!is_included); is_included = true; }
                    Duty::SignalAbandoned { .. } => {
                        prop_assert!(is_included && !is_confirmed);
                        is_included = false;
                    }
                    Duty::SignalConfirmed => { prop_assert!(is_included && !is_confirmed); is_confirmed = true; }
                    Duty::SignalUnconfirmed => { prop_assert!(is_confirmed); is_confirmed = false; }
                    Duty::DryRun | Duty::Ask { .. } | Duty::Publish => {}
                }
            }
            state = next;
        }
    }
}

#[test]
fn a_replacement_has_its_requests_once_it_is_published_and_no_sooner() {
    let hold = Hold::OncePublished;
    let published = (State::Broadcast {}, vec![Duty::SignalIncluded]);
    let signed = State::Signed {};
    let taken = apply_held(hold, signed, Event::NodeAccepted, 100);
    assert_eq!(taken, Ok(published.clone()));
    for state in [State::Proven {}, State::Asked { round: 1 }, signed] {
        let relayed = apply_held(hold, state, Event::Relayed, 100);
        assert_eq!(relayed, Ok(published.clone()));
        let block = block(100);
        let mined = apply_held(hold, state, Event::Mined { block }, 101).unwrap();
        assert_eq!(mined.0, finished(100));
        assert_eq!(mined.1, [Duty::SignalIncluded, Duty::SignalConfirmed]);
    }
    // Any other has them from its start.
    let taken = apply(signed, Event::NodeAccepted, 100);
    assert_eq!(taken, Ok((State::Broadcast {}, Vec::new())));
}

#[test]
fn a_replacement_that_ends_unpublished_tells_nobody_and_afterwards_all() {
    let hold = Hold::OncePublished;
    for (state, event) in [
        (State::Draft {}, Event::Overdue),
        (State::Proven {}, Event::DryRunRefused),
        (State::Asked { round: 1 }, Event::Cancelled),
        (State::Signed {}, Event::Replaced),
        (State::Signed {}, Event::ConflictFound),
    ] {
        let (next, duties) = apply_held(hold, state, event, 100).unwrap();
        assert_eq!(next.stage(), SettlementStage::Abandoned);
        assert_eq!(duties, []);
    }
    let code = AbandonCode::InputsSpent;
    let ended = apply_held(hold, State::Broadcast {}, Event::ConflictFound, 100);
    let told = vec![Duty::SignalAbandoned { code }];
    assert_eq!(ended, Ok((abandoned(code), told)));
}

#[test]
fn what_is_live_is_held_from_the_start_or_once_it_is_published() {
    for stage in SettlementStage::ALL.iter().copied() {
        assert_eq!(Hold::FromStart.holds(stage), stage.is_live());
        assert_eq!(Hold::OncePublished.holds(stage), stage.is_published());
        assert!(!Hold::FromStart.stands_by(stage));
    }
}
