//! Whether a quorum has signed, can still, or cannot any more.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use bitcoin::XOnlyPublicKey;
use grail_chain::{RejectReason, Verdict as NodeVerdict};
use grail_flow::{Alarm, AlarmCode, AlarmSubject, SettlementEvent, SettlementState};
use grail_store::Verdict;
use grail_txbuild::{CheckedSignatures, Standing};
use grail_types::Roster;
use grail_wire::RefusalCode;

use super::answers::Pending;
use crate::{
    backend::Backend,
    roles::{
        limited::{self, is_for_a_limit},
        prove::suspect_all,
    },
    step::Step,
};

/// Completes the settlement when a quorum has signed, gives it up when none can any more.
pub(super) async fn try_to_finish(backend: &Backend, pending: &Pending) -> anyhow::Result<()> {
    let id = pending.id;
    let mut reader = backend.store.read().await?;
    let Some(settlement) = reader.settlement(id).await? else {
        return Ok(());
    };
    let SettlementState::Asked { round } = settlement.state else {
        return Ok(());
    };
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
    let tally = Tally::of(pending, answers, round)?;
    match pending
        .collector
        .standing(&tally.signed(), &tally.unwilling)
    {
        Standing::Open => Ok(()),
        Standing::Complete => finish(backend, pending, &tally).await,
        Standing::Lost => give_up(backend, pending, &tally).await,
    }
}

/// No quorum can form in this attempt.
async fn give_up(backend: &Backend, pending: &Pending, tally: &Tally) -> anyhow::Result<()> {
    let id = pending.id;
    let mut step = Step::begin(backend).await?;
    let event = SettlementEvent::QuorumRefused;
    if let Some(kind) = step.tx.sponsored_by(id).await? {
        // Settlements go on: who does not want a rotation stops no peg.
        let (kind, unwilling) = (grail_api::Kind::from(kind).name(), tally.unwilling.len());
        tracing::error!(
            settlement = id.0,
            kind,
            unwilling,
            "what sponsors pay for is refused"
        );
        step.tell_settlement(id, event).await?;
        step.commit().await?;
        return Ok(());
    }
    if let Some(former) = pending.signers.former()
        && has_quorum_without(pending.signers.roster(), &tally.unwilling)
    {
        // It is the former roster's no, whose word stops nobody. Its images may be older than
        // today's parameters, or it may be one deposit: it comes again later, and smaller.
        let (epoch, unwilling) = (former.epoch().0, tally.unwilling.len());
        tracing::error!(
            settlement = id.0,
            epoch,
            unwilling,
            "a former roster refuses"
        );
        suspect_all(&mut step, id).await?;
        step.tell_settlement(id, event).await?;
        step.commit().await?;
        return Ok(());
    }
    // The dry run approved the same bytes, so building them anew would end the same way.
    let alarm = Alarm::QuorumRefused {
        settlement: id,
        unwilling: tally.unwilling.len(),
        threshold: pending.signers.roster().threshold().0,
    };
    // Unless it is for a limit alone, of which none of its requests is the cause.
    let others: BTreeSet<_> = tally
        .unwilling
        .difference(&tally.limited)
        .copied()
        .collect();
    if pending.collector.standing(&tally.signed(), &others) != Standing::Lost {
        tracing::error!(
            settlement = id.0,
            blocks = 1,
            "operators refuse for a limit"
        );
        limited::give_up(backend, &mut step, id, event, alarm).await?;
        step.commit().await?;
        return Ok(());
    }
    step.raise(&alarm).await?;
    // It may be one deposit that operators do not like: smaller batches tell.
    suspect_all(&mut step, id).await?;
    step.tell_settlement(id, event).await?;
    step.commit().await?;
    Ok(())
}

/// Whether a roster can still have a quorum.
fn has_quorum_without(roster: &Roster, unwilling: &BTreeSet<XOnlyPublicKey>) -> bool {
    let signers = roster.signers().iter();
    let willing = signers.filter(|signer| !unwilling.contains(signer));
    willing.count() >= usize::from(roster.threshold().0)
}

/// Combines a quorum's signatures, and lets the node judge the whole before it counts as signed.
async fn finish(backend: &Backend, pending: &Pending, tally: &Tally) -> anyhow::Result<()> {
    let id = pending.id;
    // Any quorum will do, and a larger one costs the users weight: `complete` takes no more than it
    // needs. Each signature was verified against its own input when it came.
    let transaction = pending.collector.complete(&tally.signatures)?;
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

/// Who signed, and who will not in the attempt under way.
struct Tally {
    signatures: BTreeMap<XOnlyPublicKey, CheckedSignatures>,
    unwilling: BTreeSet<XOnlyPublicKey>,
    /// Those of them to whom more would leave, or exist, than may by now.
    limited: BTreeSet<XOnlyPublicKey>,
}

impl Tally {
    /// Refused and faulty are one here: neither is a signature in this attempt. Who has not
    /// answered may still sign, however late, so silence never ends a settlement.
    fn of(
        pending: &Pending,
        answers: Vec<grail_store::Answer>,
        round: u32,
    ) -> anyhow::Result<Self> {
        let mut tally = Self {
            signatures: BTreeMap::new(),
            unwilling: BTreeSet::new(),
            limited: BTreeSet::new(),
        };
        for answer in answers {
            let signer = *pending
                .signers
                .signer(answer.signer)
                .context("a stored answer is of nobody in a roster of the settlement")?;
            match answer.verdict {
                Verdict::Signed { signatures } => {
                    let signing = pending.collector.signing();
                    let checked = CheckedSignatures::from_bytes(signing, &signer, &signatures)
                        .context("stored signatures are malformed")?;
                    tally.signatures.insert(signer, checked);
                }
                Verdict::Refused { code, .. } if answer.attempt == round => {
                    tally.unwilling.insert(signer);
                    if is_for_a_limit(&RefusalCode::from(code.as_str())) {
                        tally.limited.insert(signer);
                    }
                }
                Verdict::Faulty { .. } if answer.attempt == round => {
                    tally.unwilling.insert(signer);
                }
                // To an attempt that is over.
                Verdict::Refused { .. } | Verdict::Faulty { .. } => {}
            }
        }
        Ok(tally)
    }

    fn signed(&self) -> BTreeSet<XOnlyPublicKey> {
        self.signatures.keys().copied().collect()
    }
}
