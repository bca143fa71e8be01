//! What happens to a proof, by who holds the lease of its job.

use bitcoin::TxOut;
use grail_flow::SettlementId;

use super::{
    ABANDONED, FAILED, NAME_BYTES_MAX, NewAttempt, NewProof, OP_RETURN_BYTES_MAX, PROVEN, PROVING,
    QUEUED, unfinished_states,
};
use crate::{
    JobId, Lease, StoreError, StoreTx,
    column::{after, at_most, integer, sat},
    db::sql,
    jobs::cut,
};

impl StoreTx {
    /// Records that a settlement waits for its proof, with the job that is put in for it.
    pub async fn queue_proof(
        &mut self,
        settlement: SettlementId,
        job: JobId,
        now: u64,
    ) -> Result<(), StoreError> {
        sqlx::query(sql(format!(
            "INSERT INTO proofs (settlement, job, state, attempts, queued_at, reused) \
             VALUES ($1, $2, '{QUEUED}', 0, $3, 0)"
        )))
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
        let changed = sqlx::query(sql(format!("UPDATE proofs SET state = '{PROVING}', attempts = attempts + 1, worker = $3, prover = $4, \
             request_hash = $5, started_at = $6, duration_ms = NULL, fuel = NULL, fee_sat = NULL, \
             fee_script = NULL, op_return = NULL \
             WHERE settlement = $1 AND job = $2 AND state IN ({})", unfinished_states())))
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

    /// Keeps a proof that a prover made, ahead of the step that moves the settlement on: whoever
    /// does that step needs no prover.
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
        let changed = sqlx::query(sql(format!("UPDATE proofs SET op_return = $3, fuel = $4, fee_sat = $5, fee_script = $6, duration_ms = $7 \
             WHERE settlement = $1 AND job = $2 AND state = '{PROVING}'")))
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
    /// [`StoreError::Stale`] when it is proven, failed or given up already;
    /// [`StoreError::NotFound`] when there is no such proof.
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
            sqlx::query(sql(format!(
                "UPDATE proofs SET state = '{PROVEN}', finished_at = $2 \
                 WHERE settlement = $1 AND state IN ({})",
                unfinished_states()
            )))
            .bind(after(settlement.0))
            .bind(now)
        } else {
            sqlx::query(sql(format!("UPDATE proofs SET state = '{PROVEN}', finished_at = $2, reused = 1, prover = $3, request_hash = $4, \
                 op_return = $5, fuel = $6, fee_sat = $7, fee_script = $8, duration_ms = NULL \
                 WHERE settlement = $1 AND state IN ({})", unfinished_states())))
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

    /// An attempt ended without verdict and another will be made. The lease is checked by what
    /// gives the job back in the same step.
    pub async fn requeue_proof(
        &mut self,
        settlement: SettlementId,
        error: Option<(&str, &str)>,
    ) -> Result<(), StoreError> {
        let (code, text) = error.unzip();
        sqlx::query(sql(format!(
            "UPDATE proofs SET state = '{QUEUED}', error_code = COALESCE($2, error_code), \
             error_text = COALESCE($3, error_text) WHERE settlement = $1 AND state = '{PROVING}'"
        )))
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
        let changed = sqlx::query(sql(format!("UPDATE proofs SET state = '{FAILED}', finished_at = $2, error_code = $3, error_text = $4 \
             WHERE settlement = $1 AND state IN ({})", unfinished_states())))
        .bind(after(settlement.0))
        .bind(integer("now", now)?)
        .bind(cut(code))
        .bind(cut(text))
        .execute(self.connection())
        .await?
        .rows_affected();
        unfinished(changed)
    }

    /// The settlement is given up: nobody waits for its proof any more. One that is there, or
    /// failed, stays on record.
    pub async fn abandon_proof(
        &mut self,
        settlement: SettlementId,
        now: u64,
    ) -> Result<(), StoreError> {
        sqlx::query(sql(format!(
            "UPDATE proofs SET state = '{ABANDONED}', finished_at = $2 \
             WHERE settlement = $1 AND state IN ({})",
            unfinished_states()
        )))
        .bind(after(settlement.0))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Forgets the proof of a settlement and its copies: it turned out to be no good, so nobody may
    /// take it again.
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
