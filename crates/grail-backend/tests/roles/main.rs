//! The backend's roles, moved by hand: real database, contract, spells, signers and broker; a chain
//! on paper.
#![allow(clippy::unwrap_used)]

mod admin;
mod adoption;
mod answers;
#[path = "../support/bridge.rs"]
mod bridge;
#[path = "../support/chain.rs"]
#[allow(dead_code, reason = "shared with the tests of the API")]
mod chain;
mod coinbase;
mod crash;
#[path = "../support/database.rs"]
mod database;
mod deposits;
mod disguised;
mod fees;
mod foreign;
mod forged_receipts;
mod former;
mod gate;
mod isolation;
mod lane;
mod last_resort;
mod late;
mod life;
mod merges;
#[path = "../support/operators.rs"]
#[allow(dead_code, reason = "shared with the tests of the API")]
mod operators;
mod outflow;
mod parents;
mod proving;
mod pruned;
mod queue;
mod races;
mod rebuild;
mod receipts;
mod reorg;
mod replace;
mod retain;
mod rivals;
mod rotation;
mod signers;
mod steps;
mod strangers;
mod taken;
mod users;
#[path = "../support/wait.rs"]
mod wait;
mod walk;
mod words;
mod world;
