//! Roles *prove* and the policy's dry run.

use anyhow::{Context, anyhow};
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut};
use charms_data::B32;
use grail_flow::{
    AbandonCode, ReclaimCode, RequestEvent, SettlementEvent, SettlementId, SettlementState,
};
use grail_policy::{Proposal, approve};
use grail_prover::ProveRequest;
use grail_signer::{decode_proposal, encode_proposal};
use grail_store::{BuiltTransaction, Lease};

use crate::{
    backend::Backend,
    draft::Draft,
    publish::find_the_missing,
    step::Step,
    work::{JobError, JobOutcome, settlement_of},
};

/// Proves a draft's spell and completes its transaction.
pub async fn prove(backend: &Backend, lease: Lease) -> JobOutcome<'_> {
    let id = settlement_of(&lease)?;
    let mut reader = backend.store.read().await?;
    let settlement = reader
        .settlement(id)
        .await?
        .context("the settlement is gone")?;
    if settlement.state != (SettlementState::Draft {}) {
        return Ok(Step::begin(backend).await?);
    }
    let stored = reader
        .proposal(id)
        .await?
        .context("the settlement has no draft")?;
    let items = reader.settlement_items(id).await?;
    drop(reader);
    let draft = Draft::decode(&stored).map_err(|error| JobError::Poison(error.into()))?;
    let request = ProveRequest {
        spell: draft.spell,
        prev_txs: draft.proposal.previous.clone(),
        app_binaries: [(B32(backend.params().bridge.vk), backend.wasm.clone())].into(),
        app_private_inputs: std::collections::BTreeMap::new(),
    };
    let prover = std::sync::Arc::clone(&backend.prover);
    let outcome = tokio::task::spawn_blocking(move || prover.prove(&request)).await?;
    let mut step = Step::begin(backend).await?;
    let now = step.now();
    let proven = match outcome {
        Ok(proven) => proven,
        Err(error) if error.is_transient() => return Err(JobError::Retry(error.into())),
        Err(error) => {
            let details = format!("{}: {error}", error.code());
            unservable(&mut step, id, SettlementEvent::ProvingFailed, &details).await?;
            return Ok(step);
        }
    };
    let transaction = with_spell(draft.proposal.transaction, proven.op_return);
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
    step.tx
        .set_proposal(id, &encode_proposal(&proposal)?, now)
        .await?;
    step.tell_settlement(id, SettlementEvent::SpellProven)
        .await?;
    Ok(step)
}

fn with_spell(mut transaction: Transaction, op_return: ScriptBuf) -> Transaction {
    transaction.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: op_return,
    });
    transaction
}

/// Runs the operators' policy here before anybody is asked.
pub async fn dry_run(backend: &Backend, lease: Lease) -> JobOutcome<'_> {
    let id = settlement_of(&lease)?;
    let mut reader = backend.store.read().await?;
    let settlement = reader
        .settlement(id)
        .await?
        .context("the settlement is gone")?;
    if settlement.state != (SettlementState::Proven {}) {
        return Ok(Step::begin(backend).await?);
    }
    let stored = reader
        .proposal(id)
        .await?
        .context("the settlement has no proposal")?;
    drop(reader);
    let proposal = decode_proposal(&stored).map_err(|error| JobError::Poison(error.into()))?;
    let params = backend.params().clone();
    let secp = backend.secp.clone();
    let (outcome, proposal) = tokio::task::spawn_blocking(move || {
        let outcome = approve(&secp, &proposal, &params, None);
        (outcome, proposal)
    })
    .await?;
    match outcome {
        Ok(approved) => {
            // Everything but the signatures: the node must find no other fault (hazard 10).
            if let Some(step) = test_unsigned(backend, id, &proposal.transaction).await? {
                return Ok(step);
            }
            let settlement = approved.get();
            let built = BuiltTransaction {
                unsigned: &proposal.transaction,
                nft_vout: 0,
                fee: settlement.fee,
                weight: settlement.weight,
            };
            let mut step = Step::begin(backend).await?;
            let now = step.now();
            step.tx.set_built(id, &built, now).await?;
            step.tell_settlement(id, SettlementEvent::DryRunPassed)
                .await?;
            Ok(step)
        }
        Err(refusal) => {
            let mut step = Step::begin(backend).await?;
            let details = format!("{}: {refusal}", refusal.code());
            unservable(&mut step, id, SettlementEvent::DryRunRefused, &details).await?;
            Ok(step)
        }
    }
}

/// Gives up a settlement that cannot be proven or that the policy refuses. The cause may be a single deposit (its
/// charms, its transaction), so the builder tries smaller batches; one that fails alone is its owner's to take back.
/// When several fail alone and nothing passed between them, the fault may be ours, and a person must look.
async fn unservable(
    step: &mut Step<'_>,
    id: SettlementId,
    event: SettlementEvent,
    details: &str,
) -> Result<(), JobError> {
    tracing::error!(
        settlement = id.0,
        event = event.name(),
        details,
        "settlement given up"
    );
    let items = step.tx.settlement_items(id).await?;
    step.tell_settlement(id, event).await?;
    let [only] = items.as_slice() else {
        return Ok(());
    };
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
        let now = step.now();
        step.tx
            .raise_alarm(
                "unservable-settlements",
                &format!("settlement {id}: {details}"),
                now,
            )
            .await?;
    }
    Ok(())
}

/// Settlements of one request each that fail, with no other that passed between them, before it is an alarm.
const LONE_FAILURES_MAX: usize = 3;

/// Settlements looked at for that: more than it takes to halve the largest batch down to as many single requests.
const FAILURES_LOOKED_AT: u32 = 100;

/// Whether a settlement was given up because it could not be proven or the policy refused it.
pub fn is_unservable(state: &SettlementState) -> bool {
    matches!(
        state,
        SettlementState::Abandoned {
            code: AbandonCode::ProvingFailed | AbandonCode::DryRunRefused
        }
    )
}

/// Hands the unsigned transaction to `testmempoolaccept`. The only reason that may come back is the missing witness; a
/// step comes back when an input is gone for good and the settlement is given up.
async fn test_unsigned<'a>(
    backend: &'a Backend,
    id: SettlementId,
    transaction: &Transaction,
) -> Result<Option<Step<'a>>, JobError> {
    let tested = transaction.clone();
    let verdict = backend
        .node
        .call(move |chain| chain.test_mempool_accept(&[tested]))
        .await?
        .pop()
        .context("the node gave no verdict")?
        .verdict;
    match &verdict {
        grail_chain::Verdict::Rejected { reason } if is_missing_witness(reason) => return Ok(None),
        grail_chain::Verdict::Rejected { reason } if is_missing_input(reason) => {
            if let Some(step) = find_the_missing(backend, id, transaction).await? {
                return Ok(Some(step));
            }
        }
        _ => {}
    }
    Err(JobError::Retry(anyhow!(
        "the node finds more than missing signatures: {verdict:?}"
    )))
}

fn is_missing_witness(reason: &str) -> bool {
    reason.contains("script-verify-flag-failed") || reason.contains("script verify flag failed")
}

fn is_missing_input(reason: &str) -> bool {
    reason.starts_with("missing-inputs") || reason.starts_with("bad-txns-inputs-missingorspent")
}
