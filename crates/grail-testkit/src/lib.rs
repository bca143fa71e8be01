//! Test harness: a real Bitcoin node on regtest, and money to spend on it.
//!
//! For tests and the demo only; no program depends on it. Panics where a test would: a broken harness is a failed test.

mod binary;
mod miner;
mod node;

pub use binary::bitcoind_path;
pub use miner::sign_key_spend;
pub use node::{Node, NodeOptions};
