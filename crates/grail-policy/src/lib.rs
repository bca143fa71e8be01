//! The operator's rules.
//!
//! [`approve`] decides whether a proposal may be signed. The decision is a pure function of what is
//! handed in: the proposal (the unsigned transaction, its previous transactions in full, the
//! parameters, what the action needs) and the bridge, which the operator knows from birth. No
//! clock, chain view, database or memory takes part, so that a restarted, restored
//! or cloned operator decides the same. Roster and parameters are not taken on the asker's word:
//! the roster is read from the roster NFT that the transaction spends, and the parameters must have
//! the hash that its state carries. Such a state counts for signing this very spend, and for
//! nothing else: if it is not real, neither is the spend.
//!
//! One folder per action over one outline: `outline` reads form, previous outputs and spell,
//! `bridge` what all transactions of the bridge have, `settlement` its books, `rotation` the steps
//! from one roster to the next, `merge` what becomes of donations; `clearing` is beside the bridge
//! and executes orders of zk-apps. Only [`Approved`] can be signed, and only [`approve`] makes one;
//! [`judge`] is the dry run.
//!
//! Whatever believes a roster for another purpose than such a signature adopts it: [`adoption`].

pub mod adoption;
mod approve;
mod bridge;
mod claims;
mod clearing;
mod fee;
mod merge;
mod outline;
mod previous;
#[cfg(feature = "test-action")]
mod probe;
mod refusal;
mod roster;
mod rotation;
mod settlement;

pub use approve::{Approved, Decision, Judged, Signing, SigningInput, approve, judge};
pub use clearing::Clearing;
pub use merge::Merge;
#[cfg(feature = "test-action")]
pub use probe::Probe;
pub use refusal::Refusal;
pub use rotation::{
    ConsentError, NOTICE_COIN, Rotation, check_consents, check_reachable, check_succession,
    check_to_come, notice_tree, successor, wait_of,
};
pub use settlement::{ItemOutcome, Settlement};
