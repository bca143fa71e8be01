//! The mempool: deposits seen early, those that are gone from it, settlements that others sent.

use std::collections::BTreeSet;

use bitcoin::Txid;
use grail_flow::{RequestEvent, RequestStage, RequestState};
use grail_store::Recorded;

use super::{PAGE, Scanner};
use crate::step::Step;

/// Mempool transactions looked at in one go; the rest is looked at in the next.
const MEMPOOL_BATCH_MAX: usize = 500;

impl Scanner<'_> {
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
        let taken = self.backend.store.read().await?.last_block().await?;
        let is_current = tip_before == tip_after && taken == Some(tip_after);
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
            // Rows that are behind cannot tell a rival: it is looked at again.
            if is_current {
                self.note_rival(&transaction).await?;
                self.mempool_seen.insert(txid);
            }
        }
        if is_current {
            self.note_vanished(&txids).await?;
        }
        Ok(())
    }

    async fn note_vanished(&self, mempool: &BTreeSet<Txid>) -> anyhow::Result<()> {
        let mut waiting = Vec::new();
        let mut after = 0;
        let mut reader = self.backend.store.read().await?;
        loop {
            let page = reader
                .requests_in_state(RequestStage::Unconfirmed, after, PAGE)
                .await?;
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
}
