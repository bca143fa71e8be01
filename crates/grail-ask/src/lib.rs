//! What backend and operators say to each other, and whose answer an answer is.
//!
//! Owns the messages that no enclave sees, in the one encoding of `grail-wire`, which also has the
//! snapshot of their bytes. Holds no logic but one check: that the signer whom an answer names gave
//! it ([`VerifiedAnswer`]). Trusts nothing that comes out of a message.

mod answer;
mod messages;

pub use answer::{AnswerError, VerifiedAnswer};
pub use messages::{
    AnswerMessage, Ask, Challenge, Evidence, FaultMessage, Hello, NAME_MAX_BYTES, Name, NameError,
    Reply,
};
