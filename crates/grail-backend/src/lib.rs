//! Grail's backend: untrusted, restartable at any point.
//!
//! Owns no secret and decides nothing about funds: it follows the chain, keeps requests and
//! settlements moving, asks operators and serves the API. Rows are the truth; what runs in memory
//! can be lost at any moment.

pub mod admin;
mod alarm;
pub mod api;
mod approvals;
pub mod backend;
pub mod board;
pub mod clock;
pub mod commands;
pub mod deployment;
mod documents;
pub mod draft;
mod health;
pub mod node;
mod operators;
mod prover;
mod queue;
pub mod receipts;
pub mod roles;
pub mod rosters;
pub mod rotations;
pub mod signers;
pub mod step;
mod sweep;
pub mod work;
