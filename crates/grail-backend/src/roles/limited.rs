//! Settlements that are refused for a limit (ADR 24): more would leave, or exist, than may by now.
//!
//! That passes with blocks, so nobody's request is at fault and none is turned away, suspected or
//! tried alone: the settlement is given up, and all of it is planned anew once a block has come.
//! The builder plans within the limits, so this is never to be seen while backend and operators go
//! by the same policy; some in a row are a person's to look at, before more proofs are paid for.

use std::sync::atomic::Ordering::Relaxed;

use grail_flow::{AbandonCode, Alarm, SettlementEvent, SettlementId, SettlementState};
use grail_policy::Refusal;
use grail_store::StoreError;
use grail_types::Params;
use grail_wire::RefusalCode;

use crate::{backend::Backend, step::Step};

/// Settlements refused for a limit one after the other, with no other that passed between them,
/// before it is an alarm: each has cost a proof.
const IN_A_ROW_MAX: usize = 3;

/// Settlements looked at for that.
const LOOKED_AT: u32 = 3;

/// Whether a refusal is for a limit.
pub(crate) fn is_for_a_limit(code: &RefusalCode) -> bool {
    matches!(
        code,
        RefusalCode::OutflowAboveCap | RefusalCode::SupplyAboveMax
    )
}

/// Blocks after which what was refused passes, at the earliest; none when it is not for a limit.
/// One is the least that anything may change in, and all that can be said of a supply.
pub(crate) fn blocks_to_pass(params: &Params, refusal: &Refusal) -> Option<u64> {
    match refusal {
        Refusal::OutflowAboveCap(above) => {
            let excess = above.got.saturating_sub(above.cap.to_sat());
            Some(params.outflow_limit().blocks_to_let_go(excess).max(1))
        }
        other => is_for_a_limit(&other.code()).then_some(1),
    }
}

/// Gives up a settlement that was refused for a limit, and no request with it. `alarm` is for the
/// last of several in a row.
pub(crate) async fn give_up(
    backend: &Backend,
    step: &mut Step<'_>,
    id: SettlementId,
    event: SettlementEvent,
    alarm: Alarm,
) -> Result<(), StoreError> {
    step.tell_settlement(id, event).await?;
    let after = id.0.saturating_sub(u64::from(LOOKED_AT));
    let newest = step.tx.settlements(after, LOOKED_AT).await?;
    let refused = newest.iter().rev().filter(|row| row.id <= id);
    let in_a_row = refused.take_while(|row| was_refused(&row.state)).count();
    if in_a_row >= IN_A_ROW_MAX {
        step.raise(&alarm).await?;
    }
    backend.limited_at.store(step.tip_height(), Relaxed);
    Ok(())
}

fn was_refused(state: &SettlementState) -> bool {
    matches!(
        state,
        SettlementState::Abandoned {
            code: AbandonCode::DryRunRefused | AbandonCode::QuorumRefused
        }
    )
}
