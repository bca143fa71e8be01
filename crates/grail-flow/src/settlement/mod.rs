//! The life of a settlement.

mod duty;
mod event;
mod machine;
mod state;
#[cfg(test)]
mod tests;

pub use duty::SettlementDuty;
pub use event::SettlementEvent;
pub use machine::SettlementSituation;
pub use state::{AbandonCode, Hold, SettlementId, SettlementStage, SettlementState};
