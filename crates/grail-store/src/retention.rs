//! What goes once nobody can need it any more (ADR 19): in batches, each small enough for a step of
//! its own. What is deleted is gone from disk only when its place is used again.
//!
//! Owns which rows may go: never one that something unsettled hangs on, that a reorg could bring
//! back, or that a receipt, an auditor or a list could ask for. Requests stay, whatever became of
//! them: somebody may pay to their addresses.

use bitcoin::{Txid, consensus::encode};
use grail_flow::{SettlementId, SettlementStage};

use crate::{
    DepositState, JobKind, JobState, StoreError, StoreTx,
    column::{Columns, after, integer, page},
    db::sql,
    settlements::without_witnesses,
};

/// How long ago something must have come to its end to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// Height up to which no reorg can reach, nor make anything less final.
    pub height: u32,
    /// For what no block holds: the time up to which nobody comes back to it, unix seconds.
    pub time: u64,
}

/// A piece of a walk over transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Where the next piece begins; none at the end.
    pub next: Option<Txid>,
    /// Transactions that went.
    pub removed: u64,
}

const FINAL: &str = SettlementStage::Final.name();
const ABANDONED: &str = SettlementStage::Abandoned.name();
const SETTLED: &str = DepositState::Settled.name();
const RECLAIMED: &str = DepositState::Reclaimed.name();
const TAKEN: &str = DepositState::Taken.name();
const VANISHED: &str = DepositState::Vanished.name();

impl StoreTx {
    /// Settlements whose large parts are there and may go: final ones; and those given up which
    /// can never be mined, since what they spend was spent by something final, or never made.
    async fn overripe(
        &mut self,
        horizon: Horizon,
        limit: u32,
    ) -> Result<Vec<SettlementId>, StoreError> {
        // Before the colon of an outpoint stands the transaction that made it.
        let rows = sqlx::query(sql(format!(
            "SELECT DISTINCT b.settlement AS id FROM settlement_bodies b \
             JOIN settlements s ON s.id = b.settlement \
             WHERE (s.state_name = '{FINAL}' AND s.height <= $1) \
             OR (s.state_name = '{ABANDONED}' AND s.txid IS NULL AND s.updated_at <= $2) \
             OR (s.state_name = '{ABANDONED}' AND EXISTS (SELECT 1 FROM vault_outputs v \
             WHERE v.outpoint = s.nft_input AND v.spent_height <= $1)) \
             OR (s.state_name = '{ABANDONED}' AND s.updated_at <= $2 \
             AND NOT EXISTS (SELECT 1 FROM vault_outputs v WHERE v.outpoint = s.nft_input) \
             AND NOT EXISTS (SELECT 1 FROM settlements p JOIN settlement_bodies pb ON pb.settlement = p.id \
             WHERE p.txid = substr(s.nft_input, 1, 64))) \
             ORDER BY b.settlement LIMIT $3"
        )))
        .bind(i64::from(horizon.height))
        .bind(integer("time", horizon.time)?)
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row.settlement_id("id")).collect()
    }

    /// Takes from at most `limit` old settlements what is large: draft, proposal, proof, answers'
    /// signatures, witnesses. The transaction of one that is final stays, without its witnesses.
    /// How many there were.
    pub async fn trim_settlements(
        &mut self,
        horizon: Horizon,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let ripe = self.overripe(horizon, limit).await?;
        for id in &ripe {
            let settlement = self.settlement(*id).await?;
            let is_final = settlement.is_some_and(|it| it.state.stage() == SettlementStage::Final);
            if is_final && let Some(transaction) = self.unsigned_transaction(*id).await? {
                sqlx::query(
                    "INSERT INTO transactions (txid, raw) VALUES ($1, $2) \
                     ON CONFLICT (txid) DO UPDATE SET raw = excluded.raw",
                )
                .bind(transaction.compute_txid().to_string())
                .bind(encode::serialize(&without_witnesses(&transaction)))
                .execute(self.connection())
                .await?;
            }
            for statement in [
                "DELETE FROM settlement_bodies WHERE settlement = $1",
                "UPDATE answers SET signatures = NULL WHERE settlement = $1 AND signatures IS NOT NULL",
                "UPDATE proofs SET op_return = NULL WHERE settlement = $1 AND op_return IS NOT NULL",
            ] {
                sqlx::query(statement)
                    .bind(after(id.0))
                    .execute(self.connection())
                    .await?;
            }
        }
        Ok(ripe.len() as u64)
    }

    /// Walks over at most `limit` transactions behind `from` (none: from the first), and lets those
    /// go that are there only for deposits which all came to their end: settled, taken back, or
    /// seen and never mined.
    pub async fn sweep_transactions(
        &mut self,
        from: Option<Txid>,
        horizon: Horizon,
        limit: u32,
    ) -> Result<Swept, StoreError> {
        let from = from.map(|txid| txid.to_string()).unwrap_or_default();
        let rows =
            sqlx::query("SELECT txid FROM transactions WHERE txid > $1 ORDER BY txid LIMIT $2")
                .bind(&from)
                .bind(page(limit))
                .fetch_all(self.connection())
                .await?;
        let Some(last) = rows.last() else {
            return Ok(Swept {
                next: None,
                removed: 0,
            });
        };
        let last: Txid = last.parsed("txid")?;
        // Outpoints are `txid:vout`, and `;` is the letter behind `:`.
        let removed = sqlx::query(sql(format!(
            "DELETE FROM transactions WHERE txid > $1 AND txid <= $2 \
             AND EXISTS (SELECT 1 FROM deposits d \
             WHERE d.outpoint > transactions.txid || ':' AND d.outpoint < transactions.txid || ';') \
             AND NOT EXISTS (SELECT 1 FROM deposits d \
             WHERE d.outpoint > transactions.txid || ':' AND d.outpoint < transactions.txid || ';' \
             AND NOT (d.state_name IN ('{RECLAIMED}', '{TAKEN}') AND COALESCE(d.reclaim_height <= $3, FALSE)) \
             AND NOT (d.state_name = '{VANISHED}' AND d.height IS NULL AND d.updated_at <= $4) \
             AND NOT (d.state_name = '{SETTLED}' AND EXISTS (SELECT 1 FROM settlement_items i \
             JOIN settlements s ON s.id = i.settlement WHERE i.deposit = d.outpoint AND i.active = 1 \
             AND s.state_name = '{FINAL}' AND s.height <= $3))) \
             AND NOT EXISTS (SELECT 1 FROM settlements s WHERE s.txid = transactions.txid) \
             AND NOT EXISTS (SELECT 1 FROM vault_outputs v \
             WHERE v.outpoint > transactions.txid || ':' AND v.outpoint < transactions.txid || ';') \
             AND NOT EXISTS (SELECT 1 FROM settlement_items i WHERE i.active = 1 AND i.request_row IS NULL \
             AND i.deposit > transactions.txid || ':' AND i.deposit < transactions.txid || ';')"
        )))
        .bind(from)
        .bind(last.to_string())
        .bind(i64::from(horizon.height))
        .bind(integer("time", horizon.time)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        let is_end = rows.len() < usize::try_from(page(limit)).unwrap_or(usize::MAX);
        Ok(Swept {
            next: (!is_end).then_some(last),
            removed,
        })
    }

    /// Lets at most `limit` events from before `time` go, the oldest first; never the newest.
    pub async fn forget_events(&mut self, time: u64, limit: u32) -> Result<u64, StoreError> {
        let gone = sqlx::query(
            "DELETE FROM events WHERE at <= $1 AND id IN (SELECT id FROM events WHERE id > 0 \
             AND id < (SELECT MAX(id) FROM events) ORDER BY id LIMIT $2)",
        )
        .bind(integer("time", time)?)
        .bind(page(limit))
        .execute(self.connection())
        .await?;
        Ok(gone.rows_affected())
    }

    /// Lets at most `limit` jobs go that were done before `time`. One that proves is a part of its
    /// proof's record and stays.
    pub async fn forget_jobs(&mut self, time: u64, limit: u32) -> Result<u64, StoreError> {
        let gone = sqlx::query(sql(format!(
            "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state = '{}' AND kind <> '{}' \
             AND updated_at <= $1 ORDER BY updated_at LIMIT $2)",
            JobState::Done.name(),
            JobKind::Prove.name()
        )))
        .bind(integer("time", time)?)
        .bind(page(limit))
        .execute(self.connection())
        .await?;
        Ok(gone.rows_affected())
    }

    /// Lets at most `limit` alarms go that were acknowledged before `time`. Their number is kept.
    pub async fn forget_alarms(&mut self, time: u64, limit: u32) -> Result<u64, StoreError> {
        let gone = sqlx::query(
            "DELETE FROM alarms WHERE id IN (SELECT id FROM alarms WHERE acknowledged_at IS NOT NULL \
             AND acknowledged_at <= $1 ORDER BY acknowledged_at LIMIT $2)",
        )
        .bind(integer("time", time)?)
        .bind(page(limit))
        .execute(self.connection())
        .await?;
        Ok(gone.rows_affected())
    }

    /// Forgets the idempotency keys of at most `limit` requests made before `time`.
    pub async fn forget_idempotency_keys(
        &mut self,
        time: u64,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let gone = sqlx::query(
            "UPDATE requests SET idempotency_key = NULL, body_hash = NULL WHERE id IN (SELECT id FROM requests \
             WHERE idempotency_key IS NOT NULL AND created_at <= $1 ORDER BY created_at LIMIT $2)",
        )
        .bind(integer("time", time)?)
        .bind(page(limit))
        .execute(self.connection())
        .await?;
        Ok(gone.rows_affected())
    }
}
