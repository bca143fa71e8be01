//! The HTTP API on a backend with a real database, a chain on paper and operators that answer.
#![allow(clippy::unwrap_used)]

mod bridge;
mod chain;
mod client;
mod create;
mod events;
mod health;
mod operators;
mod problems;
mod reads;
mod reserves;
mod settlement;
mod support;
