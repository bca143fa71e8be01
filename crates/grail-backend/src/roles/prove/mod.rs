//! Role *prove*: a draft's spell to its proof, and the draft to its transaction.
//!
//! Owns that a request is proven once: an attempt is on record before the prover is called, its
//! proof is kept before the settlement moves on, and who comes later (after a crash, or with a
//! settlement that asks for the same) takes it from there. Only the holder of the job's lease
//! writes. Trusts no proof: operators verify it, and the dry run before.

mod dry_run;
mod request_hash;
mod unservable;

use std::{sync::Arc, time::Instant};

use anyhow::{Context, anyhow};
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut};
use grail_flow::{Alarm, SettlementEvent, SettlementId, SettlementStage};
use grail_prover::{ProveRequest, Proven, ProverVerdict};
use grail_spell::read_strict;
use grail_store::{
    BuiltTransaction, Lease, NewAttempt, NewProof, OP_RETURN_BYTES_MAX, SettlementItem, StoreError,
};
use grail_wire::{Proposal, ProposalId, encode_proposal};

pub use dry_run::dry_run;
pub use request_hash::{EncodeError, request_hash};
pub(crate) use unservable::suspect_all;

use crate::{
    backend::Backend,
    clock,
    draft::Draft,
    step::Step,
    work::{JobError, JobOutcome, nothing_to_do, settlement_at},
};
use unservable::unservable;

/// Tries, before a prover's "no" counts for a batch: it may be a proxy's, or a moment's.
const PROVER_REFUSALS_MAX: u64 = 3;

/// Proves a draft's spell and completes its transaction.
pub async fn prove<'a>(backend: &'a Backend, lease: &Lease, id: SettlementId) -> JobOutcome<'a> {
    let mut reader = backend.store.read().await?;
    let draft = [SettlementStage::Draft];
    if settlement_at(&mut reader, id, &draft).await?.is_none() {
        return nothing_to_do(backend).await;
    }
    let stored = reader
        .draft(id)
        .await?
        .context("the settlement has no draft")?;
    let items = reader.settlement_items(id).await?;
    let draft = Draft::decode(&stored).map_err(|error| JobError::Poison(error.into()))?;
    let previous = draft
        .previous()
        .map_err(|error| JobError::Poison(error.into()))?;
    let request = ProveRequest::of_bridge(draft.spell.clone(), &previous, backend.wasm.clone());
    let hash = request_hash(&request).map_err(|error| JobError::Poison(error.into()))?;
    let made = reader.made_proof(&hash, backend.prover.kind()).await?;
    drop(reader);
    // A proof costs minutes and money: one that was ever made of this very request, for whichever
    // settlement, serves again. What it proves is the request, not the settlement.
    let attempted = match made {
        Some(made) => {
            tracing::info!(
                settlement = id.0,
                made_for = made.settlement.0,
                "proof taken, no prover called"
            );
            Ok(Made {
                op_return: ScriptBuf::from_bytes(made.op_return),
                fee_output: made.fee_output,
            })
        }
        None => make(backend, lease, id, request, &hash).await?,
    };
    let attempted = match attempted {
        Ok(made) => check_made(backend, &draft, made).await?,
        no => no,
    };
    let made = match attempted {
        Ok(made) => made,
        Err(no) => return not_made(backend, lease, id, no).await,
    };
    let mut step = Step::begin(backend).await?;
    let now = step.now();
    step.tx
        .finish_proof(id, &hash, backend.prover.kind(), now)
        .await?;
    complete(&mut step, id, draft, &items, made).await?;
    Ok(step)
}

/// What follows when there is no proof. What our own check finds wrong may be the fault of one of
/// the deposits, so smaller batches are tried, and one that is wrong alone is its owner's to take
/// back. The prover's word is asked for again; should it stay so, smaller batches are tried too,
/// and nobody is turned away for it.
async fn not_made<'a>(
    backend: &'a Backend,
    lease: &Lease,
    id: SettlementId,
    no: No,
) -> JobOutcome<'a> {
    let mut step = Step::begin(backend).await?;
    let now = step.now();
    let details = format!("{}: {}", no.code, no.text);
    if no.is_provers {
        let alarm = Alarm::ProverRefuses {
            settlement: id,
            words: details.clone(),
        };
        step.raise(&alarm).await?;
        // Whatever it answered is not taken again.
        step.tx.forget_proof(id).await?;
        if lease.job.attempts < PROVER_REFUSALS_MAX {
            step.tx.requeue_proof(id, Some((no.code, &no.text))).await?;
            return Err(JobError::RetryWith(Box::new(step), anyhow!(details)));
        }
    }
    step.tx.fail_proof(id, no.code, &no.text, now).await?;
    if no.is_provers {
        suspect_all(&mut step, id).await?;
        step.tell_settlement(id, SettlementEvent::ProverRefused)
            .await?;
    } else {
        unservable(&mut step, id, SettlementEvent::ProvingFailed, &details).await?;
    }
    Ok(step)
}

/// Holds what a prover gave against what it was asked for: the very spell, with a proof that
/// verifies, in the one form that is signed. Whatever the dry run finds wrong behind this is not
/// the prover's fault.
async fn check_made(
    backend: &Backend,
    draft: &Draft,
    made: Made,
) -> anyhow::Result<Result<Made, No>> {
    let mut asked = draft.spell.clone();
    let transaction = with_spell(draft.proposal.transaction.clone(), &made);
    let mock = backend.mock();
    let checked = tokio::task::spawn_blocking(move || {
        let read = read_strict(&transaction, mock).map_err(|error| error.to_string())?;
        // Whether its proof is a mock is the prover's to say, where mocks are read at all.
        asked.mock = read.is_mock();
        if *read.spell() == asked {
            Ok(())
        } else {
            Err("another spell than the one asked for".to_owned())
        }
    })
    .await?;
    Ok(match checked {
        Ok(()) => Ok(made),
        Err(text) => Err(No {
            code: "prove-differs",
            text,
            is_provers: true,
        }),
    })
}

/// What a proof adds to the settlement's transaction.
struct Made {
    op_return: ScriptBuf,
    fee_output: Option<TxOut>,
}

/// Why there is no proof.
struct No {
    code: &'static str,
    text: String,
    /// The prover's word, not our own check's.
    is_provers: bool,
}

/// Calls the prover, with the attempt on record before and the proof kept after.
async fn make<'a>(
    backend: &'a Backend,
    lease: &Lease,
    id: SettlementId,
    request: ProveRequest,
    hash: &[u8; 32],
) -> Result<Result<Made, No>, JobError<'a>> {
    // On record before the call: whoever finds this row after a crash knows that a proof may have
    // been paid for.
    let mut tx = backend.store.begin().await?;
    let attempt = NewAttempt {
        settlement: id,
        worker: &backend.instance,
        prover: backend.prover.kind(),
        request_hash: hash,
        now: tx.now(clock::now()),
    };
    tx.begin_proof(&attempt, lease).await?;
    tx.commit().await?;
    tracing::info!(settlement = id.0, prover = attempt.prover, "proving");
    let prover = Arc::clone(&backend.prover);
    let began = Instant::now();
    let outcome = tokio::task::spawn_blocking(move || prover.prove(&request)).await;
    let duration = began.elapsed();
    // What was paid for is not lost for want of a note.
    if let Err(error) = note_refusals(backend, id).await {
        tracing::warn!(%error, "refusals of provers are not on record");
    }
    let proven = match outcome {
        Ok(Ok(proven)) => proven,
        Ok(Err(error)) => {
            let is_provers = match error.verdict() {
                ProverVerdict::Ours => false,
                ProverVerdict::Provers => true,
                ProverVerdict::None => {
                    let code = error.code();
                    return Err(again(backend, id, code, error.into()).await);
                }
            };
            return Ok(Err(No {
                code: error.code(),
                text: error.to_string(),
                is_provers,
            }));
        }
        Err(error) => return Err(again(backend, id, "prove-crashed", error.into()).await),
    };
    let Proven {
        op_return,
        fuel,
        fee_output,
        spell_wire: _,
        proof: _,
    } = proven;
    if op_return.len() > OP_RETURN_BYTES_MAX {
        return Ok(Err(No {
            code: "prove-oversized",
            text: format!(
                "expected a proven spell of at most {OP_RETURN_BYTES_MAX} bytes, got {}",
                op_return.len()
            ),
            is_provers: true,
        }));
    }
    let proof = NewProof {
        op_return: op_return.as_bytes(),
        fuel,
        fee_output: fee_output.as_ref(),
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
    };
    tracing::info!(
        settlement = id.0,
        fuel,
        duration_ms = proof.duration_ms,
        "proven"
    );
    // Kept ahead of the step that moves the settlement on, which may fail for other reasons; only
    // the holder of the lease may, so that two workers never leave two proofs of one
    // settlement.
    let mut tx = backend.store.begin().await?;
    let now = tx.now(clock::now());
    tx.keep_proof(id, &proof, lease, now).await?;
    tx.commit().await?;
    Ok(Ok(Made {
        op_return,
        fee_output,
    }))
}

/// One prover of several that says no decides nothing, and a person must look all the same.
async fn note_refusals(backend: &Backend, id: SettlementId) -> Result<(), StoreError> {
    let refusals = backend.prover.take_refusals();
    if refusals.is_empty() {
        return Ok(());
    }
    let alarm = Alarm::ProverRefuses {
        settlement: id,
        words: refusals.join("; "),
    };
    let mut step = Step::begin(backend).await?;
    step.raise(&alarm).await?;
    step.commit().await
}

/// Another attempt is to be made: the record says so in the step that gives the job back.
async fn again<'a>(
    backend: &'a Backend,
    id: SettlementId,
    code: &'static str,
    error: anyhow::Error,
) -> JobError<'a> {
    let noted = async {
        let mut step = Step::begin(backend).await?;
        let text = format!("{error:#}");
        step.tx.requeue_proof(id, Some((code, &text))).await?;
        Ok::<_, grail_store::StoreError>(step)
    };
    match noted.await {
        Ok(step) => JobError::RetryWith(Box::new(step), error),
        Err(store) => JobError::Retry(store.into()),
    }
}

/// Puts the proven spell into the settlement's transaction.
async fn complete<'a>(
    step: &mut Step<'a>,
    id: SettlementId,
    draft: Draft,
    items: &[SettlementItem],
    made: Made,
) -> Result<(), JobError<'a>> {
    let now = step.now();
    let transaction = with_spell(draft.proposal.transaction, &made);
    let proposal = Proposal {
        transaction,
        ..draft.proposal
    };
    let fee = items.iter().map(|item| item.fee_share).sum::<Amount>();
    let built = BuiltTransaction {
        unsigned: &proposal.transaction,
        nft_vout: 0,
        fee,
        // The dry run replaces it by the signed weight, which the policy computes.
        weight: proposal.transaction.weight(),
    };
    step.tx.set_built(id, &built, now).await?;
    let encoded = encode_proposal(&proposal)?;
    let name = ProposalId::of(&encoded).to_string();
    step.tx.set_proposal(id, &name, &encoded, now).await?;
    step.tell_settlement(id, SettlementEvent::SpellProven)
        .await?;
    Ok(())
}

/// The prover's fee output, if any, goes right before the spell's.
fn with_spell(mut transaction: Transaction, made: &Made) -> Transaction {
    transaction.output.extend(made.fee_output.clone());
    transaction.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: made.op_return.clone(),
    });
    transaction
}
