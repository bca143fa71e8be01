//! What happens to a request.

use bitcoin::OutPoint;

use crate::{Deposit, DepositOrigin, ReclaimCode, SettlementId};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEvent {
    /// A deposit is in the mempool.
    DepositSeen {
        /// The deposit.
        deposit: Deposit,
    },
    /// A deposit is in the best chain. Told again at each new tip while the request is unconfirmed.
    DepositConfirmed {
        /// The deposit.
        deposit: Deposit,
        /// Height of its block.
        height: u32,
    },
    /// A reorg took the deposit's block away; the deposit may come back.
    DepositUnconfirmed {
        /// The deposit.
        deposit: OutPoint,
    },
    /// The deposit is neither in the chain nor in the mempool: replaced or double-spent.
    DepositVanished {
        /// The deposit.
        deposit: OutPoint,
    },
    /// A block holds a spend of the deposit that is no settlement: the user's reclaim.
    DepositSpentByUser {
        /// The deposit.
        deposit: OutPoint,
    },
    /// A reorg took the reclaim's block away.
    ReclaimUnconfirmed {
        /// The deposit.
        deposit: OutPoint,
    },
    /// A block holds a spend of the deposit that operators signed and that breaks the bridge's
    /// rules.
    DepositTaken {
        /// The deposit.
        deposit: OutPoint,
    },
    /// A reorg took that spend's block away.
    TakingUnconfirmed {
        /// The deposit.
        deposit: OutPoint,
        /// What is known of it now.
        standing: DepositStanding,
    },
    /// The deposit cannot be served, for a reason found after it was accepted.
    DepositUnacceptable {
        /// The deposit.
        deposit: OutPoint,
        /// The reason.
        code: ReclaimCode,
    },
    /// The tip reached [`sweep_end_height`](crate::sweep_end_height) and no settlement took the
    /// deposit.
    TooCloseToReclaim {
        /// The deposit.
        deposit: OutPoint,
    },
    /// The tip reached the deadline: no block to come can hold a deposit in time.
    DeadlinePassed,
    /// A settlement takes a deposit of the request. Which one the chain says, if it was not planned
    /// here.
    Included {
        /// The settlement.
        settlement: SettlementId,
        /// The deposit that it spends.
        deposit: OutPoint,
    },
    /// The settlement has `Params::settlement_confirmations`.
    SettlementConfirmed {
        /// The settlement.
        settlement: SettlementId,
        /// The deposit that it spends.
        deposit: OutPoint,
    },
    /// A reorg took confirmations from the settlement.
    SettlementUnconfirmed {
        /// The settlement.
        settlement: SettlementId,
        /// The deposit that it spent.
        deposit: OutPoint,
    },
    /// The settlement will not be made.
    SettlementAbandoned {
        /// The settlement.
        settlement: SettlementId,
        /// The deposit that it was to spend.
        deposit: OutPoint,
        /// What is known of that deposit now.
        standing: DepositStanding,
    },
}

/// What is left of a deposit whose spend will not be, or is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepositStanding {
    /// In the best chain at this height.
    Confirmed {
        /// Height of its block.
        height: u32,
        /// What made it.
        origin: DepositOrigin,
    },
    /// In the mempool.
    Unconfirmed,
    /// Neither: replaced or double-spent.
    Gone,
}

impl RequestEvent {
    /// Stable name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DepositSeen { .. } => "deposit-seen",
            Self::DepositConfirmed { .. } => "deposit-confirmed",
            Self::DepositUnconfirmed { .. } => "deposit-unconfirmed",
            Self::DepositVanished { .. } => "deposit-vanished",
            Self::DepositSpentByUser { .. } => "deposit-spent-by-user",
            Self::ReclaimUnconfirmed { .. } => "reclaim-unconfirmed",
            Self::DepositTaken { .. } => "deposit-taken",
            Self::TakingUnconfirmed { .. } => "taking-unconfirmed",
            Self::DepositUnacceptable { .. } => "deposit-unacceptable",
            Self::TooCloseToReclaim { .. } => "too-close-to-reclaim",
            Self::DeadlinePassed => "deadline-passed",
            Self::Included { .. } => "included",
            Self::SettlementConfirmed { .. } => "settlement-confirmed",
            Self::SettlementUnconfirmed { .. } => "settlement-unconfirmed",
            Self::SettlementAbandoned { .. } => "settlement-abandoned",
        }
    }
}
