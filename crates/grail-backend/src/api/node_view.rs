//! What the node says now, asked at most once in a while however many callers want to know.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bitcoin::FeeRate;
use grail_chain::{BlockRef, ChainError};

use crate::{backend::Backend, roles::build};

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(2);

/// The node's answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeView {
    /// The best block.
    pub(super) tip: BlockRef,
    /// The rate that a settlement would pay; none when the node has no estimate.
    pub(super) fee_rate: Option<FeeRate>,
}

/// The last answer. An error is kept as its code: its text names the inside of our network.
#[derive(Default)]
pub(super) struct NodeCache(Mutex<Option<(Instant, Result<NodeView, &'static str>)>>);

impl NodeCache {
    /// The node's answers, fresh enough; or the code of what went wrong.
    pub(super) async fn view(&self, backend: &Backend) -> Result<NodeView, &'static str> {
        // A copy that is valid after any panic.
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, answer)) = known
            && at.elapsed() < FRESH
        {
            return answer;
        }
        let answer = ask(backend).await;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), answer));
        answer
    }
}

async fn ask(backend: &Backend) -> Result<NodeView, &'static str> {
    let tip = backend
        .node
        .call(|chain| chain.tip())
        .await
        .map_err(|error| ChainError::code(&error))?;
    let fee_rate = build::fee_rate(backend).await.map_err(|error| {
        tracing::warn!(error = %format!("{error:#}"), "no fee rate");
        "node-fee-rate"
    })?;
    Ok(NodeView { tip, fee_rate })
}
