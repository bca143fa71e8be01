//! Proofs for people: lists, expectations, sums.

use bitcoin::Amount;

use super::{FAILED, PROVEN, PROVING, ProofRecord, ProofState, read, select, unfinished_states};
use crate::{
    Reader, StoreError,
    column::{Columns, after, page},
    db::sql,
};

/// Proofs of which the middle one's time is what the next is expected to take.
const ESTIMATE_PROOFS: i64 = 21;

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
}

impl Reader {
    /// Proofs, newest settlement first, below settlement `before` (none: from the newest), of one
    /// state or of all.
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

    /// What a proof by this kind of prover is expected to take: the median of the last ones. None
    /// before the first.
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

    /// Since when the oldest settlement without its proof waits for it, unix seconds.
    pub async fn proof_waiting_since(&mut self) -> Result<Option<u64>, StoreError> {
        let row = sqlx::query(sql(format!(
            "SELECT MIN(queued_at) AS since FROM proofs WHERE state IN ({})",
            unfinished_states()
        )))
        .fetch_one(self.connection())
        .await?;
        row.maybe_u64("since")
    }

    /// Sums over all proofs.
    pub async fn proof_totals(&mut self) -> Result<ProofTotals, StoreError> {
        let rows =
            sqlx::query("SELECT state, total FROM proof_totals WHERE total > 0 ORDER BY state")
                .fetch_all(self.connection())
                .await?;
        let by_state = rows
            .iter()
            .map(|row| Ok((row.text("state")?, row.u64("total")?)))
            .collect::<Result<_, StoreError>>()?;
        // Every call ended with a proof, with a no for good, is under way, or had no verdict.
        let interrupted = format!(
            "attempts - CASE WHEN state IN ('{PROVING}', '{PROVEN}', '{FAILED}') THEN ended ELSE 0 END"
        );
        // A sum of integers is no integer to `PostgreSQL`.
        let sum =
            |of: &str, name: &str| format!("CAST(COALESCE(SUM({of}), 0) AS BIGINT) AS {name}");
        let row = sqlx::query(sql(format!(
            "SELECT {}, {}, {}, {}, {}, {}, {} FROM proof_totals",
            sum("reused", "reused"),
            sum(&interrupted, "interrupted"),
            sum("timed", "timed"),
            sum("duration_ms", "duration"),
            sum("fee_sat", "fee"),
            sum("fuel_thousands", "thousands"),
            sum("fuel_rest", "rest"),
        )))
        .fetch_one(self.connection())
        .await?;
        Ok(ProofTotals {
            by_state,
            reused_count: row.u64("reused")?,
            interrupted_count: row.u64("interrupted")?,
            timed_count: row.u64("timed")?,
            duration_ms: row.u64("duration")?,
            fuel: row
                .u64("thousands")?
                .saturating_mul(1_000)
                .saturating_add(row.u64("rest")?),
            fee: row.amount("fee")?,
        })
    }
}
