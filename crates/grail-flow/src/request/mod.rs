//! The life of a request, peg-in and peg-out alike.

mod duty;
mod event;
mod machine;
mod state;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod tests_support;

pub use duty::RequestDuty;
pub use event::{DepositStanding, RequestEvent};
pub use machine::RequestSituation;
pub use state::{RequestStage, RequestState};
