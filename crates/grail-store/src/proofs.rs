//! How settlements' spells are proven: one row each, with the proof itself, so that a request is proven once.
//!
//! The right to write here is the lease of the settlement's proving job: who lost it leaves no trace. The proof's bytes
//! are kept before the settlement moves on, so that a crash between the two costs no second proof.

use bitcoin::{Amount, ScriptBuf, TxOut};
use grail_flow::SettlementId;

use crate::{
    JobId, Lease, Reader, StoreError, StoreTx,
    column::{Columns, after, at_most, integer, page, sat},
    db::DbRow,
    jobs::cut,
};

/// Longest script that carries a spell and its proof: a standard transaction has 400,000 weight units, and a byte of an
/// output weighs four.
pub const OP_RETURN_BYTES_MAX: usize = 100_000;
/// Longest name of a worker, a kind of prover or an error code.
const NAME_BYTES_MAX: usize = 64;
/// Proofs of which the middle one's time is what the next is expected to take.
const ESTIMATE_PROOFS: i64 = 21;

/// Where the proving of a settlement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProofState {
    /// Waits for a worker, for the first time or again.
    Queued,
    /// A worker is at it.
    Proving,
    /// There is a proof.
    Proven,
    /// There will be none: the spell cannot be proven.
    Failed,
    /// The settlement was given up before there was one.
    Abandoned,
}

impl ProofState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Proving,
        Self::Proven,
        Self::Failed,
        Self::Abandoned,
    ];

    /// Stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Proving => "proving",
            Self::Proven => "proven",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
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
    /// Of a job that waits, when it may be taken; of one that is held, when its lease ends. Unix seconds.
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

/// A proof in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedProof {
    /// The record.
    pub record: ProofRecord,
    /// The settlement's transaction, once built.
    pub txid: Option<bitcoin::Txid>,
    /// How many requests the settlement serves.
    pub request_count: u64,
}

/// Sums over all proofs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProofTotals {
    /// How many are in each state, by name.
    pub by_state: Vec<(String, u64)>,
    /// Proven by taking a proof made before.
    pub reused_count: u64,
    /// Calls of a prover that ended without verdict: it was away, or the worker was.
    pub interrupted_count: u64,
    /// Proofs whose making was timed, and the time of all of them.
    pub timed_count: u64,
    /// See `timed_count`.
    pub duration_ms: u64,
    /// Cycles of all proofs made.
    pub fuel: u64,
    /// What provers took for all proofs made.
    pub fee: Amount,
    /// Since when the oldest that is neither proven nor given up waits, unix seconds.
    pub waiting_since: Option<u64>,
}

macro_rules! select {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT p.settlement, p.state, p.attempts, p.worker, p.prover, p.request_hash, p.queued_at, \
             p.started_at, p.finished_at, p.duration_ms, p.reused, p.fuel, p.fee_sat, p.error_code, p.error_text, \
             j.due_at, CASE WHEN j.state = 'leased' THEN 1 ELSE 0 END AS leased",
            $columns,
            " FROM proofs p JOIN jobs j ON j.id = p.job ",
            $rest
        )
    };
}

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

    /// Proofs, newest settlement first, below settlement `before` (none: from the newest), of one state or of all.
    pub async fn proofs_newest_first(
        &mut self,
        state: Option<ProofState>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ListedProof>, StoreError> {
        let before = before.map_or(i64::MAX, after);
        let rows = match state {
            Some(state) => {
                sqlx::query(select!(
                    ", (SELECT txid FROM settlements s WHERE s.id = p.settlement) AS txid, \
                     (SELECT COUNT(*) FROM settlement_items i WHERE i.settlement = p.settlement) AS request_count",
                    "WHERE p.state = $1 AND p.settlement < $2 ORDER BY p.settlement DESC LIMIT $3"
                ))
                .bind(state.name())
                .bind(before)
                .bind(page(limit))
                .fetch_all(self.connection())
                .await?
            }
            None => {
                sqlx::query(select!(
                    ", (SELECT txid FROM settlements s WHERE s.id = p.settlement) AS txid, \
                     (SELECT COUNT(*) FROM settlement_items i WHERE i.settlement = p.settlement) AS request_count",
                    "WHERE p.settlement < $1 ORDER BY p.settlement DESC LIMIT $2"
                ))
                .bind(before)
                .bind(page(limit))
                .fetch_all(self.connection())
                .await?
            }
        };
        rows.iter()
            .map(|row| {
                Ok(ListedProof {
                    record: read(row)?,
                    txid: row.maybe_parsed("txid")?,
                    request_count: row.u64("request_count")?,
                })
            })
            .collect()
    }

    /// What a proof by this kind of prover is expected to take: the median of the last ones. None before the first.
    pub async fn proof_estimate_ms(&mut self, prover: &str) -> Result<Option<u64>, StoreError> {
        let rows = sqlx::query(
            "SELECT duration_ms FROM proofs WHERE prover = $1 AND duration_ms IS NOT NULL \
             ORDER BY finished_at DESC, settlement DESC LIMIT $2",
        )
        .bind(prover)
        .bind(ESTIMATE_PROOFS)
        .fetch_all(self.connection())
        .await?;
        let mut times = rows
            .iter()
            .map(|row| row.u64("duration_ms"))
            .collect::<Result<Vec<_>, _>>()?;
        times.sort_unstable();
        Ok(times.get(times.len() / 2).copied())
    }

    /// Sums over all proofs.
    pub async fn proof_totals(&mut self) -> Result<ProofTotals, StoreError> {
        let rows = sqlx::query(
            "SELECT state, COUNT(*) AS total FROM proofs GROUP BY state ORDER BY state",
        )
        .fetch_all(self.connection())
        .await?;
        let by_state = rows
            .iter()
            .map(|row| Ok((row.text("state")?, row.u64("total")?)))
            .collect::<Result<_, StoreError>>()?;
        // Every call ended with a proof, with a no for good, is under way, or had no verdict.
        let row = sqlx::query(
            "SELECT COALESCE(SUM(reused), 0) AS reused, \
             COALESCE(SUM(attempts), 0) - COALESCE(SUM(CASE WHEN attempts > 0 AND reused = 0 \
             AND state IN ('proving', 'proven', 'failed') THEN 1 ELSE 0 END), 0) AS interrupted, \
             COUNT(duration_ms) AS timed, COALESCE(SUM(duration_ms), 0) AS duration, \
             COALESCE(SUM(CASE WHEN reused = 0 THEN fee_sat END), 0) AS fee, \
             MIN(CASE WHEN state IN ('queued', 'proving') THEN queued_at END) AS since FROM proofs",
        )
        .fetch_one(self.connection())
        .await?;
        let fuel = sqlx::query(
            "SELECT COALESCE(SUM(fuel / 1000), 0) AS thousands, COALESCE(SUM(fuel % 1000), 0) AS rest \
             FROM proofs WHERE reused = 0",
        )
        .fetch_one(self.connection())
        .await?;
        Ok(ProofTotals {
            by_state,
            reused_count: row.u64("reused")?,
            interrupted_count: row.u64("interrupted")?,
            timed_count: row.u64("timed")?,
            duration_ms: row.u64("duration")?,
            fuel: fuel
                .u64("thousands")?
                .saturating_mul(1_000)
                .saturating_add(fuel.u64("rest")?),
            fee: row.amount("fee")?,
            waiting_since: row.maybe_u64("since")?,
        })
    }
}

impl StoreTx {
    /// Records that a settlement waits for its proof, with the job that is put in for it.
    pub async fn queue_proof(
        &mut self,
        settlement: SettlementId,
        job: JobId,
        now: u64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO proofs (settlement, job, state, attempts, queued_at, reused) \
             VALUES ($1, $2, 'queued', 0, $3, 0)",
        )
        .bind(after(settlement.0))
        .bind(after(job.0))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// A prover is about to be called.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the lease is void or there is nothing to prove any more.
    pub async fn begin_proof(
        &mut self,
        attempt: &NewAttempt<'_>,
        lease: &Lease,
    ) -> Result<(), StoreError> {
        at_most("length of the worker", attempt.worker.len(), NAME_BYTES_MAX)?;
        at_most("length of the prover", attempt.prover.len(), NAME_BYTES_MAX)?;
        self.hold_lease(lease, attempt.now).await?;
        let changed = sqlx::query(
            "UPDATE proofs SET state = 'proving', attempts = attempts + 1, worker = $3, prover = $4, \
             request_hash = $5, started_at = $6, duration_ms = NULL, fuel = NULL, fee_sat = NULL, \
             fee_script = NULL, op_return = NULL \
             WHERE settlement = $1 AND job = $2 AND state IN ('queued', 'proving')",
        )
        .bind(after(attempt.settlement.0))
        .bind(after(lease.job.id.0))
        .bind(attempt.worker)
        .bind(attempt.prover)
        .bind(hex::encode(attempt.request_hash))
        .bind(integer("now", attempt.now)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        unfinished(changed)
    }

    /// Keeps a proof that a prover made, ahead of the step that moves the settlement on: whoever does that step needs
    /// no prover.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the lease is void or nobody began; [`StoreError::OutOfRange`].
    pub async fn keep_proof(
        &mut self,
        settlement: SettlementId,
        proof: &NewProof<'_>,
        lease: &Lease,
        now: u64,
    ) -> Result<(), StoreError> {
        at_most(
            "length of the proof's script",
            proof.op_return.len(),
            OP_RETURN_BYTES_MAX,
        )?;
        at_most(
            "length of the prover's script",
            proof
                .fee_output
                .map_or(0, |output| output.script_pubkey.len()),
            OP_RETURN_BYTES_MAX,
        )?;
        self.hold_lease(lease, now).await?;
        let changed = sqlx::query(
            "UPDATE proofs SET op_return = $3, fuel = $4, fee_sat = $5, fee_script = $6, duration_ms = $7 \
             WHERE settlement = $1 AND job = $2 AND state = 'proving'",
        )
        .bind(after(settlement.0))
        .bind(after(lease.job.id.0))
        .bind(proof.op_return)
        .bind(after(proof.fuel))
        .bind(fee(proof.fee_output)?)
        .bind(proof.fee_output.map(|output| output.script_pubkey.to_bytes()))
        .bind(after(proof.duration_ms))
        .execute(self.connection())
        .await?
        .rows_affected();
        unfinished(changed)
    }

    /// The settlement has its proof: its own, or one made for another that asked for the same.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is proven, failed or given up already; [`StoreError::NotFound`] when there is no
    /// such proof.
    pub async fn finish_proof(
        &mut self,
        settlement: SettlementId,
        request_hash: &[u8; 32],
        prover: &str,
        now: u64,
    ) -> Result<(), StoreError> {
        let made = self
            .made_proof(request_hash, prover)
            .await?
            .ok_or(StoreError::NotFound { what: "proof" })?;
        let now = integer("now", now)?;
        let query = if made.settlement == settlement {
            sqlx::query(
                "UPDATE proofs SET state = 'proven', finished_at = $2 \
                 WHERE settlement = $1 AND state IN ('queued', 'proving')",
            )
            .bind(after(settlement.0))
            .bind(now)
        } else {
            sqlx::query(
                "UPDATE proofs SET state = 'proven', finished_at = $2, reused = 1, prover = $3, request_hash = $4, \
                 op_return = $5, fuel = $6, fee_sat = $7, fee_script = $8, duration_ms = NULL \
                 WHERE settlement = $1 AND state IN ('queued', 'proving')",
            )
            .bind(after(settlement.0))
            .bind(now)
            .bind(prover)
            .bind(hex::encode(request_hash))
            .bind(made.op_return)
            .bind(after(made.fuel))
            .bind(fee(made.fee_output.as_ref())?)
            .bind(made.fee_output.map(|output| output.script_pubkey.into_bytes()))
        };
        let changed = query.execute(self.connection()).await?.rows_affected();
        unfinished(changed)
    }

    /// An attempt ended without verdict and another will be made. The lease is checked by what gives the job back in
    /// the same step.
    pub async fn requeue_proof(
        &mut self,
        settlement: SettlementId,
        error: Option<(&str, &str)>,
    ) -> Result<(), StoreError> {
        let (code, text) = error.unzip();
        sqlx::query(
            "UPDATE proofs SET state = 'queued', error_code = COALESCE($2, error_code), \
             error_text = COALESCE($3, error_text) WHERE settlement = $1 AND state = 'proving'",
        )
        .bind(after(settlement.0))
        .bind(code.map(cut))
        .bind(text.map(cut))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// There will be no proof.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is proven, failed or given up already.
    pub async fn fail_proof(
        &mut self,
        settlement: SettlementId,
        code: &str,
        text: &str,
        now: u64,
    ) -> Result<(), StoreError> {
        let changed = sqlx::query(
            "UPDATE proofs SET state = 'failed', finished_at = $2, error_code = $3, error_text = $4 \
             WHERE settlement = $1 AND state IN ('queued', 'proving')",
        )
        .bind(after(settlement.0))
        .bind(integer("now", now)?)
        .bind(cut(code))
        .bind(cut(text))
        .execute(self.connection())
        .await?
        .rows_affected();
        unfinished(changed)
    }

    /// The settlement is given up: nobody waits for its proof any more. One that is there, or failed, stays on record.
    pub async fn abandon_proof(
        &mut self,
        settlement: SettlementId,
        now: u64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE proofs SET state = 'abandoned', finished_at = $2 \
             WHERE settlement = $1 AND state IN ('queued', 'proving')",
        )
        .bind(after(settlement.0))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Forgets the proof of a settlement and its copies: it turned out to be no good, so nobody may take it again.
    pub async fn forget_proof(&mut self, settlement: SettlementId) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE proofs SET op_return = NULL WHERE request_hash = \
             (SELECT request_hash FROM proofs mine WHERE mine.settlement = $1)",
        )
        .bind(after(settlement.0))
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

fn fee(output: Option<&TxOut>) -> Result<Option<i64>, StoreError> {
    output
        .map(|output| sat("prover's fee", output.value))
        .transpose()
}

fn unfinished(changed: u64) -> Result<(), StoreError> {
    if changed == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale { what: "proof" })
    }
}

fn read(row: &DbRow) -> Result<ProofRecord, StoreError> {
    let name = row.text("state")?;
    let state = ProofState::ALL
        .into_iter()
        .find(|state| state.name() == name)
        .ok_or_else(|| StoreError::corrupt("proofs.state", &name))?;
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
        state,
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
        is_leased: row.u64("leased")? == 1,
    })
}
