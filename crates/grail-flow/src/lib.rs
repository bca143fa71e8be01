//! State machines: `(state, event, situation) -> (state, duties)`.
//!
//! Owns what may follow what in the life of a request and of a settlement. Trusts the caller to
//! report events that happened. Does no I/O, reads no clock, draws no randomness. The shell saves
//! the new state and the duties in one transaction, then acts; an event told twice is answered with
//! [`Unexpected`] of kind [`UnexpectedKind::Superseded`], so that repeating one never changes an
//! outcome.

mod alarm;
mod block;
mod deadline;
mod deposit;
mod names;
pub mod replacement;
mod request;
mod settlement;
pub mod surcharge;
mod unexpected;
mod viability;

pub use alarm::{Alarm, AlarmCode, AlarmSubject, Severity};
pub use block::{BlockRef, confirmations};
pub use deadline::{
    deposit_deadline_height, former_roster_end_height, reclaim_height, sweep_end_height,
};
pub use deposit::{
    COINBASE_MATURITY_BLOCKS, Deposit, DepositCharms, DepositOrigin, ReclaimCode, UnknownCode,
    acceptable, confirmations_needed, served_today,
};
pub use names::UnknownName;
pub use request::{
    DepositStanding, RequestDuty, RequestEvent, RequestSituation, RequestStage, RequestState,
};
pub use settlement::{
    AbandonCode, Hold, SettlementDuty, SettlementEvent, SettlementId, SettlementSituation,
    SettlementStage, SettlementState,
};
pub use unexpected::{Unexpected, UnexpectedKind};
pub use viability::{least_fee, least_rest, least_weight, least_worth, viable_rate, worth};
