//! Rotations: which of the signed documents in the rows is to be acted upon, and where each stands.
//!
//! A rotation has no state of its own in the rows. Where it stands follows from the NFT's state in
//! the chain and from the settlements that are its steps, so that a reorg moves it back as it moves
//! them, and another backend's steps count as ours do. Documents are verified when they come and
//! again when they are used: a damaged row leads to no step.

use std::sync::Arc;

use anyhow::Context;
use bitcoin::{OutPoint, Transaction};
use grail_api::{CheckedRotation, RotationDocument, RotationError, RotationStage, RotationStatus};
use grail_attest::Protocol;
use grail_bridge_contract::RosterState;
use grail_chain::View;
use grail_charms::{PrevTx, roster_state};
use grail_flow::{SettlementStage, former_roster_end_height};
use grail_policy::adoption::AdoptedRoster;
use grail_policy::{check_reachable, notice_tree, wait_of};
use grail_spell::nft_app;
use grail_store::{Reader, RotationRow, RotationStep, RotationStepRow, SignedRotation, StoreError};
use grail_types::{Epoch, Governance, ParamsHash, Roster};

use crate::{backend::Backend, clock, rosters::Rosters};

/// Steps of one rotation that are looked at: more fail only where a person is looking.
const STEPS_MAX: u32 = 20;
/// Rotations that are read, and shown: nobody cares for older ones.
pub const ROTATIONS_MAX: u32 = 50;
/// Former rosters of which is told for how long they are needed, the newest. Each has waited for a
/// notice: that of test networks is short, and a quarter of this is more than can be needed there.
pub const FORMER_MAX: u64 = 200;
/// Former rosters in a row that are needed no more, after which none before them is looked at:
/// parameters of then may have had longer delays.
pub const FORMER_OVER: u32 = 8;
/// Moves of the NFT that are gone back for an announcement of another backend.
const BACK_MAX: usize = 10_000;

/// The NFT as the chain has it.
pub struct Nft {
    /// Its output.
    pub outpoint: OutPoint,
    /// What made it.
    pub transaction: Transaction,
    /// Its state.
    pub state: RosterState,
}

/// A rotation's documents, verified.
pub struct Known {
    /// Its row.
    pub row: RotationRow,
    /// The announcement.
    pub announcement: Option<Arc<CheckedRotation>>,
    /// The cancellation.
    pub cancellation: Option<Arc<CheckedRotation>>,
}

/// Why a document is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It is not one to act upon.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// A step of another one with its number is on record.
    #[error("a step of another rotation with this number is on record")]
    Conflict,
    /// Rows or node do not tell.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<StoreError> for NotTaken {
    fn from(error: StoreError) -> Self {
        Self::Other(error.into())
    }
}

/// The state of the NFT that a transaction makes at an output.
pub fn state_at(
    backend: &Backend,
    nft: OutPoint,
    made: &Transaction,
) -> anyhow::Result<RosterState> {
    let read = PrevTx::read_committed(made, backend.mock());
    let app = nft_app(&backend.bridge().app);
    roster_state(&read.charms_at(nft.vout), &app)?
        .context("the NFT's output does not carry the NFT")
}

/// The NFT's output in the chain, as the rows have it.
pub async fn chain_nft(backend: &Backend, reader: &mut Reader) -> anyhow::Result<Nft> {
    let known = reader.vault_totals().await?.nft;
    let outpoint = known.unwrap_or_else(|| backend.deployment_nft());
    let transaction = reader.transaction(&outpoint.txid).await?;
    let transaction = transaction.context("the NFT's transaction is not stored")?;
    let state = state_at(backend, outpoint, &transaction)?;
    Ok(Nft {
        outpoint,
        transaction,
        state,
    })
}

/// The administrators with this hash: today's, or those of a rotation that was handed in.
pub async fn governance(
    backend: &Backend,
    reader: &mut Reader,
    today: &Governance,
    hash: &[u8; 32],
) -> anyhow::Result<Option<Governance>> {
    if today.hash() == *hash {
        return Ok(Some(today.clone()));
    }
    for row in reader.signed_rotations(ROTATIONS_MAX).await? {
        let announcement = readable_announcement(backend, &row);
        let proposed = announcement.as_deref().and_then(CheckedRotation::proposed);
        let to_come = proposed.map(|it| &it.governance);
        if let Some(found) = to_come.filter(|it| it.hash() == *hash) {
            return Ok(Some(found.clone()));
        }
    }
    Ok(None)
}

/// What an adopted roster goes by: its own administrators, and the parameters of their hash. None
/// where no parameters of that hash are known.
pub async fn protocol_at(
    backend: &Backend,
    reader: &mut Reader,
    adopted: &AdoptedRoster,
) -> anyhow::Result<Option<Protocol>> {
    let Some(known) = protocol_of(backend, reader, adopted.params_hash()).await? else {
        return Ok(None);
    };
    let (params, images) = (known.params().clone(), known.images().get().clone());
    let governance = adopted.governance().clone();
    Ok(Some(Protocol::new(
        *known.bridge(),
        params,
        images,
        governance,
    )?))
}

/// Parameters and images of a hash: the deployment's, or what a rotation announced. None where
/// neither has it. The administrators beside them may be others than those of a roster that goes by
/// these parameters.
pub async fn protocol_of(
    backend: &Backend,
    reader: &mut Reader,
    hash: ParamsHash,
) -> anyhow::Result<Option<Protocol>> {
    let of_now = [&backend.deployment.protocol, backend.protocol()];
    if let Some(known) = of_now.into_iter().find(|it| it.hash() == hash) {
        return Ok(Some(known.clone()));
    }
    for row in reader.signed_rotations(ROTATIONS_MAX).await? {
        let announcement = readable_announcement(backend, &row);
        let Some(proposed) = announcement.as_deref().and_then(CheckedRotation::proposed) else {
            continue;
        };
        let protocol = Protocol::new(
            *backend.bridge(),
            proposed.params.clone(),
            proposed.images.clone(),
            proposed.governance.clone(),
        )?;
        if protocol.hash() == hash {
            return Ok(Some(protocol));
        }
    }
    Ok(None)
}

fn verified(
    backend: &Backend,
    text: Option<&str>,
) -> Result<Option<Arc<CheckedRotation>>, RotationError> {
    text.map(|text| backend.documents.verified(backend, text))
        .transpose()
}

/// What a row announces. One that cannot be read (damaged, or of rules that have changed) is told
/// in the log and hides none of the others.
fn readable_announcement(backend: &Backend, row: &RotationRow) -> Option<Arc<CheckedRotation>> {
    let verified = verified(backend, row.announcement.as_deref());
    verified.unwrap_or_else(|error| {
        tracing::warn!(attempt = row.attempt, %error, "a rotation cannot be read");
        None
    })
}

/// A row's documents, verified; none, and a line in the log, where they cannot be.
pub fn readable(backend: &Backend, row: RotationRow) -> Option<Known> {
    let attempt = row.attempt;
    match read(backend, row) {
        Ok(known) => Some(known),
        Err(error) => {
            tracing::warn!(attempt, error = %format!("{error:#}"), "a rotation cannot be read");
            None
        }
    }
}

/// A row's documents, verified.
pub fn read(backend: &Backend, row: RotationRow) -> anyhow::Result<Known> {
    let announcement = verified(backend, row.announcement.as_deref())?;
    let cancellation = verified(backend, row.cancellation.as_deref())?;
    Ok(Known {
        row,
        announcement,
        cancellation,
    })
}

/// Takes a document: verified whole, and against the NFT's state in the chain. Whether it is new.
pub async fn take(
    backend: &Backend,
    document: RotationDocument,
) -> Result<(Known, bool), NotTaken> {
    let rotation = document.check(&backend.secp)?;
    rotation.check_bridge(backend.bridge())?;
    let mut tx = backend.store.begin().await?;
    let nft = chain_nft(backend, &mut tx).await?;
    rotation.check_complete()?;
    match rotation.check_begins_at(&nft.state) {
        Ok(()) => {}
        // A database that lacks it: it is needed to hand over, or to know what now holds.
        Err(_) if stands(&rotation, &nft.state) => {}
        Err(_) if took_over_by(&rotation, &nft.state) => {
            let row = tx.signed_rotation(rotation.document().attempt).await?;
            if let Some(row) = row.filter(|row| row.announcement.is_some()) {
                return Ok((read(backend, row)?, false));
            }
        }
        Err(error) => return Err(error.into()),
    }
    if let Some(proposed) = rotation.proposed() {
        let (network, today) = (backend.bridge().network, backend.params());
        check_reachable(&nft.state, today, &proposed.succession()).map_err(RotationError::from)?;
        let _wait = wait_of(network, today, nft.state.supply).map_err(RotationError::from)?;
    }
    let document = serde_json::to_string(rotation.document()).map_err(anyhow::Error::from)?;
    let next = rotation.next().to_string();
    let signed = SignedRotation {
        attempt: rotation.document().attempt,
        epoch: rotation.document().roster.epoch(),
        next: &next,
        cancels: rotation.proposed().is_none(),
        document: &document,
        now: tx.now(clock::now()),
    };
    let is_new = match tx.keep_rotation(&signed).await {
        Err(StoreError::Stale { .. }) => return Err(NotTaken::Conflict),
        kept => kept?,
    };
    let row = tx.signed_rotation(signed.attempt).await?;
    let row = row.context("a rotation that was just kept")?;
    tx.commit().await?;
    backend.hints.build.notify_one();
    Ok((read(backend, row)?, is_new))
}

/// Whether it is what the state announces, by the administrators whose hash it has.
fn stands(rotation: &CheckedRotation, state: &RosterState) -> bool {
    let document = rotation.document();
    let announced = state.next.as_ref().map(|next| next.hash);
    rotation.proposed().is_some()
        && announced == Some(rotation.next().0)
        && document.attempt == state.attempt
        && document.roster.epoch().0 == state.epoch
        && document.governance.hash() == state.governance
}

/// Whether it is what made the roster of the state: all that the state has of that is in the hash.
/// Who signed it then is not in the state any more, and nothing is done with it but to read it.
fn took_over_by(rotation: &CheckedRotation, state: &RosterState) -> bool {
    let document = rotation.document();
    rotation.proposed().is_some()
        && document.roster.epoch().0.checked_add(1) == Some(state.epoch)
        && document.attempt <= state.attempt
        && rotation.next().0 == state.next_hash()
}

/// Whether a roster is one of the newest that have handed over.
fn is_lately_former(rosters: &Rosters, epoch: Epoch) -> bool {
    let ago = rosters.newest().epoch().0.checked_sub(epoch.0);
    ago.is_some_and(|ago| (1..=FORMER_MAX).contains(&ago))
}

/// Until which height the operators of a former roster keep its keys and answer; none of the
/// newest.
pub async fn former_end(
    backend: &Backend,
    reader: &mut Reader,
    rosters: &Rosters,
    epoch: Epoch,
) -> anyhow::Result<Option<u32>> {
    let next = epoch.0.checked_add(1).map(Epoch);
    let handed_over = next.and_then(|next| rosters.rotation(next));
    let (Some(adopted), Some(handed_over)) = (rosters.of(epoch), handed_over) else {
        return Ok(None);
    };
    // Of parameters that nobody here has any more, today's are the best guess.
    let known = protocol_of(backend, reader, adopted.params_hash()).await?;
    let params = known.as_ref().map_or(backend.params(), Protocol::params);
    let height = handed_over.block.height;
    Ok(Some(former_roster_end_height(params, height)))
}

/// The coin that an announcement made, with the transaction that did.
pub struct Notice {
    /// The announcement.
    pub transaction: Transaction,
    /// The coin's output.
    pub outpoint: OutPoint,
    /// Blocks that it has: none while it is in no block, or spent.
    pub confirmations: u32,
}

/// Finds the notice coin of what the state of `nft` announces, by going back from there.
pub async fn notice(
    backend: &Backend,
    reader: &mut Reader,
    roster: &Roster,
    nft: &Nft,
) -> anyhow::Result<Option<Notice>> {
    let Some(next) = &nft.state.next else {
        return Ok(None);
    };
    let steps = reader.rotation_steps(nft.state.attempt, STEPS_MAX).await?;
    let ours = live(&steps, RotationStep::Announce).and_then(|it| it.settlement.txid);
    let made = match ours {
        Some(txid) => reader.transaction(&txid).await?,
        None => None,
    };
    let made = match made {
        Some(made) => Some(made),
        None => back_to(backend, reader, nft, next.serial).await?,
    };
    let Some(transaction) = made else {
        return Ok(None);
    };
    let script = notice_tree(&backend.secp, backend.bridge(), roster, next).script_pubkey;
    let mut outputs = transaction.output.iter().zip(0_u32..);
    let found = outputs.find(|(output, _)| output.script_pubkey == script);
    let Some((_, vout)) = found else {
        return Ok(None);
    };
    let outpoint = OutPoint::new(transaction.compute_txid(), vout);
    let coin = backend
        .node
        .call(move |chain| chain.tx_out(&outpoint, View::Confirmed))
        .await?;
    Ok(Some(Notice {
        transaction,
        outpoint,
        confirmations: coin.map_or(0, |coin| coin.confirmations),
    }))
}

/// The transaction on the NFT's way here that made its state of this serial.
async fn back_to(
    backend: &Backend,
    reader: &mut Reader,
    nft: &Nft,
    serial: u64,
) -> anyhow::Result<Option<Transaction>> {
    let (mut outpoint, mut transaction) = (nft.outpoint, nft.transaction.clone());
    for _ in 0..BACK_MAX {
        let state = state_at(backend, outpoint, &transaction)?;
        if state.serial == serial {
            return Ok(Some(transaction));
        }
        let Some(input) = transaction.input.first().filter(|_| state.serial > serial) else {
            return Ok(None);
        };
        outpoint = input.previous_output;
        match reader.transaction(&outpoint.txid).await? {
            Some(before) => transaction = before,
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// The newest row of a step that was not given up.
pub fn live(steps: &[RotationStepRow], step: RotationStep) -> Option<&RotationStepRow> {
    let mut steps = steps.iter();
    steps.find(|it| it.step == step && it.settlement.state.stage().is_live())
}

/// Where a rotation stands.
pub async fn status(
    backend: &Backend,
    reader: &mut Reader,
    rosters: &Rosters,
    nft: &Nft,
    known: &Known,
) -> anyhow::Result<RotationStatus> {
    let row = &known.row;
    let steps = reader.rotation_steps(row.attempt, STEPS_MAX).await?;
    let stage = stage(rosters, nft, known, &steps);
    let blocks_left = match (&nft.state.next, stage) {
        (Some(next), RotationStage::Announced | RotationStage::Cancelling) => {
            let notice = notice(backend, reader, rosters.newest().roster(), nft).await?;
            let aged = notice.map_or(0, |it| it.confirmations);
            Some(u32::from(next.wait).saturating_sub(aged))
        }
        _ => None,
    };
    let signed = |rotation: &CheckedRotation| {
        u16::try_from(rotation.document().consents.len()).unwrap_or(u16::MAX)
    };
    let txid = |step| live(&steps, step).and_then(|it| it.settlement.txid);
    let announcement = known.announcement.as_deref();
    let former_serves_until_height = match stage {
        RotationStage::Executed if is_lately_former(rosters, row.epoch) => {
            former_end(backend, reader, rosters, row.epoch).await?
        }
        _ => None,
    };
    let documents = [announcement, known.cancellation.as_deref()];
    let governance = documents.into_iter().flatten().next();
    let governance = governance.map(|it| it.document().governance.threshold());
    Ok(RotationStatus {
        attempt: row.attempt,
        epoch: row.epoch.0,
        stage,
        next: row.next.parse()?,
        approvals: announcement.map_or(0, signed),
        approvals_needed: governance.unwrap_or_default(),
        cancel_approvals: known.cancellation.as_deref().map(signed),
        new_keys: announcement.map_or(0, |it| {
            u16::try_from(it.new_keys().len()).unwrap_or(u16::MAX)
        }),
        blocks_left,
        announce_txid: txid(RotationStep::Announce),
        cancel_txid: txid(RotationStep::Cancel),
        execute_txid: txid(RotationStep::Execute),
        former_serves_until_height,
    })
}

fn stage(rosters: &Rosters, nft: &Nft, known: &Known, steps: &[RotationStepRow]) -> RotationStage {
    let (row, state) = (&known.row, &nft.state);
    let under_way = |step| {
        let row = live(steps, step);
        row.is_some_and(|it| it.settlement.state.stage().is_unconfirmed())
    };
    let was_done = |step| {
        let row = live(steps, step);
        row.is_some_and(|it| {
            matches!(
                it.settlement.state.stage(),
                SettlementStage::Confirmed | SettlementStage::Final
            )
        })
    };
    let is_announced = |it: &grail_bridge_contract::Next| hex::encode(it.hash) == row.next;
    if state.epoch > row.epoch.0 {
        return if took_over(rosters, known) || was_done(RotationStep::Execute) {
            RotationStage::Executed
        } else if was_done(RotationStep::Cancel) {
            RotationStage::Cancelled
        } else {
            RotationStage::Superseded
        };
    }
    if state.attempt < row.attempt {
        return if under_way(RotationStep::Announce) {
            RotationStage::Announcing
        } else {
            RotationStage::Consented
        };
    }
    match &state.next {
        Some(next) if state.attempt == row.attempt && is_announced(next) => {
            if under_way(RotationStep::Execute) {
                RotationStage::Executing
            } else if under_way(RotationStep::Cancel) {
                RotationStage::Cancelling
            } else {
                RotationStage::Announced
            }
        }
        _ if state.attempt == row.attempt && state.next.is_none() => RotationStage::Cancelled,
        _ if was_done(RotationStep::Cancel) => RotationStage::Cancelled,
        _ => RotationStage::Superseded,
    }
}

/// Whether the roster after the one that was to hand over is the one that was proposed.
fn took_over(rosters: &Rosters, known: &Known) -> bool {
    let Some(proposed) = known
        .announcement
        .as_deref()
        .and_then(CheckedRotation::proposed)
    else {
        return false;
    };
    let adopted = rosters.of(proposed.roster.epoch());
    adopted.is_some_and(|it| *it.roster() == proposed.roster)
}
