//! The channel between two operators' enclaves, and the table of a mesh of them (ADR 32,
//! `docs/spec/mesh.md`).
//!
//! Owns the handshake, what its two proofs say, frames and their keys ([`Channel`]); who dials whom
//! and who is let in ([`Mesh`]). Trusts nothing that arrives: the bytes come through hosts, which
//! are the adversary, and whatever is wrong closes the channel for good with one [`Reason`].
//!
//! Holds no signer's and no instance's key: proofs are asked for by [`Output::Prove`] and handed
//! in. Does no I/O, reads no clock and draws no randomness; time and seeds are handed in.

mod agreement;
mod bucket;
mod channel;
mod cookie;
mod frame;
mod identity;
mod limits;
mod mesh;
mod message;
mod reader;
mod reason;
mod seed;
mod statement;
mod time;
mod transcript;
mod verify;

pub use bucket::{Address, Buckets};
pub use channel::{Channel, Dial, Input, Listen, NotSent, Output, Peer};
pub use cookie::{CookieKey, Gate};
pub use identity::{Local, PeerId, Premises};
pub use limits::{
    FRAME_BODY_MAX_BYTES, FRAME_MAX_BYTES, HANDSHAKE_MAX, HELLO_MAX_BYTES, LIFE_MAX,
    MESSAGE_MAX_BYTES, PING_AFTER, PROOF_MAX_BYTES, REKEY_FRAMES, SILENCE_MAX,
};
pub use mesh::{
    Admission, DIALS_MAX, Duty, FEW, FULL_BELOW, LinkId, MEMBERS_MAX, Mesh, PLACES_MAX, Place,
    STRANGERS_MAX, TooMany, Unlinked,
};
pub use message::{Accept, Hello, Proof, Refusal, Retry};
pub use reason::Reason;
pub use seed::Seed;
pub use statement::{Role, Statement};
pub use time::Millis;
pub use verify::{AttestVerifier, Claim, DocumentCache, EvidenceRefused, Verifier, Vouched};
