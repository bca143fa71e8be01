//! Deposits that operators spent against the rules.

use super::{DepositStanding, Duty, Event, ONE, State, apply, own, standing_at};
use crate::ReclaimCode;

#[test]
fn a_taken_deposit_ends_its_settlement_and_comes_back_as_it_stands() {
    let deposit = own();
    let state = State::Settling {
        deposit,
        settlement: ONE,
    };
    let (taken, duties) = apply(state, Event::DepositTaken { deposit }, 100).unwrap();
    let code = None;
    assert_eq!(taken, State::Taken { deposit, code });
    assert_eq!(duties, [Duty::AbandonSettlement { settlement: ONE }]);
    let next = |standing| {
        let event = Event::TakingUnconfirmed { deposit, standing };
        apply(taken, event, 100).unwrap()
    };
    let unconfirmed = |height| State::Unconfirmed { deposit, height };
    let ready = State::Ready { deposit };
    assert_eq!(next(standing_at(99)), (ready, vec![Duty::Build]));
    assert_eq!(next(standing_at(100)).0, unconfirmed(Some(100)));
    assert_eq!(next(DepositStanding::Unconfirmed).0, unconfirmed(None));
    let gone = (State::AwaitingDeposit {}, vec![Duty::Reelect]);
    assert_eq!(next(DepositStanding::Gone), gone);
}

#[test]
fn what_was_not_to_be_served_is_not_for_being_taken_and_given_back() {
    let deposit = own();
    let code = ReclaimCode::Refused;
    let state = State::Reclaimable { deposit, code };
    let (taken, duties) = apply(state, Event::DepositTaken { deposit }, 150).unwrap();
    assert_eq!((taken.code(), duties), (Some(code), vec![]));
    let standing = standing_at(100);
    let event = Event::TakingUnconfirmed { deposit, standing };
    assert_eq!(apply(taken, event, 150).unwrap().0, state);
}
