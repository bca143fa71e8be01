//! Settlements that cannot be proven or that the policy refuses: whose fault it is, and what
//! follows.

use grail_flow::{
    AbandonCode, Alarm, ReclaimCode, RequestEvent, SettlementEvent, SettlementId, SettlementState,
};

use grail_store::StoreError;

use crate::{step::Step, work::JobError};

/// Gives up a settlement that cannot be proven or that the policy refuses. The cause may be a
/// single deposit (its charms, its transaction), so the builder tries smaller batches; one that
/// fails alone is its owner's to take back. When several fail alone and nothing passed between
/// them, the fault may be ours, and a person must look.
pub(super) async fn unservable<'a>(
    step: &mut Step<'a>,
    id: SettlementId,
    event: SettlementEvent,
    details: &str,
) -> Result<(), JobError<'a>> {
    tracing::error!(
        settlement = id.0,
        event = event.name(),
        details,
        "settlement given up"
    );
    if step.tx.sponsored_by(id).await?.is_some() {
        // Its sponsors bring coins and nothing else that could spoil it, and settlements go on
        // without it: it is tried again later.
        step.tell_settlement(id, event).await?;
        return Ok(());
    }
    let items = step.tx.settlement_items(id).await?;
    let settlement = step.tx.settlement(id).await?;
    let is_replacement = settlement.is_some_and(|row| row.stands_by());
    suspect_all(step, id).await?;
    step.tell_settlement(id, event).await?;
    let [only] = items.as_slice() else {
        return Ok(());
    };
    // Whose it is the ones say that it was to replace.
    if is_replacement {
        return Ok(());
    }
    let (request, deposit) = (only.request, only.deposit);
    let refused = RequestEvent::DepositUnacceptable {
        deposit,
        code: ReclaimCode::Refused,
    };
    step.tell_request(request, refused).await?;
    let newest = step
        .tx
        .settlements(
            id.0.saturating_sub(u64::from(FAILURES_LOOKED_AT)),
            FAILURES_LOOKED_AT,
        )
        .await?;
    let mut lone_failures = 0;
    for settlement in newest
        .iter()
        .rev()
        .take_while(|settlement| is_unservable(&settlement.state))
    {
        if step.tx.settlement_items(settlement.id).await?.len() == 1 {
            lone_failures += 1;
        }
    }
    if lone_failures >= LONE_FAILURES_MAX {
        let alarm = Alarm::UnservableSettlements {
            settlement: id,
            cause: details.to_owned(),
        };
        step.raise(&alarm).await?;
    }
    Ok(())
}

/// Takes note that one of a settlement's requests may have spoiled it.
pub(crate) async fn suspect_all(step: &mut Step<'_>, id: SettlementId) -> Result<(), StoreError> {
    if step.tx.sponsored_by(id).await?.is_some() {
        return Ok(());
    }
    let items = step.tx.settlement_items(id).await?;
    for item in &items {
        // Whoever is part of another settlement has passed there: a replacement takes them along
        // with some who have not.
        let request = step.tx.request(&item.request).await?;
        let other = request.and_then(|request| request.state.settlement());
        if other.is_none_or(|other| other == id) {
            step.tx.suspect(&item.request, items.len(), id).await?;
        }
    }
    Ok(())
}

/// Settlements of one request each that fail, with no other that passed between them, before it is
/// an alarm.
const LONE_FAILURES_MAX: usize = 3;

/// Settlements looked at for that: more than it takes to halve the largest batch down to as many
/// single requests.
const FAILURES_LOOKED_AT: u32 = 100;

/// Whether a settlement was given up because it could not be proven or the policy refused it.
fn is_unservable(state: &SettlementState) -> bool {
    matches!(
        state,
        SettlementState::Abandoned {
            code: AbandonCode::ProvingFailed | AbandonCode::DryRunRefused
        }
    )
}
