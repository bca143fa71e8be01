//! What completes spends of Grail's outputs: the witness of a roster's quorum, that of a group, the
//! user's way out and the administrators'; and which outputs no witness opens.
//!
//! Stands on `grail-script`, which owns trees, sighashes and weights, and is all of this that an
//! enclave holds: a signer gives its signature and never completes an input. Does no I/O, and draws
//! no randomness.

mod last_resort;
mod output_key;
mod quorum;
mod reclaim;

pub use last_resort::{LastResort, LastResortError};
pub use output_key::{Unspendable, output_key};
pub use quorum::{WitnessError, group_witness, leaf_witness, quorum_witness, verify_signature};
pub use reclaim::{Reclaim, ReclaimError};
