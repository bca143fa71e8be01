//! How settlements' spells are proven: one row each, with the proof itself, so that a request is
//! proven once.
//!
//! The right to write here is the lease of the settlement's proving job: who lost it leaves no
//! trace. The proof's bytes are kept before the settlement moves on, so that a crash between the
//! two costs no second proof.

mod lists;
mod write;

use bitcoin::{Amount, ScriptBuf, TxOut};
use grail_flow::{SettlementId, named_enum};

pub use lists::{ListedProof, ProofTotals};

use crate::{
    JobState, Reader, StoreError,
    column::{Columns, after, listed},
    db::DbRow,
};

/// Longest script that carries a spell and its proof: a standard transaction has 400,000 weight
/// units, and a byte of an output weighs four.
pub const OP_RETURN_BYTES_MAX: usize = 100_000;
/// Longest name of a worker, a kind of prover or an error code.
const NAME_BYTES_MAX: usize = 64;

named_enum! {
    /// Where the proving of a settlement stands.
    pub enum ProofState {
        /// Waits for a worker, for the first time or again.
        Queued = "queued",
        /// A worker is at it.
        Proving = "proving",
        /// There is a proof.
        Proven = "proven",
        /// There will be none: the spell cannot be proven.
        Failed = "failed",
        /// The settlement was given up before there was one.
        Abandoned = "abandoned",
    }
}

impl ProofState {
    /// Whether somebody still waits for the proof.
    pub const fn is_unfinished(self) -> bool {
        match self {
            Self::Queued | Self::Proving => true,
            Self::Proven | Self::Failed | Self::Abandoned => false,
        }
    }
}

const QUEUED: &str = ProofState::Queued.name();
const PROVING: &str = ProofState::Proving.name();
const PROVEN: &str = ProofState::Proven.name();
const FAILED: &str = ProofState::Failed.name();
const ABANDONED: &str = ProofState::Abandoned.name();

/// Names of the states in which somebody still waits, as a list of SQL.
fn unfinished_states() -> String {
    listed(ProofState::those(ProofState::is_unfinished).map(ProofState::name))
}

/// The record of a settlement's proving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofRecord {
    /// The settlement.
    pub settlement: SettlementId,
    /// Where it stands.
    pub state: ProofState,
    /// Times that a prover was called.
    pub attempts: u64,
    /// Process of the newest attempt.
    pub worker: Option<String>,
    /// Kind of the prover of the newest attempt.
    pub prover: Option<String>,
    /// Name of what was to be proven.
    pub request_hash: Option<[u8; 32]>,
    /// When it was asked for, unix seconds.
    pub queued_at: u64,
    /// When the newest attempt began, unix seconds.
    pub started_at: Option<u64>,
    /// When it ended for good, unix seconds.
    pub finished_at: Option<u64>,
    /// What making the proof took; none when one made before was taken.
    pub duration_ms: Option<u64>,
    /// Whether a proof made before was taken.
    pub is_reused: bool,
    /// Cycles that app contracts used.
    pub fuel: Option<u64>,
    /// What the prover took for it.
    pub fee: Option<Amount>,
    /// Code of what went wrong last.
    pub error_code: Option<String>,
    /// What went wrong last, in words: for operators, not for the public.
    pub error_text: Option<String>,
    /// Of a job that waits, when it may be taken; of one that is held, when its lease ends. Unix
    /// seconds.
    pub due_at: u64,
    /// Whether a worker has the job; one that is gone has it until `due_at`.
    pub is_leased: bool,
}

/// A proof to keep.
#[derive(Clone, Copy, Debug)]
pub struct NewProof<'a> {
    /// Script of the output that carries spell and proof.
    pub op_return: &'a [u8],
    /// Cycles that app contracts used; more than a column holds counts as the most that it holds.
    pub fuel: u64,
    /// The output that pays the prover.
    pub fee_output: Option<&'a TxOut>,
    /// What it took to make it.
    pub duration_ms: u64,
}

/// A proof that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeProof {
    /// The settlement that it was made for, or taken for before.
    pub settlement: SettlementId,
    /// Script of the output that carries spell and proof.
    pub op_return: Vec<u8>,
    /// Cycles that app contracts used.
    pub fuel: u64,
    /// The output that pays the prover.
    pub fee_output: Option<TxOut>,
}

/// An attempt at proving.
#[derive(Clone, Copy, Debug)]
pub struct NewAttempt<'a> {
    /// The settlement.
    pub settlement: SettlementId,
    /// Which process.
    pub worker: &'a str,
    /// Kind of its prover.
    pub prover: &'a str,
    /// Name of what is to be proven.
    pub request_hash: &'a [u8; 32],
    /// The time, unix seconds.
    pub now: u64,
}

macro_rules! select {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT p.settlement, p.state, p.attempts, p.worker, p.prover, p.request_hash, p.queued_at, \
             p.started_at, p.finished_at, p.duration_ms, p.reused, p.fuel, p.fee_sat, p.error_code, p.error_text, \
             j.due_at, j.state AS job_state",
            $columns,
            " FROM proofs p JOIN jobs j ON j.id = p.job ",
            $rest
        )
    };
}

use select;

impl Reader {
    /// The record of a settlement's proving; none of one that was proven before there were records.
    pub async fn proof_record(
        &mut self,
        settlement: SettlementId,
    ) -> Result<Option<ProofRecord>, StoreError> {
        let row = sqlx::query(select!("", "WHERE p.settlement = $1"))
            .bind(after(settlement.0))
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// A proof of this very request by this kind of prover, whichever settlement it was made for.
    pub async fn made_proof(
        &mut self,
        request_hash: &[u8; 32],
        prover: &str,
    ) -> Result<Option<MadeProof>, StoreError> {
        let row = sqlx::query(
            "SELECT settlement, op_return, fuel, fee_sat, fee_script FROM proofs \
             WHERE request_hash = $1 AND prover = $2 AND op_return IS NOT NULL ORDER BY settlement LIMIT 1",
        )
        .bind(hex::encode(request_hash))
        .bind(prover)
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| {
            Ok(MadeProof {
                settlement: row.settlement_id("settlement")?,
                op_return: row.bytes("op_return")?,
                fuel: row.u64("fuel")?,
                fee_output: match (row.maybe_amount("fee_sat")?, row.maybe_bytes("fee_script")?) {
                    (Some(value), Some(script)) => Some(TxOut {
                        value,
                        script_pubkey: ScriptBuf::from_bytes(script),
                    }),
                    _ => None,
                },
            })
        })
        .transpose()
    }
}

fn read(row: &DbRow) -> Result<ProofRecord, StoreError> {
    let request_hash = row
        .maybe_text("request_hash")?
        .map(|text| {
            let mut hash = [0; 32];
            hex::decode_to_slice(&text, &mut hash)
                .map(|()| hash)
                .map_err(|error| StoreError::corrupt("proofs.request_hash", error))
        })
        .transpose()?;
    Ok(ProofRecord {
        settlement: row.settlement_id("settlement")?,
        state: row.parsed("state")?,
        attempts: row.u64("attempts")?,
        worker: row.maybe_text("worker")?,
        prover: row.maybe_text("prover")?,
        request_hash,
        queued_at: row.u64("queued_at")?,
        started_at: row.maybe_u64("started_at")?,
        finished_at: row.maybe_u64("finished_at")?,
        duration_ms: row.maybe_u64("duration_ms")?,
        is_reused: row.u64("reused")? == 1,
        fuel: row.maybe_u64("fuel")?,
        fee: row.maybe_amount("fee_sat")?,
        error_code: row.maybe_text("error_code")?,
        error_text: row.maybe_text("error_text")?,
        due_at: row.u64("due_at")?,
        is_leased: row.parsed::<JobState>("job_state")? == JobState::Leased,
    })
}
