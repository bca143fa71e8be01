//! The policy's dry run: what operators will say, and the node, before anybody is asked.

use anyhow::{Context, anyhow};
use bitcoin::Transaction;
use grail_chain::{RejectReason, Verdict, View};
use grail_flow::{Alarm, DepositOrigin, SettlementEvent, SettlementId, SettlementStage};
use grail_policy::judge;
use grail_store::BuiltTransaction;
use grail_wire::{ProposalId, decode_proposal};

use super::unservable::unservable;
use crate::{
    backend::Backend,
    roles::{limited, publish::find_the_missing},
    step::Step,
    work::{JobError, JobOutcome, nothing_to_do, settlement_at},
};

/// Runs the operators' policy here before anybody is asked.
pub async fn dry_run(backend: &Backend, id: SettlementId) -> JobOutcome<'_> {
    let mut reader = backend.store.read().await?;
    let proven = [SettlementStage::Proven];
    if settlement_at(&mut reader, id, &proven).await?.is_none() {
        return nothing_to_do(backend).await;
    }
    let stored = reader
        .proposal(id)
        .await?
        .context("the settlement has no proposal")?;
    drop(reader);
    let proposal = decode_proposal(&stored).map_err(|error| JobError::Poison(error.into()))?;
    let protocol = backend.protocol().clone();
    let secp = backend.secp.clone();
    let (outcome, proposal) = tokio::task::spawn_blocking(move || {
        let outcome = judge(&secp, &proposal, protocol.bridge());
        (outcome, proposal)
    })
    .await?;
    match outcome {
        Ok(judged) => {
            // Everything but the signatures: the node must find no other fault, for operators'
            // answers are worth nothing if it does.
            if let Some(step) = test_unsigned(backend, id, &proposal.transaction).await? {
                return Ok(step);
            }
            let signing = judged.get().signing();
            let built = BuiltTransaction {
                unsigned: &proposal.transaction,
                nft_vout: 0,
                fee: signing.fee,
                weight: signing.weight,
            };
            let mut step = Step::begin(backend).await?;
            let now = step.now();
            step.tx.set_built(id, &built, now).await?;
            // Whoever was suspected of spoiling a batch has not spoiled this one.
            for item in step.tx.settlement_items(id).await? {
                step.tx.clear_suspect(&item.request).await?;
            }
            step.tell_settlement(id, SettlementEvent::DryRunPassed)
                .await?;
            // Answers will be checked against it. It is of these bytes, whether the step commits or
            // not.
            backend.approvals.keep(ProposalId::of(&stored), judged);
            Ok(step)
        }
        Err(refusal) => {
            let mut step = Step::begin(backend).await?;
            let details = format!("{}: {refusal}", refusal.code());
            // Whatever is wrong with it: should the same be asked for again, the prover is asked
            // again (it may remember).
            step.tx.forget_proof(id).await?;
            let event = SettlementEvent::DryRunRefused;
            let Some(blocks) = limited::blocks_to_pass(backend.params(), &refusal) else {
                unservable(&mut step, id, event, &details).await?;
                return Ok(step);
            };
            tracing::error!(settlement = id.0, blocks, details, "refused for a limit");
            let alarm = Alarm::UnservableSettlements {
                settlement: id,
                cause: details,
            };
            limited::give_up(backend, &mut step, id, event, alarm).await?;
            Ok(step)
        }
    }
}

/// Hands the unsigned transaction to `testmempoolaccept`. The only reason that may come back is the
/// missing witness; a step comes back when an input is gone for good and the settlement is given
/// up.
async fn test_unsigned<'a>(
    backend: &'a Backend,
    id: SettlementId,
    transaction: &Transaction,
) -> Result<Option<Step<'a>>, JobError<'a>> {
    let tested = transaction.clone();
    let verdict = backend
        .node
        .call(move |chain| chain.test_mempool_accept(&[tested]))
        .await?
        .pop()
        .context("the node gave no verdict")?
        .verdict;
    match verdict {
        // Signatures are all that it lacks, so nothing but a script may fail.
        Verdict::Rejected {
            reason: RejectReason::ScriptVerify,
            ..
        } => Ok(None),
        Verdict::Rejected { reason, words } => match reason {
            RejectReason::MissingInputs => {
                match find_the_missing(backend, id, transaction).await? {
                    Some(step) => Ok(Some(step)),
                    None => Err(JobError::Retry(anyhow!("an input is missing: {words}"))),
                }
            }
            RejectReason::PrematureCoinbase => {
                call_off_premature(backend, id, &words).await.map(Some)
            }
            RejectReason::Other => {
                let alarm = Alarm::UnknownRejection {
                    settlement: id,
                    words,
                };
                let mut step = Step::begin(backend).await?;
                step.raise(&alarm).await?;
                Err(JobError::RetryWith(Box::new(step), anyhow!("{alarm}")))
            }
            RejectReason::AlreadyKnown
            | RejectReason::Conflict
            | RejectReason::FeeTooLow
            | RejectReason::NonFinal
            | RejectReason::ScriptVerify => Err(JobError::Retry(anyhow!(
                "the node finds more than missing signatures: {words}"
            ))),
        },
        Verdict::Accepted { .. } | Verdict::NotTested => Err(JobError::Retry(anyhow!(
            "the node gave no verdict on missing signatures: {verdict:?}"
        ))),
    }
}

/// Calls off a settlement that spends a block's reward too soon. Only blocks help, up to a hundred
/// of them, and nothing can be built meanwhile: its requests go back and wait each for itself.
async fn call_off_premature<'a>(
    backend: &'a Backend,
    id: SettlementId,
    words: &str,
) -> JobOutcome<'a> {
    tracing::warn!(
        settlement = id.0,
        words,
        "called off: a deposit cannot be spent yet"
    );
    let items = backend.store.read().await?.settlement_items(id).await?;
    let mut rewards = Vec::new();
    for item in items {
        let outpoint = item.deposit;
        let status = backend
            .node
            .call(move |chain| chain.tx_out(&outpoint, View::Confirmed))
            .await?;
        if status.is_some_and(|status| status.is_coinbase) {
            rewards.push(outpoint);
        }
    }
    let mut step = Step::begin(backend).await?;
    let now = step.now();
    // The books took at least one of them for an ordinary payment; from here on they do not, so
    // that the same settlement is not built again.
    for outpoint in &rewards {
        step.tx
            .set_deposit_origin(outpoint, DepositOrigin::Coinbase, now)
            .await?;
    }
    step.tell_settlement(id, SettlementEvent::Cancelled).await?;
    Ok(step)
}
