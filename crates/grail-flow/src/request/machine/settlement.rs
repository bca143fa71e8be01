//! What becomes of a request with settlements.

use bitcoin::OutPoint;

use super::{Impossible, State, Step, Superseded, given_back, left_over};
use crate::{DepositStanding, RequestDuty, RequestSituation, RequestState, SettlementId};

impl RequestState {
    /// The chain decides whom a settlement pays, and with which deposit: one that was given up here
    /// may be mined all the same, and one that was never in the rows may be adopted.
    pub(super) fn included(self, settlement: SettlementId, deposit: OutPoint) -> Step {
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

    pub(super) fn settlement_confirmed(self, settlement: SettlementId, deposit: OutPoint) -> Step {
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

    pub(super) fn settlement_unconfirmed(self, settlement: SettlementId) -> Step {
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

    pub(super) fn settlement_abandoned(
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
}
