//! What a wallet for BTC and zkBTC knows and decides, without its files, its node and its clock.
//!
//! Owns the user's keys and coins, the choice among them, the transactions that spend them, and
//! what is believed of a bridge: its roster, its answers, its reserves. Trusts the API for
//! nothing: terms, roster, evidence, deposit address and zkBTC are all checked here. Whoever uses
//! it says what the chain says, hands in entropy and time, and proves spells; it runs in a browser
//! as well as in a program. Does no I/O, and builds for `wasm32-unknown-unknown`:
//! `cargo xtask wallet-wasm` tries it.

pub mod amount;
pub mod bump;
pub mod charms;
pub mod encrypted;
pub mod explain;
pub mod fee_cap;
pub mod followed;
pub mod fund;
pub mod history;
pub mod holdings;
pub mod peg;
pub mod receipt;
pub mod reclaim;
pub mod recovery;
pub mod reserves;
pub mod roster;
pub mod seed;
pub mod sign;
pub mod slot;
pub mod step;
pub mod transfer;
