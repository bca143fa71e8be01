//! Test harness: a real Bitcoin node on regtest with money to spend on it, and a whole bridge of
//! real programs on top.
//!
//! For tests and the demo only; no program depends on it. Where it says nothing else it panics
//! where a test would: a broken harness is a failed test.

mod administrators;
mod binary;
pub mod chaos;
mod cli;
pub mod cluster;
pub mod faucet;
mod gate;
pub mod hostile;
mod http;
mod ledger;
mod liar;
mod miner;
mod node;
mod ports;
mod process;
mod programs;
mod prover;
mod relay;
mod user;

pub use administrators::{Administrators, RotationFile};
pub use binary::bitcoind_path;
pub use cli::{CliWallet, Holdings, Pegged};
pub use cluster::{Cluster, ClusterConfig, administrator_secret, until};
pub use gate::{Gate, Hold, Tale};
pub use ledger::{Audit, Ledger};
pub use liar::{Liar, Lie};
pub use miner::sign_key_spend;
pub use node::{Node, NodeOptions};
pub use programs::{Programs, bridge_wasm, build_programs};
pub use prover::{ProverLie, ProverServer};
pub use relay::{Relay, Weather};
pub use user::{Asked, FEE_CAP, User};
