//! Role *retain*: lets go of what nobody can need any more (ADR 19), and tells requests that their
//! deadline has passed, however many there are. In small steps with pauses between them, so that
//! nobody waits for it; what is left is done in the next.
//!
//! Owns how long things are kept. Which of them may go at all, is the store's to say.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bitcoin::Txid;
use grail_flow::{RequestEvent, named_enum};
use grail_store::{BLOCKS_KEPT, Horizon};

use crate::{backend::Backend, clock, step::Step};

const DAY: u64 = 24 * 60 * 60;
/// Whoever follows events comes back within days, or reads anew.
const EVENTS_SECONDS: u64 = 30 * DAY;
/// For whoever looks into what went wrong.
const JOBS_SECONDS: u64 = 14 * DAY;
/// Acknowledged ones; how often each was raised is kept.
const ALARMS_SECONDS: u64 = 180 * DAY;
/// A client that asks again does so within minutes.
const KEYS_SECONDS: u64 = 7 * DAY;
/// What is in no block and given up: as long as nodes keep a transaction, which is two weeks.
const UNMINED_SECONDS: u64 = 14 * DAY;
/// From one walk over all transactions to the next.
const SWEEP_SECONDS: u64 = DAY;

/// Rows of one step.
const BATCH: u32 = 200;
/// Settlements of one step: each has many large rows.
const SETTLEMENTS: u32 = 10;
/// Pause between two turns while there is more to do.
const PAUSE: Duration = Duration::from_millis(200);
/// Pause when there is not.
const REST: Duration = Duration::from_mins(1);

named_enum! {
    /// What goes.
    pub enum Gone {
        /// Large parts of settlements, with signatures and proofs.
        SettlementBodies = "settlement-bodies",
        /// Transactions of deposits that came to their end.
        Transactions = "transactions",
        /// Events of the feed.
        Events = "events",
        /// Jobs that are done.
        Jobs = "jobs",
        /// Alarms that were acknowledged.
        Alarms = "alarms",
        /// Clients' keys for requests.
        IdempotencyKeys = "idempotency-keys",
    }
}

/// How much has gone since the start.
#[derive(Debug, Default)]
pub struct Removed(Mutex<BTreeMap<Gone, u64>>);

impl Removed {
    fn add(&self, gone: Gone, count: u64) {
        // Numbers, valid after any panic.
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = counts.entry(gone).or_insert(0);
        *sum = sum.saturating_add(count);
    }

    /// Of one kind.
    pub fn count(&self, gone: Gone) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&gone).copied().unwrap_or(0)
    }
}

/// Runs the role until something fails that a restart may heal.
pub async fn run(backend: &Backend) -> anyhow::Result<()> {
    let mut retainer = Retainer::new(backend);
    loop {
        let is_more = retainer.turn(clock::now()).await?;
        tokio::time::sleep(if is_more { PAUSE } else { REST }).await;
    }
}

/// Where the walk over transactions is.
pub struct Retainer<'a> {
    backend: &'a Backend,
    swept: Option<Txid>,
    sweep_at: u64,
}

impl<'a> Retainer<'a> {
    /// One that has looked at nothing yet.
    pub fn new(backend: &'a Backend) -> Self {
        Self {
            backend,
            swept: None,
            sweep_at: 0,
        }
    }

    /// A batch of each kind, as of `now` (unix seconds); whether there is more to do at once.
    pub async fn turn(&mut self, now: u64) -> anyhow::Result<bool> {
        let mut is_more = self.expire().await?;
        let horizon = self.horizon(now).await?;
        for gone in Gone::ALL {
            is_more |= self.batch(*gone, horizon, now).await?;
        }
        Ok(is_more)
    }

    /// What can be taken back by no reorg, and is final by that much.
    async fn horizon(&self, now: u64) -> anyhow::Result<Option<Horizon>> {
        let block = self.backend.store.read().await?.last_block().await?;
        let confirmations = self.backend.params().settlement_confirmations;
        let kept = BLOCKS_KEPT.saturating_add(confirmations);
        let height = block.and_then(|block| block.height.checked_sub(kept));
        Ok(height.map(|height| Horizon {
            height,
            time: now.saturating_sub(UNMINED_SECONDS),
        }))
    }

    async fn batch(
        &mut self,
        gone: Gone,
        horizon: Option<Horizon>,
        now: u64,
    ) -> anyhow::Result<bool> {
        let before = |seconds: u64| now.saturating_sub(seconds);
        let mut tx = self.backend.store.begin().await?;
        let (count, is_more) = match (gone, horizon) {
            (Gone::SettlementBodies, Some(horizon)) => {
                let count = tx.trim_settlements(horizon, SETTLEMENTS).await?;
                (count, count >= u64::from(SETTLEMENTS))
            }
            (Gone::Transactions, Some(horizon)) => {
                if self.swept.is_none() && now < self.sweep_at {
                    return Ok(false);
                }
                let swept = tx.sweep_transactions(self.swept, horizon, BATCH).await?;
                self.swept = swept.next;
                self.sweep_at = now.saturating_add(SWEEP_SECONDS);
                (swept.removed, swept.next.is_some())
            }
            (Gone::SettlementBodies | Gone::Transactions, None) => return Ok(false),
            (Gone::Events, _) => full(tx.forget_events(before(EVENTS_SECONDS), BATCH).await?),
            (Gone::Jobs, _) => full(tx.forget_jobs(before(JOBS_SECONDS), BATCH).await?),
            (Gone::Alarms, _) => full(tx.forget_alarms(before(ALARMS_SECONDS), BATCH).await?),
            (Gone::IdempotencyKeys, _) => full(
                tx.forget_idempotency_keys(before(KEYS_SECONDS), BATCH)
                    .await?,
            ),
        };
        if count > 0 {
            tx.commit().await?;
            tracing::debug!(what = gone.name(), count, "let go");
            self.backend.removed.add(gone, count);
        }
        Ok(is_more)
    }

    /// Ends requests for which no deposit came in time: more than one block's step can take.
    async fn expire(&self) -> anyhow::Result<bool> {
        let mut step = Step::begin(self.backend).await?;
        let height = step.tip_height();
        let due = step.tx.requests_past_deadline(height, BATCH).await?;
        if due.is_empty() {
            return Ok(false);
        }
        for request in &due {
            step.tell_request(request.id, RequestEvent::DeadlinePassed)
                .await?;
        }
        step.commit().await?;
        Ok(due.len() >= usize::try_from(BATCH)?)
    }
}

/// Whether a batch was full, with its size.
fn full(count: u64) -> (u64, bool) {
    (count, count >= u64::from(BATCH))
}
