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

use anyhow::Context;
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut};
use grail_flow::{SettlementEvent, SettlementId, SettlementStage};
use grail_prover::{ProveRequest, Proven, ProverError};
use grail_store::{
    BuiltTransaction, Lease, NewAttempt, NewProof, OP_RETURN_BYTES_MAX, SettlementItem,
};
use grail_wire::{Proposal, ProposalId, encode_proposal};

pub use dry_run::dry_run;
pub use request_hash::{EncodeError, request_hash};
pub use unservable::is_unservable;

use crate::{
    backend::Backend,
    clock,
    draft::Draft,
    step::Step,
    work::{JobError, JobOutcome, nothing_to_do, settlement_at},
};
use unservable::unservable;

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
    let made = match made {
        Some(made) => {
            tracing::info!(
                settlement = id.0,
                made_for = made.settlement.0,
                "proof taken, no prover called"
            );
            Made {
                op_return: ScriptBuf::from_bytes(made.op_return),
                fee_output: made.fee_output,
            }
        }
        None => match make(backend, lease, id, request, &hash).await? {
            Ok(made) => made,
            Err(no) => {
                let mut step = Step::begin(backend).await?;
                let (now, text) = (step.now(), no.text);
                step.tx.fail_proof(id, no.code, &text, now).await?;
                let details = format!("{}: {text}", no.code);
                unservable(&mut step, id, SettlementEvent::ProvingFailed, &details).await?;
                return Ok(step);
            }
        },
    };
    let mut step = Step::begin(backend).await?;
    let now = step.now();
    step.tx
        .finish_proof(id, &hash, backend.prover.kind(), now)
        .await?;
    complete(&mut step, id, draft, &items, made).await?;
    Ok(step)
}

/// What a proof adds to the settlement's transaction.
struct Made {
    op_return: ScriptBuf,
    fee_output: Option<TxOut>,
}

/// Why there will be no proof.
struct No {
    code: &'static str,
    text: String,
}

/// Calls the prover, with the attempt on record before and the proof kept after.
async fn make<'a>(
    backend: &'a Backend,
    lease: &Lease,
    id: SettlementId,
    request: ProveRequest,
    hash: &[u8; 32],
) -> Result<Result<Made, No>, JobError<'a>> {
    let attempt = NewAttempt {
        settlement: id,
        worker: &backend.instance,
        prover: backend.prover.kind(),
        request_hash: hash,
        now: clock::now(),
    };
    // On record before the call: whoever finds this row after a crash knows that a proof may have
    // been paid for.
    let mut tx = backend.store.begin().await?;
    tx.begin_proof(&attempt, lease).await?;
    tx.commit().await?;
    tracing::info!(settlement = id.0, prover = attempt.prover, "proving");
    let prover = Arc::clone(&backend.prover);
    let began = Instant::now();
    let outcome = tokio::task::spawn_blocking(move || prover.prove(&request)).await;
    let duration = began.elapsed();
    let proven = match outcome {
        Ok(Ok(proven)) => proven,
        Ok(Err(error)) if error.is_transient() => {
            let code = error.code();
            return Err(again(backend, id, code, error.into()).await);
        }
        Ok(Err(error)) => return Ok(Err(no(&error))),
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
    tx.keep_proof(id, &proof, lease, clock::now()).await?;
    tx.commit().await?;
    Ok(Ok(Made {
        op_return,
        fee_output,
    }))
}

fn no(error: &ProverError) -> No {
    No {
        code: error.code(),
        text: error.to_string(),
    }
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
    let transaction = with_spell(draft.proposal.transaction, made);
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
fn with_spell(mut transaction: Transaction, made: Made) -> Transaction {
    transaction.output.extend(made.fee_output);
    transaction.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: made.op_return,
    });
    transaction
}
