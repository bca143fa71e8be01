//! The store against real database files: every method, every rule that a write must not break.

#![allow(clippy::unwrap_used)]

mod admin;
mod adopted;
mod alarms;
mod answers;
mod blocks;
mod deposits;
mod evidence;
mod feed;
mod former;
mod handovers;
mod history;
mod jobs;
mod probe;
mod proofs;
mod replacing;
mod requests;
mod retention;
mod rotations;
mod schema;
mod settlements;
mod steps;
mod support;
mod vault;
