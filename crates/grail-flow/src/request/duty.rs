//! What a request asks its shell to do.

use bitcoin::OutPoint;

use crate::{ReclaimCode, SettlementId};

/// Work that follows a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestDuty {
    /// Wake the builder: the request can be settled.
    Build,
    /// Record a deposit as the user's to take back, under this code.
    OfferReclaim {
        /// The deposit; not always the one that the request goes by.
        deposit: OutPoint,
        /// Why it is not served.
        code: ReclaimCode,
    },
    /// Signal the settlement that one of its inputs is spent:
    /// [`SettlementEvent::ConflictFound`](crate::SettlementEvent).
    AbandonSettlement {
        /// The settlement.
        settlement: SettlementId,
    },
    /// The deposit that the request went by is gone: tell of every other one of it that is known,
    /// those in blocks first.
    Reelect,
    /// Look at the settlement again: publish it once more, or find that its inputs are gone.
    RecheckSettlement {
        /// The settlement.
        settlement: SettlementId,
    },
}
