//! The rules of the bridge contract, each with its yes, its edges and the no that breaks exactly
//! it.
//!
//! Every spell here is judged twice, by the native code and by the committed wasm, and the two must
//! agree: see [`spell::Spell::judge`].
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod codes;
mod coins;
mod cost;
mod deployment;
mod edges;
mod fuel;
mod histories;
mod model;
mod nft;
mod previous;
mod rotation;
mod settlement;
mod single_fault;
mod spec;
mod spell;
mod state;
mod steps;
mod tokens;
