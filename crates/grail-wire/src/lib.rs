//! Every message that crosses a process boundary: between backend and operators, between host and
//! enclave.
//!
//! Owns the types, their one encoding ([`encode`], [`decode`]) and the closed sets of codes. An
//! encoded message is a header of ten bytes (version, kind, epoch) and a body in CBOR: bounded in
//! bytes, lists and nesting while it is decoded, nothing after its end, unknown fields refused.
//! Each message has a snapshot test, so that no change of its bytes goes unnoticed.
//!
//! Holds no logic: whether a proposal may be signed is for the policy to say, where an answer's
//! bytes come from for whoever carries them. Trusts nothing; what comes out of [`decode`] is
//! well-formed and no more. The one claim that it proves is who gave an answer
//! ([`Answer::verify`]).

mod answer;
mod bytes;
mod code;
mod codec;
mod enclave;
mod operator;
mod proposal;
mod text;

pub use answer::{
    ANSWER_MAX_BYTES, Answer, AnswerError, AskerId, Attempt, Contribution, Contributions,
    ContributionsError, RefusalRecord, Verdict, VerifiedAnswer,
};
pub use code::{FaultCode, RefusalCode};
pub use codec::{Envelope, Kind, VERSION, WireError, WireMessage, decode, encode};
pub use enclave::{
    Adopt, Adopted, Boot, Booted, ENCLAVE_MESSAGE_MAX_BYTES, Fault, HANDOVER_MAX_BYTES,
    HANDOVERS_MAX, Identity, Request, Response, SEALED_MAX_BYTES,
};
pub use operator::{
    AnswerMessage, Ask, Challenge, DOCUMENT_MAX_BYTES, Evidence, FaultMessage, Hello,
    NAME_MAX_BYTES, Name, NameError, Reply,
};
#[cfg(feature = "test-action")]
pub use proposal::ProbeRequest;
pub use proposal::{
    Action, ActionKind, INPUTS_MAX, PREVIOUS_MAX_BYTES, PREVIOUS_TX_MAX_BYTES, PROPOSAL_MAX_BYTES,
    PreviousTx, PreviousTxError, Proposal, ProposalId, SettlementRequest, decode_proposal,
    encode_proposal,
};
pub use text::{DETAILS_MAX_BYTES, Text};
