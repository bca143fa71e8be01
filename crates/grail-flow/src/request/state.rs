//! Where a request stands.

use bitcoin::OutPoint;
use serde::{Deserialize, Serialize};

use crate::{ReclaimCode, SettlementId, named_enum};

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
    /// Operators spent the deposit in a transaction that breaks the bridge's rules. Whether that
    /// paid the user nobody can tell from here; there is nothing left to settle or to take back.
    Taken {
        /// The deposit.
        deposit: OutPoint,
        /// Why it was not to be served before; none where it was.
        code: Option<ReclaimCode>,
    },
    /// No deposit came by the deadline.
    Expired {},
}

named_enum! {
    /// A request's state by name: what lists and queries go by. Each set below is a match over all
    /// of them, so that a new state does not compile before its place is decided.
    pub enum RequestStage {
        /// [`RequestState::AwaitingDeposit`].
        AwaitingDeposit = "awaiting-deposit",
        /// [`RequestState::Unconfirmed`].
        Unconfirmed = "unconfirmed",
        /// [`RequestState::Ready`].
        Ready = "ready",
        /// [`RequestState::Settling`].
        Settling = "settling",
        /// [`RequestState::Paid`].
        Paid = "paid",
        /// [`RequestState::Reclaimable`].
        Reclaimable = "reclaimable",
        /// [`RequestState::Reclaimed`].
        Reclaimed = "reclaimed",
        /// [`RequestState::Taken`].
        Taken = "taken",
        /// [`RequestState::Expired`].
        Expired = "expired",
    }
}

impl RequestStage {
    /// Can pass its deadline without a mined deposit.
    pub const fn is_moved_by_deadline(self) -> bool {
        match self {
            Self::AwaitingDeposit | Self::Unconfirmed => true,
            Self::Ready
            | Self::Settling
            | Self::Paid
            | Self::Reclaimable
            | Self::Reclaimed
            | Self::Taken
            | Self::Expired => false,
        }
    }

    /// Needs operators to come to its good end: those of its deposit's roster.
    pub const fn needs_roster(self) -> bool {
        match self {
            Self::AwaitingDeposit | Self::Unconfirmed | Self::Ready | Self::Settling => true,
            Self::Paid | Self::Reclaimable | Self::Reclaimed | Self::Taken | Self::Expired => false,
        }
    }

    /// Has ended. Only a reorg moves it on from here, or a deposit that comes after all. A
    /// reclaimable one has not: its deposit is still there to be taken back.
    pub const fn has_ended(self) -> bool {
        match self {
            Self::AwaitingDeposit
            | Self::Unconfirmed
            | Self::Ready
            | Self::Settling
            | Self::Reclaimable => false,
            Self::Paid | Self::Reclaimed | Self::Taken | Self::Expired => true,
        }
    }
}

impl RequestState {
    /// Where every request starts.
    pub const fn start() -> Self {
        Self::AwaitingDeposit {}
    }

    /// Which state it is, without what is known in it.
    pub const fn stage(&self) -> RequestStage {
        match self {
            Self::AwaitingDeposit {} => RequestStage::AwaitingDeposit,
            Self::Unconfirmed { .. } => RequestStage::Unconfirmed,
            Self::Ready { .. } => RequestStage::Ready,
            Self::Settling { .. } => RequestStage::Settling,
            Self::Paid { .. } => RequestStage::Paid,
            Self::Reclaimable { .. } => RequestStage::Reclaimable,
            Self::Reclaimed { .. } => RequestStage::Reclaimed,
            Self::Taken { .. } => RequestStage::Taken,
            Self::Expired {} => RequestStage::Expired,
        }
    }

    /// Stable name, as in JSON.
    pub const fn name(&self) -> &'static str {
        self.stage().name()
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
            | Self::Reclaimed { deposit, .. }
            | Self::Taken { deposit, .. } => Some(*deposit),
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
            | Self::Taken { .. }
            | Self::Expired {} => None,
        }
    }

    /// Why the deposit is not served.
    pub const fn code(&self) -> Option<ReclaimCode> {
        match self {
            Self::Reclaimable { code, .. } | Self::Reclaimed { code, .. } => Some(*code),
            Self::Taken { code, .. } => *code,
            Self::AwaitingDeposit {}
            | Self::Unconfirmed { .. }
            | Self::Ready { .. }
            | Self::Settling { .. }
            | Self::Paid { .. }
            | Self::Expired {} => None,
        }
    }
}
