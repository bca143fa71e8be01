//! The enclave's program without its input and output.
//!
//! Owns the signer's key, from the moment it is made to every signature. A [`Node`] takes one
//! [`Input`] at a time and answers with [`Effect`]s, which its shell carries out; what is allowed
//! when stands in one table in [`Node::handle`]. There is no request that signs bytes: a key signs
//! the sighashes of an approved transaction, and the tagged hash of its own answers.
//!
//! Trusts the TEE that it runs in and nothing that it is told. Needs nothing across a restart (I7):
//! what it keeps while it runs, its sessions, dies with it.

mod key;
mod node;
mod rosters;
mod sessions;

pub use node::{DECISION_MAX_BYTES, Effect, Entropy, EntropyError, Input, Node};
pub use sessions::{SESSIONS_MAX, SESSIONS_PER_TRANSACTION_MAX};
