//! Healing: what the rows say should be under way is put under way again.

use grail_flow::{AlarmCode, AlarmSubject, SettlementStage, SettlementState};
use grail_store::JobState;

use super::{PAGE, Scanner};
use crate::{
    clock,
    roles::{lane, last_resort},
    step::Step,
    sweep,
};

/// Seconds between two looks for published settlements that the mempool lost, and for jobs that ran
/// out of attempts.
const RECONCILE_SECONDS: u64 = 10;

impl Scanner<'_> {
    /// Heals by running again: published settlements that the mempool dropped are published again,
    /// and jobs that outlasted their attempts (a node that was away for hours) get new ones. A
    /// poisonous job stays as it is for as long as its alarm is open.
    pub async fn reconcile(&mut self) -> anyhow::Result<()> {
        let now = clock::now();
        if now < self.reconcile_at {
            return Ok(());
        }
        self.reconcile_at = now.saturating_add(RECONCILE_SECONDS);
        self.revive_jobs(now).await?;
        lane::watch(self.backend, now).await?;
        last_resort::watch(self.backend, last_resort::NEAR).await?;
        let published = self
            .backend
            .store
            .read()
            .await?
            .settlements_in_state(SettlementStage::Broadcast, 0, PAGE)
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
                let (params, tip_height) = (step.params(), step.tip_height());
                let id = settlement.id;
                if sweep::any_reclaimable(params, &mut step.tx, id, tip_height).await? {
                    continue;
                }
                step.enqueue_publish(settlement.id).await?;
                step.commit().await?;
            }
        }
        Ok(())
    }

    async fn revive_jobs(&self, now: u64) -> anyhow::Result<()> {
        let mut reader = self.backend.store.read().await?;
        if reader.open_alarms().await?.stop > 0 {
            return Ok(());
        }
        let dead = reader.jobs_in_state(JobState::Dead, 0, PAGE).await?;
        drop(reader);
        for job in dead {
            let mut tx = self.backend.store.begin().await?;
            let subject = AlarmSubject::Job(job.idempotency_key.clone());
            let open = tx.open_alarm(AlarmCode::DeadJob, &subject).await?;
            if open.is_some() {
                continue;
            }
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
