//! The step of a rotation that is due: its consents are in the rows, its sponsors are ready, and
//! for a hand-over the notice coin is old enough. Until then settlements go on, and after it.

use std::collections::BTreeMap;

use anyhow::Context;
use bitcoin::{Amount, Transaction, Txid};
use grail_store::{Reader, RotationStep as StepName, RotationStepRow, StoreError};
use grail_txbuild::{Coin, RotationStep};
use grail_types::Kind;

use super::{
    Built, Tip, rest,
    sponsored::{self, Sponsored},
    tip,
};
use crate::{
    backend::Backend,
    rosters::Rosters,
    rotations::{self, Known, Nft},
    step::Step,
};

/// Steps of one rotation that are looked at.
const STEPS_MAX: u32 = 20;

/// What is to be planned.
struct Due {
    attempt: u64,
    name: StepName,
    step: RotationStep,
    previous: BTreeMap<Txid, Transaction>,
}

/// Drafts the step that is due, if one is. `now` in unix seconds.
pub(super) async fn look(
    backend: &Backend,
    rosters: &Rosters,
    now: u64,
) -> anyhow::Result<Option<Built>> {
    let mut reader = backend.store.read().await?;
    // Nobody asked for a rotation: that is how it is most of the time, and it costs one look.
    if reader.signed_rotations(1).await?.is_empty() || !is_paid_for(&mut reader, rosters).await? {
        return Ok(None);
    }
    let unconfirmed = reader.unconfirmed_settlement_count().await?;
    if unconfirmed >= u64::from(backend.params().settlements_unconfirmed_max) {
        return Ok(None);
    }
    let Some(tip) = tip(backend, rosters, &mut reader).await? else {
        return Ok(None);
    };
    let due = match due(backend, &mut reader, &tip, now).await {
        Ok(due) => due,
        // A row that cannot be read keeps nobody's settlement.
        Err(error) => {
            tracing::error!(error = %format!("{error:#}"), "a rotation cannot be read");
            return Ok(None);
        }
    };
    let Some(due) = due else {
        return Ok(None);
    };
    let kind = match due.name {
        StepName::Announce => Kind::SponsorAnnounce,
        StepName::Cancel => Kind::SponsorCancel,
        StepName::Execute => Kind::SponsorExecute,
    };
    drop(reader);
    let planned = sponsored::plan(backend, &tip, kind, due.step.clone(), &due.previous).await?;
    match planned {
        Some(planned) => draft(backend, &tip, &due, &planned).await.map(Some),
        None => Ok(None),
    }
}

/// Whether anybody pays for any step: else the node need not be asked.
async fn is_paid_for(reader: &mut Reader, rosters: &Rosters) -> Result<bool, StoreError> {
    let epoch = rosters.newest().epoch();
    for kind in [
        Kind::SponsorAnnounce,
        Kind::SponsorCancel,
        Kind::SponsorExecute,
    ] {
        let any = Amount::MAX_MONEY;
        let paying = reader.ready_sponsors(epoch, kind, any, 1).await?;
        if !paying.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The step that is to be made next on the tip, if one is.
async fn due(
    backend: &Backend,
    reader: &mut Reader,
    tip: &Tip,
    now: u64,
) -> anyhow::Result<Option<Due>> {
    let state = &tip.state;
    let attempt = match state.next {
        Some(_) => state.attempt,
        None => state.attempt.saturating_add(1),
    };
    let Some(row) = reader.signed_rotation(attempt).await? else {
        return Ok(None);
    };
    let steps = reader.rotation_steps(attempt, STEPS_MAX).await?;
    let known = rotations::read(backend, row)?;
    if state.next.is_none() {
        let due = announce(&known, tip);
        return Ok(due.filter(|_| !rests(&steps, StepName::Announce, now)));
    }
    // With a cancellation signed nothing is handed over.
    if let Some(due) = cancel(&known, tip) {
        return Ok((!rests(&steps, StepName::Cancel, now)).then_some(due));
    }
    if rests(&steps, StepName::Execute, now) {
        return Ok(None);
    }
    execute(backend, reader, &known, tip).await
}

/// Whether a step was given up lately: the same would most likely meet the same.
fn rests(newest: &[RotationStepRow], step: StepName, now: u64) -> bool {
    let same = newest.iter().filter(|it| it.step == step);
    rest::rests(same.map(|it| &it.settlement), rest::is_own_fault, 0, now)
}

fn announce(known: &Known, tip: &Tip) -> Option<Due> {
    let rotation = known.announcement.as_ref()?;
    rotation.check_begins_at(&tip.state).ok()?;
    let proposed = rotation.proposed()?;
    Some(Due {
        attempt: known.row.attempt,
        name: StepName::Announce,
        step: RotationStep::Announce {
            succession: Box::new(proposed.succession()),
            evidence: proposed.evidence_hash(),
            consents: rotation.consents(),
            newcomers: rotation.newcomers(),
        },
        previous: own(tip),
    })
}

fn cancel(known: &Known, tip: &Tip) -> Option<Due> {
    let rotation = known.cancellation.as_ref()?;
    rotation.check_begins_at(&tip.state).ok()?;
    Some(Due {
        attempt: known.row.attempt,
        name: StepName::Cancel,
        step: RotationStep::Cancel {
            consents: rotation.consents(),
        },
        previous: own(tip),
    })
}

async fn execute(
    backend: &Backend,
    reader: &mut Reader,
    known: &Known,
    tip: &Tip,
) -> anyhow::Result<Option<Due>> {
    let Some(next) = &tip.state.next else {
        return Ok(None);
    };
    let Some(rotation) = &known.announcement else {
        return Ok(None);
    };
    let Some(proposed) = rotation
        .proposed()
        .filter(|_| rotation.next().0 == next.hash)
    else {
        return Ok(None);
    };
    let nft = Nft {
        outpoint: tip.nft.outpoint,
        transaction: tip.transaction.clone(),
        state: tip.state.clone(),
    };
    let notice = rotations::notice(backend, reader, &tip.roster, &nft).await?;
    let Some(notice) = notice.filter(|it| it.confirmations >= u32::from(next.wait)) else {
        return Ok(None);
    };
    let vout = usize::try_from(notice.outpoint.vout)?;
    let output = notice.transaction.output.get(vout).cloned();
    let mut previous = own(tip);
    previous.insert(notice.outpoint.txid, notice.transaction);
    Ok(Some(Due {
        attempt: known.row.attempt,
        name: StepName::Execute,
        step: RotationStep::Execute {
            succession: Box::new(proposed.succession()),
            notice: Coin {
                outpoint: notice.outpoint,
                output: output.context("an output that was found")?,
            },
        },
        previous,
    }))
}

fn own(tip: &Tip) -> BTreeMap<Txid, Transaction> {
    BTreeMap::from([(tip.nft.outpoint.txid, tip.transaction.clone())])
}

/// Puts the step into the lane, with the rotation that it is of.
async fn draft(
    backend: &Backend,
    tip: &Tip,
    due: &Due,
    planned: &Sponsored,
) -> anyhow::Result<Built> {
    let mut step = Step::begin(backend).await?;
    let Some(id) = planned.put(backend, &mut step, tip).await? else {
        return Ok(Built::Outdated);
    };
    step.tx
        .note_rotation_step(id, due.attempt, due.name)
        .await?;
    step.commit().await?;
    tracing::warn!(
        settlement = id.0,
        attempt = due.attempt,
        step = due.name.name(),
        sponsors = planned.plan.sponsors.len(),
        fee_sat = planned.plan.fee.to_sat(),
        "a step of a rotation drafted"
    );
    Ok(Built::Draft)
}
