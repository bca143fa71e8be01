//! Where a request stands.

use bitcoin::OutPoint;
use serde::{Deserialize, Serialize};

use crate::{ReclaimCode, SettlementId};

/// Where a request stands. Stored as JSON and shown to users.
// Variants without fields are written `{}`: serde refuses unknown fields in them only so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RequestState {
    /// No deposit yet.
    AwaitingDeposit {},
    /// A deposit with fewer confirmations than it needs.
    Unconfirmed {
        /// The deposit.
        deposit: OutPoint,
        /// Height of its block; none while in the mempool.
        height: Option<u32>,
    },
    /// Can be settled.
    Ready {
        /// The deposit.
        deposit: OutPoint,
    },
    /// Part of a settlement.
    Settling {
        /// The deposit.
        deposit: OutPoint,
        /// The settlement.
        settlement: SettlementId,
    },
    /// The settlement is final, as far as anything is on a chain.
    Paid {
        /// The deposit.
        deposit: OutPoint,
        /// The settlement.
        settlement: SettlementId,
    },
    /// Not served: the deposit is the user's to take back.
    Reclaimable {
        /// The deposit.
        deposit: OutPoint,
        /// Why it is not served.
        code: ReclaimCode,
    },
    /// The user took the deposit back.
    Reclaimed {
        /// The deposit.
        deposit: OutPoint,
        /// Why it was not served.
        code: ReclaimCode,
    },
    /// No deposit came by the deadline.
    Expired {},
}

impl RequestState {
    /// Names of all states.
    pub const NAMES: [&'static str; 8] = [
        "awaiting-deposit",
        "unconfirmed",
        "ready",
        "settling",
        "paid",
        "reclaimable",
        "reclaimed",
        "expired",
    ];

    /// Where every request starts.
    pub const fn start() -> Self {
        Self::AwaitingDeposit {}
    }

    /// Stable name, as in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AwaitingDeposit {} => "awaiting-deposit",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::Ready { .. } => "ready",
            Self::Settling { .. } => "settling",
            Self::Paid { .. } => "paid",
            Self::Reclaimable { .. } => "reclaimable",
            Self::Reclaimed { .. } => "reclaimed",
            Self::Expired {} => "expired",
        }
    }

    /// Whether the request has ended. Only a reorg moves it on from here, or a deposit that comes after all.
    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::AwaitingDeposit {}
            | Self::Unconfirmed { .. }
            | Self::Ready { .. }
            | Self::Settling { .. }
            | Self::Reclaimable { .. } => false,
            Self::Paid { .. } | Self::Reclaimed { .. } | Self::Expired {} => true,
        }
    }

    /// The deposit that the request goes by.
    pub const fn deposit(&self) -> Option<OutPoint> {
        match self {
            Self::AwaitingDeposit {} | Self::Expired {} => None,
            Self::Unconfirmed { deposit, .. }
            | Self::Ready { deposit }
            | Self::Settling { deposit, .. }
            | Self::Paid { deposit, .. }
            | Self::Reclaimable { deposit, .. }
            | Self::Reclaimed { deposit, .. } => Some(*deposit),
        }
    }

    /// The settlement that the request is part of.
    pub const fn settlement(&self) -> Option<SettlementId> {
        match self {
            Self::Settling { settlement, .. } | Self::Paid { settlement, .. } => Some(*settlement),
            Self::AwaitingDeposit {}
            | Self::Unconfirmed { .. }
            | Self::Ready { .. }
            | Self::Reclaimable { .. }
            | Self::Reclaimed { .. }
            | Self::Expired {} => None,
        }
    }

    /// Why the deposit is not served.
    pub const fn code(&self) -> Option<ReclaimCode> {
        match self {
            Self::Reclaimable { code, .. } | Self::Reclaimed { code, .. } => Some(*code),
            Self::AwaitingDeposit {}
            | Self::Unconfirmed { .. }
            | Self::Ready { .. }
            | Self::Settling { .. }
            | Self::Paid { .. }
            | Self::Expired {} => None,
        }
    }
}
