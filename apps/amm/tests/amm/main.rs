//! P1-P10 of `docs/spec/amm.md`, each refusal, and the plan.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod app;
mod clearings;
mod edges;
mod model;
mod monopolist;
mod planning;
mod program;
mod random;
mod sandwich;
mod shares;
mod spec;
