//! The trusted program: a [`grail_signer::Signer`] in its TEE, served over a stream.
//!
//! Owns what stands around the signer: [`framing`] of messages, the [`stream`] to the host, the [`server`] loop, the
//! choice of TEE in [`program`]. The key and every decision are the signer's. Trusts the TEE, and nothing that
//! comes over the stream. Standard library, threads, no async: little to review.
//!
//! Fails closed: a panic ends the process, and with it the only copy of the plaintext key; bad bytes from the host
//! are answered with a fault, or end their connection, and change nothing.
//!
//! `framing` and `stream` are also the host's side of the conversation.

pub mod arguments;
#[cfg(feature = "development")]
mod development;
pub mod framing;
pub mod hardening;
pub mod program;
pub mod server;
pub mod stream;

/// Writes a line to standard error; that nobody reads there is no reason to stop.
pub fn log(line: &impl std::fmt::Display) {
    use std::io::Write;
    drop(writeln!(std::io::stderr(), "grail-enclave: {line}"));
}
