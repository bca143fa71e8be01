//! Several deposits to one address: which of them is served.

use bitcoin::Amount;

use super::{
    Duty, Event, State, apply, at, deposit, good, other, own, reward, states, two_confirmations,
};
use crate::{Deposit, ReclaimCode, RequestSituation, UnexpectedKind};

/// Of a request that goes by a deposit worth so much.
fn apply_beside(
    state: State,
    event: Event,
    own_sat: u64,
) -> Result<(State, Vec<Duty>), UnexpectedKind> {
    let params = two_confirmations();
    let situation = RequestSituation {
        own: Some(Amount::from_sat(own_sat)),
        ..at(&params, 101)
    };
    state
        .apply(&event, &situation)
        .map_err(|unexpected| unexpected.kind)
}

#[test]
fn the_largest_deposit_is_served_until_a_settlement_is_under_way() {
    let confirmed = Event::DepositConfirmed {
        deposit: good(other()),
        height: 100,
    };
    let left = |deposit| Duty::OfferReclaim {
        deposit,
        code: ReclaimCode::DuplicateDeposit,
    };
    let states = states();
    for state in &states[2..4] {
        // 50,000 against less, as much, and more.
        let (next, duties) = apply_beside(*state, confirmed, 49_999).unwrap();
        assert_eq!(next, State::Ready { deposit: other() });
        assert_eq!(duties, [Duty::Build, left(own())]);
        for own_sat in [50_000, 50_001] {
            let stays = Ok((*state, vec![left(other())]));
            assert_eq!(apply_beside(*state, confirmed, own_sat), stays);
        }
    }
    for state in &states[4..6] {
        let stays = Ok((*state, vec![left(other())]));
        assert_eq!(apply_beside(*state, confirmed, 1), stays);
    }
}

#[test]
fn a_blocks_reward_takes_no_deposits_place() {
    let reward = Deposit {
        outpoint: other(),
        ..reward()
    };
    let confirmed = Event::DepositConfirmed {
        deposit: reward,
        height: 100,
    };
    let ready = State::Ready { deposit: own() };
    let (next, _) = apply_beside(ready, confirmed, 1).unwrap();
    assert_eq!(next, ready);
}

#[test]
fn what_cannot_be_served_ends_nobodys_request() {
    let dust = deposit(own(), 330);
    let seen = |deposit| Event::DepositSeen { deposit };
    let confirmed = |deposit| Event::DepositConfirmed {
        deposit,
        height: 100,
    };
    for first in [seen(dust), confirmed(dust)] {
        let (state, _) = apply(State::start(), first, 100).unwrap();
        assert_eq!(state.code(), Some(ReclaimCode::BelowMinimum));
        let (next, _) = apply(state, seen(good(other())), 100).unwrap();
        let waiting = State::Unconfirmed {
            deposit: other(),
            height: None,
        };
        assert_eq!(next, waiting);
        let (next, _) = apply(state, confirmed(good(other())), 101).unwrap();
        assert_eq!(next, State::Ready { deposit: other() });
    }
    // And beside one that can be served it is its owner's.
    let offer = Duty::OfferReclaim {
        deposit: other(),
        code: ReclaimCode::BelowMinimum,
    };
    for state in &states()[1..4] {
        let outcome = apply(*state, confirmed(deposit(other(), 330)), 101);
        assert_eq!(outcome, Ok((*state, vec![offer])));
    }
}
