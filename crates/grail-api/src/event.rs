//! Server-sent events: hints that something changed. The answer of a plain call is the truth.

use bitcoin::{BlockHash, Txid};
use grail_types::RequestId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Kind, ReclaimCode, RequestState, RotationStage, SettlementState};

/// One server-sent event: the JSON in its `data` line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A request is in another state, or more is known of its deposit or settlement.
    Request {
        /// The request.
        #[schema(value_type = String)]
        id: RequestId,
        /// Direction.
        kind: Kind,
        /// State now.
        state: RequestState,
        /// Why it is not served, if it is not.
        code: Option<ReclaimCode>,
    },
    /// A settlement is in another state.
    Settlement {
        /// The settlement's transaction.
        #[schema(value_type = String)]
        txid: Txid,
        /// State now.
        state: SettlementState,
    },
    /// A rotation stands at another stage, or has other blocks left.
    Rotation {
        /// Number of the announcement.
        attempt: u64,
        /// Epoch of the roster that hands over.
        epoch: u64,
        /// Stage now.
        stage: RotationStage,
        /// Blocks until it may be executed; absent before it is announced, and after its end.
        blocks_left: Option<u32>,
    },
    /// The chain has another best block.
    Tip {
        /// Its height.
        height: u32,
        /// Its hash.
        #[schema(value_type = String)]
        block_hash: BlockHash,
    },
    /// Events were left out, too many to send: read anew what you follow. Later ones follow.
    Reset {},
}

impl Event {
    /// The name of the event, for the `event` line.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Request { .. } => "request",
            Self::Settlement { .. } => "settlement",
            Self::Rotation { .. } => "rotation",
            Self::Tip { .. } => "tip",
            Self::Reset {} => "reset",
        }
    }
}
