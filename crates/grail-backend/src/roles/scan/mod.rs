//! Role *scan*: blocks and mempool to rows. Follows reorgs; concludes nothing from a node that is
//! behind.

pub(crate) mod adopt;
pub(crate) mod deposits;
mod height;
mod known;
mod lacking;
mod mempool;
mod nft;
mod reconcile;
mod rescan;
mod rivals;
mod taken;
mod vault;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use bitcoin::{Block, OutPoint, Transaction, Txid};
use grail_chain::{ChainError, Cursor, ScanError, Step as ChainStep, next_step};
use grail_flow::{Alarm, BlockRef, RequestEvent, SettlementEvent, SettlementId};
use grail_store::{DepositState, Reclaim, Settlement, StoreError};

use crate::{alarm, backend::Backend, clock, node::POLL, step::Step};
use adopt::Place;
use deposits::note_replaced;
use known::Known;
pub(crate) use lacking::words as lacks_blocks;
use nft::{Effect, NftWalk};
pub(crate) use rescan::{RescanError, rescan_base};

/// Rows read at a time.
const PAGE: u32 = 500;

/// Deposits of unknown requests, and the settlements in no block that were to spend them.
type Unclaimed = BTreeMap<OutPoint, SettlementId>;

/// What is known of the outputs that a block spends.
struct Spent<'a> {
    known: &'a Known,
    unclaimed: &'a Unclaimed,
}

/// The scanner's memory: as large as the mempool, whatever there ever was; it can be rebuilt.
pub struct Scanner<'a> {
    backend: &'a Backend,
    mempool_seen: BTreeSet<Txid>,
    /// When deposits of the mempool are looked for again though nothing has left it, unix seconds.
    vanished_at: u64,
    reconcile_at: u64,
    /// What nodes disagreed about last.
    disagreement: Option<String>,
}

/// Runs the role until something fails that a restart may heal.
pub async fn run(backend: &Backend) -> anyhow::Result<()> {
    let mut scanner = Scanner::new(backend);
    loop {
        scanner.rescan().await?;
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
            mempool_seen: BTreeSet::new(),
            vanished_at: 0,
            reconcile_at: 0,
            disagreement: None,
        }
    }

    /// Takes or undoes one block; `false` when there is nothing to do.
    pub async fn take_block(&mut self) -> anyhow::Result<bool> {
        let taken = self.take_next().await;
        if let Err(error) = &taken {
            lacking::note(self.backend, error).await?;
        }
        taken
    }

    async fn take_next(&mut self) -> anyhow::Result<bool> {
        let recent = self.backend.store.read().await?.recent_blocks().await?;
        let cursor = Cursor::restore(self.backend.deployment.start_height, recent)?;
        let next = self
            .backend
            .node
            .call(move |chain| next_step(&cursor, chain))
            .await;
        match next {
            Ok(ChainStep::Connect { at, block }) => {
                let walk = NftWalk::through(self.backend, &block, at).await?;
                self.connect(at, &block, &walk).await?;
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
            Err(ScanError::Chain(error @ ChainError::NodesDisagree { .. })) => {
                self.note_disagreement(&error).await?;
                Ok(false)
            }
            Err(ScanError::Chain(error @ ChainError::NodesBehind { .. })) => {
                tracing::warn!(%error, "waiting");
                Ok(false)
            }
            Err(
                error @ ScanError::ReorgTooDeep {
                    remembered,
                    oldest_height,
                },
            ) => {
                let alarm = Alarm::ReorgTooDeep {
                    remembered,
                    oldest_height,
                };
                let mut tx = self.backend.store.begin().await?;
                let now = tx.now(clock::now());
                alarm::raise(&mut tx, &alarm, now).await?;
                tx.commit().await?;
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Once for each set of chains, not at each look.
    async fn note_disagreement(&mut self, error: &ChainError) -> anyhow::Result<()> {
        let words = error.to_string();
        if self.disagreement.as_ref() != Some(&words) {
            let alarm = Alarm::NodesDisagree {
                words: words.clone(),
            };
            let mut tx = self.backend.store.begin().await?;
            let now = tx.now(clock::now());
            alarm::raise(&mut tx, &alarm, now).await?;
            tx.commit().await?;
            self.disagreement = Some(words);
        }
        Ok(())
    }

    async fn connect(&mut self, at: BlockRef, block: &Block, walk: &NftWalk) -> anyhow::Result<()> {
        let mut step = Step::begin(self.backend).await?;
        step.tx.connect_block(at).await?;
        step.set_tip_height(at.height);
        let now = step.now();
        let block: Vec<(Txid, &Transaction)> = block
            .txdata
            .iter()
            .map(|transaction| (transaction.compute_txid(), transaction))
            .collect();
        // Within the step, so that requests that came since the block was fetched are known too:
        // nobody looks at it a second time.
        let mut known = Known::of(&mut step.tx, &block).await?;
        let unclaimed = step.tx.unclaimed_deposits().await?;
        for (txid, transaction) in block {
            vault::connect(
                &mut step,
                self.backend,
                walk,
                (txid, transaction),
                &mut known,
                at,
            )
            .await?;
            for (deposit, request) in self.deposits_in(transaction, &known.addresses) {
                known.note_made(txid);
                step.tx.put_transaction(transaction).await?;
                // A row of before stays, also where an older version read other charms: a block
                // must never end in a conflict.
                let before = step.tx.deposit(&deposit.outpoint).await?;
                let deposit = before.map_or(deposit, |row| row.deposit);
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
            let settlement = if known.is_settlement(&txid) {
                step.tx.settlement_by_txid(&txid).await?
            } else {
                None
            };
            if let Some(settlement) = settlement {
                tell_mined(&mut step, &settlement, transaction, at).await?;
            } else {
                let spent = Spent {
                    known: &known,
                    unclaimed: &unclaimed,
                };
                let effect = walk.of(&txid).map(|moved| &moved.effect);
                self.connect_other(&mut step, (txid, transaction), effect, &spent, at)
                    .await?;
            }
            self.mempool_seen.remove(&txid);
        }
        self.tell_of_tip(&mut step, at.height).await?;
        step.commit().await?;
        tracing::debug!(height = at.height, hash = %at.hash, "block taken");
        Ok(())
    }

    /// A transaction that is no settlement of the rows.
    async fn connect_other(
        &self,
        step: &mut Step<'_>,
        (txid, transaction): (Txid, &Transaction),
        effect: Option<&Effect>,
        spent: &Spent<'_>,
        at: BlockRef,
    ) -> anyhow::Result<()> {
        match effect {
            Some(Effect::Settles) => bail!("settlement {txid} left the rows while it was read"),
            Some(Effect::Adopts(settled)) => {
                adopt::take(step, settled, transaction, Place::Block(at)).await?;
            }
            Some(Effect::Breaks(strange)) => {
                taken::note_breach(step, (txid, transaction), strange, spent.known, at).await?;
            }
            Some(Effect::Rotates(..) | Effect::ServesNobody(_)) => {
                // Sponsors pay for these, and nobody else does. The NFT moves on all the same.
                if let Some(strange) = taken::unserved(step, transaction, spent.known).await? {
                    let taker = (txid, transaction);
                    return taken::note_breach(step, taker, &strange, spent.known, at).await;
                }
                // Whatever was to spend the same NFT can never be, nor what builds on it.
                if let Some(nft_input) = effect.and_then(Effect::nft_input) {
                    let conflict = SettlementEvent::ConflictFound;
                    tell_spender(step, nft_input, conflict).await?;
                }
                self.note_spends(step, (txid, transaction), spent, at)
                    .await?;
            }
            // The alarm is raised where the roster changes.
            Some(Effect::NotAdopted { .. }) => {
                taken::note(step, (txid, transaction), spent.known, at).await?;
            }
            Some(Effect::Deploys) | None => {
                let secp = &self.backend.secp;
                let strange = taken::without_nft(secp, step, transaction, spent.known).await?;
                if let Some(strange) = strange {
                    let taker = (txid, transaction);
                    return taken::note_breach(step, taker, &strange, spent.known, at).await;
                }
                self.note_spends(step, (txid, transaction), spent, at)
                    .await?;
            }
        }
        Ok(())
    }

    /// Deposits taken back by their users.
    async fn note_spends(
        &self,
        step: &mut Step<'_>,
        (txid, transaction): (Txid, &Transaction),
        Spent { known, unclaimed }: &Spent<'_>,
        at: BlockRef,
    ) -> anyhow::Result<()> {
        let now = step.now();
        for input in &transaction.input {
            let spent = input.previous_output;
            if let Some(settlement) = unclaimed.get(&spent) {
                step.tell_settlement(*settlement, SettlementEvent::ConflictFound)
                    .await?;
            }
            if !known.may_hold(&spent) {
                continue;
            }
            if let Some(row) = step.tx.deposit(&spent).await? {
                if let Some(stands_by) = step.tx.replacement_using(&spent).await? {
                    step.tell_settlement(stands_by, SettlementEvent::ConflictFound)
                        .await?;
                }
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
                    if let Some(settlement) = row.settlement {
                        step.tell_settlement(settlement, SettlementEvent::ConflictFound)
                            .await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn rewind(&mut self, to: Option<BlockRef>) -> anyhow::Result<()> {
        let mut step = Step::begin(self.backend).await?;
        tracing::warn!(to = ?to, "reorg: blocks undone");
        self.undo(&mut step, to).await?;
        step.commit().await?;
        self.mempool_seen.clear();
        Ok(())
    }

    /// Undoes all blocks above `to` (none: all), and tells the machines.
    async fn undo(&self, step: &mut Step<'_>, to: Option<BlockRef>) -> anyhow::Result<()> {
        let now = step.now();
        let rewound = step.tx.rewind_blocks(to, now).await?;
        step.set_tip_height(to.map_or(self.backend.deployment.start_height, |block| block.height));
        for settlement in rewound.settlements {
            step.tell_settlement(settlement, SettlementEvent::Unmined)
                .await?;
        }
        // What only operators could bring on is not asked of a roster that never was.
        for nft in rewound.rotations {
            tell_spender(step, &nft, SettlementEvent::Cancelled).await?;
        }
        for deposit in rewound.reclaims {
            let Some(row) = step.tx.deposit(&deposit).await? else {
                continue;
            };
            let event = if row.state == DepositState::Taken {
                let standing = row.standing();
                RequestEvent::TakingUnconfirmed { deposit, standing }
            } else {
                RequestEvent::ReclaimUnconfirmed { deposit }
            };
            taken::give_back(step, &row, event).await?;
        }
        for deposit in rewound.deposits {
            let Some(row) = step.tx.deposit(&deposit).await? else {
                continue;
            };
            step.tell_request(row.request, RequestEvent::DepositUnconfirmed { deposit })
                .await?;
        }
        Ok(())
    }
}

/// A settlement is in a block. When it was given up before, the chain revives it, and what took its
/// place can never be.
async fn tell_mined(
    step: &mut Step<'_>,
    settlement: &Settlement,
    transaction: &Transaction,
    block: BlockRef,
) -> anyhow::Result<()> {
    let live = step
        .tx
        .settlement_spending_nft(&settlement.nft_input)
        .await?;
    let stands_by = step.tx.replacement_of(&settlement.nft_input).await?;
    for other in live.into_iter().chain(stands_by) {
        if other.id != settlement.id {
            step.tell_settlement(other.id, SettlementEvent::ConflictFound)
                .await?;
        }
    }
    step.tell_settlement(settlement.id, SettlementEvent::Mined { block })
        .await?;
    keep_witnesses(step, settlement.id, transaction).await
}

/// Keeps the witnesses of a live settlement that somebody else put together: after a reorg it is
/// ours to publish again.
async fn keep_witnesses(
    step: &mut Step<'_>,
    id: SettlementId,
    transaction: &Transaction,
) -> anyhow::Result<()> {
    let is_live = |row: Settlement| row.state.stage().is_live();
    if step.tx.signed_transaction(id).await?.is_none()
        && step.tx.settlement(id).await?.is_some_and(is_live)
    {
        step.tx.set_signed(id, transaction, step.now()).await?;
    }
    Ok(())
}

/// Tells the live settlement that is to spend this output of the NFT, if there is one, and the one
/// that stands by to do so in its place.
async fn tell_spender(
    step: &mut Step<'_>,
    nft: &OutPoint,
    event: SettlementEvent,
) -> Result<(), StoreError> {
    if let Some(stands_by) = step.tx.replacement_of(nft).await? {
        step.tell_settlement(stands_by.id, event).await?;
    }
    match step.tx.settlement_spending_nft(nft).await? {
        Some(live) => step.tell_settlement(live.id, event).await,
        None => Ok(()),
    }
}
