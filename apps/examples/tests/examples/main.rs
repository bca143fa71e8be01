//! The examples as their users meet them, and every fault of their clearings.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod escrow;
mod faults;
mod tip_jar;
