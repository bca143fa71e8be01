//! Where a settlement stands.

use bitcoin::BlockHash;
use serde::{Deserialize, Serialize};

use crate::{BlockRef, named_enum};

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
    /// It held the lane for too long without being asked about; it is planned anew.
    Overdue,
    /// The prover does not prove it, though our own check finds nothing wrong.
    ProverRefused,
}

impl AbandonCode {
    /// All codes.
    pub const ALL: [Self; 10] = [
        Self::ProvingFailed,
        Self::DryRunRefused,
        Self::QuorumRefused,
        Self::NodeRejected,
        Self::InputsSpent,
        Self::ParentAbandoned,
        Self::Replaced,
        Self::Cancelled,
        Self::Overdue,
        Self::ProverRefused,
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
            Self::Overdue => "overdue",
            Self::ProverRefused => "prover-refused",
        }
    }
}

named_enum! {
    /// A settlement's state by name: what lists and queries go by. Each set below is a match over
    /// all of them, so that a new state does not compile before its place is decided.
    pub enum SettlementStage {
        /// [`SettlementState::Draft`].
        Draft = "draft",
        /// [`SettlementState::Proven`].
        Proven = "proven",
        /// [`SettlementState::Asked`].
        Asked = "asked",
        /// [`SettlementState::Signed`].
        Signed = "signed",
        /// [`SettlementState::Broadcast`].
        Broadcast = "broadcast",
        /// [`SettlementState::Confirmed`].
        Confirmed = "confirmed",
        /// [`SettlementState::Final`].
        Final = "final",
        /// [`SettlementState::Abandoned`].
        Abandoned = "abandoned",
    }
}

impl SettlementStage {
    /// Holds its NFT, deposits and requests, or is to: no other live settlement may hold them.
    pub const fn is_live(self) -> bool {
        match self {
            Self::Draft
            | Self::Proven
            | Self::Asked
            | Self::Signed
            | Self::Broadcast
            | Self::Confirmed
            | Self::Final => true,
            Self::Abandoned => false,
        }
    }

    /// Given up: the part that is not live.
    pub const fn is_given_up(self) -> bool {
        !self.is_live()
    }

    /// Live and in no block.
    pub const fn is_unconfirmed(self) -> bool {
        match self {
            Self::Draft | Self::Proven | Self::Asked | Self::Signed | Self::Broadcast => true,
            Self::Confirmed | Self::Final | Self::Abandoned => false,
        }
    }

    /// Not signed yet, so that nobody but us can have it mined: ours to call off.
    pub const fn is_unsigned(self) -> bool {
        match self {
            Self::Draft | Self::Proven | Self::Asked => true,
            Self::Signed | Self::Broadcast | Self::Confirmed | Self::Final | Self::Abandoned => {
                false
            }
        }
    }

    /// Nobody was asked about it yet, so that nothing is lost but its proof when it is planned
    /// anew.
    pub const fn is_unasked(self) -> bool {
        match self {
            Self::Draft | Self::Proven => true,
            Self::Asked
            | Self::Signed
            | Self::Broadcast
            | Self::Confirmed
            | Self::Final
            | Self::Abandoned => false,
        }
    }

    /// Handed to the network, so that it can be built on.
    pub const fn is_published(self) -> bool {
        match self {
            Self::Broadcast | Self::Confirmed | Self::Final => true,
            Self::Draft | Self::Proven | Self::Asked | Self::Signed | Self::Abandoned => false,
        }
    }

    /// Has ended. Only the chain moves it on from here: a reorg, or a block that holds it after
    /// all.
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Final | Self::Abandoned => true,
            Self::Draft
            | Self::Proven
            | Self::Asked
            | Self::Signed
            | Self::Broadcast
            | Self::Confirmed => false,
        }
    }
}

/// From when on a settlement holds its NFT, its deposits and its requests against others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// As long as it is live.
    FromStart,
    /// It replaces others, which hold them until it is published: a replacement (ADR 17).
    OncePublished,
}

impl Hold {
    /// Whether it is live and holds nothing yet.
    pub const fn stands_by(self, stage: SettlementStage) -> bool {
        match self {
            Self::FromStart => false,
            Self::OncePublished => stage.is_live() && !stage.is_published(),
        }
    }

    /// Whether it holds what it is to spend: no other settlement may then.
    pub const fn holds(self, stage: SettlementStage) -> bool {
        stage.is_live() && !self.stands_by(stage)
    }
}

impl SettlementState {
    /// Where every settlement starts.
    pub const fn start() -> Self {
        Self::Draft {}
    }

    /// Which state it is, without what is known in it.
    pub const fn stage(&self) -> SettlementStage {
        match self {
            Self::Draft {} => SettlementStage::Draft,
            Self::Proven {} => SettlementStage::Proven,
            Self::Asked { .. } => SettlementStage::Asked,
            Self::Signed {} => SettlementStage::Signed,
            Self::Broadcast {} => SettlementStage::Broadcast,
            Self::Confirmed { .. } => SettlementStage::Confirmed,
            Self::Final { .. } => SettlementStage::Final,
            Self::Abandoned { .. } => SettlementStage::Abandoned,
        }
    }

    /// Stable name, as in JSON.
    pub const fn name(&self) -> &'static str {
        self.stage().name()
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
