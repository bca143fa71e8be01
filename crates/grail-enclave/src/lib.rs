//! The trusted program: a [`grail_signer::Node`] in its TEE, served over a stream.
//!
//! Owns what stands around the node: the [`server`] loop, the choice of TEE in [`program`]. The key
//! and every decision are the signer's. Trusts the TEE, and nothing that comes over the stream.
//! Standard library, threads, no async: little to review.
//!
//! Fails closed: a panic ends the process, and with it the only copy of the plaintext key; bad
//! bytes from the host are answered with a fault, or end their connection, and change nothing.

pub mod arguments;
#[cfg(feature = "development")]
mod development;
pub mod hardening;
pub mod program;
pub mod server;

/// Writes a line to standard error. A closed standard error must not stop the signer.
pub fn log(line: &impl std::fmt::Display) {
    use std::io::Write;
    drop(writeln!(std::io::stderr(), "grail-enclave: {line}"));
}
