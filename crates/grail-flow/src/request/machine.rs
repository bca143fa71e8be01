//! Transitions of a request.

use bitcoin::{Amount, OutPoint};
use grail_types::{Kind, Params};

use super::{DepositStanding, RequestDuty, RequestEvent, RequestState};
use crate::{
    Deposit, DepositOrigin, ReclaimCode, SettlementId, Unexpected, UnexpectedKind, acceptable,
    confirmations, confirmations_needed, worth,
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

    fn deposit_seen(self, deposit: &Deposit, situation: &RequestSituation<'_>) -> Step {
        match self {
            Self::AwaitingDeposit {} | Self::Expired {} => Ok(mempool_deposit(deposit, situation)),
            // Anybody can pay to an address: what cannot be served ends nobody's request.
            Self::Reclaimable { deposit: own, .. } if own != deposit.outpoint => {
                let (next, duties) = mempool_deposit(deposit, situation);
                match next {
                    State::Unconfirmed { .. } => Ok((next, duties)),
                    _ => Err(Superseded),
                }
            }
            // Another one in the mempool may be a replacement of the one known (fee bump), so it is
            // judged when mined; the one known needs no second telling.
            Self::Unconfirmed { .. }
            | Self::Ready { .. }
            | Self::Settling { .. }
            | Self::Paid { .. }
            | Self::Reclaimable { .. }
            | Self::Reclaimed { .. }
            | Self::Taken { .. } => Err(Superseded),
        }
    }

    /// A deposit is in a block. Of several that can be served the largest is, so that a stranger's
    /// payment of the least never wins over the user's own; of equal ones the first. Once a
    /// settlement is under way, the one that it spends.
    fn deposit_confirmed(
        self,
        deposit: &Deposit,
        height: u32,
        situation: &RequestSituation<'_>,
    ) -> Step {
        let outpoint = deposit.outpoint;
        let is_own = self.deposit() == Some(outpoint);
        let outcome = served(deposit, height <= situation.deadline_height, situation);
        match self {
            Self::AwaitingDeposit {} | Self::Expired {} => {
                Ok(mined_deposit(deposit, height, situation))
            }
            Self::Unconfirmed { .. } if is_own => {
                let (next, duties) = mined_deposit(deposit, height, situation);
                if next == self {
                    Err(Superseded)
                } else {
                    Ok((next, duties))
                }
            }
            _ if is_own => Err(Superseded),
            // The one in the mempool may be what this one replaced.
            Self::Unconfirmed { height: None, .. } | Self::Reclaimable { .. }
                if outcome.is_ok() =>
            {
                Ok(mined_deposit(deposit, height, situation))
            }
            Self::Unconfirmed {
                deposit: own,
                height: Some(_),
            }
            | Self::Ready { deposit: own }
                if outcome.is_ok() && outweighs(deposit, situation) =>
            {
                let (next, mut duties) = mined_deposit(deposit, height, situation);
                duties.append(&mut left_over(own, outpoint));
                Ok((next, duties))
            }
            Self::Unconfirmed { .. }
            | Self::Ready { .. }
            | Self::Settling { .. }
            | Self::Paid { .. }
            | Self::Reclaimable { .. }
            | Self::Reclaimed { .. }
            | Self::Taken { .. } => {
                let offer = RequestDuty::OfferReclaim {
                    deposit: outpoint,
                    code: outcome.err().unwrap_or(ReclaimCode::DuplicateDeposit),
                };
                Ok((self, vec![offer]))
            }
        }
    }

    fn deposit_unconfirmed(self, deposit: OutPoint) -> Step {
        self.owns(deposit)?;
        match self {
            Self::Unconfirmed {
                height: Some(_), ..
            }
            | Self::Ready { .. } => Ok((
                State::Unconfirmed {
                    deposit,
                    height: None,
                },
                Vec::new(),
            )),
            Self::Settling { settlement, .. } => {
                Ok((self, vec![RequestDuty::RecheckSettlement { settlement }]))
            }
            // Paid: the settlement's own reorg follows. Reclaimable and reclaimed: not served
            // either way. Taken: its spend's own reorg came before.
            Self::Unconfirmed { height: None, .. }
            | Self::Paid { .. }
            | Self::Reclaimable { .. }
            | Self::Reclaimed { .. }
            | Self::Taken { .. }
            | Self::AwaitingDeposit {}
            | Self::Expired {} => Err(Superseded),
        }
    }

    fn deposit_vanished(self, deposit: OutPoint, situation: &RequestSituation<'_>) -> Step {
        self.owns(deposit)?;
        match self {
            Self::Unconfirmed { .. } | Self::Ready { .. } | Self::Reclaimable { .. } => {
                Ok((without_deposit(situation), vec![RequestDuty::Reelect]))
            }
            Self::Settling { settlement, .. } => {
                Ok((self, vec![RequestDuty::RecheckSettlement { settlement }]))
            }
            Self::Paid { .. } | Self::Reclaimed { .. } | Self::Taken { .. } => Err(Impossible),
            Self::AwaitingDeposit {} | Self::Expired {} => Err(Superseded),
        }
    }

    fn deposit_spent_by_user(self, deposit: OutPoint) -> Step {
        self.owns(deposit)?;
        let reclaimed = |code| State::Reclaimed { deposit, code };
        match self {
            Self::Unconfirmed { .. } | Self::Ready { .. } => {
                Ok((reclaimed(ReclaimCode::TooCloseToReclaim), Vec::new()))
            }
            Self::Settling { settlement, .. } => Ok((
                reclaimed(ReclaimCode::TooCloseToReclaim),
                vec![RequestDuty::AbandonSettlement { settlement }],
            )),
            Self::Reclaimable { code, .. } => Ok((reclaimed(code), Vec::new())),
            Self::Reclaimed { .. } => Err(Superseded),
            Self::Paid { .. }
            | Self::Taken { .. }
            | Self::AwaitingDeposit {}
            | Self::Expired {} => Err(Impossible),
        }
    }

    fn reclaim_unconfirmed(self, deposit: OutPoint) -> Step {
        self.owns(deposit)?;
        match self {
            Self::Reclaimed { code, .. } => Ok(reclaimable(deposit, code)),
            Self::AwaitingDeposit {}
            | Self::Unconfirmed { .. }
            | Self::Ready { .. }
            | Self::Settling { .. }
            | Self::Paid { .. }
            | Self::Reclaimable { .. }
            | Self::Taken { .. }
            | Self::Expired {} => Err(Superseded),
        }
    }

    /// Nothing may be planned with it any more, whoever says what of the transaction that took it.
    fn deposit_taken(self, deposit: OutPoint) -> Step {
        self.owns(deposit)?;
        let taken = |code| State::Taken { deposit, code };
        match self {
            Self::Unconfirmed { .. } | Self::Ready { .. } => Ok((taken(None), Vec::new())),
            Self::Settling { settlement, .. } => Ok((
                taken(None),
                vec![RequestDuty::AbandonSettlement { settlement }],
            )),
            Self::Reclaimable { code, .. } => Ok((taken(Some(code)), Vec::new())),
            Self::Taken { .. } => Err(Superseded),
            Self::Paid { .. }
            | Self::Reclaimed { .. }
            | Self::AwaitingDeposit {}
            | Self::Expired {} => Err(Impossible),
        }
    }

    fn taking_unconfirmed(
        self,
        deposit: OutPoint,
        standing: DepositStanding,
        situation: &RequestSituation<'_>,
    ) -> Step {
        self.owns(deposit)?;
        match self {
            Self::Taken { code: None, .. } => Ok(given_back(deposit, standing, situation)),
            Self::Taken {
                code: Some(code), ..
            } => Ok(reclaimable(deposit, code)),
            Self::AwaitingDeposit {}
            | Self::Unconfirmed { .. }
            | Self::Ready { .. }
            | Self::Settling { .. }
            | Self::Paid { .. }
            | Self::Reclaimable { .. }
            | Self::Reclaimed { .. }
            | Self::Expired {} => Err(Superseded),
        }
    }

    fn deposit_unacceptable(self, deposit: OutPoint, code: ReclaimCode) -> Step {
        self.owns(deposit)?;
        match self {
            Self::Unconfirmed { .. } | Self::Ready { .. } => Ok(reclaimable(deposit, code)),
            // Under way: only the chain, or the settlement's own end, decides.
            Self::Settling { settlement, .. } => {
                Ok((self, vec![RequestDuty::RecheckSettlement { settlement }]))
            }
            Self::Paid { .. }
            | Self::Reclaimable { .. }
            | Self::Reclaimed { .. }
            | Self::Taken { .. }
            | Self::AwaitingDeposit {}
            | Self::Expired {} => Err(Superseded),
        }
    }

    fn deadline_passed(self, situation: &RequestSituation<'_>) -> Step {
        if situation.tip_height < situation.deadline_height {
            return Err(Impossible);
        }
        match self {
            Self::AwaitingDeposit {} => Ok((State::Expired {}, Vec::new())),
            Self::Unconfirmed {
                deposit,
                height: None,
            } => Ok(reclaimable(deposit, ReclaimCode::Late)),
            // The deposit came in time.
            Self::Unconfirmed {
                height: Some(_), ..
            }
            | Self::Ready { .. }
            | Self::Settling { .. }
            | Self::Paid { .. }
            | Self::Reclaimable { .. }
            | Self::Reclaimed { .. }
            | Self::Taken { .. }
            | Self::Expired {} => Err(Superseded),
        }
    }

    /// The chain decides whom a settlement pays, and with which deposit: one that was given up here
    /// may be mined all the same, and one that was never in the rows may be adopted.
    fn included(self, settlement: SettlementId, deposit: OutPoint) -> Step {
        let settling = State::Settling {
            deposit,
            settlement,
        };
        match self {
            Self::Ready { deposit: own } | Self::Unconfirmed { deposit: own, .. } => {
                Ok((settling, left_over(own, deposit)))
            }
            // Its own deposit is the user's already, in whatever way.
            Self::Reclaimable { .. } => Ok((settling, Vec::new())),
            Self::Reclaimed { deposit: own, .. } | Self::Taken { deposit: own, .. }
                if own != deposit =>
            {
                Ok((settling, Vec::new()))
            }
            Self::Settling {
                settlement: own, ..
            }
            | Self::Paid {
                settlement: own, ..
            } if own == settlement => Err(Superseded),
            // Two deposits of one request, each settled: the second has a row of its own.
            Self::Settling { deposit: own, .. } | Self::Paid { deposit: own, .. }
                if own != deposit =>
            {
                Err(Superseded)
            }
            // One coin is spent once: by its user, or by one settlement. And a deposit that is
            // spent was in a block before, and told.
            Self::Settling { .. }
            | Self::Paid { .. }
            | Self::Reclaimed { .. }
            | Self::Taken { .. }
            | Self::AwaitingDeposit {}
            | Self::Expired {} => Err(Impossible),
        }
    }

    fn settlement_confirmed(self, settlement: SettlementId, deposit: OutPoint) -> Step {
        let paid = State::Paid {
            deposit,
            settlement,
        };
        match self {
            Self::Ready { deposit: own } | Self::Unconfirmed { deposit: own, .. } => {
                Ok((paid, left_over(own, deposit)))
            }
            Self::Reclaimable { .. } => Ok((paid, Vec::new())),
            Self::Reclaimed { deposit: own, .. } | Self::Taken { deposit: own, .. }
                if own != deposit =>
            {
                Ok((paid, Vec::new()))
            }
            Self::Settling {
                deposit: own_deposit,
                settlement: own,
            } if own_deposit == deposit => {
                let other = (own != settlement)
                    .then_some(RequestDuty::AbandonSettlement { settlement: own });
                Ok((paid, other.into_iter().collect()))
            }
            // As above: another deposit, with a row of its own.
            Self::Settling { .. } => Err(Superseded),
            Self::Paid {
                settlement: own, ..
            } if own == settlement => Err(Superseded),
            Self::Paid { deposit: own, .. } if own != deposit => Err(Superseded),
            Self::Paid { .. }
            | Self::Reclaimed { .. }
            | Self::Taken { .. }
            | Self::AwaitingDeposit {}
            | Self::Expired {} => Err(Impossible),
        }
    }

    fn settlement_unconfirmed(self, settlement: SettlementId) -> Step {
        match self {
            Self::Paid {
                deposit,
                settlement: own,
            } if own == settlement => Ok((
                State::Settling {
                    deposit,
                    settlement,
                },
                Vec::new(),
            )),
            Self::Paid { .. }
            | Self::AwaitingDeposit {}
            | Self::Unconfirmed { .. }
            | Self::Ready { .. }
            | Self::Settling { .. }
            | Self::Reclaimable { .. }
            | Self::Reclaimed { .. }
            | Self::Taken { .. }
            | Self::Expired {} => Err(Superseded),
        }
    }

    fn settlement_abandoned(
        self,
        settlement: SettlementId,
        standing: DepositStanding,
        situation: &RequestSituation<'_>,
    ) -> Step {
        match self {
            Self::Settling {
                deposit,
                settlement: own,
            } if own == settlement => Ok(given_back(deposit, standing, situation)),
            Self::Paid {
                settlement: own, ..
            } if own == settlement => Err(Impossible),
            Self::Settling { .. }
            | Self::Paid { .. }
            | Self::AwaitingDeposit {}
            | Self::Unconfirmed { .. }
            | Self::Ready { .. }
            | Self::Reclaimable { .. }
            | Self::Reclaimed { .. }
            | Self::Taken { .. }
            | Self::Expired {} => Err(Superseded),
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

/// What follows when a spend of the deposit will not be, or is no more. It was in time and acceptable
/// when it was spent.
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
