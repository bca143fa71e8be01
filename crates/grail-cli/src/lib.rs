//! The user's wallet and command line.
//!
//! Owns the user's keys, receipts and coins. Trusts the node for the chain; trusts the API for nothing: terms, roster,
//! evidence, deposit address and reserves are all checked here. Secrets are read from files, never from the command
//! line, and never shown.

pub mod amount;
pub mod args;
pub mod auditor;
pub mod bridge;
pub mod charms;
pub mod commands;
pub mod contract;
pub mod diagnostic;
pub mod explain;
pub mod failure;
pub mod fund;
pub mod holdings;
pub mod home;
pub mod log;
pub mod peg;
pub mod progress;
pub mod reclaim;
pub mod report;
pub mod reserves;
pub mod roster;
pub mod seed;
pub mod session;
pub mod sign;
pub mod spell;
pub mod sync;
pub mod take_back;
pub mod verify;
pub mod wallet;

pub use failure::Failure;
pub use session::{Session, Settings};
pub use wallet::Wallet;
