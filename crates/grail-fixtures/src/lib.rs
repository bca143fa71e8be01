//! What the tests of several crates share.
//!
//! [`world`] is a bridge on paper whose settlements are real, with ways to break them; [`paper`]
//! has transactions and spells alone, for whoever reads or proves them; [`conjured`] any charm that
//! a wallet may meet; [`house`] rosters with their keys, which rotate; [`script`] has keys, rosters
//! and terms, and a second opinion on taproot written from the BIPs alone; [`upstream`] runs the
//! prover server that others wrote. For tests: nothing that ships depends on this crate, and it
//! panics wherever a test would.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::must_use_candidate,
    clippy::missing_panics_doc,
    reason = "support of tests"
)]

pub mod conjured;
pub mod house;
pub mod paper;
pub mod script;
pub mod upstream;
pub mod world;
