//! What operators are asked to sign.

use bitcoin::{
    Transaction, Txid, Witness,
    consensus::{self, encode},
};
use grail_types::{
    BoundedBytes, BoundedVec, Epoch, GOVERNANCE_MAX_BYTES, Governance, PARAMS_MAX_BYTES, Params,
    TaggedHasher, Terms,
};
use serde::{Deserialize, Serialize};

use crate::{
    clearing::ClearingRequest,
    codec::{self, Kind, WireError, WireMessage},
    roster::ShownRoster,
    rotation::{Announcement, Cancellation, Execution, Merge},
};

/// Most roster inputs of a transaction: its witnesses must fit into what relay takes. Bounds every
/// list that is as long as the inputs.
pub const INPUTS_MAX: usize = 200;

/// Most bytes of one previous transaction without its witness: what a block can hold of it.
pub const PREVIOUS_TX_MAX_BYTES: usize = 1_000_000;

/// Most bytes that all previous transactions of a proposal may have together. A deposit can be made
/// by a transaction as large as relay allows; this bounds what an enclave must hold and hash for
/// one decision.
pub const PREVIOUS_MAX_BYTES: usize = 12 * 1024 * 1024;

/// Most bytes of the unsigned transaction: relay takes 400,000 weight units, four per byte without
/// witness.
const TRANSACTION_MAX_BYTES: usize = 100_000;

/// Most bytes of an encoded proposal: previous transactions, and room for everything else.
pub const PROPOSAL_MAX_BYTES: usize = PREVIOUS_MAX_BYTES + 512 * 1024;

/// Names a proposal: tagged hash of its one encoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProposalId(#[serde(with = "serde_bytes")] pub [u8; 32]);

impl ProposalId {
    /// The name of an encoded proposal.
    pub fn of(encoded: &[u8]) -> Self {
        Self(
            TaggedHasher::new("grail/proposal/v4")
                .bytes(encoded)
                .finish(),
        )
    }
}

impl std::fmt::Display for ProposalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for ProposalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProposalId({self})")
    }
}

/// A transaction to sign, with everything that the decision needs. All of it is the asker's word:
/// untrusted.
///
/// Neither network nor bridge is in it: a signer knows both from birth. Parameters and governance
/// are, and count only when their hashes are what the roster NFT's state says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The epoch of the roster that it is for.
    pub epoch: Epoch,
    /// The parameters that the asker goes by.
    pub params: Params,
    /// The administrators that the asker goes by.
    pub governance: Governance,
    /// The unsigned transaction, lock time, sequences and spell included.
    pub transaction: Transaction,
    /// The transaction behind every input, each once, ascending by id.
    pub previous: Vec<PreviousTx>,
    /// What the transaction is for.
    pub action: Action,
}

/// What a transaction is for, with what its rules need beyond the transaction. Signatures cover the
/// transaction and not this wrapper: the policy holds the declared action against the one that the
/// transaction shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Action {
    /// Mints and burns for requests.
    Settlement(SettlementRequest),
    /// Announces the next roster.
    Announcement(Box<Announcement>),
    /// Takes an announcement back.
    Cancellation(Cancellation),
    /// Hands over to the next roster.
    Execution(Box<Execution>),
    /// Moves donations into the vault's coin.
    Merge(Merge),
    /// Executes orders of a zk-app.
    Clearing(Box<ClearingRequest>),
    /// Moves a roster's probe coin. For tests alone.
    #[cfg(feature = "test-action")]
    Probe(ProbeRequest),
}

/// The kinds of [`Action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionKind {
    /// [`Action::Settlement`].
    Settlement,
    /// [`Action::Announcement`].
    Announcement,
    /// [`Action::Cancellation`].
    Cancellation,
    /// [`Action::Execution`].
    Execution,
    /// [`Action::Merge`].
    Merge,
    /// [`Action::Clearing`].
    Clearing,
    /// [`Action::Probe`].
    #[cfg(feature = "test-action")]
    Probe,
}

impl ActionKind {
    /// Whether it moves the roster NFT.
    pub const fn is_of_bridge(self) -> bool {
        match self {
            Self::Settlement
            | Self::Announcement
            | Self::Cancellation
            | Self::Execution
            | Self::Merge => true,
            Self::Clearing => false,
            #[cfg(feature = "test-action")]
            Self::Probe => false,
        }
    }
}

impl std::fmt::Display for ActionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Settlement => "settlement",
            Self::Announcement => "announcement",
            Self::Cancellation => "cancellation",
            Self::Execution => "execution",
            Self::Merge => "merge",
            Self::Clearing => "clearing",
            #[cfg(feature = "test-action")]
            Self::Probe => "probe",
        })
    }
}

impl Action {
    /// Which it is.
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Settlement(_) => ActionKind::Settlement,
            Self::Announcement(_) => ActionKind::Announcement,
            Self::Cancellation(_) => ActionKind::Cancellation,
            Self::Execution(_) => ActionKind::Execution,
            Self::Merge(_) => ActionKind::Merge,
            Self::Clearing(_) => ActionKind::Clearing,
            #[cfg(feature = "test-action")]
            Self::Probe(_) => ActionKind::Probe,
        }
    }
}

/// Layout of a settlement, by position:
///
/// ```text
/// inputs   roster NFT · vault (absent when empty) · one deposit per request, in order
/// outputs  roster NFT' · vault (absent when empty) · one per request, in order
///          · prover's fee (may be absent) · spell
/// ```
///
/// The spell commits to all outputs before the prover's fee, and to none after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettlementRequest {
    /// The terms behind every deposit, in the order of the deposits.
    pub requests: BoundedVec<Terms, INPUTS_MAX>,
    /// Who holds the deposits of a former epoch, where there are any. A hint: it opens the coins of
    /// its own addresses and no others.
    pub former: Option<ShownRoster>,
}

/// A probe: coins at the probe address of a roster, moved to that address again.
#[cfg(feature = "test-action")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeRequest {
    /// Whose coins. A hint: it opens the coins of its own address and no others.
    pub roster: grail_types::Roster,
}

/// A previous transaction in Bitcoin's own encoding, without witness: its id commits to none, so a
/// witness would be whatever its carrier likes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PreviousTx(BoundedBytes<PREVIOUS_TX_MAX_BYTES>);

/// Why bytes are no previous transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreviousTxError {
    /// Larger than a block could hold.
    #[error("previous transaction of {0} bytes, expected at most {PREVIOUS_TX_MAX_BYTES}")]
    TooLarge(usize),
    /// Not Bitcoin's encoding of a transaction.
    #[error("previous transaction: {0}")]
    Malformed(String),
    /// It has a witness.
    #[error("previous transaction {0} is shown with a witness")]
    Witness(Txid),
}

impl PreviousTx {
    /// A transaction as it is shown: its witness is left out.
    pub fn new(transaction: &Transaction) -> Result<Self, PreviousTxError> {
        let mut stripped = transaction.clone();
        for input in &mut stripped.input {
            input.witness = Witness::new();
        }
        Self::from_bytes(consensus::serialize(&stripped))
    }

    /// What somebody shows as a previous transaction, not decoded yet.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, PreviousTxError> {
        let got = bytes.len();
        BoundedBytes::new(bytes)
            .map(Self)
            .map_err(|_| PreviousTxError::TooLarge(got))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The transaction. Costs memory of several times the bytes: decode one, take what is needed,
    /// drop it.
    pub fn decode(&self) -> Result<Transaction, PreviousTxError> {
        let transaction: Transaction = consensus::deserialize(&self.0)
            .map_err(|error: encode::Error| PreviousTxError::Malformed(error.to_string()))?;
        if transaction
            .input
            .iter()
            .any(|input| !input.witness.is_empty())
        {
            return Err(PreviousTxError::Witness(transaction.compute_txid()));
        }
        Ok(transaction)
    }
}

impl std::fmt::Debug for PreviousTx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PreviousTx({} bytes)", self.0.len())
    }
}

impl Proposal {
    /// A proposal, its previous transactions in their one order, each once.
    pub fn new<'a>(
        epoch: Epoch,
        params: Params,
        governance: Governance,
        transaction: Transaction,
        previous: impl IntoIterator<Item = &'a Transaction>,
        action: Action,
    ) -> Result<Self, PreviousTxError> {
        let mut by_id = previous
            .into_iter()
            .map(|previous| Ok((previous.compute_txid(), PreviousTx::new(previous)?)))
            .collect::<Result<Vec<_>, PreviousTxError>>()?;
        by_id.sort_by_key(|(txid, _)| *txid);
        by_id.dedup_by_key(|(txid, _)| *txid);
        Ok(Self {
            epoch,
            params,
            governance,
            transaction,
            previous: by_id.into_iter().map(|(_, previous)| previous).collect(),
            action,
        })
    }
}

/// A proposal as it travels.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireProposal {
    params: BoundedBytes<PARAMS_MAX_BYTES>,
    governance: BoundedBytes<GOVERNANCE_MAX_BYTES>,
    transaction: BoundedBytes<TRANSACTION_MAX_BYTES>,
    previous: BoundedVec<PreviousTx, INPUTS_MAX>,
    action: Action,
}

impl WireMessage for WireProposal {
    const KIND: Kind = Kind::Proposal;
    const ENCODED_MAX_BYTES: usize = PROPOSAL_MAX_BYTES;
}

/// Encodes a proposal. Operators are asked with these bytes, and their hash is its name.
pub fn encode_proposal(proposal: &Proposal) -> Result<Vec<u8>, WireError> {
    let too_many = |what: &str| WireError::Malformed(format!("too many bytes or items: {what}"));
    let wire = WireProposal {
        params: BoundedBytes::new(proposal.params.to_bytes()).map_err(|_| too_many("params"))?,
        governance: BoundedBytes::new(proposal.governance.to_bytes())
            .map_err(|_| too_many("governance"))?,
        transaction: BoundedBytes::new(consensus::serialize(&proposal.transaction))
            .map_err(|_| too_many("transaction"))?,
        previous: BoundedVec::new(proposal.previous.clone()).map_err(|_| too_many("previous"))?,
        action: proposal.action.clone(),
    };
    codec::encode(proposal.epoch, &wire)
}

/// Decodes a proposal; refuses every encoding but the one that [`encode_proposal`] writes, so that
/// it has one name. That previous transactions ascend by id is left to whoever decodes them.
///
/// Holds each previous transaction's bytes once beside `bytes`, and nothing larger.
pub fn decode_proposal(bytes: &[u8]) -> Result<Proposal, WireError> {
    let codec::Envelope { epoch, message } = codec::decode::<WireProposal>(bytes)?;
    codec::check_canonical(bytes, epoch, &message)?;
    let WireProposal {
        params,
        governance,
        transaction,
        previous,
        action,
    } = message;
    let malformed = |error: &dyn std::fmt::Display| WireError::Malformed(error.to_string());
    let unsigned: Transaction =
        consensus::deserialize(&transaction).map_err(|error| malformed(&error))?;
    // Bitcoin's encoding of a transaction without inputs is ambiguous, and bytes after it would
    // name it anew.
    if consensus::serialize(&unsigned) != *transaction {
        return Err(WireError::NotCanonical);
    }
    Ok(Proposal {
        epoch,
        params: Params::from_bytes(&params).map_err(|error| malformed(&error))?,
        governance: Governance::from_bytes(&governance).map_err(|error| malformed(&error))?,
        transaction: unsigned,
        previous: previous.into_inner(),
        action,
    })
}
