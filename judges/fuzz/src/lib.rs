//! Fuzz targets: what a stranger can send, given to what reads it.
//!
//! Owns the targets, each a function of bytes that panics when a promise is broken: no panic on any
//! bytes, and the invariants that a target's doc names. Trusts nothing and does no I/O.
//! `judges/fuzz/corpus` holds the inputs to start from, one folder per target.

mod bridge;
mod enclave;
mod spell;

/// A target: takes any bytes, and panics when a promise is broken.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const TARGETS: [(&str, Target); 9] = [
    ("attestation", enclave::attestation),
    ("contract", bridge::contract),
    ("enclave", enclave::enclave),
    ("proposal", enclave::proposal),
    ("read_compatible", spell::read_any),
    ("read_strict", spell::read_payload),
    ("roster_state", bridge::roster_state),
    ("round_trip", spell::round_trip),
    ("strict_is_compatible", spell::strict_is_compatible),
];

/// The target called `name`.
pub fn target(name: &str) -> Option<Target> {
    TARGETS
        .into_iter()
        .find_map(|(known, target)| (known == name).then_some(target))
}
