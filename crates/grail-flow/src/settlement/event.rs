//! What happens to a settlement.

use crate::BlockRef;

use super::AbandonCode;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettlementEvent {
    /// The spell is proven and the unsigned transaction complete.
    SpellProven,
    /// The prover gave up.
    ProvingFailed,
    /// The policy's dry run passed.
    DryRunPassed,
    /// The policy's dry run refused.
    DryRunRefused,
    /// Operators of this round did not answer in time; too few signed.
    RoundTimedOut {
        /// The round that ended.
        round: u32,
    },
    /// A quorum signed, and the combined transaction passed script verification.
    QuorumReached,
    /// Too many operators refused for a quorum ever to form.
    QuorumRefused,
    /// The node took the transaction into its mempool, or had it there.
    NodeAccepted,
    /// The node refused for a reason that will not pass.
    NodeRejected,
    /// The node has its transaction in its mempool, whoever put it together and sent it.
    Relayed,
    /// Its transaction is in the best chain. Told again at each new tip until final.
    Mined {
        /// The block.
        block: BlockRef,
    },
    /// A reorg took its block away.
    Unmined,
    /// A block holds another transaction that spends one of its inputs.
    ConflictFound,
    /// A settlement that it builds on was given up.
    ParentAbandoned,
    /// Another settlement takes its place.
    Replaced,
    /// It was called off.
    Cancelled,
    /// It stayed unproven, or unasked, for longer than it may hold the lane.
    Overdue,
    /// The prover says no, again and again, to what our own check finds right.
    ProverRefused,
}

impl SettlementEvent {
    /// Stable name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SpellProven => "spell-proven",
            Self::ProvingFailed => "proving-failed",
            Self::DryRunPassed => "dry-run-passed",
            Self::DryRunRefused => "dry-run-refused",
            Self::RoundTimedOut { .. } => "round-timed-out",
            Self::QuorumReached => "quorum-reached",
            Self::QuorumRefused => "quorum-refused",
            Self::NodeAccepted => "node-accepted",
            Self::NodeRejected => "node-rejected",
            Self::Relayed => "relayed",
            Self::Mined { .. } => "mined",
            Self::Unmined => "unmined",
            Self::ConflictFound => "conflict-found",
            Self::ParentAbandoned => "parent-abandoned",
            Self::Replaced => "replaced",
            Self::Cancelled => "cancelled",
            Self::Overdue => "overdue",
            Self::ProverRefused => "prover-refused",
        }
    }

    /// The code under which an event ends a settlement, for those that do.
    pub(super) const fn abandon_code(&self) -> Option<AbandonCode> {
        match self {
            Self::ProvingFailed => Some(AbandonCode::ProvingFailed),
            Self::DryRunRefused => Some(AbandonCode::DryRunRefused),
            Self::QuorumRefused => Some(AbandonCode::QuorumRefused),
            Self::NodeRejected => Some(AbandonCode::NodeRejected),
            Self::ConflictFound => Some(AbandonCode::InputsSpent),
            Self::ParentAbandoned => Some(AbandonCode::ParentAbandoned),
            Self::Replaced => Some(AbandonCode::Replaced),
            Self::Cancelled => Some(AbandonCode::Cancelled),
            Self::Overdue => Some(AbandonCode::Overdue),
            Self::ProverRefused => Some(AbandonCode::ProverRefused),
            Self::SpellProven
            | Self::DryRunPassed
            | Self::RoundTimedOut { .. }
            | Self::QuorumReached
            | Self::NodeAccepted
            | Self::Relayed
            | Self::Mined { .. }
            | Self::Unmined => None,
        }
    }
}
