//! Role *scan*: blocks and mempool to rows. Follows reorgs; concludes nothing from a node that is behind.

use std::collections::{BTreeSet, HashMap};

use anyhow::Context;
use bitcoin::{Block, OutPoint, ScriptBuf, Transaction, Txid};
use grail_chain::{Cursor, ScanError, Step as ChainStep, next_step};
use grail_flow::{
    BlockRef, Deposit, DepositCharms, RequestEvent, RequestState, SettlementEvent, SettlementState,
    sweep_end_height,
};
use grail_spell::{BridgeCharms, PrevTx};
use grail_store::{DepositState, JobState, Reclaim, Recorded, Settlement};
use grail_types::RequestId;

use crate::{backend::Backend, clock, node::POLL, step::Step, vault};

/// Rows read at a time.
const PAGE: u32 = 500;
/// Mempool transactions looked at in one go; the rest is looked at in the next.
const MEMPOOL_BATCH_MAX: usize = 500;
/// Seconds between two looks for published settlements that the mempool lost, and for jobs that ran out of attempts.
const RECONCILE_SECONDS: u64 = 10;

/// The scanner's memory: all of it can be rebuilt from rows.
pub struct Scanner<'a> {
    backend: &'a Backend,
    /// Deposit scripts of all requests up to `scripts_read`.
    scripts: HashMap<ScriptBuf, RequestId>,
    scripts_read: u64,
    mempool_seen: BTreeSet<Txid>,
    reconcile_at: u64,
}

/// Runs the role until something fails that a restart may heal.
pub async fn run(backend: &Backend) -> anyhow::Result<()> {
    let mut scanner = Scanner::new(backend);
    loop {
        while scanner.take_block().await? {}
        scanner.look_at_mempool().await?;
        scanner.reconcile().await?;
        tokio::time::sleep(POLL).await;
    }
}

impl<'a> Scanner<'a> {
    /// A scanner that has looked at nothing yet.
    pub fn new(backend: &'a Backend) -> Self {
        Self {
            backend,
            scripts: HashMap::new(),
            scripts_read: 0,
            mempool_seen: BTreeSet::new(),
            reconcile_at: 0,
        }
    }

    /// Takes or undoes one block; `false` when there is nothing to do.
    pub async fn take_block(&mut self) -> anyhow::Result<bool> {
        let recent = self.backend.store.read().await?.recent_blocks().await?;
        let cursor = Cursor::restore(self.backend.deployment.start_height, recent)?;
        let next = self
            .backend
            .node
            .call(move |chain| next_step(&cursor, chain))
            .await;
        match next {
            Ok(ChainStep::Connect { at, block }) => {
                self.read_scripts().await?;
                self.connect(at, &block).await?;
                Ok(true)
            }
            Ok(ChainStep::Rewind { to }) => {
                self.rewind(to).await?;
                Ok(true)
            }
            Ok(ChainStep::UpToDate) => Ok(false),
            Ok(ChainStep::NodeBehind { tip }) => {
                tracing::warn!(
                    height = tip.height,
                    "the node is behind what was seen; waiting"
                );
                Ok(false)
            }
            Err(error @ ScanError::ReorgTooDeep { .. }) => {
                let mut tx = self.backend.store.begin().await?;
                tx.raise_alarm("reorg-too-deep", &error.to_string(), clock::now())
                    .await?;
                tx.commit().await?;
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn read_scripts(&mut self) -> anyhow::Result<()> {
        let mut reader = self.backend.store.read().await?;
        loop {
            let page = reader.deposit_scripts(self.scripts_read, PAGE).await?;
            let Some((last, _, _)) = page.last() else {
                return Ok(());
            };
            self.scripts_read = *last;
            self.scripts
                .extend(page.into_iter().map(|(_, script, id)| (script, id)));
        }
    }

    async fn connect(&mut self, at: BlockRef, block: &Block) -> anyhow::Result<()> {
        let mut step = Step::begin(self.backend).await?;
        step.tx.connect_block(at).await?;
        step.set_tip_height(at.height);
        let now = step.now();
        for transaction in &block.txdata {
            let txid = transaction.compute_txid();
            let moves_nft = vault::connect(self.backend, &mut step.tx, transaction, at).await?;
            for (deposit, request) in self.deposits_in(transaction) {
                step.tx.put_transaction(transaction).await?;
                let _ = step.tx.record_deposit(&request, &deposit, now).await?;
                note_replaced(&mut step, &request, transaction).await?;
                step.tx
                    .set_deposit_block(&deposit.outpoint, Some(at), now)
                    .await?;
                let event = RequestEvent::DepositConfirmed {
                    deposit,
                    height: at.height,
                };
                step.tell_request(request, event).await?;
            }
            if let Some(settlement) = step.tx.settlement_by_txid(&txid).await? {
                tell_mined(&mut step, &settlement, at).await?;
            } else {
                self.note_spends(&mut step, transaction, txid, at).await?;
                if moves_nft {
                    let details =
                        format!("transaction {txid} spends the NFT at {at} and is not ours");
                    step.tx
                        .raise_alarm("foreign-settlement", &details, now)
                        .await?;
                }
            }
            self.mempool_seen.remove(&txid);
        }
        self.tell_of_tip(&mut step, at.height).await?;
        step.commit().await?;
        tracing::debug!(height = at.height, hash = %at.hash, "block taken");
        Ok(())
    }

    /// Deposits taken back by their users.
    async fn note_spends(
        &self,
        step: &mut Step<'_>,
        transaction: &Transaction,
        txid: Txid,
        at: BlockRef,
    ) -> anyhow::Result<()> {
        let now = step.now();
        for input in &transaction.input {
            let spent = input.previous_output;
            if let Some(row) = step.tx.deposit(&spent).await? {
                step.tx
                    .set_deposit_reclaim(&spent, Some(Reclaim { txid, block: at }), now)
                    .await?;
                let request = step
                    .tx
                    .request(&row.request)
                    .await?
                    .context("a deposit without its request")?;
                if request.state.deposit() == Some(spent) {
                    step.tell_request(
                        row.request,
                        RequestEvent::DepositSpentByUser { deposit: spent },
                    )
                    .await?;
                } else {
                    step.tx
                        .set_deposit_state(&spent, DepositState::Reclaimed, row.code, now)
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// What follows from the height alone.
    async fn tell_of_tip(&self, step: &mut Step<'_>, height: u32) -> anyhow::Result<()> {
        for request in step.tx.requests_past_deadline(height, PAGE).await? {
            step.tell_request(request.id, RequestEvent::DeadlinePassed)
                .await?;
        }
        // First, so that what comes free of it is judged in the same step: nobody may settle it again in between.
        self.cancel_late_settlements(step, height).await?;
        for state in ["unconfirmed", "ready"] {
            let mut after = 0;
            loop {
                let page = step.tx.requests_in_state(state, after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after = last.number;
                for request in page {
                    let Some(outpoint) = request.state.deposit() else {
                        continue;
                    };
                    let Some(row) = step.tx.deposit(&outpoint).await? else {
                        continue;
                    };
                    let Some(block) = row.block else { continue };
                    let end = sweep_end_height(
                        self.backend.params(),
                        block.height,
                        request.terms.reclaim_delay,
                    );
                    let event = if height >= end {
                        RequestEvent::TooCloseToReclaim { deposit: outpoint }
                    } else {
                        RequestEvent::DepositConfirmed {
                            deposit: row.deposit,
                            height: block.height,
                        }
                    };
                    step.tell_request(request.id, event).await?;
                }
            }
        }
        for settlement in step.tx.settlements_in_state("confirmed", 0, PAGE).await? {
            if let Some(block) = settlement.block {
                step.tell_settlement(settlement.id, SettlementEvent::Mined { block })
                    .await?;
            }
        }
        Ok(())
    }

    /// A settlement that operators have not signed when one of its deposits comes close to its reclaim is called off,
    /// so that the two never race (hazard 12).
    async fn cancel_late_settlements(
        &self,
        step: &mut Step<'_>,
        height: u32,
    ) -> anyhow::Result<()> {
        for state in ["draft", "proven", "asked"] {
            for settlement in step.tx.settlements_in_state(state, 0, PAGE).await? {
                for item in step.tx.settlement_items(settlement.id).await? {
                    let request = step
                        .tx
                        .request(&item.request)
                        .await?
                        .context("an item without its request")?;
                    let block = step
                        .tx
                        .deposit(&item.deposit)
                        .await?
                        .and_then(|row| row.block);
                    let is_late = block.is_some_and(|block| {
                        let delay = request.terms.reclaim_delay;
                        height >= sweep_end_height(self.backend.params(), block.height, delay)
                    });
                    if is_late {
                        step.tell_settlement(settlement.id, SettlementEvent::Cancelled)
                            .await?;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    async fn rewind(&mut self, to: Option<BlockRef>) -> anyhow::Result<()> {
        let mut step = Step::begin(self.backend).await?;
        let now = step.now();
        tracing::warn!(to = ?to, "reorg: blocks undone");
        let rewound = step.tx.rewind_blocks(to, now).await?;
        step.set_tip_height(to.map_or(self.backend.deployment.start_height, |block| block.height));
        for settlement in rewound.settlements {
            step.tell_settlement(settlement, SettlementEvent::Unmined)
                .await?;
        }
        for deposit in rewound.reclaims {
            let Some(row) = step.tx.deposit(&deposit).await? else {
                continue;
            };
            step.tell_request(row.request, RequestEvent::ReclaimUnconfirmed { deposit })
                .await?;
        }
        for deposit in rewound.deposits {
            let Some(row) = step.tx.deposit(&deposit).await? else {
                continue;
            };
            step.tell_request(row.request, RequestEvent::DepositUnconfirmed { deposit })
                .await?;
        }
        step.commit().await?;
        self.mempool_seen.clear();
        Ok(())
    }

    /// Outputs of a transaction at deposit addresses, with what they carry.
    fn deposits_in(&self, transaction: &Transaction) -> Vec<(Deposit, RequestId)> {
        let hits: Vec<_> = transaction
            .output
            .iter()
            .zip(0_u32..)
            .filter_map(|(output, vout)| {
                Some((output, vout, *self.scripts.get(&output.script_pubkey)?))
            })
            .collect();
        if hits.is_empty() {
            return Vec::new();
        }
        let read = PrevTx::read_committed(transaction, self.backend.mock());
        hits.into_iter()
            .map(|(output, vout, request)| {
                let deposit = Deposit {
                    outpoint: OutPoint::new(read.txid(), vout),
                    value: output.value,
                    charms: self.charms(&read, vout),
                };
                (deposit, request)
            })
            .collect()
    }

    /// As the operators' policy reads them.
    fn charms(&self, read: &PrevTx, vout: u32) -> DepositCharms {
        match read.bridge_charms(vout, &self.backend.params().bridge) {
            BridgeCharms::Nothing => DepositCharms::None,
            BridgeCharms::Token(sat) => DepositCharms::ZkBtc(bitcoin::Amount::from_sat(sat)),
            BridgeCharms::Nft(_) | BridgeCharms::Other => DepositCharms::Other,
        }
    }

    /// New deposits in the mempool, and known ones that are gone from it.
    pub async fn look_at_mempool(&mut self) -> anyhow::Result<()> {
        self.read_scripts().await?;
        let seen = self.mempool_seen.clone();
        // One view: a tip that moved meanwhile would make "not in the mempool" mean nothing.
        let (txids, fresh, tip_before, tip_after) = self
            .backend
            .node
            .call(move |chain| {
                let tip_before = chain.tip()?;
                let txids: BTreeSet<Txid> = chain.mempool_txids()?.into_iter().collect();
                let mut fresh = Vec::new();
                for txid in txids.difference(&seen).take(MEMPOOL_BATCH_MAX) {
                    if let Some(transaction) = chain.mempool_tx(txid)? {
                        fresh.push((*txid, transaction));
                    }
                }
                Ok::<_, grail_chain::ChainError>((txids, fresh, tip_before, chain.tip()?))
            })
            .await?;
        self.mempool_seen.retain(|txid| txids.contains(txid));
        for (txid, transaction) in fresh {
            let deposits = self.deposits_in(&transaction);
            if !deposits.is_empty() {
                let mut step = Step::begin(self.backend).await?;
                let now = step.now();
                step.tx.put_transaction(&transaction).await?;
                for (deposit, request) in deposits {
                    let recorded = step.tx.record_deposit(&request, &deposit, now).await?;
                    if recorded == Recorded::New {
                        tracing::info!(%request, outpoint = %deposit.outpoint, "deposit seen");
                    }
                    step.tell_request(request, RequestEvent::DepositSeen { deposit })
                        .await?;
                }
                step.commit().await?;
            }
            self.mempool_seen.insert(txid);
        }
        let taken = self.backend.store.read().await?.last_block().await?;
        if tip_before == tip_after && taken == Some(tip_after) {
            self.note_vanished(&txids).await?;
        }
        Ok(())
    }

    async fn note_vanished(&self, mempool: &BTreeSet<Txid>) -> anyhow::Result<()> {
        let mut waiting = Vec::new();
        let mut after = 0;
        let mut reader = self.backend.store.read().await?;
        loop {
            let page = reader.requests_in_state("unconfirmed", after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.number;
            waiting.extend(page);
        }
        drop(reader);
        for request in waiting {
            let RequestState::Unconfirmed {
                deposit,
                height: None,
            } = request.state
            else {
                continue;
            };
            if !mempool.contains(&deposit.txid) {
                let mut step = Step::begin(self.backend).await?;
                // Read again within the step: a block may have been taken since.
                let is_unmined = step
                    .tx
                    .deposit(&deposit)
                    .await?
                    .is_some_and(|row| row.block.is_none());
                if is_unmined {
                    step.tell_request(request.id, RequestEvent::DepositVanished { deposit })
                        .await?;
                    step.commit().await?;
                }
            }
        }
        Ok(())
    }

    /// Heals by running again: published settlements that the mempool dropped are published again, and jobs that
    /// outlasted their attempts (a node that was away for hours) get new ones. A poisonous job has an open alarm, and
    /// stays as it is until a person has looked.
    pub async fn reconcile(&mut self) -> anyhow::Result<()> {
        let now = clock::now();
        if now < self.reconcile_at {
            return Ok(());
        }
        self.reconcile_at = now.saturating_add(RECONCILE_SECONDS);
        self.revive_jobs(now).await?;
        let published = self
            .backend
            .store
            .read()
            .await?
            .settlements_in_state("broadcast", 0, PAGE)
            .await?;
        for settlement in published {
            let Some(txid) = settlement.txid else {
                continue;
            };
            let is_there = self
                .backend
                .node
                .call(move |chain| chain.mempool_tx(&txid))
                .await?
                .is_some();
            if !is_there && settlement.state == (SettlementState::Broadcast {}) {
                let mut step = Step::begin(self.backend).await?;
                step.enqueue_publish(settlement.id).await?;
                step.commit().await?;
            }
        }
        Ok(())
    }

    async fn revive_jobs(&self, now: u64) -> anyhow::Result<()> {
        let mut reader = self.backend.store.read().await?;
        if reader.open_alarm_count().await? > 0 {
            return Ok(());
        }
        let dead = reader.jobs_in_state(JobState::Dead, 0, PAGE).await?;
        drop(reader);
        for job in dead {
            let mut tx = self.backend.store.begin().await?;
            tx.revive_job(job.id, now).await?;
            tx.commit().await?;
            tracing::warn!(
                job = job.idempotency_key,
                error = job.last_error,
                "job revived"
            );
        }
        Ok(())
    }
}

/// A settlement is in a block. When it was given up before, the chain revives it, and what took its place can never be.
async fn tell_mined(
    step: &mut Step<'_>,
    settlement: &Settlement,
    block: BlockRef,
) -> anyhow::Result<()> {
    let live = step
        .tx
        .settlement_spending_nft(&settlement.nft_input)
        .await?;
    if let Some(other) = live.filter(|other| other.id != settlement.id) {
        step.tell_settlement(other.id, SettlementEvent::ConflictFound)
            .await?;
    }
    step.tell_settlement(settlement.id, SettlementEvent::Mined { block })
        .await?;
    Ok(())
}

/// A deposit that was not acceptable in the mempool, and that a mined `transaction` replaces, is gone: the new one is
/// judged for itself and not as a duplicate.
async fn note_replaced(
    step: &mut Step<'_>,
    request: &RequestId,
    transaction: &Transaction,
) -> anyhow::Result<()> {
    let state = step.tx.request(request).await?.map(|request| request.state);
    let Some(RequestState::Reclaimable { deposit, .. }) = state else {
        return Ok(());
    };
    let is_mined = step
        .tx
        .deposit(&deposit)
        .await?
        .is_some_and(|row| row.block.is_some());
    let Some(known) = step.tx.transaction(&deposit.txid).await? else {
        return Ok(());
    };
    let spends_the_same = known.input.iter().any(|input| {
        transaction
            .input
            .iter()
            .any(|other| other.previous_output == input.previous_output)
    });
    if !is_mined && spends_the_same && deposit.txid != transaction.compute_txid() {
        step.tell_request(*request, RequestEvent::DepositVanished { deposit })
            .await?;
    }
    Ok(())
}
