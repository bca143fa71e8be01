//! How settlements are proven: part of settlements and requests, and `GET /v1/proofs`.

use bitcoin::Txid;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::request::text_enum;

text_enum! {
    /// Where the proving of a settlement stands.
    ProvingState {
        /// Waits for a worker, for the first time or again.
        Queued => "queued",
        /// A worker is at it.
        Proving => "proving",
        /// There is a proof.
        Proven => "proven",
        /// There will be none: the spell cannot be proven; the code says why.
        Failed => "failed",
        /// The settlement was given up before there was one.
        Abandoned => "abandoned",
    }
}

/// How a settlement is or was proven, and what that took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Proving {
    /// Where it stands.
    pub state: ProvingState,
    /// Times that a prover was called.
    pub attempts: u64,
    /// When the proof was first asked for.
    pub queued_at: u64,
    /// When the newest attempt began.
    pub started_at: Option<u64>,
    /// When it ended for good.
    pub finished_at: Option<u64>,
    /// When it will be tried again, if that is not at once.
    pub next_attempt_at: Option<u64>,
    /// Seconds that the attempt under way has taken, or that the one which made the proof took.
    pub elapsed_seconds: Option<u64>,
    /// Seconds that a proof takes: the median of the last ones of this kind of prover. While there
    /// is none, and once some have been made.
    pub estimated_seconds: Option<u64>,
    /// Kind of prover.
    pub prover: Option<String>,
    /// Whether a proof was taken that had been made before, for a settlement that asked for the
    /// same.
    pub is_reused: bool,
    /// Cycles that app contracts used.
    pub fuel: Option<u64>,
    /// What the prover takes for it.
    pub prover_fee_sat: Option<u64>,
    /// Why the newest attempt that failed did.
    pub code: Option<String>,
}

/// A proof in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Proof {
    /// The settlement's transaction; the proof is part of it, so it is there once that is.
    #[schema(value_type = Option<String>)]
    pub settlement_txid: Option<Txid>,
    /// How many requests the settlement serves.
    pub request_count: u64,
    /// How it is proven.
    pub proving: Proving,
}
