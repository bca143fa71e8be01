//! What a TEE does for the program in it, and what that program has it say.
//!
//! Owns the traits of a TEE and what a signer's evidence says: its key, bound to its bridge. Trusts
//! whatever is behind the traits, as a program can only trust the hardware that it runs in.
//! Verifies no evidence: that is its readers' work, in `grail-attest`. Does no I/O, reads no clock
//! and draws no randomness.

mod evidence;
mod tee;

pub use evidence::{EvidencePurpose, attest_signer, evidence_user_data};
pub use tee::{
    AttestError, AttestRequest, Attester, SEALED_PLAINTEXT_BYTES_MAX, SealContext, SealError,
    SealNonce, Sealer, Tee,
};
