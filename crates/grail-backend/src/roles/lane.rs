//! The lane: what is under way has a deadline at each stage.
//!
//! All settlements wait behind one another for the one NFT, so that one which stands still holds up
//! everybody. What is not asked about yet is called off and planned anew; the rest is not ours to
//! end, and a person is told.

use std::collections::BTreeMap;

use bitcoin::OutPoint;
use grail_flow::{
    AbandonCode, Alarm, SettlementEvent, SettlementId, SettlementStage, SettlementState,
};
use grail_store::{Reader, Settlement, StoreError};
use grail_types::Epoch;

use crate::{backend::Backend, step::Step};

/// Settlements called off in a row for being overdue, after which the next one is left as it is:
/// planned anew it would cost another proof, and meet the same.
const OVERDUE_IN_A_ROW_MAX: u32 = 3;
/// More than nodes relay in one chain, and than parameters allow.
pub const HOLDERS_MAX: usize = 1_000;
/// Rows read at a time; more are never under way.
const PAGE: u32 = 500;

/// Seconds for which a settlement may stand at a stage; none where nothing waits for it.
pub const fn deadline(stage: SettlementStage) -> Option<u64> {
    match stage {
        // Real proofs take minutes, and a prover that is away for as long is waited for.
        SettlementStage::Draft => Some(60 * 60),
        // The node's test takes milliseconds, and so does taking it.
        SettlementStage::Proven | SettlementStage::Signed => Some(15 * 60),
        SettlementStage::Asked => Some(30 * 60),
        // Several times the blocks that its fee was meant for.
        SettlementStage::Broadcast => Some(6 * 60 * 60),
        SettlementStage::Confirmed | SettlementStage::Final | SettlementStage::Abandoned => None,
    }
}

/// Seconds for which operators are asked about deposits of a former roster, whose quorum may be
/// gone: all others wait behind them.
pub const FORMER_ASKED_SECONDS: u64 = 10 * 60;

/// The part of a stage's deadline after which a settlement is slower than usual.
const PART_USUAL: u64 = 3;

/// Seconds for which a settlement usually stands at a stage at most; none where nothing waits for
/// it.
pub const fn usual(stage: SettlementStage) -> Option<u64> {
    match deadline(stage) {
        // One that is in the network waits for a block, which is nobody's fault.
        Some(deadline) if stage.is_published() => Some(deadline),
        Some(deadline) => Some(deadline / PART_USUAL),
        None => None,
    }
}

/// The settlements that hold the NFT one after the other, from this output of it on: those that
/// wait for one another.
pub async fn holders(reader: &mut Reader, nft: OutPoint) -> Result<Vec<Settlement>, StoreError> {
    let mut holders: Vec<Settlement> = Vec::new();
    let mut next = Some(nft);
    while let Some(nft) = next.filter(|_| holders.len() < HOLDERS_MAX) {
        let Some(holder) = reader.settlement_spending_nft(&nft).await? else {
            break;
        };
        next = holder.nft_output;
        holders.push(holder);
    }
    Ok(holders)
}

/// Ends what is overdue and ours to end, and tells a person of the rest. `now` in unix seconds.
pub async fn watch(backend: &Backend, now: u64) -> Result<(), StoreError> {
    for settlement in under_way(backend).await? {
        let stage = settlement.state.stage();
        let age = now.saturating_sub(settlement.stage_since);
        let former = former_asked(backend, &settlement).await?;
        let deadline = match former {
            Some(_) => Some(FORMER_ASKED_SECONDS),
            None => deadline(stage),
        };
        if deadline.is_none_or(|deadline| age < deadline) {
            continue;
        }
        let mut step = Step::begin(backend).await?;
        if stage.is_unasked()
            && overdue_in_a_row(&mut step, settlement.id).await? < OVERDUE_IN_A_ROW_MAX
        {
            tracing::warn!(settlement = settlement.id.0, %stage, age, "overdue: called off");
            step.tell_settlement(settlement.id, SettlementEvent::Overdue)
                .await?;
        } else if stage == SettlementStage::Asked
            && let Some(kind) = step.tx.sponsored_by(settlement.id).await?
        {
            // Operators may differ about a rotation for days: nobody is to wait for them. It is
            // planned again later.
            tracing::warn!(
                settlement = settlement.id.0,
                kind = grail_api::Kind::from(kind).name(),
                "no quorum: called off"
            );
            step.tell_settlement(settlement.id, SettlementEvent::Cancelled)
                .await?;
        } else if let Some(epoch) = former {
            // Silence of the former roster, or of today's: those who wait behind it tell which.
            tracing::warn!(
                settlement = settlement.id.0,
                epoch = epoch.0,
                "no quorum of a former roster: called off"
            );
            step.tell_settlement(settlement.id, SettlementEvent::Cancelled)
                .await?;
        } else {
            let alarm = Alarm::LaneOverdue {
                settlement: settlement.id,
                stage,
                seconds: age,
            };
            step.raise(&alarm).await?;
        }
        step.commit().await?;
    }
    Ok(())
}

/// The epoch of the former roster that is asked about a settlement, if one is.
async fn former_asked(
    backend: &Backend,
    settlement: &Settlement,
) -> Result<Option<Epoch>, StoreError> {
    if settlement.state.stage() != SettlementStage::Asked {
        return Ok(None);
    }
    backend
        .store
        .read()
        .await?
        .former_epoch(settlement.id)
        .await
}

/// For how long the oldest settlement has stood at each stage where one waits, seconds.
pub async fn ages(
    backend: &Backend,
    now: u64,
) -> Result<BTreeMap<SettlementStage, u64>, StoreError> {
    let mut ages = BTreeMap::new();
    for settlement in under_way(backend).await? {
        let age = now.saturating_sub(settlement.stage_since);
        let oldest = ages.entry(settlement.state.stage()).or_insert(0);
        *oldest = age.max(*oldest);
    }
    Ok(ages)
}

/// Settlements that are in no block.
pub(crate) async fn under_way(backend: &Backend) -> Result<Vec<Settlement>, StoreError> {
    let mut reader = backend.store.read().await?;
    let mut found = Vec::new();
    for stage in SettlementStage::those(SettlementStage::is_unconfirmed) {
        found.append(&mut reader.settlements_in_state(stage, 0, PAGE).await?);
    }
    Ok(found)
}

/// How many of the settlements right before this one were called off for being overdue.
async fn overdue_in_a_row(step: &mut Step<'_>, id: SettlementId) -> Result<u32, StoreError> {
    let looked_at = OVERDUE_IN_A_ROW_MAX;
    let after = id.0.saturating_sub(u64::from(looked_at)).saturating_sub(1);
    let before = step.tx.settlements(after, looked_at).await?;
    let overdue = before
        .iter()
        .rev()
        .filter(|other| other.id < id)
        .take_while(|other| {
            other.state
                == SettlementState::Abandoned {
                    code: AbandonCode::Overdue,
                }
        });
    Ok(u32::try_from(overdue.count()).unwrap_or(u32::MAX))
}
