//! The backend's database. Its rows are the truth (invariants I5, I6); everything else is a hint.
//!
//! Owns the schema, the uniqueness rules (one live settlement per NFT, per deposit, per request),
//! the cursor over blocks with all rows that depend on a height, the outbox of jobs with leases and
//! fencing, the record of proving with the proofs themselves, and the feed of events. One step is
//! one [`StoreTx`]: its writes are all there after [`StoreTx::commit`], or none is. Trusts its
//! caller to apply the machines of `grail-flow`; never decides what follows what, reads no clock,
//! and holds neither secrets nor personal data.
//!
//! SQL is written for SQLite and PostgreSQL alike (ADR 41); what is particular to one of them is in
//! `db`, and its schema in `migrations`.

mod admin;
mod alarms;
mod answers;
mod blocks;
mod claim;
mod column;
mod db;
mod deposits;
mod error;
mod evidence;
mod facts;
mod fee_waits;
mod feed;
mod form;
mod former;
mod handovers;
mod jobs;
mod lists;
mod merges;
mod moving;
mod probe;
mod proofs;
mod queue;
mod requests;
mod retention;
mod rotations;
mod settlements;
mod store;
mod transactions;
mod vault;
mod work;

pub use admin::{AdminAction, DoneAction, NewAction, REASON_CHARS_MAX};
pub use alarms::{AlarmScope, OpenAlarms, StoredAlarm, StoredCode};
pub use answers::{
    Answer, DETAILS_BYTES_MAX, NewAnswer, Recorded, SIGNATURES_BYTES_MAX, Verdict, VerdictKind,
};
pub use blocks::{BLOCKS_KEPT, Rewound};
pub use claim::Claim;
pub use db::{Engine, UrlError};
pub use deposits::{DepositRow, DepositState, Reclaim};
pub use error::{Conflict, StoreError};
pub use evidence::EVIDENCE_BYTES_MAX;
pub use feed::{Event, NewEvent, Subject};
pub use grail_flow::BlockRef;
pub use handovers::{HANDOVER_BYTES_MAX, Rotation};
pub use jobs::{
    ATTEMPTS_MAX, BACKOFF_MAX_SECONDS, Enqueued, Failed, Job, JobId, JobState, Lease, NewJob,
};
pub use lists::{AnswerSummary, ListedRequest, ServedRequest};
pub use moving::{MoveError, Moved, MovedTable, move_rows};
pub use proofs::{
    ListedProof, MadeProof, NewAttempt, NewProof, OP_RETURN_BYTES_MAX, ProofRecord, ProofState,
    ProofTotals,
};
pub use queue::{QueueCursor, QueuePlace};
pub use requests::{Created, IDEMPOTENCY_KEY_BYTES_MAX, Idempotency, NewRequest, Request};
pub use retention::{Horizon, Swept};
pub use rotations::{
    ROTATION_DOCUMENT_BYTES_MAX, RotationRow, RotationStep, RotationStepRow, SignedRotation,
};
pub use settlements::{
    AdoptedSettlement, BuiltTransaction, DRAFT_BYTES_MAX, NewSettlement, PROPOSAL_BYTES_MAX,
    Replaces, SETTLEMENT_ITEMS_MAX, Settlement, SettlementItem, Tried,
};
pub use store::{Reader, Store, StoreTx};
pub use vault::{VaultKind, VaultOutput, VaultTotals};
pub use work::{JobKind, Work};

/// Rows that one list call returns at most, whatever the limit asked for.
pub const PAGE_ROWS_MAX: u32 = 1_000;
