//! The enclave's program without its input and output.
//!
//! Owns the signer's key, from birth to every signature. A [`Signer`] takes [`Request`]s and gives [`Response`]s;
//! what is allowed when stands in one table in [`Signer::handle`]. There is no request that signs bytes: a key
//! signs the sighashes of an approved settlement, and the tagged hash of its own answers.
//!
//! Trusts the TEE that it runs in and nothing that it is told. Remembers nothing between proposals (I7).

mod answer;
mod message;
mod signer;
mod wire;

pub use answer::{Answer, AnswerError, ProposalId, SettlementSignatures, Verdict, VerifiedAnswer};
pub use message::{Boot, Born, Fault, Identity, Request, Response};
pub use signer::{Entropy, Signer};
pub use wire::{
    MESSAGE_MAX_BYTES, WireError, decode_answer, decode_proposal, decode_request, decode_response,
    encode_answer, encode_proposal, encode_request, encode_response, proposal_id,
};
