//! The reading of spells, held against `charms-client` on real transactions, on changes of them and on Grail's own.
//!
//! Short by default: positions are sampled, the same ones every time. `GRAIL_ORACLE_FULL=1` takes all.

#![allow(missing_docs)]

#[path = "../../../../crates/grail-prover/tests/common/mod.rs"]
mod common;

mod built;
mod bytes;
mod combined;
mod structure;
mod vectors;

/// Whether to take all positions and changes.
fn is_full() -> bool {
    std::env::var_os("GRAIL_ORACLE_FULL").is_some_and(|value| value == "1")
}

/// Every `step`-th of `items`, or all; where it starts differs by `turn`.
fn sample<T>(items: Vec<T>, step: usize, turn: usize) -> Vec<T> {
    let step = if is_full() { 1 } else { step };
    items.into_iter().skip(turn % step).step_by(step).collect()
}
