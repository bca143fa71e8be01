//! The step of a rotation that is due: its consents are in the rows, its sponsors are ready, and
//! for a hand-over the notice coin is old enough. Until then settlements go on, and after it.

use std::collections::BTreeMap;

use anyhow::Context;
use bitcoin::{Amount, Transaction, Txid};
use grail_flow::SettlementStage;
use grail_store::{Reader, RotationStep as StepName, RotationStepRow, SettlementItem, StoreError};
use grail_txbuild::{
    Coin, Deposit, RotationPlan, RotationPlanError, RotationRequest, RotationStep,
};
use grail_types::Kind;

use super::{Built, Tip, ToPropose, deposits, encode_draft, fee_rate, put_into_lane, tip};
use crate::{
    backend::Backend,
    rosters::Rosters,
    rotations::{self, Known, Nft},
    step::Step,
};

/// Sponsors that are read: more than one step takes.
const SPONSORS_READ: u32 = 50;
/// Seconds after which a step that came to nothing is planned again.
const AGAIN_SECONDS: u64 = 10 * 60;
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
    let mut ready = reader
        .ready_sponsors(tip.roster.epoch(), kind, SPONSORS_READ)
        .await?;
    ready.retain(|request| request.roster == tip.roster);
    let (mut sponsors, made) = deposits(backend, &mut reader, ready).await?;
    drop(reader);
    // Operators refuse a coin above what its terms name.
    sponsors.retain(|it| it.coin.output.value <= it.terms.fee_cap);
    if sponsors.is_empty() {
        return Ok(None);
    }
    // The largest first: the fewest pay.
    sponsors.sort_by_key(|it| std::cmp::Reverse(it.coin.output.value));
    let Some(fee_rate) = fee_rate(backend).await? else {
        return Ok(None);
    };
    let request = RotationRequest {
        bridge: backend.bridge(),
        params: backend.params(),
        roster: &tip.roster,
        governance: &tip.governance,
        state: &tip.state,
        nft: tip.nft.clone(),
        vault: tip.vault.clone(),
        step: due.step.clone(),
        sponsors,
        fee_rate,
        proof_bytes: backend.prover.proof_bytes(),
    };
    let plan = match request.plan(&backend.secp) {
        Ok(plan) if plan.weight <= tip.weight_max => plan,
        // Room comes with blocks, and sponsors may come.
        Ok(_) => return Ok(None),
        Err(error @ RotationPlanError::TooLittle { .. }) => {
            tracing::info!(step = due.name.name(), %error, "a rotation waits for sponsors");
            return Ok(None);
        }
        Err(error) => {
            tracing::error!(step = due.name.name(), %error, "a rotation's step has no plan");
            return Ok(None);
        }
    };
    let mut previous = due.previous.clone();
    previous.extend(made);
    draft(backend, &tip, &due, &plan, &previous).await.map(Some)
}

/// Whether anybody pays for any step: else the node need not be asked.
async fn is_paid_for(reader: &mut Reader, rosters: &Rosters) -> Result<bool, StoreError> {
    let epoch = rosters.newest().epoch();
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_sponsor()) {
        if !reader.ready_sponsors(epoch, kind, 1).await?.is_empty() {
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
    if let Some(newest) = steps.first()
        && failed_lately(newest, now)
    {
        return Ok(None);
    }
    let known = rotations::read(backend, row)?;
    if state.next.is_none() {
        return Ok(announce(&known, tip));
    }
    if let Some(due) = cancel(&known, tip) {
        return Ok(Some(due));
    }
    execute(backend, reader, &known, tip).await
}

/// Whether a step was given up a moment ago: the same would most likely meet the same.
fn failed_lately(step: &RotationStepRow, now: u64) -> bool {
    let settlement = &step.settlement;
    settlement.state.stage() == SettlementStage::Abandoned
        && now < settlement.stage_since.saturating_add(AGAIN_SECONDS)
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

/// Puts the step into the lane, where it goes the way of a settlement whose items are its sponsors.
async fn draft(
    backend: &Backend,
    tip: &Tip,
    due: &Due,
    plan: &RotationPlan,
    previous: &BTreeMap<Txid, Transaction>,
) -> anyhow::Result<Built> {
    let planned = ToPropose {
        transaction: &plan.transaction,
        spell: &plan.spell,
        action: plan.action.clone(),
    };
    let draft = encode_draft(backend, tip, planned, previous)?;
    let items: Vec<_> = plan.sponsors.iter().map(item).collect();
    let mut step = Step::begin(backend).await?;
    let Some(id) = put_into_lane(backend, &mut step, tip, &draft, &items).await? else {
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
        sponsors = items.len(),
        fee_sat = plan.fee.to_sat(),
        "a step of a rotation drafted"
    );
    Ok(Built::Draft)
}

/// A sponsor gives its whole coin and gets nothing.
fn item(sponsor: &Deposit) -> SettlementItem {
    SettlementItem {
        request: sponsor.terms.id(),
        deposit: sponsor.coin.outpoint,
        amount_out: Amount::ZERO,
        fee_share: sponsor.coin.output.value,
    }
}
