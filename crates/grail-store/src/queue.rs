//! The queue of requests whose deposits are in blocks: who is next, who cannot be served at today's
//! fee rate, whose time is over. As small as what waits, whatever there ever was.

use bitcoin::{Amount, FeeRate};
use grail_flow::{RequestStage, SettlementId};
use grail_types::{Epoch, Kind, RequestId};

use crate::{
    Reader, Request, StoreError, StoreTx,
    column::{Columns, after, integer, page},
    db::sql,
    requests,
};

/// What decides when a request comes to its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePlace {
    /// Whether it is its turn: its deposit has its confirmations.
    pub is_ready: bool,
    /// First height at which its deposit has the confirmations that it needs.
    pub ready_height: u32,
    /// First height at which it is too close to its reclaim to be settled.
    pub sweep_end: u32,
    /// Highest fee rate at which it could be settled, in a full batch; zero for a sponsor, which no
    /// settlement takes.
    pub viable_rate: FeeRate,
    /// Blocks for which it waits for lower fees.
    pub patience: u32,
    /// What it gives as a sponsor, if operators take it.
    pub offer: Option<Amount>,
}

/// Where a page of the queue ended; the first begins at the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCursor {
    ready_height: i64,
    number: i64,
}

/// Requests as rows of `q`, by the order that follows.
macro_rules! queued {
    ($rest:literal) => {
        concat!(
            "SELECT r.id AS id, r.number AS number, r.terms AS terms, r.roster AS roster, \
             r.deposit_script AS deposit_script, r.state AS state, r.deadline_height AS deadline_height, \
             r.created_at AS created_at, r.updated_at AS updated_at, r.body_hash AS body_hash, \
             q.ready_height AS ready_height FROM queue q JOIN requests r ON r.id = q.request ",
            $rest
        )
    };
}

impl Reader {
    /// Ready requests of an epoch that could be settled at `rate`, none of them suspected, first
    /// come first served: by the height at which they became ready. With where the next page
    /// begins.
    pub async fn queue(
        &mut self,
        epoch: Epoch,
        rate: FeeRate,
        from: QueueCursor,
        limit: u32,
    ) -> Result<(Vec<Request>, QueueCursor), StoreError> {
        let rows = sqlx::query(queued!(
            "WHERE q.epoch = $1 AND q.is_ready = 1 AND q.viable_rate >= $2 \
             AND (q.ready_height, q.number) > ($3, $4) \
             AND NOT EXISTS (SELECT 1 FROM suspects s WHERE s.request = q.request) \
             ORDER BY q.ready_height, q.number LIMIT $5"
        ))
        .bind(after(epoch.0))
        .bind(rate_column(rate))
        .bind(from.ready_height)
        .bind(from.number)
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        let next = match rows.last() {
            Some(row) => QueueCursor {
                ready_height: after(row.u64("ready_height")?),
                number: after(row.u64("number")?),
            },
            None => from,
        };
        let requests: Result<_, _> = rows.iter().map(requests::read).collect();
        Ok((requests?, next))
    }

    /// Those of the queue whose time ends first.
    pub async fn queue_by_urgency(
        &mut self,
        epoch: Epoch,
        rate: FeeRate,
        limit: u32,
    ) -> Result<Vec<Request>, StoreError> {
        let rows = sqlx::query(queued!(
            "WHERE q.epoch = $1 AND q.is_ready = 1 AND q.viable_rate >= $2 \
             AND NOT EXISTS (SELECT 1 FROM suspects s WHERE s.request = q.request) \
             ORDER BY q.sweep_end, q.number LIMIT $3"
        ))
        .bind(after(epoch.0))
        .bind(rate_column(rate))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(requests::read).collect()
    }

    /// Ready requests of an epoch that were in a batch with whoever spoiled it, and could be
    /// settled at `rate`: those of one batch, the one that holds the oldest of them, and how many
    /// were in it. None that was alone.
    pub async fn suspects(
        &mut self,
        epoch: Epoch,
        rate: FeeRate,
        limit: u32,
    ) -> Result<(Vec<Request>, u64), StoreError> {
        let oldest = sqlx::query(
            "SELECT s.settlement AS settlement, s.size AS size FROM suspects s \
             JOIN queue q ON q.request = s.request \
             WHERE q.epoch = $1 AND q.is_ready = 1 AND q.viable_rate >= $2 AND s.size > 1 \
             ORDER BY q.ready_height, q.number LIMIT 1",
        )
        .bind(after(epoch.0))
        .bind(rate_column(rate))
        .fetch_optional(self.connection())
        .await?;
        let Some(oldest) = oldest else {
            return Ok((Vec::new(), 0));
        };
        let (settlement, size) = (oldest.settlement_id("settlement")?, oldest.u64("size")?);
        let rows = sqlx::query(queued!(
            "JOIN suspects s ON s.request = q.request \
             WHERE s.settlement = $1 AND s.size = $2 AND q.epoch = $3 AND q.is_ready = 1 \
             AND q.viable_rate >= $4 ORDER BY q.ready_height, q.number LIMIT $5"
        ))
        .bind(after(settlement.0))
        .bind(integer("size", size)?)
        .bind(after(epoch.0))
        .bind(rate_column(rate))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        let requests: Result<_, _> = rows.iter().map(requests::read).collect();
        Ok((requests?, size))
    }

    /// The ready request of an epoch that was alone when it could not be served, could be settled
    /// at `rate`, and has not been tried for longest.
    pub async fn lone_suspect(
        &mut self,
        epoch: Epoch,
        rate: FeeRate,
    ) -> Result<Option<Request>, StoreError> {
        let row = sqlx::query(queued!(
            "JOIN suspects s ON s.request = q.request WHERE q.epoch = $1 AND q.is_ready = 1 \
             AND q.viable_rate >= $2 AND s.size = 1 ORDER BY s.settlement LIMIT 1"
        ))
        .bind(after(epoch.0))
        .bind(rate_column(rate))
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(requests::read).transpose()
    }

    /// Sponsors of an epoch whose deposits are ready and have no more than `most`, the largest
    /// first: the fewest pay, and no number of small ones hides who does.
    pub async fn ready_sponsors(
        &mut self,
        epoch: Epoch,
        kind: Kind,
        most: Amount,
        limit: u32,
    ) -> Result<Vec<Request>, StoreError> {
        let rows = sqlx::query(queued!(
            "WHERE q.epoch = $1 AND q.is_ready = 1 AND q.viable_rate = 0 AND r.kind = $2 \
             AND q.offer_sat <= $3 ORDER BY q.offer_sat DESC, q.number LIMIT $4"
        ))
        .bind(after(epoch.0))
        .bind(requests::kind_name(kind))
        .bind(integer("offer_sat", most.to_sat())?)
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(requests::read).collect()
    }

    /// The kind of the sponsors that pay for a settlement, where it serves nobody: all its items
    /// are theirs, or none is.
    pub async fn sponsored_by(
        &mut self,
        settlement: SettlementId,
    ) -> Result<Option<Kind>, StoreError> {
        let row = sqlx::query(
            "SELECT r.kind AS kind FROM settlement_items i JOIN requests r ON r.id = i.request_row \
             WHERE i.settlement = $1 ORDER BY i.position LIMIT 1",
        )
        .bind(after(settlement.0))
        .fetch_optional(self.connection())
        .await?;
        let kind = row.as_ref().map(requests::kind).transpose()?;
        Ok(kind.filter(|kind| kind.is_sponsor()))
    }

    /// Whether anybody of an epoch is ready for a settlement, whatever they could pay.
    pub async fn is_anybody_ready(&mut self, epoch: Epoch) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT 1 FROM queue WHERE epoch = $1 AND is_ready = 1 AND viable_rate > 0 LIMIT 1",
        )
        .bind(after(epoch.0))
        .fetch_optional(self.connection())
        .await?;
        Ok(row.is_some())
    }

    /// Whether anybody of an epoch is ready and cannot be settled at `rate`.
    pub async fn is_anybody_shut_out(
        &mut self,
        epoch: Epoch,
        rate: FeeRate,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT 1 FROM queue WHERE epoch = $1 AND is_ready = 1 \
             AND viable_rate > 0 AND viable_rate < $2 LIMIT 1",
        )
        .bind(after(epoch.0))
        .bind(rate_column(rate))
        .fetch_optional(self.connection())
        .await?;
        Ok(row.is_some())
    }

    /// Ready requests of an epoch that cannot be settled at `rate`, and are not known to wait for
    /// lower fees yet.
    pub async fn newly_too_dear(
        &mut self,
        epoch: Epoch,
        rate: FeeRate,
        limit: u32,
    ) -> Result<Vec<RequestId>, StoreError> {
        let rows = sqlx::query(
            "SELECT q.request AS request FROM queue q WHERE q.epoch = $1 AND q.is_ready = 1 \
             AND q.viable_rate > 0 AND q.viable_rate < $2 \
             AND NOT EXISTS (SELECT 1 FROM fee_waits f WHERE f.request = q.request) LIMIT $3",
        )
        .bind(after(epoch.0))
        .bind(rate_column(rate))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row.parsed("request")).collect()
    }

    /// Ready requests of an epoch that cannot be settled at `rate` and have waited for lower fees
    /// for as long as they do, at `height`.
    pub async fn too_dear_for_too_long(
        &mut self,
        epoch: Epoch,
        rate: FeeRate,
        height: u32,
        limit: u32,
    ) -> Result<Vec<RequestId>, StoreError> {
        let rows = sqlx::query(
            "SELECT q.request AS request FROM queue q JOIN fee_waits f ON f.request = q.request \
             WHERE q.epoch = $1 AND q.is_ready = 1 AND q.viable_rate > 0 AND q.viable_rate < $2 \
             AND f.since_height + q.patience <= $3 LIMIT $4",
        )
        .bind(after(epoch.0))
        .bind(rate_column(rate))
        .bind(i64::from(height))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row.parsed("request")).collect()
    }

    /// Requests of the queue that `height` moves on: confirmed by it, or too close to their
    /// reclaim. The most urgent first.
    pub async fn queue_due(&mut self, height: u32, limit: u32) -> Result<Vec<Request>, StoreError> {
        let mut due = Vec::new();
        for condition in [
            "q.sweep_end <= $1 ORDER BY q.sweep_end",
            "q.is_ready = 0 AND q.ready_height <= $1 AND q.sweep_end > $1 ORDER BY q.ready_height",
        ] {
            let rows = sqlx::query(sql(format!(
                queued!("WHERE {}, q.number LIMIT $2"),
                condition
            )))
            .bind(i64::from(height))
            .bind(page(limit))
            .fetch_all(self.connection())
            .await?;
            for row in &rows {
                due.push(requests::read(row)?);
            }
        }
        Ok(due)
    }

    /// Requests that may belong into the queue and are not in it: of before there was one.
    pub async fn not_queued(
        &mut self,
        after_number: u64,
        limit: u32,
    ) -> Result<Vec<Request>, StoreError> {
        let rows = sqlx::query(sql(format!(
            requests::select!(
                "WHERE state_name IN ('{}', '{}') AND number > $1 \
                 AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.request = requests.id) \
                 ORDER BY number LIMIT $2"
            ),
            RequestStage::Ready.name(),
            RequestStage::Unconfirmed.name()
        )))
        .bind(after(after_number))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(requests::read).collect()
    }
}

impl StoreTx {
    /// Gives a request its place in the queue, or takes it out.
    pub async fn set_queue_place(
        &mut self,
        request: &Request,
        place: Option<&QueuePlace>,
    ) -> Result<(), StoreError> {
        let Some(place) = place else {
            sqlx::query("DELETE FROM queue WHERE request = $1")
                .bind(request.id.to_string())
                .execute(self.connection())
                .await?;
            return Ok(());
        };
        let offer = place.offer.map(|it| integer("offer_sat", it.to_sat()));
        let offer = offer.transpose()?;
        sqlx::query(
            "INSERT INTO queue (request, number, epoch, is_ready, ready_height, sweep_end, viable_rate, patience, \
             offer_sat) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (request) DO UPDATE SET \
             is_ready = excluded.is_ready, ready_height = excluded.ready_height, \
             sweep_end = excluded.sweep_end, viable_rate = excluded.viable_rate, patience = excluded.patience, \
             offer_sat = excluded.offer_sat",
        )
        .bind(request.id.to_string())
        .bind(after(request.number))
        .bind(integer("epoch", request.terms.epoch.0)?)
        .bind(i64::from(place.is_ready))
        .bind(i64::from(place.ready_height))
        .bind(i64::from(place.sweep_end))
        .bind(rate_column(place.viable_rate))
        .bind(i64::from(place.patience))
        .bind(offer)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Takes note that a request was in a batch of `size` that could not be served, unless it was
    /// in a smaller one before. Of equal ones the newest counts.
    pub async fn suspect(
        &mut self,
        request: &RequestId,
        size: usize,
        settlement: SettlementId,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO suspects (request, size, settlement) VALUES ($1, $2, $3) \
             ON CONFLICT (request) DO UPDATE SET size = excluded.size, settlement = excluded.settlement \
             WHERE excluded.size <= suspects.size",
        )
        .bind(request.to_string())
        .bind(integer("size", size as u64)?)
        .bind(integer("settlement", settlement.0)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// A request is suspected of nothing any more.
    pub async fn clear_suspect(&mut self, request: &RequestId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM suspects WHERE request = $1")
            .bind(request.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

/// A rate as a column holds it; beyond the last column value all are alike.
fn rate_column(rate: FeeRate) -> i64 {
    after(rate.to_sat_per_kwu())
}
