//! Role *sign*: asks operators, checks every signature, combines a quorum's.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context;
use bitcoin::secp256k1::{Message, schnorr::Signature};
use grail_broker::messages::{Ask, BrokerMessage, Reply, decode, encode};
use grail_chain::{RejectReason, Verdict as NodeVerdict};
use grail_flow::{
    Alarm, AlarmCode, AlarmSubject, SettlementEvent, SettlementId, SettlementStage, SettlementState,
};
use grail_policy::{Approved, Settlement, approve};
use grail_script::{Sighashes, verify_signature};
use grail_signer::{
    ProposalId, SettlementSignatures, Verdict as SignerVerdict, VerifiedAnswer, decode_answer,
    decode_proposal, proposal_id,
};
use grail_store::{Recorded, Verdict, Work};
use grail_txbuild::complete;
use grail_types::SignerIndex;

use crate::{
    backend::Backend,
    step::Step,
    work::{JobError, JobOutcome, nothing_to_do, settlement_at},
};

/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;
/// Longest that an idle loop waits before it looks at rows by itself.
const SIGN_POLL: Duration = Duration::from_secs(2);

/// Asks operators about a settlement; comes back for another round as long as it is needed.
pub async fn ask(backend: &Backend, id: SettlementId, round: u32) -> JobOutcome<'_> {
    let mut reader = backend.store.read().await?;
    let asked = settlement_at(&mut reader, id, &[SettlementStage::Asked]).await?;
    let current = SettlementState::Asked { round };
    if asked.is_none_or(|settlement| settlement.state != current) {
        return nothing_to_do(backend).await;
    }
    let proposal = reader
        .proposal(id)
        .await?
        .context("the settlement has no proposal")?;
    // What operators sign may be mined whether we publish it or not, so a stop must come before the
    // question, not after the answers.
    let is_paused = reader.open_alarms().await?.stop > 0;
    drop(reader);
    let mut step = Step::begin(backend).await?;
    if is_paused {
        return Err(JobError::Retry(anyhow::anyhow!(
            "an alarm is open: nothing is signed"
        )));
    }
    let ask = Ask {
        settlement: i64::try_from(id.0)?,
        proposal,
    };
    backend
        .broker
        .publish(Ask::subject(), encode(&ask)?)
        .await?;
    // The next round, unless a quorum comes first: its job finds the settlement in another state then.
    let later = step.now().saturating_add(backend.config.ask_seconds);
    let work = Work::AskTimeout {
        settlement: id,
        round,
    };
    step.enqueue(work, later).await?;
    Ok(step)
}

/// Ends a round of asking.
pub async fn ask_timeout(backend: &Backend, id: SettlementId, round: u32) -> JobOutcome<'_> {
    let mut step = Step::begin(backend).await?;
    step.tell_settlement(id, SettlementEvent::RoundTimedOut { round })
        .await?;
    Ok(step)
}

/// A settlement that operators are deciding on, with what their signatures are checked against.
struct Pending {
    id: SettlementId,
    proposal: ProposalId,
    approved: Approved<Settlement>,
    sighashes: Vec<Message>,
}

impl Pending {
    fn new(
        id: SettlementId,
        approved: Approved<Settlement>,
        proposal: ProposalId,
    ) -> anyhow::Result<Self> {
        let settlement = approved.get();
        let mut cache = Sighashes::new(&settlement.transaction, &settlement.prevouts);
        let sighashes = settlement
            .spends
            .iter()
            .enumerate()
            .map(|(index, spend)| cache.script_path(index, spend.leaf_hash()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            id,
            proposal,
            approved,
            sighashes,
        })
    }
}

/// Takes answers until the broker closes.
pub async fn listen(backend: &Backend) -> anyhow::Result<()> {
    let mut replies = backend.broker.subscribe(Reply::subject()).await?;
    let mut pending: Option<Arc<Pending>> = None;
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

async fn finish_waiting(
    backend: &Backend,
    pending: &mut Option<Arc<Pending>>,
) -> anyhow::Result<()> {
    let asked = backend
        .store
        .read()
        .await?
        .settlements_in_state(SettlementStage::Asked, 0, 100)
        .await?;
    for settlement in asked {
        if let Some(current) = load(backend, pending, settlement.id).await? {
            try_to_finish(backend, &current).await?;
        }
    }
    Ok(())
}

/// The settlement's pending form, from memory or rows; none when there is nothing to sign.
async fn load(
    backend: &Backend,
    pending: &mut Option<Arc<Pending>>,
    id: SettlementId,
) -> anyhow::Result<Option<Arc<Pending>>> {
    if let Some(current) = pending.as_ref().filter(|current| current.id == id) {
        return Ok(Some(Arc::clone(current)));
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
    drop(reader);
    let params = backend.params().clone();
    let secp = backend.secp.clone();
    let name = proposal_id(&stored);
    let approved = backend.approvals.take(&name);
    let loaded = tokio::task::spawn_blocking(move || {
        let approved = match approved {
            Some(approved) => approved,
            None => approve(&secp, &decode_proposal(&stored)?, &params, None)?,
        };
        Pending::new(id, approved, name)
    })
    .await??;
    let loaded = Arc::new(loaded);
    *pending = Some(Arc::clone(&loaded));
    Ok(Some(loaded))
}

async fn take(
    backend: &Backend,
    pending: &mut Option<Arc<Pending>>,
    payload: &[u8],
) -> anyhow::Result<()> {
    let message = match decode::<Reply>(payload)? {
        Reply::Answer(message) => message,
        Reply::Fault(fault) => {
            // Anybody can say this in anybody's name: it informs.
            tracing::warn!(settlement = fault.settlement, signer = %fault.public_key, code = fault.code, "operator reports a fault");
            return Ok(());
        }
    };
    let id = SettlementId(u64::try_from(message.settlement)?);
    let answer = decode_answer(&message.answer)?.verify(&backend.secp)?;
    let signer = backend
        .roster()
        .position(&answer.get().signer)
        .context("the answer is of somebody who is not in the roster")?;
    let Some(current) = load(backend, pending, id).await? else {
        return Ok(());
    };
    // Signatures are checked against this process's own sighashes below; this only tells an answer to
    // other bytes from a wrong one, so that an honest operator is not recorded as faulty.
    if answer.get().proposal != current.proposal {
        anyhow::bail!("signer {signer} answers another proposal");
    }
    let checked = Arc::clone(&current);
    let secp = backend.secp.clone();
    let verdict =
        tokio::task::spawn_blocking(move || check(&secp, &checked, signer, answer)).await?;
    let mut step = Step::begin(backend).await?;
    let now = step.now();
    let recorded = step.tx.record_answer(id, signer, &verdict, now).await?;
    step.commit().await?;
    if recorded == Recorded::Known {
        return Ok(());
    }
    match &verdict {
        Verdict::Signed { .. } => tracing::info!(settlement = id.0, signer = signer.0, "signed"),
        Verdict::Refused { code, details } => {
            tracing::warn!(
                settlement = id.0,
                signer = signer.0,
                code,
                details,
                "refused"
            );
        }
        Verdict::Faulty { code, details } => {
            tracing::error!(
                settlement = id.0,
                signer = signer.0,
                code,
                details,
                "faulty answer"
            );
        }
    }
    try_to_finish(backend, &current).await
}

/// What an authenticated answer is worth: each signature must verify against its own input's sighash.
fn check(
    secp: &bitcoin::secp256k1::Secp256k1<bitcoin::secp256k1::All>,
    pending: &Pending,
    signer: SignerIndex,
    answer: VerifiedAnswer,
) -> Verdict {
    let SettlementSignatures(signatures) = match answer.into_inner().verdict {
        SignerVerdict::Signed(signatures) => signatures,
        SignerVerdict::Refused(record) => {
            return Verdict::Refused {
                code: record.code,
                details: record.details,
            };
        }
    };
    let expected = pending.sighashes.len();
    if signatures.len() != expected {
        let details = format!("expected {expected} signatures, got {}", signatures.len());
        return Verdict::Faulty {
            code: "signature-count".to_owned(),
            details,
        };
    }
    let roster = &pending.approved.get().roster;
    for (input_index, (signature, sighash)) in signatures.iter().zip(&pending.sighashes).enumerate()
    {
        if let Err(error) = verify_signature(secp, roster, signer, sighash, signature) {
            let details = format!("input {input_index}: {error}");
            return Verdict::Faulty {
                code: "signature-invalid".to_owned(),
                details,
            };
        }
    }
    Verdict::Signed {
        signatures: signatures
            .iter()
            .flat_map(|signature| *signature.as_ref())
            .collect(),
    }
}

/// Completes the settlement when a quorum has signed, gives it up when none can any more.
async fn try_to_finish(backend: &Backend, pending: &Pending) -> anyhow::Result<()> {
    let id = pending.id;
    let mut reader = backend.store.read().await?;
    let Some(settlement) = reader.settlement(id).await? else {
        return Ok(());
    };
    if !matches!(settlement.state, SettlementState::Asked { .. }) {
        return Ok(());
    }
    // A person is looking at this one; to ask the node again every few seconds tells nothing new.
    let subject = AlarmSubject::Settlement(id);
    let is_looked_at = reader
        .open_alarm(AlarmCode::ScriptVerification, &subject)
        .await?
        .is_some();
    if is_looked_at {
        return Ok(());
    }
    let answers = reader.answers(id).await?;
    drop(reader);
    // Refused and faulty are one here: neither will ever be a signature of this settlement. Who has
    // not answered may still sign, however late, so silence never ends it.
    let threshold = usize::from(backend.roster().threshold().0);
    let no_count = answers
        .iter()
        .filter(|answer| !matches!(answer.verdict, Verdict::Signed { .. }))
        .count();
    let signed: BTreeMap<SignerIndex, Vec<Signature>> = answers
        .into_iter()
        .filter_map(|answer| match answer.verdict {
            Verdict::Signed { signatures } => Some((answer.signer, signatures)),
            Verdict::Refused { .. } | Verdict::Faulty { .. } => None,
        })
        .map(|(signer, bytes)| Ok((signer, parse_signatures(&bytes)?)))
        .collect::<anyhow::Result<_>>()?;
    if signed.len() >= threshold {
        return finish(backend, pending, &signed).await;
    }
    let possible = backend.roster().signers().len().saturating_sub(no_count);
    if possible < threshold {
        let mut step = Step::begin(backend).await?;
        // The dry run approved the same bytes, so building them anew would end the same way.
        let alarm = Alarm::QuorumRefused {
            settlement: id,
            unwilling: no_count,
            threshold: backend.roster().threshold().0,
        };
        step.raise(&alarm).await?;
        step.tell_settlement(id, SettlementEvent::QuorumRefused)
            .await?;
        step.commit().await?;
    }
    Ok(())
}

/// Combines a quorum's signatures, and lets the node judge the whole before it counts as signed.
async fn finish(
    backend: &Backend,
    pending: &Pending,
    signed: &BTreeMap<SignerIndex, Vec<Signature>>,
) -> anyhow::Result<()> {
    let id = pending.id;
    // Any quorum will do, and a larger one costs the users weight: `complete` takes no more than it
    // needs. Each signature was verified against its own input when it came.
    let transaction = complete(&pending.approved, signed)?;
    let tested = transaction.clone();
    let verdict = backend
        .node
        .call(move |chain| chain.test_mempool_accept(&[tested]))
        .await?
        .pop()
        .context("the node gave no verdict")?
        .verdict;
    let mut step = Step::begin(backend).await?;
    let now = step.now();
    match verdict {
        // Each signature was verified on arrival, so a script that fails all the same is a fault of
        // ours or of the node, and a person's to judge. The settlement stays asked.
        NodeVerdict::Rejected {
            reason: RejectReason::ScriptVerify,
            words,
        } => {
            let alarm = Alarm::ScriptVerification {
                settlement: id,
                words,
            };
            step.raise(&alarm).await?;
            return Ok(step.commit().await?);
        }
        // Anything else may pass: the signatures are kept, and publishing finds out.
        NodeVerdict::Rejected { reason, words } => {
            tracing::warn!(
                settlement = id.0,
                reason = reason.name(),
                words,
                "the node would not take the signed settlement now"
            );
        }
        NodeVerdict::Accepted { .. } | NodeVerdict::NotTested => {}
    }
    step.tx.set_signed(id, &transaction, now).await?;
    step.tx.put_transaction(&transaction).await?;
    step.tell_settlement(id, SettlementEvent::QuorumReached)
        .await?;
    step.commit().await?;
    Ok(())
}

fn parse_signatures(bytes: &[u8]) -> anyhow::Result<Vec<Signature>> {
    bytes
        .chunks(SIGNATURE_BYTES)
        .map(|chunk| Signature::from_slice(chunk).context("a stored signature is malformed"))
        .collect()
}
