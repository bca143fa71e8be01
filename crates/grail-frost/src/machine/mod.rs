//! What a running enclave keeps between two messages: sessions of signatures, ceremonies of keys,
//! and what it knows of its randomness. All of it dies with the process.

mod ceremonies;
mod entropy;
mod sessions;

pub use ceremonies::{Ceremonies, CeremonyRefusal};
pub use entropy::{Draw, DrawRefused, Entropy, Instance};
pub use sessions::{
    Answer, Approved, CommitRefusal, Committed, Digest, NonceContext, Order, Proposal,
    SESSION_LIFETIME_SECONDS, SESSIONS_MAX, SessionId, Sessions, SignRefusal, ToSign,
};
