//! What the node says now, asked at most once in a while however many callers want to know.

use std::time::Duration;

use bitcoin::{Amount, FeeRate};
use grail_chain::{BlockRef, ChainError};

use super::fresh::Fresh;
use crate::{backend::Backend, roles::build};

/// Longest wait for it: callers have less patience than roles.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is said of a node that takes longer.
const TOO_SLOW: &str = "node-unreachable";

/// The node's answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeView {
    /// The best block.
    pub(super) tip: BlockRef,
    /// The rate that a settlement would pay; none when the node has no estimate.
    pub(super) fee_rate: Option<FeeRate>,
    /// What the settlements that wait for a block pay too little for that rate.
    pub(super) deficit: Amount,
}

/// The last answer. An error is kept as its code: its text names the inside of our network.
pub(super) struct NodeCache(Fresh<Result<NodeView, &'static str>>);

impl NodeCache {
    pub(super) fn new(age_max: Duration) -> Self {
        Self(Fresh::new(age_max))
    }

    /// The node's answers, fresh enough; or the code of what went wrong.
    pub(super) async fn view(&self, backend: &Backend) -> Result<NodeView, &'static str> {
        let asking = async {
            tokio::time::timeout(PATIENCE, ask(backend))
                .await
                .unwrap_or(Err(TOO_SLOW))
        };
        self.0.get(asking).await
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
    // Whatever cannot be told of it now is not worth an answer less.
    let deficit = match fee_rate {
        Some(rate) => {
            // On the heap: it holds much of the lane, and every caller would carry it.
            let deficit = Box::pin(build::deficit(backend, rate)).await;
            deficit.unwrap_or_else(|error| {
                tracing::warn!(error = %format!("{error:#}"), "no deficit");
                Amount::ZERO
            })
        }
        None => Amount::ZERO,
    };
    Ok(NodeView {
        tip,
        fee_rate,
        deficit,
    })
}
