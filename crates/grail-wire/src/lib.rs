//! Every message that an enclave hears or says, and the one encoding of these and of every other
//! that crosses a process boundary: what backend and operators say to each other is `grail-ask`'s.
//!
//! Owns the types, the one encoding ([`encode`], [`decode`]) and the closed sets of codes. An
//! encoded message is a header of ten bytes (version, kind, epoch) and a body in CBOR: bounded in
//! bytes, lists and nesting while it is decoded, nothing after its end, unknown fields refused.
//! Each message has a snapshot test, so that no change of its bytes goes unnoticed.
//!
//! Holds no logic: whether a proposal may be signed is for the policy to say, where an answer's
//! bytes come from for whoever carries them. Trusts nothing; what comes out of [`decode`] is
//! well-formed and no more.

mod answer;
pub mod bytes;
mod clearing;
mod code;
mod codec;
mod enclave;
mod proposal;
mod roster;
mod rotation;
mod text;

pub use answer::{
    ANSWER_MAX_BYTES, Answer, AskerId, Attempt, Contribution, Contributions, ContributionsError,
    RefusalRecord, Verdict,
};
pub use clearing::{AuthorSignature, ClearingRequest, PlacedOrder};
pub use code::{FaultCode, RefusalCode};
pub use codec::{Envelope, Kind, VERSION, WireError, WireMessage, decode, encode};
pub use enclave::{
    Adopt, Adopted, Boot, Booted, DOCUMENT_MAX_BYTES, ENCLAVE_MESSAGE_MAX_BYTES, Fault,
    HANDOVER_MAX_BYTES, HANDOVERS_MAX, Identity, Request, Response, SEALED_MAX_BYTES,
};
#[cfg(feature = "test-action")]
pub use proposal::ProbeRequest;
pub use proposal::{
    Action, ActionKind, INPUTS_MAX, PREVIOUS_MAX_BYTES, PREVIOUS_TX_MAX_BYTES, PROPOSAL_MAX_BYTES,
    PreviousTx, PreviousTxError, Proposal, ProposalId, SettlementRequest, decode_proposal,
    encode_proposal,
};
pub use roster::{ShownRoster, ShownRosterError};
pub use rotation::{
    Announcement, Cancellation, ConsentSignature, Consents, Execution, Merge, SPONSORS_MAX,
    Sponsors, Succession, SuccessionError,
};
pub use text::{DETAILS_MAX_BYTES, Text};
