//! Role *sign*: asks operators, checks every signature, combines a quorum's.

use anyhow::Context;
use grail_ask::Ask;
use grail_broker::messages::{BrokerMessage, encode};
use grail_flow::{SettlementEvent, SettlementId, SettlementStage, SettlementState};
use grail_store::Work;
use grail_types::BoundedBytes;
use grail_wire::Attempt;

use crate::{
    backend::Backend,
    step::Step,
    work::{JobError, JobOutcome, nothing_to_do, settlement_at},
};

mod answers;
mod quorum;

pub use answers::listen;

/// Asks operators about a settlement; comes back for another round as long as it is needed.
pub async fn ask(backend: &Backend, id: SettlementId, round: u32) -> JobOutcome<'_> {
    let mut reader = backend.store.read().await?;
    let asked = settlement_at(&mut reader, id, &[SettlementStage::Asked]).await?;
    let current = SettlementState::Asked { round };
    let Some(settlement) = asked.filter(|settlement| settlement.state == current) else {
        return nothing_to_do(backend).await;
    };
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
    let attempt = Attempt {
        asker: backend.asker,
        number: round,
    };
    let ask = Ask {
        attempt,
        proposal: BoundedBytes::new(proposal)?,
    };
    backend
        .broker
        .publish(Ask::subject(), encode(settlement.epoch, &ask)?)
        .await?;
    // The next round, unless a quorum comes first: its job finds the settlement in another state
    // then.
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
