//! Donations that somebody pays to have in the vault's coin (ADR 30). They are nobody's any more
//! and back nothing more than before; in one coin they move with the vault when a roster hands
//! over, and behind it they would stay.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use anyhow::Context;
use bitcoin::{Amount, OutPoint, Transaction, Txid};
use grail_chain::View;
use grail_charms::PrevTx;
use grail_flow::{DepositOrigin, confirmations, confirmations_needed};
use grail_spell::BridgeCharms;
use grail_store::{Reader, Settlement, VaultOutput};
use grail_txbuild::{Coin, RotationStep};
use grail_types::Kind;
use grail_wire::{PREVIOUS_MAX_BYTES, SPONSORS_MAX};

use super::{Built, Tip, rest, sponsored, tip};
use crate::{backend::Backend, rosters::Rosters, step::Step};

/// Donations that one merge takes at most.
const DONATIONS_MAX: usize = 100;
/// Donations that are read at a time, and how often: once per block, while somebody pays.
const PAGE: u32 = 100;
const PAGES_MAX: usize = 10;
/// Merges that are looked back at.
const TRIES_READ: u32 = 12;

/// Drafts a merge, if somebody pays for one. `now` in unix seconds.
pub(super) async fn look(
    backend: &Backend,
    rosters: &Rosters,
    now: u64,
) -> anyhow::Result<Option<Built>> {
    let mut reader = backend.store.read().await?;
    // Nobody pays: that is how it is most of the time, and it costs one look.
    let (epoch, any) = (rosters.newest().epoch(), Amount::MAX_MONEY);
    let paying = reader
        .ready_sponsors(epoch, Kind::SponsorMerge, any, 1)
        .await?;
    if paying.is_empty() || rests(&reader.merges(TRIES_READ).await?, now) {
        return Ok(None);
    }
    // Nobody who waits for a block is to wait longer for it, nor pay for how heavy it is.
    if reader.unconfirmed_settlement_count().await? > 0 {
        return Ok(None);
    }
    // Sponsors and donations come with blocks: what had no plan has none before the next.
    let height = reader.last_block().await?.map_or(0, |block| block.height);
    if backend.unmerged_at.load(Relaxed) == height {
        return Ok(None);
    }
    let Some(tip) = tip(backend, rosters, &mut reader).await? else {
        return Ok(None);
    };
    let (donations, previous) = donations(backend, &mut reader).await?;
    drop(reader);
    let built = draft(backend, &tip, donations, previous).await?;
    if built.is_none() {
        backend.unmerged_at.store(height, Relaxed);
    }
    Ok(built)
}

/// Whether the last one is not long enough ago: nobody waits for a merge, and while it is in the
/// lane everybody waits behind it.
fn rests(newest: &[Settlement], now: u64) -> bool {
    let least = rest::AGAIN_SECONDS;
    rest::rests(newest.iter(), rest::is_own_fault, least, now)
}

/// Drafts a merge of as many as the sponsors pay for and the lane has room for, the largest of
/// them.
async fn draft(
    backend: &Backend,
    tip: &Tip,
    mut donations: Vec<Coin>,
    mut previous: BTreeMap<Txid, Transaction>,
) -> anyhow::Result<Option<Built>> {
    previous.insert(tip.nft.outpoint.txid, tip.transaction.clone());
    while is_enough(tip, &donations) {
        let merge = RotationStep::Merge {
            donations: donations.clone(),
        };
        let planned = sponsored::plan(backend, tip, Kind::SponsorMerge, merge, &previous).await?;
        let Some(planned) = planned else {
            donations.truncate(donations.len() / 2);
            continue;
        };
        let mut step = Step::begin(backend).await?;
        let Some(id) = planned.put(backend, &mut step, tip).await? else {
            return Ok(Some(Built::Outdated));
        };
        step.tx.note_merge(id).await?;
        // Whoever shows the settlement shows what it spends from.
        for made in previous.values() {
            step.tx.put_transaction(made).await?;
        }
        step.commit().await?;
        tracing::info!(
            settlement = id.0,
            donations = donations.len(),
            sponsors = planned.plan.sponsors.len(),
            fee_sat = planned.plan.fee.to_sat(),
            "a merge of donations drafted"
        );
        return Ok(Some(Built::Draft));
    }
    Ok(None)
}

/// Whether operators merge so much: what the vault has above the supply must be left as an output
/// when the last zkBTC leaves.
fn is_enough(tip: &Tip, donations: &[Coin]) -> bool {
    let values = donations.iter().map(|it| it.output.value.to_sat());
    let sum = values.fold(0, u64::saturating_add);
    let least = tip.nft.output.script_pubkey.minimal_non_dust();
    sum >= least.to_sat()
}

/// The donations that can be spent now, largest first, and the transactions that made them. Those
/// that cannot be, however many, hide none that can.
async fn donations(
    backend: &Backend,
    reader: &mut Reader,
) -> anyhow::Result<(Vec<Coin>, BTreeMap<Txid, Transaction>)> {
    let tip_height = reader.last_block().await?.map_or(0, |block| block.height);
    // NFT, vault and sponsors are inputs too.
    let own = u16::try_from(2 + SPONSORS_MAX)?;
    let most = backend.params().roster_inputs_max.saturating_sub(own);
    let most = usize::from(most).min(DONATIONS_MAX);
    let (mut found, mut previous) = (Vec::new(), BTreeMap::new());
    let (mut bytes, mut last): (usize, Option<VaultOutput>) = (0, None);
    for _ in 0..PAGES_MAX {
        let known = reader.donations(last.as_ref(), PAGE).await?;
        last = known.last().copied();
        for donation in &known {
            let spendable = spendable(backend, reader, donation, tip_height).await?;
            let Some(transaction) = spendable else {
                continue;
            };
            bytes = bytes.saturating_add(transaction.base_size());
            // Half of what a proposal may show: the rest is for the NFT's and the sponsors'.
            if found.len() == most || bytes > PREVIOUS_MAX_BYTES / 2 {
                return Ok((found, previous));
            }
            let outpoint = donation.outpoint;
            let vout = usize::try_from(outpoint.vout)?;
            let output = transaction.output.get(vout).cloned();
            found.push(Coin {
                outpoint,
                output: output.context("a donation that does not exist")?,
            });
            previous.insert(outpoint.txid, transaction);
        }
        if last.is_none() {
            break;
        }
    }
    Ok((found, previous))
}

/// The transaction that made a donation, where nothing stands against spending it: it has its
/// confirmations, nothing in the mempool spends it, and it carries no charms, whose apps would have
/// a say.
async fn spendable(
    backend: &Backend,
    reader: &mut Reader,
    donation: &VaultOutput,
    tip_height: u32,
) -> anyhow::Result<Option<Transaction>> {
    let OutPoint { txid, vout } = donation.outpoint;
    let Some(block) = reader.vault_output_block(&donation.outpoint).await? else {
        return Ok(None);
    };
    let outpoint = donation.outpoint;
    let (made, unspent) = backend
        .node
        .call(move |chain| {
            let made = chain.tx_in_block(&txid, &block.hash)?;
            Ok::<_, grail_chain::ChainError>((made, chain.tx_out(&outpoint, View::WithMempool)?))
        })
        .await?;
    let (Some(made), Some(_)) = (made, unspent) else {
        return Ok(None);
    };
    let origin = if made.is_coinbase() {
        DepositOrigin::Coinbase
    } else {
        DepositOrigin::Payment
    };
    let confirmed = confirmations(tip_height, block.height);
    // As operators read it: of a spell that nobody can read nobody knows what it gave the coin.
    let read = PrevTx::read_committed(&made, backend.mock());
    let is_plain = read.bridge_charms(vout, &backend.bridge().app) == BridgeCharms::Nothing;
    let is_deep = confirmed >= confirmations_needed(backend.params(), origin);
    Ok((is_plain && is_deep).then_some(made))
}
