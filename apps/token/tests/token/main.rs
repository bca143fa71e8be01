//! The token's rules, each with the spell that breaks it alone; every fault of its spells; what
//! they cost.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod faults;
mod metadata;
mod single_fault;
mod spec;
mod spells;
