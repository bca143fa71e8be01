//! The HTTP API under `/v1` as types, shared by server and clients.
//!
//! Owns the wire form of every request and answer, the closed list of problems, the parsing of
//! foreign input at the edge, the receipt that suffices to reclaim offline, and the `OpenAPI`
//! document. Wire types live apart from domain types: amounts are `u64` satoshis named `_sat`,
//! instants unix seconds named `_at`, hashes and ids hex text. Pure, but for the client behind the
//! feature `client`. Trusts neither side: a server parses what it is sent, a client checks the
//! receipt it is given.

mod address;
mod create;
mod event;
mod health;
mod openapi;
mod outflow;
mod page;
mod problem;
mod proving;
mod receipt;
mod request;
mod reserves;
mod restore;
mod roster;
mod rotation;
mod schema;
mod settlement;
mod status;

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "client")]
mod proxy;

pub use create::{
    BODY_BYTES_MAX, CreatePegIn, CreatePegOut, CreateSponsor, IDEMPOTENCY_KEY_HEADER,
    IDEMPOTENCY_KEY_LENGTH_MAX, IdempotencyKey, ParsedRequest, bip21, deposit_min, fee_cap_min,
};
pub use event::Event;
pub use health::{Component, Health, HealthStatus};
pub use openapi::openapi;
pub use outflow::{LimitCode, Outflow, OutflowWait};
pub use page::{LIMIT_DEFAULT, LIMIT_MAX, Page, PageQuery};
pub use problem::{Problem, ProblemCode};
pub use proving::{Proof, Proving, ProvingState};
pub use receipt::{CheckedReceipt, RECEIPT_BYTES_MAX, RECEIPT_VERSION, Receipt, ReceiptError};
pub use request::{
    Deposit, FeeWait, HoldingRoster, Kind, OtherDeposit, ReclaimCode, ReclaimInfo, Refused,
    Request, RequestSettlement, RequestState, RequestStatus, RequestSummary, UnknownName,
};
pub use reserves::{Reserves, VaultOutput};
pub use restore::{RESTORE_BYTES_MAX, RestoreRequest};
pub use roster::{
    FailSafe, FormerRoster, ParamsAnswer, RosterAnswer, RosterRecord, RosterSummary, Signer,
    SpentOutput,
};
pub use rotation::{
    AdministratorSignature, AnnouncedRoster, Attestation, Candidate, CheckedRotation, EvidenceHash,
    Hash32, ProposedRoster, ROTATION_BYTES_MAX, ROTATION_VERSION, RotationBasis, RotationDocument,
    RotationError, RotationPaper, RotationStage, RotationStatus, Rotations,
};
pub use settlement::{
    Settlement, SettlementInput, SettlementOutput, SettlementState, SignerAnswer, SignerOutcome,
};
pub use status::{
    BridgeStatus, NoCode, OtherCode, ServingState, StatusCode, StatusReason, ToldCode,
};
