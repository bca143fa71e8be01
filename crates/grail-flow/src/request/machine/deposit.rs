//! What becomes of a request with its deposits, and with time.

use bitcoin::OutPoint;

use super::{
    Impossible, State, Step, Superseded, given_back, left_over, mempool_deposit, mined_deposit,
    outweighs, reclaimable, served, without_deposit,
};
use crate::{Deposit, DepositStanding, ReclaimCode, RequestDuty, RequestSituation, RequestState};

impl RequestState {
    pub(super) fn deposit_seen(self, deposit: &Deposit, situation: &RequestSituation<'_>) -> Step {
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
    pub(super) fn deposit_confirmed(
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

    pub(super) fn deposit_unconfirmed(self, deposit: OutPoint) -> Step {
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

    pub(super) fn deposit_vanished(
        self,
        deposit: OutPoint,
        situation: &RequestSituation<'_>,
    ) -> Step {
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

    pub(super) fn deposit_spent_by_user(self, deposit: OutPoint) -> Step {
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

    pub(super) fn reclaim_unconfirmed(self, deposit: OutPoint) -> Step {
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
    pub(super) fn deposit_taken(self, deposit: OutPoint) -> Step {
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

    pub(super) fn taking_unconfirmed(
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

    pub(super) fn deposit_unacceptable(self, deposit: OutPoint, code: ReclaimCode) -> Step {
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

    pub(super) fn deadline_passed(self, situation: &RequestSituation<'_>) -> Step {
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
}
