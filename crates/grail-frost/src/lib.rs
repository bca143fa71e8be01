//! Threshold Schnorr signatures (FROST as BIP-445 drafts it) and the key generation that goes with
//! them (ChillDKG), over libsecp256k1.
//!
//! Owns shares, nonces, the two rounds of a signature, the three of a key generation, and the
//! machines that keep their states. Every result is a BIP-340 signature. Trusts the randomness that
//! is handed in and the caller's decision what to sign; never the coordinator: it chooses signers
//! and sums, and can only cost an attempt. Does no I/O, reads no clock, draws no randomness.
//!
//! What is secret has no `Clone`, `Copy`, `Debug` or encoding, is taken by value where using it
//! twice would give it away, and is erased when it is dropped. The rules are in
//! `docs/spec/threshold-signing.md`, the reasons in ADR 35.

mod coordinate;
pub mod dkg;
mod group;
mod hash;
mod machine;
mod nonce;
mod scalar;
mod session;
mod share;
mod tweak;
#[cfg(test)]
mod vectors;

use grail_types::SIGNERS_MAX;
use thiserror::Error;

pub use coordinate::{Attempt, AttemptError, Commitments, Unfinished};
pub use group::{Group, GroupError, HolderId, SignerSet, SignersError};
pub use machine::{
    Answer, Approved, Ceremonies, CeremonyRefusal, CommitRefusal, Committed, Digest, Draw,
    DrawRefused, Entropy, Instance, NonceContext, Order, Proposal, SESSION_LIFETIME_SECONDS,
    SESSIONS_MAX, SessionId, Sessions, SignRefusal, ToSign,
};
pub use nonce::{AggregateNonce, Malformed, PublicNonce, SecretNonce};
pub use session::{CombineError, Session, SessionError, ShareFault, SignError};
pub use share::{SignatureShare, SigningShare};
pub use tweak::{OutputKey, TweakError};

/// The frozen drafts: all holders of a key speak the same, or no signature comes out.
pub const DRAFT: &str = "bip445-0.6.0+chilldkg-a918968";

/// Bytes of a compressed point.
pub const BYTES_OF_A_POINT: usize = 33;

/// Most holders of a key: a roster's most signers.
pub const HOLDERS_MAX: usize = SIGNERS_MAX;

/// Most bits that the security proof may lose by guessing which `t - 1` of `n` are corrupt
/// (`log2 C(n, t - 1)`; 12.1 at 12 of 16). Bounded in bits, not by `n`.
pub const REDUCTION_LOSS_BITS_MAX: u32 = 32;

/// A secret number came out as zero or a key as infinity. With one honest contribution that has
/// probability 2^-256; the session ends and nobody is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a secret vanished")]
pub struct Vanished;
