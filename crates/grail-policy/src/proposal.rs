//! What an operator is asked to sign.

use bitcoin::Transaction;
use grail_types::{ParamsHash, Terms};

/// Most bytes that all previous transactions of a proposal may have together. A deposit can be made by a
/// transaction as large as relay allows; this bounds what an enclave must hold and hash for one decision.
pub const PREVIOUS_MAX_BYTES: usize = 12 * 1024 * 1024;

/// A settlement to sign, with everything that the decision needs. All of it is the backend's word: untrusted.
///
/// Layout of the transaction, by position:
///
/// ```text
/// inputs   roster NFT · vault outputs (any number) · one deposit per request, in order
/// outputs  roster NFT' · vault (absent when empty) · one per request, in order · prover's fee (may be absent) · OP_RETURN spell
/// ```
///
/// The spell commits to all outputs before the prover's fee, and to none behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The parameters that the asker goes by.
    pub params_hash: ParamsHash,
    /// The unsigned transaction, spell included.
    pub transaction: Transaction,
    /// The transaction behind every input, in full, each once, in any order.
    pub previous: Vec<Transaction>,
    /// The terms behind every deposit, in the order of the deposits.
    pub requests: Vec<Terms>,
}
