//! The HTTP API on a backend with a real database, a chain on paper and operators that answer.
#![allow(clippy::unwrap_used)]

#[path = "../support/bridge.rs"]
mod bridge;
#[path = "../support/chain.rs"]
#[allow(dead_code, reason = "shared with the tests of roles")]
mod chain;
mod client;
mod create;
#[path = "../support/database.rs"]
mod database;
mod events;
mod health;
mod limits;
#[path = "../support/operators.rs"]
mod operators;
mod problems;
mod proofs;
mod reads;
mod receipts;
mod reserves;
mod rotations;
mod settlement;
mod status;
mod support;
#[path = "../support/wait.rs"]
mod wait;
