//! What a settlement asks its shell to do.

use super::AbandonCode;

/// Work that follows a transition. The `Signal` duties are events for every request of the
/// settlement, applied in the same database transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettlementDuty {
    /// Run the operators' policy here first.
    DryRun,
    /// Ask operators that have not answered yet.
    Ask {
        /// The round, from 1.
        round: u32,
    },
    /// Publish the signed transaction; doing so again is harmless.
    Publish,
    /// Tell the requests [`RequestEvent::Included`](crate::RequestEvent::Included): the chain,
    /// or the mempool, revived the settlement. Settlements in conflict with it must have had their
    /// [`SettlementEvent::ConflictFound`](super::SettlementEvent) before.
    SignalIncluded,
    /// Tell the requests
    /// [`RequestEvent::SettlementConfirmed`](crate::RequestEvent::SettlementConfirmed).
    SignalConfirmed,
    /// Tell the requests
    /// [`RequestEvent::SettlementUnconfirmed`](crate::RequestEvent::SettlementUnconfirmed).
    SignalUnconfirmed,
    /// Tell the requests
    /// [`RequestEvent::SettlementAbandoned`](crate::RequestEvent::SettlementAbandoned), and
    /// settlements that build on this one
    /// [`SettlementEvent::ParentAbandoned`](super::SettlementEvent).
    SignalAbandoned {
        /// Why.
        code: AbandonCode,
    },
}
