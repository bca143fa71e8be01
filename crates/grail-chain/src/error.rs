//! What can go wrong when asking a Bitcoin node.
//!
//! Owns the line between "ask again later" and "no". A node that is down, starting, syncing or
//! behind has said nothing about validity, so none of its silences is ever turned into a refusal.

use crate::{RejectReason, reject::bounded};

/// Whether asking the same again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The node is away, busy or behind: retry later, conclude nothing.
    Transient,
    /// The same question will get the same answer: settings or code must change.
    Final,
}

/// A question to the node that got no usable answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChainError {
    /// No connection, or it broke or timed out.
    #[error("bitcoin node at {url} cannot be reached: {detail}")]
    Unreachable {
        /// Where the node was looked for.
        url: String,
        /// What the transport said.
        detail: String,
    },
    /// The node is starting, syncing or out of request slots.
    #[error("bitcoin node is busy: {detail}")]
    Busy {
        /// What the node said.
        detail: String,
    },
    /// The node names the thing and has it not, or its chain moved while it was being read.
    #[error("bitcoin node cannot give {what} now: {detail}")]
    Unavailable {
        /// What was asked for.
        what: String,
        /// What the node said.
        detail: String,
    },
    /// The node does not have the block: it prunes, or has yet to fetch what is below its snapshot.
    /// Another node has it, or this one later.
    #[error("bitcoin node does not keep what {what} needs: {detail}")]
    NotKept {
        /// What was asked for.
        what: String,
        /// What the node said, and what to do about it.
        detail: String,
    },
    /// User, password or cookie not accepted, or the cookie file is unreadable.
    #[error("bitcoin node does not accept our credentials: {detail}")]
    Credentials {
        /// What failed.
        detail: String,
    },
    /// The node knows us and does not allow the call.
    #[error(
        "bitcoin node does not allow {method}: add it to the node's rpcwhitelist, or our address to its rpcallowip"
    )]
    NotAllowed {
        /// The RPC method.
        method: String,
    },
    /// The node answered a call with an error that this crate gives no special meaning.
    #[error("bitcoin node refused {method}: {message} (code {code})")]
    Refused {
        /// The RPC method.
        method: String,
        /// Bitcoin Core's RPC error code.
        code: i32,
        /// Bitcoin Core's text.
        message: String,
    },
    /// The answer is not of the shape or content that the call must have.
    #[error("bitcoin node answered {method} with something else than expected: {detail}")]
    BadAnswer {
        /// The RPC method.
        method: String,
        /// Expected and got.
        detail: String,
    },
    /// Nodes have different chains of equal work: the next block decides.
    #[error("bitcoin nodes have different newest blocks of equal work: {tips}")]
    NodesDisagree {
        /// Their newest blocks.
        tips: String,
    },
    /// The nodes that answer have less work than was seen before: whoever had it is gone.
    #[error("the bitcoin nodes that answer are behind what was seen: {tip}")]
    NodesBehind {
        /// The best block that is left.
        tip: String,
    },
    /// The address of the node is not a URL that can be used.
    #[error("bitcoin node address {url} is unusable: {detail}")]
    BadUrl {
        /// As configured.
        url: String,
        /// Why.
        detail: String,
    },
}

impl ChainError {
    /// Whether asking again can help.
    pub fn kind(&self) -> ErrorKind {
        match self {
            // A cookie is rewritten whenever the node starts: between two starts it is merely late.
            Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::Unavailable { .. }
            | Self::NotKept { .. }
            | Self::Credentials { .. }
            // A block that comes decides; a node that is gone comes back.
            | Self::NodesDisagree { .. }
            | Self::NodesBehind { .. }
            // A setting of the node says nothing about the chain.
            | Self::NotAllowed { .. } => ErrorKind::Transient,
            Self::Refused { .. } | Self::BadAnswer { .. } | Self::BadUrl { .. } => ErrorKind::Final,
        }
    }

    /// Stable name of the error for logs, metrics and the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "node-unreachable",
            Self::Busy { .. } => "node-busy",
            Self::Unavailable { .. } | Self::NotKept { .. } => "node-data-unavailable",
            Self::Credentials { .. } => "node-credentials",
            Self::NotAllowed { .. } => "node-not-allowed",
            Self::Refused { .. } => "node-refused-call",
            Self::BadAnswer { .. } => "node-bad-answer",
            Self::NodesDisagree { .. } => "nodes-disagree",
            Self::NodesBehind { .. } => "nodes-behind",
            Self::BadUrl { .. } => "node-bad-url",
        }
    }
}

/// Why a transaction was not taken into the mempool.
///
/// Only [`SendError::ScriptInvalid`] says something about the transaction alone; the rest depend on
/// what the node has seen so far, or are words that this program does not know.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// Its outputs are in the UTXO set already: it is confirmed. For a rebroadcast this is success.
    #[error("transaction is already confirmed")]
    AlreadyConfirmed,
    /// The same transaction with other witnesses is in the mempool.
    #[error("transaction with the same txid and other witnesses is already in the mempool")]
    AlreadyInMempool,
    /// An input is spent, or the node has not seen the transaction that makes it: not proof that it
    /// is invalid.
    #[error("an input of the transaction is unknown to the node or spent: {reason}")]
    MissingInputs {
        /// Bitcoin Core's text.
        reason: String,
    },
    /// Another mempool transaction spends an input of it and cannot be, or was not, replaced.
    #[error("transaction conflicts with one in the mempool: {reason}")]
    Conflict {
        /// Bitcoin Core's text.
        reason: String,
    },
    /// Below what the node relays or keeps at present.
    #[error("fee of the transaction is too low for the node: {reason}")]
    FeeTooLow {
        /// Bitcoin Core's text.
        reason: String,
    },
    /// The chain is not far enough for it: lock time, relative lock or immature coinbase.
    #[error("transaction cannot be mined yet: {reason}")]
    TooEarly {
        /// Bitcoin Core's text.
        reason: String,
    },
    /// A script fails: it can never be valid.
    #[error("a script of the transaction fails: {reason}")]
    ScriptInvalid {
        /// Bitcoin Core's text.
        reason: String,
    },
    /// Some rule of consensus or relay, in words that this program does not know.
    #[error("node rejected the transaction: {reason} (code {code})")]
    Rejected {
        /// Bitcoin Core's RPC error code.
        code: i32,
        /// Bitcoin Core's text.
        reason: String,
    },
    /// The question itself failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl SendError {
    /// Stable name of the error for logs, metrics and the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyConfirmed => "transaction-already-confirmed",
            Self::AlreadyInMempool => "transaction-already-in-mempool",
            Self::MissingInputs { .. } => "transaction-missing-inputs",
            Self::Conflict { .. } => "transaction-conflict",
            Self::FeeTooLow { .. } => "transaction-fee-too-low",
            Self::TooEarly { .. } => "transaction-too-early",
            Self::ScriptInvalid { .. } => "transaction-script-invalid",
            Self::Rejected { .. } => "transaction-rejected",
            Self::Chain(error) => error.code(),
        }
    }

    /// Whether sending the same transaction again can succeed.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::MissingInputs { .. }
            | Self::Conflict { .. }
            | Self::FeeTooLow { .. }
            | Self::TooEarly { .. }
            // Unknown is not invalid: a setting of the node, or a rule that a newer one has.
            | Self::Rejected { .. } => ErrorKind::Transient,
            Self::AlreadyConfirmed | Self::AlreadyInMempool | Self::ScriptInvalid { .. } => {
                ErrorKind::Final
            }
            Self::Chain(error) => error.kind(),
        }
    }

    /// Reads Bitcoin Core's answer to `sendrawtransaction`.
    ///
    /// What its words mean is [`RejectReason`]'s to say.
    pub(crate) fn from_core(code: i32, message: &str) -> Self {
        let reason = bounded(message);
        if code == -27 {
            return Self::AlreadyConfirmed;
        }
        match RejectReason::of(message) {
            RejectReason::AlreadyKnown => Self::AlreadyInMempool,
            RejectReason::MissingInputs => Self::MissingInputs { reason },
            RejectReason::Conflict => Self::Conflict { reason },
            RejectReason::FeeTooLow => Self::FeeTooLow { reason },
            RejectReason::NonFinal | RejectReason::PrematureCoinbase => Self::TooEarly { reason },
            RejectReason::ScriptVerify => Self::ScriptInvalid { reason },
            RejectReason::Other => Self::Rejected { code, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_reasons_map_to_their_own_error() {
        let code = |number, text| SendError::from_core(number, text).code();
        assert_eq!(
            code(-27, "Transaction outputs already in utxo set"),
            "transaction-already-confirmed"
        );
        assert_eq!(
            code(-25, "bad-txns-inputs-missingorspent"),
            "transaction-missing-inputs"
        );
        assert_eq!(code(-26, "txn-mempool-conflict"), "transaction-conflict");
        assert_eq!(
            code(
                -26,
                "insufficient fee, rejecting replacement 00ff; new feerate 1 <= old 2"
            ),
            "transaction-conflict"
        );
        assert_eq!(
            code(-26, "min relay fee not met, 0 < 11"),
            "transaction-fee-too-low"
        );
        assert_eq!(code(-26, "non-BIP68-final"), "transaction-too-early");
        assert_eq!(
            code(-26, "txn-same-nonwitness-data-in-mempool"),
            "transaction-already-in-mempool"
        );
        assert_eq!(
            code(
                -26,
                "mempool-script-verify-flag-failed (Invalid Schnorr signature)"
            ),
            "transaction-script-invalid"
        );
    }

    #[test]
    fn a_reason_inside_another_text_is_not_taken_for_it() {
        assert_eq!(
            SendError::from_core(-26, "odd: txn-mempool-conflict").code(),
            "transaction-rejected"
        );
    }

    #[test]
    fn silence_of_the_node_is_never_final() {
        let url = "http://127.0.0.1:1".to_owned();
        let detail = String::from("connection refused");
        assert_eq!(
            ChainError::Unreachable { url, detail }.kind(),
            ErrorKind::Transient
        );
        assert_eq!(
            SendError::MissingInputs {
                reason: String::new()
            }
            .kind(),
            ErrorKind::Transient
        );
    }

    #[test]
    fn only_a_failing_script_is_final() {
        let kind = |words| SendError::from_core(-26, words).kind();
        assert_eq!(
            kind("mandatory-script-verify-flag-failed (x)"),
            ErrorKind::Final
        );
        for words in [
            "words-of-tomorrow",
            "bad-txns-premature-spend-of-coinbase",
            "",
        ] {
            assert_eq!(kind(words), ErrorKind::Transient, "{words}");
        }
    }
}
