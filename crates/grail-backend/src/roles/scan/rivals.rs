//! Settlements in the mempool that these rows do not publish: somebody put public answers together,
//! or other rows made them. What the node would mine is what the next settlement builds on.

use bitcoin::{OutPoint, Transaction};
use grail_flow::SettlementEvent;
use grail_store::Reader;
use grail_types::Epoch;

use super::{
    Scanner,
    adopt::{self, Move, Place},
    keep_witnesses,
    nft::nft_output,
    tell_spender,
};
use crate::{backend::Backend, step::Step};

impl Scanner<'_> {
    /// Takes note of a mempool transaction that spends the NFT's newest output, or one before it.
    /// The node has checked its witnesses, so a quorum signed it.
    pub(super) async fn note_rival(&self, transaction: &Transaction) -> anyhow::Result<()> {
        let backend = self.backend;
        let Some(first) = transaction.input.first() else {
            return Ok(());
        };
        let nft = first.previous_output;
        let mut reader = backend.store.read().await?;
        if !is_nft(backend, &mut reader, &nft).await? {
            return Ok(());
        }
        let txid = transaction.compute_txid();
        let known = reader.settlement_by_txid(&txid).await?;
        if let Some(known) = known {
            drop(reader);
            if known.state.stage().is_published() {
                return Ok(());
            }
            let mut step = Step::begin(backend).await?;
            if !known.stands_by() {
                let live = step.tx.settlement_spending_nft(&nft).await?;
                if live.is_some_and(|live| live.id != known.id) {
                    tell_spender(&mut step, &nft, SettlementEvent::ConflictFound).await?;
                }
            }
            step.take_place(known.id, SettlementEvent::Relayed).await?;
            keep_witnesses(&mut step, known.id, transaction).await?;
            step.tx.put_transaction(transaction).await?;
            return Ok(step.commit().await?);
        }
        let rosters = backend.rosters(&mut reader).await?;
        let made = reader.transaction(&nft.txid).await?;
        drop(reader);
        let after = nft_output(backend, transaction);
        let before = made.as_ref().and_then(|made| nft_output(backend, made));
        let (Some(made), Some((vout, before)), Some(after)) = (made, before, after) else {
            return Ok(());
        };
        // A rotation counts once a block holds it.
        if vout != nft.vout || Epoch(after.1.epoch) != rosters.newest().epoch() {
            return Ok(());
        }
        let moved = Move {
            made: &made,
            nft,
            before: &before,
            after: Some(&after),
            transaction,
            rosters: &rosters,
            place: Place::Mempool,
        };
        match adopt::read(backend, &moved).await? {
            Ok(settled) => {
                let mut step = Step::begin(backend).await?;
                step.tx.put_transaction(transaction).await?;
                adopt::take(&mut step, &settled, transaction, Place::Mempool).await?;
                step.commit().await?;
            }
            // In a block it would be an alarm; it may never be in one.
            Err(strange) => {
                tracing::warn!(%txid, %strange, "a transaction that moves the NFT is left alone");
            }
        }
        Ok(())
    }
}

/// Whether an output is the NFT's unspent one by the chain, or one that a published settlement of
/// the rows makes.
async fn is_nft(
    backend: &Backend,
    reader: &mut Reader,
    outpoint: &OutPoint,
) -> anyhow::Result<bool> {
    let chain = reader.vault_totals().await?.nft;
    if *outpoint == chain.unwrap_or_else(|| backend.deployment_nft()) {
        return Ok(true);
    }
    let maker = reader.settlement_by_txid(&outpoint.txid).await?;
    Ok(maker.is_some_and(|maker| {
        maker.nft_output == Some(*outpoint) && maker.state.stage().is_published()
    }))
}
