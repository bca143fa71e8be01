#![allow(clippy::unwrap_used)]

mod election;
mod taken;

use bitcoin::{Amount, OutPoint, Txid, hashes::Hash};
use grail_types::{Kind, Params};
use proptest::prelude::*;

use super::{
    DepositStanding, RequestDuty as Duty, RequestEvent as Event, RequestSituation,
    RequestState as State, tests_support::params,
};
use crate::{Deposit, DepositCharms, DepositOrigin, ReclaimCode, SettlementId, UnexpectedKind};

const DEADLINE: u32 = 200;
const ONE: SettlementId = SettlementId(1);
const TWO: SettlementId = SettlementId(2);

fn outpoint(vout: u32) -> OutPoint {
    OutPoint::new(Txid::all_zeros(), vout)
}

fn own() -> OutPoint {
    outpoint(1)
}

fn other() -> OutPoint {
    outpoint(2)
}

fn deposit(at: OutPoint, value_sat: u64) -> Deposit {
    Deposit {
        outpoint: at,
        value: Amount::from_sat(value_sat),
        charms: DepositCharms::None,
        origin: DepositOrigin::Payment,
    }
}

/// A block's reward, paid to the deposit address.
fn reward() -> Deposit {
    Deposit {
        origin: DepositOrigin::Coinbase,
        ..good(own())
    }
}

fn good(at: OutPoint) -> Deposit {
    deposit(at, 50_000)
}

/// Parameters with two confirmations for a deposit, so that one is too few.
fn two_confirmations() -> Params {
    params()
        .with(|values| values.deposit_confirmations = 2)
        .unwrap()
}

fn at(params: &Params, tip_height: u32) -> RequestSituation<'_> {
    RequestSituation {
        params,
        kind: Kind::PegIn,
        deadline_height: DEADLINE,
        tip_height,
        least: Amount::ZERO,
        own: None,
    }
}

fn apply(
    state: State,
    event: Event,
    tip_height: u32,
) -> Result<(State, Vec<Duty>), UnexpectedKind> {
    state
        .apply(&event, &at(&two_confirmations(), tip_height))
        .map_err(|unexpected| unexpected.kind)
}

/// One state of each kind, all about deposit `own` and settlement 1; `unconfirmed` in the mempool
/// and in a block.
fn states() -> [State; 10] {
    let deposit = own();
    let code = ReclaimCode::BelowMinimum;
    [
        State::AwaitingDeposit {},
        State::Unconfirmed {
            deposit,
            height: None,
        },
        State::Unconfirmed {
            deposit,
            height: Some(100),
        },
        State::Ready { deposit },
        State::Settling {
            deposit,
            settlement: ONE,
        },
        State::Paid {
            deposit,
            settlement: ONE,
        },
        State::Reclaimable { deposit, code },
        State::Reclaimed { deposit, code },
        State::Taken {
            deposit,
            code: None,
        },
        State::Expired {},
    ]
}

fn included(settlement: SettlementId, deposit: OutPoint) -> Event {
    Event::Included {
        settlement,
        deposit,
    }
}

fn settled(settlement: SettlementId, deposit: OutPoint) -> Event {
    Event::SettlementConfirmed {
        settlement,
        deposit,
    }
}

fn standing_at(height: u32) -> DepositStanding {
    DepositStanding::Confirmed {
        height,
        origin: DepositOrigin::Payment,
    }
}

/// One event of each kind about what [`states`] are about, and those about another deposit or
/// settlement.
fn events() -> [Event; 27] {
    let deposit = own();
    [
        Event::DepositSeen {
            deposit: good(deposit),
        },
        Event::DepositSeen {
            deposit: good(other()),
        },
        Event::DepositConfirmed {
            deposit: good(deposit),
            height: 100,
        },
        Event::DepositConfirmed {
            deposit: good(other()),
            height: 100,
        },
        Event::DepositUnconfirmed { deposit },
        Event::DepositVanished { deposit },
        Event::DepositVanished { deposit: other() },
        Event::DepositSpentByUser { deposit },
        Event::DepositSpentByUser { deposit: other() },
        Event::ReclaimUnconfirmed { deposit },
        Event::DepositTaken { deposit },
        Event::DepositTaken { deposit: other() },
        Event::TakingUnconfirmed {
            deposit,
            standing: standing_at(99),
        },
        Event::DepositUnacceptable {
            deposit,
            code: ReclaimCode::FeeAboveCap,
        },
        Event::TooCloseToReclaim { deposit },
        Event::DeadlinePassed,
        included(ONE, deposit),
        included(TWO, deposit),
        included(ONE, other()),
        included(TWO, other()),
        settled(ONE, deposit),
        settled(TWO, deposit),
        settled(ONE, other()),
        settled(TWO, other()),
        Event::SettlementUnconfirmed {
            settlement: ONE,
            deposit,
        },
        Event::SettlementAbandoned {
            settlement: ONE,
            deposit: own(),
            standing: DepositStanding::Gone,
        },
        Event::SettlementAbandoned {
            settlement: TWO,
            deposit: own(),
            standing: DepositStanding::Gone,
        },
    ]
}

/// What each event does in each state, at a tip where one confirmation is there and one is missing
/// (but the deadline, told at its height). `.` superseded, `!` impossible, `=` stays and has a
/// duty, else the state that follows: A awaiting-deposit, U unconfirmed, Y ready, S settling, P
/// paid, L reclaimable, D reclaimed, T taken, X expired.
const TABLE: &str = "\
event                    A m b Y S P L D T X
deposit-seen             U . . . . . . . . U
deposit-seen *           U . . . . . U . . U
deposit-confirmed        U U . . . . . . . U
deposit-confirmed *      U U = = = = U = = U
deposit-unconfirmed      . . U U = . . . . .
deposit-vanished         . A A A = ! A ! ! .
deposit-vanished *       . . . . . . . . . .
deposit-spent-by-user    ! D D D D ! D . ! !
deposit-spent-by-user *  ! . . . . . . . . !
reclaim-unconfirmed      . . . . . . . L . .
deposit-taken            ! T T T T ! T ! . !
deposit-taken *          ! . . . . . . . . !
taking-unconfirmed       . . . . . . . . Y .
deposit-unacceptable     . L L L = . . . . .
too-close-to-reclaim     . L L L = . . . . .
deadline-passed          X L . . . . . . . .
included                 ! S S S . . S ! ! !
included *               ! S S S ! ! S ! ! !
included *               ! S S S . . S S S !
included *               ! S S S . . S S S !
settlement-confirmed     ! P P P P . P ! ! !
settlement-confirmed *   ! P P P P ! P ! ! !
settlement-confirmed *   ! P P P . . P P P !
settlement-confirmed *   ! P P P . . P P P !
settlement-unconfirmed   . . . . . S . . . .
settlement-abandoned     . . . . A ! . . . .
settlement-abandoned *   . . . . . . . . . .
";

fn letter(state: &State) -> char {
    match state {
        State::AwaitingDeposit {} => 'A',
        State::Unconfirmed { .. } => 'U',
        State::Ready { .. } => 'Y',
        State::Settling { .. } => 'S',
        State::Paid { .. } => 'P',
        State::Reclaimable { .. } => 'L',
        State::Reclaimed { .. } => 'D',
        State::Taken { .. } => 'T',
        State::Expired {} => 'X',
    }
}

#[test]
fn every_event_does_in_every_state_what_the_table_says() {
    let mut lines = vec![format!("{:25}A m b Y S P L D T X", "event")];
    let mut before = "";
    for event in events() {
        let star = if event.name() == before { " *" } else { "" };
        before = event.name();
        let mut line = format!("{:24}", format!("{}{star}", event.name()));
        for state in states() {
            let tip_height = if event == Event::DeadlinePassed {
                DEADLINE
            } else {
                100
            };
            let cell = match apply(state, event, tip_height) {
                Ok((next, _)) if next == state => '=',
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
fn a_deposit_in_the_mempool_waits_for_its_block() {
    let seen = Event::DepositSeen {
        deposit: good(own()),
    };
    let unconfirmed = State::Unconfirmed {
        deposit: own(),
        height: None,
    };
    assert_eq!(apply(State::start(), seen, 100), Ok((unconfirmed, vec![])));
}

#[test]
fn a_deposit_is_ready_with_exactly_the_confirmations_it_needs() {
    let confirmed = Event::DepositConfirmed {
        deposit: good(own()),
        height: 100,
    };
    let waiting = State::Unconfirmed {
        deposit: own(),
        height: Some(100),
    };
    let ready = State::Ready { deposit: own() };
    assert_eq!(apply(State::start(), confirmed, 100), Ok((waiting, vec![])));
    assert_eq!(
        apply(waiting, confirmed, 100),
        Err(UnexpectedKind::Superseded)
    );
    assert_eq!(
        apply(waiting, confirmed, 101),
        Ok((ready, vec![Duty::Build]))
    );
    assert_eq!(
        apply(State::start(), confirmed, 102),
        Ok((ready, vec![Duty::Build]))
    );
}

#[test]
fn a_deposit_mined_at_the_deadline_is_served_and_one_block_later_is_late() {
    let confirmed = |height| Event::DepositConfirmed {
        deposit: good(own()),
        height,
    };
    let late = State::Reclaimable {
        deposit: own(),
        code: ReclaimCode::Late,
    };
    let offer = Duty::OfferReclaim {
        deposit: own(),
        code: ReclaimCode::Late,
    };
    for state in [State::start(), State::Expired {}] {
        let (next, _) = apply(state, confirmed(DEADLINE), DEADLINE).unwrap();
        assert_eq!(next.name(), "unconfirmed");
        let next = apply(state, confirmed(DEADLINE + 1), DEADLINE + 1);
        assert_eq!(next, Ok((late, vec![offer])));
    }
}

#[test]
fn a_deposit_seen_in_the_mempool_is_late_once_no_block_in_time_is_left() {
    let seen = Event::DepositSeen {
        deposit: good(own()),
    };
    let name = |state, tip_height| apply(state, seen, tip_height).unwrap().0.name();
    assert_eq!(name(State::start(), DEADLINE - 1), "unconfirmed");
    assert_eq!(name(State::start(), DEADLINE), "reclaimable");
    assert_eq!(name(State::Expired {}, DEADLINE), "reclaimable");
}

#[test]
fn the_deadline_passes_at_its_height_and_not_before() {
    let state = State::start();
    let passed = Event::DeadlinePassed;
    assert_eq!(
        apply(state, passed, DEADLINE - 1),
        Err(UnexpectedKind::Impossible)
    );
    assert_eq!(
        apply(state, passed, DEADLINE),
        Ok((State::Expired {}, vec![]))
    );
}

#[test]
fn a_deposit_unmined_at_the_deadline_is_offered_back_as_late() {
    let state = State::Unconfirmed {
        deposit: own(),
        height: None,
    };
    let (next, duties) = apply(state, Event::DeadlinePassed, DEADLINE).unwrap();
    assert_eq!(next.code(), Some(ReclaimCode::Late));
    assert_eq!(
        duties,
        [Duty::OfferReclaim {
            deposit: own(),
            code: ReclaimCode::Late
        }]
    );
}

#[test]
fn an_unacceptable_deposit_is_offered_back_with_its_code() {
    for (value, code) in [
        (19_999, ReclaimCode::BelowMinimum),
        (100_000_000_001, ReclaimCode::AboveMaximum),
        (u64::MAX, ReclaimCode::AboveMaximum),
    ] {
        let confirmed = Event::DepositConfirmed {
            deposit: deposit(own(), value),
            height: 100,
        };
        let (next, duties) = apply(State::start(), confirmed, 100).unwrap();
        assert_eq!(next.code(), Some(code));
        assert_eq!(
            duties,
            [Duty::OfferReclaim {
                deposit: own(),
                code
            }]
        );
    }
}

#[test]
fn a_second_mined_deposit_is_offered_back_whatever_the_request_does() {
    let confirmed = Event::DepositConfirmed {
        deposit: good(other()),
        height: 100,
    };
    let offer = Duty::OfferReclaim {
        deposit: other(),
        code: ReclaimCode::DuplicateDeposit,
    };
    let states = states();
    // In a block, ready, settling, paid, reclaimed, taken.
    for state in states[2..6].iter().chain(&states[7..9]) {
        assert_eq!(apply(*state, confirmed, 101), Ok((*state, vec![offer])));
    }
}

#[test]
fn a_fee_bumped_deposit_that_is_mined_first_serves() {
    let state = State::Unconfirmed {
        deposit: own(),
        height: None,
    };
    let confirmed = Event::DepositConfirmed {
        deposit: good(other()),
        height: 100,
    };
    let (next, _) = apply(state, confirmed, 101).unwrap();
    assert_eq!(next, State::Ready { deposit: other() });
    // The replaced one is gone, which no longer matters.
    let gone = Event::DepositVanished { deposit: own() };
    assert_eq!(apply(next, gone, 101), Err(UnexpectedKind::Superseded));
}

#[test]
fn a_reorg_takes_a_ready_deposit_back_to_unconfirmed_and_on_again() {
    let reorged = Event::DepositUnconfirmed { deposit: own() };
    let (state, _) = apply(State::Ready { deposit: own() }, reorged, 101).unwrap();
    let confirmed = Event::DepositConfirmed {
        deposit: good(own()),
        height: 101,
    };
    let (state, duties) = apply(state, confirmed, 102).unwrap();
    assert_eq!(state, State::Ready { deposit: own() });
    assert_eq!(duties, [Duty::Build]);
}

#[test]
fn a_vanished_deposit_leaves_the_request_waiting_or_expired() {
    let vanished = Event::DepositVanished { deposit: own() };
    let state = State::Ready { deposit: own() };
    assert_eq!(
        apply(state, vanished, DEADLINE - 1),
        Ok((State::AwaitingDeposit {}, vec![Duty::Reelect]))
    );
    assert_eq!(
        apply(state, vanished, DEADLINE),
        Ok((State::Expired {}, vec![Duty::Reelect]))
    );
}

#[test]
fn trouble_with_a_deposit_in_a_settlement_has_the_settlement_looked_at() {
    let deposit = own();
    let state = State::Settling {
        deposit,
        settlement: ONE,
    };
    for event in [
        Event::DepositUnconfirmed { deposit },
        Event::DepositVanished { deposit },
        Event::TooCloseToReclaim { deposit },
    ] {
        let recheck = Duty::RecheckSettlement { settlement: ONE };
        assert_eq!(apply(state, event, 100), Ok((state, vec![recheck])));
    }
}

#[test]
fn a_reclaim_under_a_settlement_ends_both() {
    let deposit = own();
    let state = State::Settling {
        deposit,
        settlement: ONE,
    };
    let (next, duties) = apply(state, Event::DepositSpentByUser { deposit }, 100).unwrap();
    assert_eq!(next.name(), "reclaimed");
    assert_eq!(duties, [Duty::AbandonSettlement { settlement: ONE }]);
}

#[test]
fn a_reclaim_undone_by_a_reorg_keeps_its_code() {
    let deposit = own();
    let code = ReclaimCode::BelowMinimum;
    let state = State::Reclaimable { deposit, code };
    let (state, _) = apply(state, Event::DepositSpentByUser { deposit }, 150).unwrap();
    let (state, _) = apply(state, Event::ReclaimUnconfirmed { deposit }, 150).unwrap();
    assert_eq!(state, State::Reclaimable { deposit, code });
}

#[test]
fn a_coinbase_deposit_is_ready_with_its_hundredth_confirmation() {
    let told = |state: State, tip_height| {
        let event = Event::DepositConfirmed {
            deposit: reward(),
            height: 100,
        };
        apply(state, event, tip_height)
    };
    let waits = State::Unconfirmed {
        deposit: own(),
        height: Some(100),
    };
    assert_eq!(told(State::start(), 100).unwrap().0, waits);
    assert_eq!(told(waits, 198), Err(UnexpectedKind::Superseded));
    let ready = State::Ready { deposit: own() };
    assert_eq!(told(waits, 199), Ok((ready, vec![Duty::Build])));
}

#[test]
fn a_coinbase_deposit_given_back_by_a_settlement_waits_again() {
    let next = |tip_height| {
        let state = State::Settling {
            deposit: own(),
            settlement: ONE,
        };
        let event = Event::SettlementAbandoned {
            settlement: ONE,
            deposit: own(),
            standing: DepositStanding::Confirmed {
                height: 100,
                origin: DepositOrigin::Coinbase,
            },
        };
        apply(state, event, tip_height).unwrap().0.name()
    };
    assert_eq!((next(198), next(199)), ("unconfirmed", "ready"));
}

#[test]
fn an_abandoned_settlement_gives_the_deposit_back_as_it_stands() {
    let deposit = own();
    let state = State::Settling {
        deposit,
        settlement: ONE,
    };
    let next = |standing| {
        let event = Event::SettlementAbandoned {
            settlement: ONE,
            deposit: own(),
            standing,
        };
        apply(state, event, DEADLINE + 5).unwrap()
    };
    // A deposit once accepted stays accepted, also past the deadline.
    assert_eq!(
        next(standing_at(DEADLINE)),
        (State::Ready { deposit }, vec![Duty::Build])
    );
    assert_eq!(
        next(standing_at(DEADLINE + 5)).0,
        State::Unconfirmed {
            deposit,
            height: Some(DEADLINE + 5)
        }
    );
    assert_eq!(
        next(DepositStanding::Unconfirmed).0,
        State::Unconfirmed {
            deposit,
            height: None
        }
    );
    assert_eq!(next(DepositStanding::Gone).0, State::Expired {});
}

#[test]
fn a_settlement_that_is_mined_after_all_pays_and_ends_its_rival() {
    let state = State::Settling {
        deposit: own(),
        settlement: TWO,
    };
    let paid = State::Paid {
        deposit: own(),
        settlement: ONE,
    };
    assert_eq!(
        apply(state, settled(ONE, own()), 100),
        Ok((paid, vec![Duty::AbandonSettlement { settlement: TWO }]))
    );
}

#[test]
fn a_settlement_may_pay_with_another_deposit_of_the_request() {
    let (deposit, settlement) = (other(), TWO);
    let settling = State::Settling {
        deposit,
        settlement,
    };
    let paid = State::Paid {
        deposit,
        settlement,
    };
    let offer = Duty::OfferReclaim {
        deposit: own(),
        code: ReclaimCode::DuplicateDeposit,
    };
    for state in states() {
        let duties = match state {
            // The deposit that the request went by is left over.
            State::Unconfirmed { .. } | State::Ready { .. } => vec![offer],
            State::Reclaimable { .. } | State::Reclaimed { .. } | State::Taken { .. } => vec![],
            _ => continue,
        };
        let told = |event| apply(state, event, 100);
        assert_eq!(told(included(TWO, other())), Ok((settling, duties.clone())));
        assert_eq!(told(settled(TWO, other())), Ok((paid, duties)));
    }
}

#[test]
fn a_second_settlement_of_a_request_changes_nothing_of_the_first() {
    for state in &states()[4..6] {
        for event in [included(TWO, other()), settled(TWO, other())] {
            let told = apply(*state, event, 100);
            assert_eq!(told, Err(UnexpectedKind::Superseded), "{state:?}");
        }
        // But no coin is spent twice.
        let told = apply(*state, included(TWO, own()), 100);
        assert_eq!(told, Err(UnexpectedKind::Impossible), "{state:?}");
    }
}

#[test]
fn json_is_stable_and_refuses_unknown_fields() {
    let zeros = "0".repeat(64);
    let expected = [
        r#"{"state":"awaiting-deposit"}"#.to_owned(),
        format!(r#"{{"state":"unconfirmed","deposit":"{zeros}:1","height":null}}"#),
        format!(r#"{{"state":"unconfirmed","deposit":"{zeros}:1","height":100}}"#),
        format!(r#"{{"state":"ready","deposit":"{zeros}:1"}}"#),
        format!(r#"{{"state":"settling","deposit":"{zeros}:1","settlement":1}}"#),
        format!(r#"{{"state":"paid","deposit":"{zeros}:1","settlement":1}}"#),
        format!(r#"{{"state":"reclaimable","deposit":"{zeros}:1","code":"below-minimum"}}"#),
        format!(r#"{{"state":"reclaimed","deposit":"{zeros}:1","code":"below-minimum"}}"#),
        format!(r#"{{"state":"taken","deposit":"{zeros}:1","code":null}}"#),
        r#"{"state":"expired"}"#.to_owned(),
    ];
    for (state, expected) in states().iter().zip(&expected) {
        assert_eq!(serde_json::to_string(state).unwrap(), *expected);
        assert_eq!(serde_json::from_str::<State>(expected).unwrap(), *state);
        assert_eq!(state.name().parse(), Ok(state.stage()));
        assert!(expected.contains(&format!(r#""state":"{}""#, state.name())));
        let more = expected.replacen('{', r#"{"extra":1,"#, 1);
        assert!(serde_json::from_str::<State>(&more).is_err(), "{more}");
    }
}

fn any_state() -> impl Strategy<Value = State> {
    proptest::sample::select(states().to_vec())
}

fn any_deposit() -> impl Strategy<Value = Deposit> {
    let charms = prop_oneof![
        Just(DepositCharms::None),
        Just(DepositCharms::Other),
        any::<u64>().prop_map(|sat| DepositCharms::ZkBtc(Amount::from_sat(sat))),
    ];
    let origin = prop_oneof![Just(DepositOrigin::Payment), Just(DepositOrigin::Coinbase)];
    (1_u32..3, any::<u64>(), charms, origin).prop_map(|(vout, sat, charms, origin)| Deposit {
        outpoint: outpoint(vout),
        value: Amount::from_sat(sat),
        charms,
        origin,
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => proptest::sample::select(events().to_vec()),
        1 => any_deposit().prop_map(|deposit| Event::DepositSeen { deposit }),
        1 => (any_deposit(), any::<u32>())
            .prop_map(|(deposit, height)| Event::DepositConfirmed { deposit, height }),
    ]
}

proptest! {
    #[test]
    fn no_event_is_accepted_silently_or_judged_twice(
        state in any_state(), event in any_event(), tip_height in any::<u32>(), is_out in any::<bool>(),
    ) {
        let params = params();
        let kind = if is_out { Kind::PegOut } else { Kind::PegIn };
        let situation = RequestSituation { kind, ..at(&params, tip_height) };
        let once = state.apply(&event, &situation);
        prop_assert_eq!(&once, &state.apply(&event, &situation));
        match once {
            Ok((next, duties)) => prop_assert!(next != state || !duties.is_empty()),
            Err(unexpected) => {
                prop_assert_eq!(unexpected.state, state.name());
                prop_assert_eq!(unexpected.event, event.name());
            }
        }
    }

    #[test]
    fn an_ended_request_moves_only_by_a_reorg_or_a_late_deposit(
        state in any_state(), event in any_event(), tip_height in any::<u32>(),
    ) {
        prop_assume!(state.stage().has_ended());
        let params = params();
        let moves = matches!(event,
            Event::SettlementUnconfirmed { .. } | Event::ReclaimUnconfirmed { .. }
            | Event::TakingUnconfirmed { .. } | Event::DepositSeen { .. } | Event::DepositConfirmed { .. })
            // Another deposit of a reclaimed or taken request may have been settled.
            || matches!(event, Event::Included { deposit, .. }
                | Event::SettlementConfirmed { deposit, .. } if Some(deposit) != state.deposit());
        let answer = state.apply(&event, &at(&params, tip_height));
        prop_assert!(moves || answer.is_err());
    }

    #[test]
    fn a_long_life_of_any_events_never_pays_twice_or_loses_a_mined_deposit(
        life in prop::collection::vec((any_event(), 90_u32..210), 0..40),
    ) {
        let params = params();
        let mut state = State::start();
        let mut offered = Vec::new();
        for (event, tip_height) in life {
            let Ok((next, duties)) = state.apply(&event, &at(&params, tip_height)) else { continue };
            offered.extend(duties.iter().filter_map(|duty| match duty {
                Duty::OfferReclaim { deposit, .. } => Some(*deposit),
                _ => None,
            }));
            if let Event::DepositConfirmed { deposit, .. } = event {
                prop_assert!(next.deposit() == Some(deposit.outpoint) || offered.contains(&deposit.outpoint));
            }
            if let (State::Paid { settlement: before, .. }, State::Paid { settlement: after, .. }) = (state, next) {
                prop_assert_eq!(before, after);
            }
            state = next;
        }
    }
}
