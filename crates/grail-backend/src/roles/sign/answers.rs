//! Answers as they arrive: whose they are, what they are worth, which attempt they count for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context;
use bitcoin::secp256k1::{All, Secp256k1};
use grail_ask::{FaultMessage, Reply, VerifiedAnswer};
use grail_broker::messages::{BrokerMessage, decode};
use grail_flow::{SettlementId, SettlementStage, SettlementState};
use grail_policy::judge;
use grail_store::{NewAnswer, Recorded, Verdict};
use grail_txbuild::Collector;
use grail_types::SignerIndex;
use grail_wire::{Answer, Attempt, ProposalId, Verdict as Said, decode_proposal};

use super::quorum::try_to_finish;
use crate::{backend::Backend, operators::Brake, signers::Signers, step::Step};

/// Longest that an idle loop waits before it looks at rows by itself.
const SIGN_POLL: Duration = Duration::from_secs(2);

/// A settlement that operators are deciding on.
pub(super) struct Pending {
    pub id: SettlementId,
    /// Whom positions in its answers stand for.
    pub signers: Signers,
    pub collector: Collector,
}

/// Settlements in memory at most. One is asked about at a time; late answers to those right before
/// it are still looked at.
const PENDING_MAX: usize = 4;

/// The newest settlements that answers came for.
#[derive(Default)]
struct Pendings(BTreeMap<SettlementId, Arc<Pending>>);

impl Pendings {
    fn holds(&self, id: SettlementId) -> bool {
        self.0.contains_key(&id)
    }

    fn of(&self, id: SettlementId) -> Option<Arc<Pending>> {
        self.0.get(&id).map(Arc::clone)
    }

    fn keep(&mut self, pending: &Arc<Pending>) {
        self.0.insert(pending.id, Arc::clone(pending));
        while self.0.len() > PENDING_MAX {
            self.0.pop_first();
        }
    }
}

/// Takes answers until the broker closes.
pub async fn listen(backend: &Backend) -> anyhow::Result<()> {
    let mut replies = backend.broker.subscribe(Reply::subject()).await?;
    let mut pending = Pendings::default();
    loop {
        match tokio::time::timeout(SIGN_POLL, replies.next()).await {
            Ok(Some(message)) => {
                if let Err(error) = take(backend, &mut pending, &message.payload).await {
                    // One bad message is its sender's matter; the rows stay as they were.
                    tracing::warn!(error = %format!("{error:#}"), "answer not taken");
                }
            }
            Ok(None) => return Ok(()),
            // A quorum may be in the rows though the process that took the last answer is gone.
            Err(_) => finish_waiting(backend, &mut pending).await?,
        }
    }
}

async fn finish_waiting(backend: &Backend, pending: &mut Pendings) -> anyhow::Result<()> {
    let asked = backend
        .store
        .read()
        .await?
        .settlements_in_state(SettlementStage::Asked, 0, 100)
        .await?;
    for settlement in asked {
        let finished = async {
            match load(backend, pending, settlement.id).await? {
                Some(current) => try_to_finish(backend, &current).await,
                None => Ok(()),
            }
        };
        // One that cannot be read holds up no other.
        if let Err(error) = finished.await {
            let (id, error) = (settlement.id.0, format!("{error:#}"));
            tracing::warn!(settlement = id, error, "a settlement was not looked at");
        }
    }
    Ok(())
}

/// The settlement's pending form, from memory or rows; none when there is nothing to sign.
async fn load(
    backend: &Backend,
    pending: &mut Pendings,
    id: SettlementId,
) -> anyhow::Result<Option<Arc<Pending>>> {
    if let Some(current) = pending.of(id) {
        return Ok(Some(current));
    }
    let mut reader = backend.store.read().await?;
    let Some(settlement) = reader.settlement(id).await? else {
        return Ok(None);
    };
    if matches!(
        settlement.state,
        SettlementState::Draft {} | SettlementState::Proven {} | SettlementState::Abandoned { .. }
    ) {
        return Ok(None);
    }
    let stored = reader
        .proposal(id)
        .await?
        .context("the settlement has no proposal")?;
    let signers = backend.signers_of(&mut reader, &settlement).await?;
    drop(reader);
    let bridge = *backend.protocol().bridge();
    let secp = backend.secp.clone();
    let proposal = ProposalId::of(&stored);
    let judged = backend.approvals.take(&proposal);
    let loaded = tokio::task::spawn_blocking(move || {
        let judged = match judged {
            Some(judged) => judged,
            None => judge(&secp, &decode_proposal(&stored)?, &bridge)?,
        };
        let collector = Collector::new(judged.get().signing().clone())?;
        anyhow::Ok(Pending {
            id,
            signers,
            collector,
        })
    })
    .await??;
    let loaded = Arc::new(loaded);
    pending.keep(&loaded);
    Ok(Some(loaded))
}

/// The settlement that an answer names, if the answer can still tell anything. Anybody on the
/// broker's network can say again what was ever answered, so this is decided by rows alone, before
/// anything is judged: of a settlement that is asked about, an answer that is not on record yet; of
/// one that is in memory, late ones too, for people to see.
async fn wanted(
    backend: &Backend,
    pending: &Pendings,
    answer: &Answer,
) -> anyhow::Result<Option<SettlementId>> {
    // Asked of the rows each time: one that was given up may have been built again alike, under the
    // same name.
    let name = answer.proposal.to_string();
    let mut reader = backend.store.read().await?;
    let Some(id) = reader.settlement_by_proposal(&name).await? else {
        return Ok(None);
    };
    let Some(settlement) = reader.settlement(id).await? else {
        return Ok(None);
    };
    let is_asked = settlement.state.stage() == SettlementStage::Asked;
    if !is_asked && !pending.holds(id) {
        return Ok(None);
    }
    let signers = backend.signers_of(&mut reader, &settlement).await?;
    let signer = signers
        .position(&answer.signer)
        .context("the answer is of somebody who is in no roster of the settlement")?;
    let is_known = reader.has_signed(id, signer).await?;
    Ok((!is_known).then_some(id))
}

async fn take(backend: &Backend, pending: &mut Pendings, payload: &[u8]) -> anyhow::Result<()> {
    let message = match decode::<Reply>(payload)? {
        Reply::Answer(message) => message,
        Reply::Fault(fault) => {
            // Anybody can say this in anybody's name: it informs.
            tracing::warn!(proposal = %fault.proposal, signer = %fault.public_key, code = %fault.code, "operator reports a fault");
            return note_brake(backend, fault).await;
        }
    };
    let answer: Answer = grail_wire::decode(&message.answer)?.message;
    let answer = VerifiedAnswer::new(&backend.secp, answer)?;
    let Some(id) = wanted(backend, pending, answer.get()).await? else {
        return Ok(());
    };
    let Some(current) = load(backend, pending, id).await? else {
        return Ok(());
    };
    let signer = current
        .signers
        .position(&answer.get().signer)
        .context("the answer is of somebody who is in no roster of the settlement")?;
    let checked = Arc::clone(&current);
    let secp = backend.secp.clone();
    let (answer, verdict) = tokio::task::spawn_blocking(move || {
        let verdict = check(&secp, &checked.collector, answer.get());
        (answer, verdict)
    })
    .await?;
    let signer_key = answer.get().signer;
    let mut step = Step::begin(backend).await?;
    let id = current.id;
    let Some(attempt) = attempt_of(backend, &mut step, id, answer.get(), &verdict).await? else {
        tracing::debug!(
            settlement = id.0,
            signer = signer.0,
            "a \"no\" to another attempt"
        );
        return Ok(());
    };
    let now = step.now();
    let new = NewAnswer {
        settlement: id,
        signer,
        epoch: current.signers.epoch_of(signer),
        attempt,
        verdict: &verdict,
    };
    let recorded = step.tx.record_answer(&new, now).await?;
    step.commit().await?;
    if recorded == Recorded::Known {
        return Ok(());
    }
    if matches!(verdict, Verdict::Signed { .. }) {
        backend.operators.unbraked(&signer_key);
    }
    log(id, signer, &verdict);
    try_to_finish(backend, &current).await
}

/// Keeps in mind that an operator's own brake holds, for people to see: of a signer of the roster
/// that is asked right now, for no other can have been asked.
async fn note_brake(backend: &Backend, fault: FaultMessage) -> anyhow::Result<()> {
    if !Brake::CODES.contains(&fault.code) {
        return Ok(());
    }
    let mut reader = backend.store.read().await?;
    let name = fault.proposal.to_string();
    let Some(id) = reader.settlement_by_proposal(&name).await? else {
        return Ok(());
    };
    let Some(settlement) = reader.settlement(id).await? else {
        return Ok(());
    };
    let signers = backend.signers_of(&mut reader, &settlement).await?;
    let is_asked = settlement.state.stage() == SettlementStage::Asked;
    if is_asked && signers.position(&fault.public_key).is_some() {
        backend.operators.braked(fault.public_key, fault.code);
    }
    Ok(())
}

/// Which attempt an answer is recorded for; none if it does not count. A verified signature is a
/// fact whenever it comes and whoever it was first given to. A "no" counts for the attempt that it
/// was given to, which must be ours and must have been made: otherwise a carrier could show a
/// refusal to another asker, or keep one for later, until a quorum seems to refuse.
async fn attempt_of(
    backend: &Backend,
    step: &mut Step<'_>,
    id: SettlementId,
    answer: &Answer,
    verdict: &Verdict,
) -> anyhow::Result<Option<u32>> {
    let Some(settlement) = step.tx.settlement(id).await? else {
        return Ok(None);
    };
    let current = match settlement.state {
        SettlementState::Asked { round } => round,
        // Late answers are recorded for people to see.
        SettlementState::Draft {}
        | SettlementState::Proven {}
        | SettlementState::Signed {}
        | SettlementState::Broadcast {}
        | SettlementState::Confirmed { .. }
        | SettlementState::Final { .. }
        | SettlementState::Abandoned { .. } => u32::MAX,
    };
    let Attempt { asker, number } = answer.attempt;
    let is_ours = asker == backend.asker && number <= current;
    Ok(match verdict {
        Verdict::Signed { .. } if is_ours => Some(number),
        Verdict::Signed { .. } => Some(0),
        Verdict::Refused { .. } | Verdict::Faulty { .. } => is_ours.then_some(number),
    })
}

fn log(id: SettlementId, signer: SignerIndex, verdict: &Verdict) {
    let (settlement, signer) = (id.0, signer.0);
    match verdict {
        Verdict::Signed { .. } => tracing::info!(settlement, signer, "signed"),
        Verdict::Refused { code, details } => {
            tracing::warn!(settlement, signer, code, details, "refused");
        }
        Verdict::Faulty { code, details } => {
            tracing::error!(settlement, signer, code, details, "faulty answer");
        }
    }
}

/// What an authenticated answer is worth: each signature must verify against its own input's
/// sighash.
fn check(secp: &Secp256k1<All>, collector: &Collector, answer: &Answer) -> Verdict {
    match &answer.verdict {
        Said::Contributed(contributions) => {
            match collector.check(secp, &answer.signer, contributions) {
                Ok(signatures) => Verdict::Signed {
                    signatures: signatures.to_bytes(),
                },
                Err(error) => Verdict::Faulty {
                    code: error.code().to_owned(),
                    details: error.to_string(),
                },
            }
        }
        Said::Refused(record) => Verdict::Refused {
            code: record.code.to_string(),
            details: record.details.to_string(),
        },
    }
}
