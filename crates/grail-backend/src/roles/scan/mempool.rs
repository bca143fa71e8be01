//! The mempool: deposits seen early, those that are gone from it, settlements that others sent.

use std::collections::{BTreeSet, HashSet};

use bitcoin::{Transaction, Txid};
use grail_flow::{RequestEvent, RequestState};
use grail_store::{Reader, Recorded, StoreError};

use super::{PAGE, Scanner, known::Addresses, lacking};
use crate::{backend::Backend, clock, step::Step};

/// Mempool transactions looked at in one go; the rest is looked at in the next.
const MEMPOOL_BATCH_MAX: usize = 500;
/// Seconds after which deposits are looked for in the mempool though nothing has left it: another
/// role may have gone back to one that was gone before.
const VANISHED_SECONDS: u64 = 10;

impl Scanner<'_> {
    /// New deposits in the mempool, and known ones that are gone from it.
    pub async fn look_at_mempool(&mut self) -> anyhow::Result<()> {
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
        let before = self.mempool_seen.len();
        self.mempool_seen.retain(|txid| txids.contains(txid));
        if self.mempool_seen.len() < before {
            self.vanished_at = 0;
        }
        let mut reader = self.backend.store.read().await?;
        let is_current = tip_before == tip_after && reader.last_block().await? == Some(tip_after);
        let addresses = Addresses::of(&mut reader, fresh.iter().map(|(_, it)| it)).await?;
        drop(reader);
        for (_, transaction) in &fresh {
            self.note_deposits(transaction, &addresses).await?;
        }
        // Rows that are behind cannot tell a rival, nor what has vanished: it is looked at again.
        if !is_current {
            self.vanished_at = 0;
            return Ok(());
        }
        self.note_rivals(fresh).await?;
        let now = clock::now();
        if now >= self.vanished_at {
            self.note_vanished(&txids).await?;
            self.vanished_at = now.saturating_add(VANISHED_SECONDS);
        }
        Ok(())
    }

    async fn note_deposits(
        &self,
        transaction: &Transaction,
        addresses: &Addresses,
    ) -> anyhow::Result<()> {
        let deposits = self.deposits_in(transaction, addresses);
        if deposits.is_empty() {
            return Ok(());
        }
        let mut step = Step::begin(self.backend).await?;
        let now = step.now();
        step.tx.put_transaction(transaction).await?;
        for (deposit, request) in deposits {
            let recorded = step.tx.record_deposit(&request, &deposit, now).await?;
            if recorded == Recorded::New {
                tracing::info!(%request, outpoint = %deposit.outpoint, "deposit seen");
            }
            step.tell_request(request, RequestEvent::DepositSeen { deposit })
                .await?;
        }
        Ok(step.commit().await?)
    }

    /// Looks at those that spend what settlements make, each after what it spends.
    async fn note_rivals(&mut self, mut fresh: Vec<(Txid, Transaction)>) -> anyhow::Result<()> {
        let mut reader = self.backend.store.read().await?;
        let mut made_nft = makers_of_nft(self.backend, &mut reader, &fresh).await?;
        drop(reader);
        let seen: Vec<Txid> = fresh.iter().map(|(txid, _)| *txid).collect();
        let next = |fresh: &[(Txid, Transaction)], made_nft: &HashSet<Txid>| {
            let mut spends = fresh
                .iter()
                .map(|(_, transaction)| spends_first(transaction));
            spends.position(|spent| spent.is_some_and(|spent| made_nft.contains(&spent)))
        };
        while let Some(index) = next(&fresh, &made_nft) {
            let (txid, transaction) = fresh.swap_remove(index);
            match self.note_rival(&transaction).await {
                Ok(()) => {}
                // It may never be in a block; what else is to be done must not wait for that.
                Err(error) if lacking::words(&error).is_some() => {
                    lacking::note(self.backend, &error).await?;
                }
                Err(error) => return Err(error),
            }
            made_nft.insert(txid);
        }
        self.mempool_seen.extend(seen);
        Ok(())
    }

    /// Requests whose deposit is neither in a block nor in the mempool any more.
    async fn note_vanished(&self, mempool: &BTreeSet<Txid>) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let mut reader = self.backend.store.read().await?;
            let page = reader.deposits_in_no_block(after.as_ref(), PAGE).await?;
            drop(reader);
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            for (deposit, request) in page {
                if mempool.contains(&deposit.txid) {
                    continue;
                }
                let waits_for_it = RequestState::Unconfirmed {
                    deposit,
                    height: None,
                };
                // Of several deposits the request goes by one; the others are nobody's loss.
                let mut reader = self.backend.store.read().await?;
                let state = reader.request(&request).await?.map(|it| it.state);
                drop(reader);
                if state != Some(waits_for_it) {
                    continue;
                }
                let mut step = Step::begin(self.backend).await?;
                // Read again within the step: a block may have been taken since.
                let is_unmined = step
                    .tx
                    .deposit(&deposit)
                    .await?
                    .is_some_and(|row| row.block.is_none());
                if is_unmined {
                    step.tell_request(request, RequestEvent::DepositVanished { deposit })
                        .await?;
                    step.commit().await?;
                }
            }
        }
    }
}

/// What made the first coin that a transaction spends: a settlement's is the NFT.
fn spends_first(transaction: &Transaction) -> Option<Txid> {
    let first = transaction.input.first()?;
    Some(first.previous_output.txid)
}

/// Those of the transactions whose first coins are spent that may have made the NFT: settlements of
/// the rows, and whatever made the one that is unspent by the chain.
async fn makers_of_nft(
    backend: &Backend,
    reader: &mut Reader,
    fresh: &[(Txid, Transaction)],
) -> Result<HashSet<Txid>, StoreError> {
    let spent: Vec<Txid> = fresh
        .iter()
        .filter_map(|(_, it)| spends_first(it))
        .collect();
    let mut makers = reader.known_settlements(&spent).await?;
    let chain = reader.vault_totals().await?.nft;
    makers.insert(chain.unwrap_or_else(|| backend.deployment_nft()).txid);
    Ok(makers)
}
