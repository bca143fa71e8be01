//! Transitions of a request.

use bitcoin::{Amount, OutPoint};
use grail_types::{Kind, Params};

use super::{DepositStanding, RequestDuty, RequestEvent, RequestState};
use crate::{
    Deposit, DepositOrigin, ReclaimCode, SettlementId, Unexpected, UnexpectedKind, acceptable,
    confirmations, confirmations_needed,
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
            Event::DepositUnacceptable { deposit, code } => {
                self.deposit_unacceptable(deposit, code)
            }
            Event::TooCloseToReclaim { deposit } => {
                self.deposit_unacceptable(deposit, ReclaimCode::TooCloseToReclaim)
            }
            Event::DeadlinePassed => self.deadline_passed(situation),
            Event::Included { settlement } => self.included(settlement),
            Event::SettlementConfirmed { settlement } => self.settlement_confirmed(settlement),
            Event::SettlementUnconfirmed { settlement } => self.settlement_unconfirmed(settlement),
            Event::SettlementAbandoned {
                settlement,
                standing,
            } => self.settlement_abandoned(settlement, standing, situation),
        }
    }

    fn deposit_seen(self, deposit: &Deposit, situation: &RequestSituation<'_>) -> Step {
        match self {
            Self::AwaitingDeposit {} | Self::Expired {} => Ok(mempool_deposit(deposit, situation)),
            // Another one in the mempool may be a replacement of the one known (fee bump), so it is
            // judged when mined; the one known needs no second telling.
            Self::Unconfirmed { .. }
            | Self::Ready { .. }
            | Self::Settling { .. }
            | Self::Paid { .. }
            | Self::Reclaimable { .. }
            | Self::Reclaimed { .. } => Err(Superseded),
        }
    }

    fn deposit_confirmed(
        self,
        deposit: &Deposit,
        height: u32,
        situation: &RequestSituation<'_>,
    ) -> Step {
        let outpoint = deposit.outpoint;
        match self {
            Self::AwaitingDeposit {} | Self::Expired {} => {
                Ok(mined_deposit(deposit, height, situation))
            }
            // Of several, the first to be mined serves: the others may be replaced transactions.
            Self::Unconfirmed { height: None, .. } => Ok(mined_deposit(deposit, height, situation)),
            Self::Unconfirmed { deposit: own, .. } if own == outpoint => {
                let (next, duties) = mined_deposit(deposit, height, situation);
                if next == self {
                    Err(Superseded)
                } else {
                    Ok((next, duties))
                }
            }
            Self::Unconfirmed { deposit: own, .. }
            | Self::Ready { deposit: own }
            | Self::Settling { deposit: own, .. }
            | Self::Paid { deposit: own, .. }
            | Self::Reclaimable { deposit: own, .. }
            | Self::Reclaimed { deposit: own, .. } => {
                if own == outpoint {
                    return Err(Superseded);
                }
                let offer = RequestDuty::OfferReclaim {
                    deposit: outpoint,
                    code: ReclaimCode::DuplicateDeposit,
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
            // either way.
            Self::Unconfirmed { height: None, .. }
            | Self::Paid { .. }
            | Self::Reclaimable { .. }
            | Self::Reclaimed { .. }
            | Self::AwaitingDeposit {}
            | Self::Expired {} => Err(Superseded),
        }
    }

    fn deposit_vanished(self, deposit: OutPoint, situation: &RequestSituation<'_>) -> Step {
        self.owns(deposit)?;
        match self {
            Self::Unconfirmed { .. } | Self::Ready { .. } | Self::Reclaimable { .. } => {
                Ok((without_deposit(situation), Vec::new()))
            }
            Self::Settling { settlement, .. } => {
                Ok((self, vec![RequestDuty::RecheckSettlement { settlement }]))
            }
            Self::Paid { .. } | Self::Reclaimed { .. } => Err(Impossible),
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
            Self::Paid { .. } | Self::AwaitingDeposit {} | Self::Expired {} => Err(Impossible),
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
            | Self::Expired {} => Err(Superseded),
        }
    }

    fn included(self, settlement: SettlementId) -> Step {
        match self {
            Self::Ready { deposit } => Ok((
                State::Settling {
                    deposit,
                    settlement,
                },
                Vec::new(),
            )),
            Self::Settling {
                settlement: own, ..
            }
            | Self::Paid {
                settlement: own, ..
            } if own == settlement => Err(Superseded),
            Self::Settling { .. }
            | Self::Paid { .. }
            | Self::AwaitingDeposit {}
            | Self::Unconfirmed { .. }
            | Self::Reclaimable { .. }
            | Self::Reclaimed { .. }
            | Self::Expired {} => Err(Impossible),
        }
    }

    fn settlement_confirmed(self, settlement: SettlementId) -> Step {
        let paid = |deposit| State::Paid {
            deposit,
            settlement,
        };
        match self {
            // The chain decides: a settlement given up here may be mined all the same, and then it
            // has paid.
            Self::Unconfirmed { deposit, .. }
            | Self::Ready { deposit }
            | Self::Reclaimable { deposit, .. } => Ok((paid(deposit), Vec::new())),
            Self::Settling {
                deposit,
                settlement: own,
            } => {
                let other = (own != settlement)
                    .then_some(RequestDuty::AbandonSettlement { settlement: own });
                Ok((paid(deposit), other.into_iter().collect()))
            }
            Self::Paid {
                settlement: own, ..
            } if own == settlement => Err(Superseded),
            Self::Paid { .. }
            | Self::AwaitingDeposit {}
            | Self::Reclaimed { .. }
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
            } if own == settlement => Ok(match standing {
                // It was in time and acceptable when it was included.
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
                DepositStanding::Gone => (without_deposit(situation), Vec::new()),
            }),
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

fn without_deposit(situation: &RequestSituation<'_>) -> State {
    if situation.tip_height < situation.deadline_height {
        State::AwaitingDeposit {}
    } else {
        State::Expired {}
    }
}
