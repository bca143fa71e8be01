//! Donations that somebody pays to have in the vault's coin (ADR 30). They are nobody's any more
//! and back nothing more than before; in one coin they move with the vault when a roster hands
//! over, and behind it they would stay.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use anyhow::Context;
use bitcoin::{OutPoint, Transaction, Txid};
use grail_chain::View;
use grail_charms::PrevTx;
use grail_flow::{DepositOrigin, confirmations, confirmations_needed};
use grail_store::{Reader, VaultKind, VaultOutput};
use grail_txbuild::{Coin, RotationStep};
use grail_types::Kind;
use grail_wire::{PREVIOUS_MAX_BYTES, SPONSORS_MAX};

use super::{Built, sponsored::Sponsors, tip};
use crate::{backend::Backend, rosters::Rosters, step::Step};

/// Donations that one merge takes at most.
const DONATIONS_MAX: u32 = 100;
/// Seconds between two merges: they hold the lane like any settlement, and nobody waits for them.
const AGAIN_SECONDS: u64 = 10 * 60;

/// Drafts a merge, if somebody pays for one. `now` in unix seconds.
pub(super) async fn look(
    backend: &Backend,
    rosters: &Rosters,
    now: u64,
) -> anyhow::Result<Option<Built>> {
    let again = backend
        .merged_at
        .load(Relaxed)
        .saturating_add(AGAIN_SECONDS);
    if now < again {
        return Ok(None);
    }
    let mut reader = backend.store.read().await?;
    // Nobody pays: that is how it is most of the time, and it costs one look.
    let epoch = rosters.newest().epoch();
    let paying = reader.ready_sponsors(epoch, Kind::SponsorMerge, 1).await?;
    if paying.is_empty() {
        return Ok(None);
    }
    let unconfirmed = reader.unconfirmed_settlement_count().await?;
    if unconfirmed >= u64::from(backend.params().settlements_unconfirmed_max) {
        return Ok(None);
    }
    let Some(tip) = tip(backend, rosters, &mut reader).await? else {
        return Ok(None);
    };
    let sponsors = Sponsors::ready(backend, &mut reader, &tip, Kind::SponsorMerge).await?;
    let Some(sponsors) = sponsors else {
        return Ok(None);
    };
    let (mut donations, mut previous) = donations(backend, &mut reader).await?;
    drop(reader);
    previous.insert(tip.nft.outpoint.txid, tip.transaction.clone());
    // As many as the sponsors pay for and the lane has room for, the largest of them.
    while !donations.is_empty() {
        let step = RotationStep::Merge {
            donations: donations.clone(),
        };
        let planned = sponsors.plan(backend, &tip, step, &previous).await?;
        let Some(planned) = planned else {
            donations.truncate(donations.len() / 2);
            continue;
        };
        let mut step = Step::begin(backend).await?;
        let Some(id) = planned.put(backend, &mut step, &tip).await? else {
            return Ok(Some(Built::Outdated));
        };
        // Whoever shows the settlement shows what it spends from.
        for made in previous.values() {
            step.tx.put_transaction(made).await?;
        }
        step.commit().await?;
        backend.merged_at.store(now, Relaxed);
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

/// The donations that can be spent now, largest first, and the transactions that made them.
async fn donations(
    backend: &Backend,
    reader: &mut Reader,
) -> anyhow::Result<(Vec<Coin>, BTreeMap<Txid, Transaction>)> {
    let tip_height = reader.last_block().await?.map_or(0, |block| block.height);
    // NFT, vault and sponsors are inputs too.
    let own = u16::try_from(2 + SPONSORS_MAX)?;
    let most = backend.params().roster_inputs_max.saturating_sub(own);
    // The first of the page may be the vault's own coin.
    let known = reader
        .vault_outputs(DONATIONS_MAX.saturating_add(1))
        .await?;
    let (mut donations, mut previous) = (Vec::new(), BTreeMap::new());
    let mut bytes: usize = 0;
    let given = known.iter().filter(|it| it.kind == VaultKind::Donation);
    for donation in given.take(usize::from(most)) {
        let Some(transaction) = spendable(backend, reader, donation, tip_height).await? else {
            continue;
        };
        // Half of what a proposal may show: the rest is for the NFT's and the sponsors'.
        bytes = bytes.saturating_add(transaction.base_size());
        if bytes > PREVIOUS_MAX_BYTES / 2 {
            break;
        }
        let outpoint = donation.outpoint;
        let vout = usize::try_from(outpoint.vout)?;
        let output = transaction.output.get(vout).cloned();
        donations.push(Coin {
            outpoint,
            output: output.context("a donation that does not exist")?,
        });
        previous.insert(outpoint.txid, transaction);
    }
    Ok((donations, previous))
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
    let is_plain = PrevTx::read_committed(&made, backend.mock())
        .charms_at(vout)
        .is_empty();
    let is_deep = confirmed >= confirmations_needed(backend.params(), origin);
    Ok((is_plain && is_deep).then_some(made))
}
