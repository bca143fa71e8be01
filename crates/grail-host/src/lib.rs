//! The untrusted parent of an enclave.
//!
//! Owns the enclave's process, its sealed key on disk and its connection to the broker: it carries
//! bytes and decides nothing but to keep silent, which its operator may ask of it (`fail_safe`). It
//! can stop its enclave, or keep messages from it; it cannot make it sign (invariant I4). The one
//! duty on which the operator's key depends is here: a key that was just born is kept, on disk,
//! before anybody learns of it.

pub mod address;
pub mod answers;
pub mod boot;
pub mod client;
pub mod config;
pub mod error;
pub mod fail_safe;
pub mod operator;
pub mod process;
pub mod state;

/// Prints a line of JSON for scripts; a closed stdout must not stop the host.
pub(crate) fn print_line(event: &impl serde::Serialize) {
    use std::io::Write;
    if let Ok(line) = serde_json::to_string(event) {
        drop(writeln!(std::io::stdout(), "{line}"));
    }
}
