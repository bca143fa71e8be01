//! The operator's rules.
//!
//! [`approve`] decides whether a settlement may be signed. The decision is a pure function of what is handed in:
//! the unsigned transaction, its previous transactions in full, the requests with their committed terms, and the
//! protocol parameters. No clock, chain view, database or memory takes part, so that a restarted, restored or
//! cloned operator decides the same. The roster is not handed in but read from the roster NFT that the
//! transaction spends: the chain's own record, pinned by the bridge's app.
//!
//! Only [`Approved`] can be signed, and only [`approve`] makes one.

mod approve;
mod items;
mod outline;
mod proposal;
mod refusal;

pub use approve::{Approved, ItemOutcome, Settlement, approve};
pub use proposal::{PREVIOUS_MAX_BYTES, Proposal};
pub use refusal::{Refusal, RefusalRecord};
