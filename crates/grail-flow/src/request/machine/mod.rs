//! Transitions of a request, each with what its event is about: deposits, or settlements.

mod deposit;
mod settlement;

use bitcoin::{Amount, OutPoint};
use grail_types::{Kind, Params};

use super::{DepositStanding, RequestDuty, RequestEvent, RequestState};
use crate::{
    Deposit, DepositOrigin, ReclaimCode, Unexpected, UnexpectedKind, acceptable, confirmations,
    confirmations_needed, worth,
};

/// What a transition may depend on besides state and event.
#[derive(Clone, Copy, Debug)]
pub struct RequestSituation<'a> {
    /// Protocol parameters.
    pub params: &'a Params,
    /// Direction of the request.
    pub kind: Kind,
    /// Last height whose block may hold the deposit.
    pub deadline_height: u32,
    /// Height of the best block, as of the event.
    pub tip_height: u32,
    /// What a deposit must be worth to be settled at all ([`crate::least_worth`]).
    pub least: Amount,
    /// What the deposit that the request goes by is worth ([`crate::worth`]), where the event is
    /// about another one.
    pub own: Option<Amount>,
}

use RequestEvent as Event;
use RequestState as State;
use UnexpectedKind::{Impossible, Superseded};

type Step = Result<(State, Vec<RequestDuty>), UnexpectedKind>;

impl RequestState {
    /// The next state and the duties that come with it. An answer always differs from `self` or
    /// carries a duty.
    ///
    /// # Errors
    /// [`Unexpected`] when the event does not apply; nothing changed.
    pub fn apply(
        self,
        event: &RequestEvent,
        situation: &RequestSituation<'_>,
    ) -> Result<(Self, Vec<RequestDuty>), Unexpected> {
        self.step(event, situation).map_err(|kind| Unexpected {
            state: self.name(),
            event: event.name(),
            kind,
        })
    }

    fn step(self, event: &Event, situation: &RequestSituation<'_>) -> Step {
        match *event {
            Event::DepositSeen { deposit } => self.deposit_seen(&deposit, situation),
            Event::DepositConfirmed { deposit, height } => {
                self.deposit_confirmed(&deposit, height, situation)
            }
            Event::DepositUnconfirmed { deposit } => self.deposit_unconfirmed(deposit),
            Event::DepositVanished { deposit } => self.deposit_vanished(deposit, situation),
            Event::DepositSpentByUser { deposit } => self.deposit_spent_by_user(deposit),
            Event::ReclaimUnconfirmed { deposit } => self.reclaim_unconfirmed(deposit),
            Event::DepositTaken { deposit } => self.deposit_taken(deposit),
            Event::TakingUnconfirmed { deposit, standing } => {
                self.taking_unconfirmed(deposit, standing, situation)
            }
            Event::DepositUnacceptable { deposit, code } => {
                self.deposit_unacceptable(deposit, code)
            }
            Event::TooCloseToReclaim { deposit } => {
                self.deposit_unacceptable(deposit, ReclaimCode::TooCloseToReclaim)
            }
            Event::DeadlinePassed => self.deadline_passed(situation),
            Event::Included {
                settlement,
                deposit,
            } => self.included(settlement, deposit),
            Event::SettlementConfirmed {
                settlement,
                deposit,
            } => self.settlement_confirmed(settlement, deposit),
            // That of the request's own settlement is its own deposit.
            Event::SettlementUnconfirmed { settlement, .. } => {
                self.settlement_unconfirmed(settlement)
            }
            Event::SettlementAbandoned {
                settlement,
                standing,
                ..
            } => self.settlement_abandoned(settlement, standing, situation),
        }
    }

    /// Refuses news of another deposit than the request goes by: it has a row of its own, and no
    /// bearing here.
    fn owns(self, deposit: OutPoint) -> Result<(), UnexpectedKind> {
        match self.deposit() {
            Some(own) if own != deposit => Err(Superseded),
            _ => Ok(()),
        }
    }
}

/// What follows a request's first deposit, still in the mempool: late when no block in time can
/// hold it any more.
fn mempool_deposit(
    deposit: &Deposit,
    situation: &RequestSituation<'_>,
) -> (State, Vec<RequestDuty>) {
    let in_time = situation.tip_height < situation.deadline_height;
    match served(deposit, in_time, situation) {
        Ok(()) => (
            State::Unconfirmed {
                deposit: deposit.outpoint,
                height: None,
            },
            Vec::new(),
        ),
        Err(code) => reclaimable(deposit.outpoint, code),
    }
}

/// What follows a request's first mined deposit.
fn mined_deposit(
    deposit: &Deposit,
    height: u32,
    situation: &RequestSituation<'_>,
) -> (State, Vec<RequestDuty>) {
    let in_time = height <= situation.deadline_height;
    match served(deposit, in_time, situation) {
        Ok(()) => confirming(deposit.outpoint, deposit.origin, height, situation),
        Err(code) => reclaimable(deposit.outpoint, code),
    }
}

/// What follows when a spend of the deposit will not be, or is no more. It was in time and
/// acceptable when it was spent.
fn given_back(
    deposit: OutPoint,
    standing: DepositStanding,
    situation: &RequestSituation<'_>,
) -> (State, Vec<RequestDuty>) {
    match standing {
        DepositStanding::Confirmed { height, origin } => {
            confirming(deposit, origin, height, situation)
        }
        DepositStanding::Unconfirmed => (
            State::Unconfirmed {
                deposit,
                height: None,
            },
            Vec::new(),
        ),
        DepositStanding::Gone => (without_deposit(situation), vec![RequestDuty::Reelect]),
    }
}

fn served(
    deposit: &Deposit,
    in_time: bool,
    situation: &RequestSituation<'_>,
) -> Result<(), ReclaimCode> {
    if !in_time {
        return Err(ReclaimCode::Late);
    }
    acceptable(situation.params, situation.kind, deposit, situation.least)
}

fn confirming(
    deposit: OutPoint,
    origin: DepositOrigin,
    height: u32,
    situation: &RequestSituation<'_>,
) -> (State, Vec<RequestDuty>) {
    let needed = confirmations_needed(situation.params, origin);
    if confirmations(situation.tip_height, height) >= needed {
        (State::Ready { deposit }, vec![RequestDuty::Build])
    } else {
        (
            State::Unconfirmed {
                deposit,
                height: Some(height),
            },
            Vec::new(),
        )
    }
}

fn reclaimable(deposit: OutPoint, code: ReclaimCode) -> (State, Vec<RequestDuty>) {
    (
        State::Reclaimable { deposit, code },
        vec![RequestDuty::OfferReclaim { deposit, code }],
    )
}

/// Whether a deposit takes the place of the one that the request goes by. A block's reward never
/// does: it would make the user wait for a hundred blocks.
fn outweighs(deposit: &Deposit, situation: &RequestSituation<'_>) -> bool {
    let is_payment = deposit.origin == DepositOrigin::Payment;
    is_payment && situation.own.is_some_and(|own| worth(deposit) > own)
}

/// The deposit that a request went by before it goes by another one: not served.
fn left_over(own: OutPoint, taken: OutPoint) -> Vec<RequestDuty> {
    let offer = RequestDuty::OfferReclaim {
        deposit: own,
        code: ReclaimCode::DuplicateDeposit,
    };
    (own != taken).then_some(offer).into_iter().collect()
}

fn without_deposit(situation: &RequestSituation<'_>) -> State {
    if situation.tip_height < situation.deadline_height {
        State::AwaitingDeposit {}
    } else {
        State::Expired {}
    }
}
