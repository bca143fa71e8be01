//! From a spell to its proof.
//!
//! Owns the [`Prover`] port, the native check that says beforehand whether a spell can be proven ([`check`]), and the
//! [`MockProver`] for regtest. Part of the untrusted backend: what comes out of here is believed by nobody, operators verify
//! it with `grail-spell`. App contracts are foreign code and run in the Charms runner's interpreter with bounded fuel.

mod check;
mod mock;
mod port;
mod view;

pub use check::{CheckError, Checked, check};
pub use mock::MockProver;
pub use port::{ProveRequest, Proven, Prover, ProverError, TransientError};
pub use view::charms_transaction;
