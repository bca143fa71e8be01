//! The rules that are checked around every app: each with what breaks it alone, on an app that does
//! as it is told.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod births;
mod clearings;
mod club;
mod modes;
mod planner;
mod reader;
mod shares;
mod spec;
mod wire;
