//! Where a settlement stands.

use bitcoin::BlockHash;
use serde::{Deserialize, Serialize};

use crate::BlockRef;

/// Number of a settlement in one backend's books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SettlementId(pub u64);

impl std::fmt::Display for SettlementId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a settlement stands. Stored as JSON and shown to users.
// Variants without fields are written `{}`: serde refuses unknown fields in them only so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SettlementState {
    /// Requests are chosen; its spell is being proven.
    Draft {},
    /// The unsigned transaction is complete, proof included.
    Proven {},
    /// The policy's dry run passed and operators are asked.
    Asked {
        /// How often they were asked, from 1.
        round: u32,
    },
    /// A quorum signed; the whole transaction passed script verification.
    Signed {},
    /// The node took it into its mempool.
    Broadcast {},
    /// In the best chain.
    Confirmed {
        /// Height of its block.
        height: u32,
        /// Hash of its block.
        hash: BlockHash,
    },
    /// In the best chain with `Params::settlement_confirmations`.
    Final {
        /// Height of its block.
        height: u32,
        /// Hash of its block.
        hash: BlockHash,
    },
    /// Given up. Once it is signed only the chain can tell whether it is gone for good.
    Abandoned {
        /// Why.
        code: AbandonCode,
    },
}

/// Why a settlement was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbandonCode {
    /// No proof could be made.
    ProvingFailed,
    /// The policy's dry run refused it.
    DryRunRefused,
    /// So many operators refused that no quorum is left.
    QuorumRefused,
    /// The node will never take it.
    NodeRejected,
    /// Another transaction in the chain spends one of its inputs.
    InputsSpent,
    /// A settlement that it builds on was given up.
    ParentAbandoned,
    /// Another settlement takes its place.
    Replaced,
    /// Called off before it was signed.
    Cancelled,
}

impl AbandonCode {
    /// All codes.
    pub const ALL: [Self; 8] = [
        Self::ProvingFailed,
        Self::DryRunRefused,
        Self::QuorumRefused,
        Self::NodeRejected,
        Self::InputsSpent,
        Self::ParentAbandoned,
        Self::Replaced,
        Self::Cancelled,
    ];

    /// Stable name, the same in JSON, SQL and API.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ProvingFailed => "proving-failed",
            Self::DryRunRefused => "dry-run-refused",
            Self::QuorumRefused => "quorum-refused",
            Self::NodeRejected => "node-rejected",
            Self::InputsSpent => "inputs-spent",
            Self::ParentAbandoned => "parent-abandoned",
            Self::Replaced => "replaced",
            Self::Cancelled => "cancelled",
        }
    }
}

impl SettlementState {
    /// Names of all states.
    pub const NAMES: [&'static str; 8] = [
        "draft",
        "proven",
        "asked",
        "signed",
        "broadcast",
        "confirmed",
        "final",
        "abandoned",
    ];

    /// Where every settlement starts.
    pub const fn start() -> Self {
        Self::Draft {}
    }

    /// Stable name, as in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Draft {} => "draft",
            Self::Proven {} => "proven",
            Self::Asked { .. } => "asked",
            Self::Signed {} => "signed",
            Self::Broadcast {} => "broadcast",
            Self::Confirmed { .. } => "confirmed",
            Self::Final { .. } => "final",
            Self::Abandoned { .. } => "abandoned",
        }
    }

    /// Whether it has ended. Only the chain moves it on from here: a reorg, or a block that holds it after all.
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Final { .. } | Self::Abandoned { .. })
    }

    /// The block that holds it.
    pub const fn block(&self) -> Option<BlockRef> {
        match *self {
            Self::Confirmed { height, hash } | Self::Final { height, hash } => {
                Some(BlockRef { height, hash })
            }
            Self::Draft {}
            | Self::Proven {}
            | Self::Asked { .. }
            | Self::Signed {}
            | Self::Broadcast {}
            | Self::Abandoned { .. } => None,
        }
    }
}
