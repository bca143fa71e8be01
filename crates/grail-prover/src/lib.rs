//! From a spell to its proof.
//!
//! Owns the [`Prover`] port, the native check that says beforehand whether a spell can be proven
//! ([`check`]), the [`MockProver`] for regtest (it can be made in development builds alone), and
//! the client of Charms' own prover ([`CharmsProver`]), several of which can stand in for each
//! other ([`Provers`]). Part of the untrusted backend: what comes out of here is believed by
//! nobody, operators verify it with `grail-spell`. App contracts are foreign code and run in the
//! Charms runner's interpreter with bounded fuel.

mod bridge;
mod charms;
mod check;
#[cfg(feature = "development")]
mod dummy;
mod mock;
mod port;
mod several;
mod view;

pub use bridge::BRIDGE_WASM;
pub use charms::{
    AnswerError, CharmsConfig, CharmsConfigError, CharmsProver, Jitter, ProverFee, RequestError,
};
pub use check::{CheckError, Checked, check};
pub use mock::MockProver;
pub use port::{ProveRequest, Proven, Prover, ProverError, ProverVerdict, TransientError};
pub use several::{Provers, ProversError};
pub use view::charms_transaction;
