//! The command line of a wallet for BTC and zkBTC.
//!
//! Owns the wallet's folder, the way to node and API, and how answers are shown; what a wallet
//! knows and decides is `grail_wallet`'s. Trusts the node for the chain and the API for nothing.
//! Secrets are never read from the command line, and shown on a terminal alone, to who asks for it.

#[macro_use]
pub mod failure;

pub mod arguments;
pub mod commands;
mod hex_text;
pub mod home;
pub mod node;
pub mod passphrase;
pub mod progress;
pub mod prover;
pub mod report;
pub mod session;
pub mod wallet;

pub use failure::Failure;
pub use session::{Session, Settings};
pub use wallet::Wallet;
