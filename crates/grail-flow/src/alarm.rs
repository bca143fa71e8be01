//! What a person must see: facts that cannot be, or that nobody but a person can judge.
//!
//! Owns the closed list of alarms, how severe each is, and what each is about. The page
//! `docs/operators/alarms.md` says for each of them what to do; a test holds the two together.

use bitcoin::Txid;
use grail_types::{ParamsHash, RequestId};

use crate::{
    BlockRef, SettlementId, SettlementStage, Unexpected, named_enum,
    replacement::{Cause, WaitReason},
};

named_enum! {
    /// What an alarm asks of the backend while it is open.
    pub enum Severity {
        /// Nothing is built and nothing asked of operators until a person acknowledges it.
        Stop = "stop",
        /// It is shown and counted; work goes on.
        Look = "look",
    }
}

named_enum! {
    /// Which alarm, without what it is about.
    pub enum AlarmCode {
        /// [`Alarm::EventLoop`].
        EventLoop = "event-loop",
        /// [`Alarm::ImpossibleEvent`].
        ImpossibleEvent = "impossible-event",
        /// [`Alarm::SettlementConflict`].
        SettlementConflict = "settlement-conflict",
        /// [`Alarm::VaultShort`].
        VaultShort = "vault-short",
        /// [`Alarm::QuorumRefused`].
        QuorumRefused = "quorum-refused",
        /// [`Alarm::ScriptVerification`].
        ScriptVerification = "script-verification",
        /// [`Alarm::SettlementRejected`].
        SettlementRejected = "settlement-rejected",
        /// [`Alarm::UnknownRejection`].
        UnknownRejection = "unknown-rejection",
        /// [`Alarm::ReorgTooDeep`].
        ReorgTooDeep = "reorg-too-deep",
        /// [`Alarm::ForeignSettlement`].
        ForeignSettlement = "foreign-settlement",
        /// [`Alarm::RotationNotAdopted`].
        RotationNotAdopted = "rotation-not-adopted",
        /// [`Alarm::ParamsUnknown`].
        ParamsUnknown = "params-unknown",
        /// [`Alarm::UnservableSettlements`].
        UnservableSettlements = "unservable-settlements",
        /// [`Alarm::DeadJob`].
        DeadJob = "dead-job",
        /// [`Alarm::LaneOverdue`].
        LaneOverdue = "lane-overdue",
        /// [`Alarm::LaneOutbid`].
        LaneOutbid = "lane-outbid",
        /// [`Alarm::LastResortNear`].
        LastResortNear = "last-resort-near",
        /// [`Alarm::ProverRefuses`].
        ProverRefuses = "prover-refuses",
        /// [`Alarm::NodesDisagree`].
        NodesDisagree = "nodes-disagree",
        /// [`Alarm::NodeLacksBlocks`].
        NodeLacksBlocks = "node-lacks-blocks",
    }
}

/// An alarm, with what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// A step told its machines more events than any state of the books explains.
    ///
    /// Reason: each event moves a machine on, and machines end; two that keep waking each other
    /// are a fault in the machines, which may be wrong about money too.
    EventLoop,
    /// An event came that cannot follow what was told before.
    ///
    /// Reason: machines refuse what is merely late in silence, so this one contradicts the books:
    /// the chain, the node or a row is not what the backend believes.
    ImpossibleEvent {
        /// The request or settlement.
        subject: AlarmSubject,
        /// Event and state.
        unexpected: Unexpected,
    },
    /// A block holds a settlement that was given up, and another live one claims the same coins.
    ///
    /// Reason: the scanner calls off what stands in the way of a mined settlement before it
    /// revives it, so a claim that is left means that two settlements pay one request.
    SettlementConflict {
        /// The settlement in the block.
        settlement: SettlementId,
        /// The one that claims its NFT, a deposit or a request.
        other: SettlementId,
    },
    /// The vault holds less than the zkBTC that asks to leave.
    ///
    /// Reason: the vault equals the supply by the contract's rule, so zkBTC without backing exists
    /// or the vault's coins are not where the books say.
    VaultShort {
        /// Who cannot be paid.
        requests: Vec<RequestId>,
    },
    /// So many operators refused a settlement that no quorum is left for it.
    ///
    /// Reason: the same policy had approved it here, so operators run another policy or other
    /// parameters, or this backend does; building anew pays a prover for the same refusal.
    QuorumRefused {
        /// The settlement, which is given up.
        settlement: SettlementId,
        /// Operators that refused or answered wrongly.
        unwilling: usize,
        /// Signatures that a quorum needs.
        threshold: u16,
    },
    /// A settlement with a quorum's verified signatures does not pass the node's scripts.
    ///
    /// Reason: every signature was verified against its own input, so the node and this program
    /// disagree about scripts, and every further settlement would be as invalid.
    ScriptVerification {
        /// The settlement, which stays asked.
        settlement: SettlementId,
        /// The node's words.
        words: String,
    },
    /// The node says of a signed settlement that it can never be valid.
    ///
    /// Reason: it passed the node's own test before, so the node changed its mind or is not the
    /// one that was asked.
    SettlementRejected {
        /// The settlement, which is given up.
        settlement: SettlementId,
        /// The node's words.
        words: String,
    },
    /// The node does not take a settlement, in words that this program does not know.
    ///
    /// Reason: unknown is not invalid, so the settlement is tried again, for ever if need be; only
    /// a person can read the words and tell whether waiting helps.
    UnknownRejection {
        /// The settlement, which is tried again.
        settlement: SettlementId,
        /// The node's words.
        words: String,
    },
    /// The chain was reorganised below every block that the scanner remembers.
    ///
    /// Reason: what was final may not have happened; which rows are still true cannot be found
    /// out from the rows.
    ReorgTooDeep {
        /// Blocks remembered.
        remembered: usize,
        /// Height of the oldest.
        oldest_height: u32,
    },
    /// The roster NFT moved in a transaction that is not in the books and cannot be adopted.
    ///
    /// Reason: only a quorum can move it, and its own rules let it sign no such transaction; who
    /// was paid by it is not known here, nor what the vault holds.
    ForeignSettlement {
        /// The transaction.
        txid: Txid,
        /// Its block.
        block: BlockRef,
        /// Which rule does not hold.
        reason: String,
    },
    /// The roster NFT moved to a roster that does not follow from the one before it.
    ///
    /// Reason: a quorum signed what an operator's own rules refuse; nobody can tell from here who
    /// holds the vault now.
    RotationNotAdopted {
        /// The transaction.
        txid: Txid,
        /// Its block.
        block: BlockRef,
        /// Which rule of adoption does not hold.
        code: &'static str,
        /// What does not hold.
        reason: String,
    },
    /// The roster NFT is bound to other parameters than this backend was started with.
    ///
    /// Reason: operators compare the parameters of a proposal with the NFT, so each further one
    /// would be refused, at a proof's price, and its deposits blamed.
    ParamsUnknown {
        /// By the NFT's state.
        expected: ParamsHash,
        /// Of this backend.
        got: ParamsHash,
    },
    /// Several settlements of one request each failed, and none passed between them.
    ///
    /// Reason: one such failure is the deposit's fault; several in a row are likelier the
    /// prover's or the policy's, and each further one turns away an honest user.
    UnservableSettlements {
        /// The newest of them.
        settlement: SettlementId,
        /// What its prover or the policy said.
        cause: String,
    },
    /// A job can never be done, for its rows do not read as what was written.
    ///
    /// Reason: a settlement whose draft or proposal is damaged cannot go on; nothing is built on
    /// it, and no other settlement depends on it.
    DeadJob {
        /// Its idempotency key.
        job: String,
        /// What is wrong.
        error: String,
    },
    /// A settlement holds the lane for longer than it should, and is not ours to call off, or was
    /// called off several times in a row.
    ///
    /// Reason: all others wait behind it; what it waits for (a quorum, a node, a block, a prover)
    /// is outside, and a person may know why it does not come.
    LaneOverdue {
        /// The settlement.
        settlement: SettlementId,
        /// Where it stands.
        stage: SettlementStage,
        /// For how long, seconds.
        seconds: u64,
    },
    /// Settlements wait for a block that is not going to hold them, and cannot be replaced.
    ///
    /// Reason: others pay miners more, or a deposit is about to go back to its user; what a
    /// replacement would cost, or how often it was tried, has its bound, and beyond that only
    /// blocks help, or a person who knows what is going on.
    LaneOutbid {
        /// The oldest of them.
        settlement: SettlementId,
        /// Why it should be replaced.
        cause: Cause,
        /// Why it is not.
        reason: WaitReason,
    },
    /// The coins of NFT and vault have lain untouched for half of the time after which the
    /// administrators can take them.
    ///
    /// Reason: a bridge that is used makes them anew with each settlement, so nobody uses it, or a
    /// quorum is gone; any settlement ends it, and users who want to leave must do so before.
    LastResortNear {
        /// Blocks of age.
        age: u32,
        /// Age at which the administrators can take them, blocks.
        opens_at: u32,
    },
    /// The prover says no, or answers wrongly, to what our own check finds right.
    ///
    /// Reason: its word condemns no user, so it is asked again and again; whether it is broken,
    /// misconfigured or hostile, a person must find out.
    ProverRefuses {
        /// The settlement.
        settlement: SettlementId,
        /// Its words, with their code.
        words: String,
    },
    /// The nodes have different chains of equal work.
    ///
    /// Reason: no block is taken or undone until one of them has more, and that is minutes; where
    /// it lasts, a node is cut off from the others, or follows other rules.
    NodesDisagree {
        /// What they say.
        words: String,
    },
    /// The node does not keep a block that the books must read.
    ///
    /// Reason: a settlement that is not in the rows is read with the transactions behind it, and
    /// the blocks that came while the backend was off are read one after another; the books stand
    /// still until a node has what is missing, and time alone does not bring it to one that prunes.
    NodeLacksBlocks {
        /// What it says.
        words: String,
    },
}

/// What an alarm is about: two alarms of one code and subject are the same alarm, seen twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmSubject {
    /// The bridge as a whole.
    Bridge,
    /// A request.
    Request(RequestId),
    /// A settlement.
    Settlement(SettlementId),
    /// A job, by idempotency key.
    Job(String),
}

impl std::fmt::Display for AlarmSubject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bridge => f.write_str("bridge"),
            Self::Request(id) => write!(f, "request:{id}"),
            Self::Settlement(id) => write!(f, "settlement:{id}"),
            Self::Job(key) => write!(f, "job:{key}"),
        }
    }
}

impl AlarmCode {
    /// What an alarm of this code asks of the backend.
    pub const fn severity(self) -> Severity {
        match self {
            // The machines or the books are wrong, so whatever they say next may be, too.
            Self::EventLoop | Self::ImpossibleEvent | Self::SettlementConflict
            // Backing or finality is in doubt, and paying out cannot be undone.
            | Self::VaultShort | Self::ReorgTooDeep
            // The next settlement would meet the same fate, at a proof's price each time.
            | Self::QuorumRefused | Self::ScriptVerification | Self::SettlementRejected
            // A quorum signed what breaks the bridge's rules.
            | Self::ForeignSettlement
            // It is not known who holds the vault, or by which parameters.
            | Self::RotationNotAdopted | Self::ParamsUnknown
            // Every further settlement would turn away a user whose deposit may be fine.
            | Self::UnservableSettlements => Severity::Stop,
            // One settlement waits, by itself, and is tried again.
            Self::UnknownRejection
            // One settlement stands still; those before it need nothing of it.
            | Self::DeadJob
            // It waits for what is outside, and goes on by itself once that comes.
            | Self::LaneOverdue | Self::LaneOutbid
            // Half a year is left, and what ends it is a settlement.
            | Self::LastResortNear
            // Others may still be proven.
            | Self::ProverRefuses
            // The next block decides.
            | Self::NodesDisagree
            // Books that stand still plan nothing: what they would build on is spent.
            | Self::NodeLacksBlocks => Severity::Look,
        }
    }

    /// Names of the alarms of a severity.
    pub fn names_of(severity: Severity) -> impl Iterator<Item = &'static str> {
        let codes = Self::ALL.iter().copied();
        codes
            .filter(move |code| code.severity() == severity)
            .map(Self::name)
    }
}

impl Alarm {
    /// Which alarm it is.
    pub const fn code(&self) -> AlarmCode {
        match self {
            Self::EventLoop => AlarmCode::EventLoop,
            Self::ImpossibleEvent { .. } => AlarmCode::ImpossibleEvent,
            Self::SettlementConflict { .. } => AlarmCode::SettlementConflict,
            Self::VaultShort { .. } => AlarmCode::VaultShort,
            Self::QuorumRefused { .. } => AlarmCode::QuorumRefused,
            Self::ScriptVerification { .. } => AlarmCode::ScriptVerification,
            Self::SettlementRejected { .. } => AlarmCode::SettlementRejected,
            Self::UnknownRejection { .. } => AlarmCode::UnknownRejection,
            Self::ReorgTooDeep { .. } => AlarmCode::ReorgTooDeep,
            Self::ForeignSettlement { .. } => AlarmCode::ForeignSettlement,
            Self::RotationNotAdopted { .. } => AlarmCode::RotationNotAdopted,
            Self::ParamsUnknown { .. } => AlarmCode::ParamsUnknown,
            Self::UnservableSettlements { .. } => AlarmCode::UnservableSettlements,
            Self::DeadJob { .. } => AlarmCode::DeadJob,
            Self::LaneOverdue { .. } => AlarmCode::LaneOverdue,
            Self::LaneOutbid { .. } => AlarmCode::LaneOutbid,
            Self::LastResortNear { .. } => AlarmCode::LastResortNear,
            Self::ProverRefuses { .. } => AlarmCode::ProverRefuses,
            Self::NodesDisagree { .. } => AlarmCode::NodesDisagree,
            Self::NodeLacksBlocks { .. } => AlarmCode::NodeLacksBlocks,
        }
    }

    /// What it is about.
    pub fn subject(&self) -> AlarmSubject {
        match self {
            // Whose rules are broken breaks them again: one fact, counted.
            Self::EventLoop
            | Self::VaultShort { .. }
            | Self::ReorgTooDeep { .. }
            | Self::ForeignSettlement { .. }
            | Self::RotationNotAdopted { .. }
            | Self::ParamsUnknown { .. }
            | Self::UnservableSettlements { .. }
            // One lane, one prover, one chain: the newest is what is shown.
            | Self::LaneOverdue { .. }
            | Self::NodesDisagree { .. }
            | Self::NodeLacksBlocks { .. }
            | Self::LaneOutbid { .. }
            | Self::LastResortNear { .. }
            | Self::ProverRefuses { .. } => AlarmSubject::Bridge,
            Self::ImpossibleEvent { subject, .. } => subject.clone(),
            Self::SettlementConflict { settlement, .. }
            | Self::QuorumRefused { settlement, .. }
            | Self::ScriptVerification { settlement, .. }
            | Self::SettlementRejected { settlement, .. }
            | Self::UnknownRejection { settlement, .. } => AlarmSubject::Settlement(*settlement),
            Self::DeadJob { job, .. } => AlarmSubject::Job(job.clone()),
        }
    }
}

/// What was seen, for a person.
impl std::fmt::Display for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::EventLoop => f.write_str("a step did not come to an end"),
            Self::ImpossibleEvent {
                subject,
                unexpected,
            } => write!(f, "{subject}: {unexpected}"),
            Self::SettlementConflict { settlement, other } => write!(
                f,
                "settlement {settlement} is in a block, and settlement {other} claims its coins"
            ),
            Self::VaultShort { requests } => {
                f.write_str("the vault cannot pay")?;
                requests.iter().try_for_each(|id| write!(f, " {id}"))
            }
            Self::QuorumRefused {
                settlement,
                unwilling,
                threshold,
            } => write!(
                f,
                "settlement {settlement}: {unwilling} operators will not sign, {threshold} must"
            ),
            Self::ScriptVerification { settlement, words }
            | Self::SettlementRejected { settlement, words }
            | Self::UnknownRejection { settlement, words }
            | Self::ProverRefuses { settlement, words } => {
                write!(f, "settlement {settlement}: {words}")
            }
            Self::ReorgTooDeep {
                remembered,
                oldest_height,
            } => write!(
                f,
                "none of the {remembered} blocks remembered down to height {oldest_height} is in \
                 the best chain"
            ),
            Self::ForeignSettlement {
                txid,
                block,
                reason,
            } => write!(
                f,
                "transaction {txid} spends the NFT in {block}, and is not adopted: {reason}"
            ),
            Self::RotationNotAdopted {
                txid,
                block,
                code,
                reason,
            } => write!(
                f,
                "transaction {txid} in {block} hands the NFT over, and is not adopted: {code}: {reason}"
            ),
            Self::ParamsUnknown { expected, got } => write!(
                f,
                "the NFT is bound to parameters {expected}, this backend has {got}"
            ),
            Self::UnservableSettlements { settlement, cause } => {
                write!(f, "settlement {settlement}: {cause}")
            }
            Self::DeadJob { job, error } => write!(f, "{job}: {error}"),
            Self::NodesDisagree { words } | Self::NodeLacksBlocks { words } => f.write_str(words),
            Self::LastResortNear { age, opens_at } => write!(
                f,
                "NFT and vault are {age} blocks old, and their administrators' at {opens_at}"
            ),
            Self::LaneOverdue {
                settlement,
                stage,
                seconds,
            } => write!(
                f,
                "settlement {settlement} has been {stage} for {seconds} s"
            ),
            Self::LaneOutbid {
                settlement,
                cause,
                reason,
            } => write!(
                f,
                "settlement {settlement} should be replaced ({cause}), and is not: {reason}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;
    use crate::UnknownName;

    /// The page of a person on call.
    const PAGE: &str = include_str!("../../../docs/operators/alarms.md");

    /// Sections of the page by heading.
    fn sections() -> BTreeMap<&'static str, &'static str> {
        PAGE.split("\n## ")
            .skip(1)
            .map(|section| section.split_once('\n').unwrap())
            .collect()
    }

    #[test]
    fn every_code_has_a_section_on_the_page_and_no_other_has() {
        let mut codes: Vec<_> = AlarmCode::ALL.iter().map(|code| code.name()).collect();
        codes.sort_unstable();
        assert_eq!(sections().into_keys().collect::<Vec<_>>(), codes);
    }

    #[test]
    fn every_section_says_severity_meaning_reason_and_what_to_do() {
        for (heading, text) in sections() {
            let code: AlarmCode = heading.parse().unwrap();
            let severity = format!("Severity: **{}**", code.severity());
            assert!(text.contains(&severity), "{code}: expected {severity}");
            for part in ["*What it means.*", "*Why.*", "*What to do.*", "\n1. "] {
                assert!(text.contains(part), "{code}: no {part}");
            }
        }
    }

    #[test]
    fn names_are_read_back_and_others_are_unknown() {
        for code in AlarmCode::ALL {
            assert_eq!(code.name().parse(), Ok(*code));
        }
        assert_eq!("of-tomorrow".parse::<AlarmCode>(), Err(UnknownName));
        let both = AlarmCode::names_of(Severity::Stop).chain(AlarmCode::names_of(Severity::Look));
        assert_eq!(both.count(), AlarmCode::ALL.len());
    }

    #[test]
    fn alarms_of_one_fact_have_one_subject_and_others_differ() {
        let foreign = |seed: u8| Alarm::ForeignSettlement {
            txid: bitcoin::hashes::Hash::from_byte_array([seed; 32]),
            block: BlockRef {
                height: seed.into(),
                hash: bitcoin::hashes::Hash::from_byte_array([seed; 32]),
            },
            reason: String::new(),
        };
        assert_eq!(foreign(1).subject(), foreign(2).subject());
        let rejected = |id| Alarm::SettlementRejected {
            settlement: SettlementId(id),
            words: String::new(),
        };
        assert_ne!(rejected(1).subject(), rejected(2).subject());
        assert_eq!(rejected(7).subject().to_string(), "settlement:7");
    }
}
