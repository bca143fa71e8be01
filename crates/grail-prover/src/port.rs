//! What every prover is asked and answers.

use std::collections::BTreeMap;

use bitcoin::{ScriptBuf, Transaction, TxOut};
use charms_data::{App, B32, Data};
use grail_spell::{EnvelopeError, NormalizedSpell, Proof};
use thiserror::Error;

use crate::charms::{AnswerError, RequestError};
use crate::check::CheckError;

/// Bytes of a mock proof: a compressed Groth16 proof over BLS12-381.
pub(crate) const MOCK_PROOF_BYTES: usize = 192;
/// Bytes of a real one: SP1's Groth16 proof over BN254, with its prefix.
pub(crate) const REAL_PROOF_BYTES: usize = 356;

/// A spell to prove, and all that its checker looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct ProveRequest {
    /// The spell in its proving form: inputs and coins filled.
    pub spell: NormalizedSpell,
    /// The transaction behind every input; no others. Those of a spell of the bridge without their
    /// witnesses.
    pub prev_txs: Vec<Transaction>,
    /// Wasm of the apps whose contract has to run, by its SHA-256. Empty for a spell of plain
    /// transfers.
    pub app_binaries: BTreeMap<B32, Vec<u8>>,
    /// Private inputs of those apps. The bridge's contract takes none.
    pub app_private_inputs: BTreeMap<App, Data>,
}

/// A proven spell, ready to be put into its transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Proven {
    /// The spell in its wire form.
    pub spell_wire: NormalizedSpell,
    /// Its proof.
    pub proof: Proof,
    /// Script of the output that carries both.
    pub op_return: ScriptBuf,
    /// Fuel that the app contracts burned.
    pub fuel: u64,
    /// What the prover wants to be paid, as an output right before the spell's. The proof does not
    /// commit to it.
    pub fee_output: Option<TxOut>,
}

/// Why there is no proof.
#[derive(Debug, Error)]
pub enum ProverError {
    /// The spell is wrong: no prover will ever prove it.
    #[error("spell rejected: {0}")]
    Rejected(#[from] CheckError),
    /// The proven spell cannot be written into an output.
    #[error("cannot encode the proven spell: {0}")]
    Encoding(#[from] EnvelopeError),
    /// The proving itself failed.
    #[error("cannot make the proof: {reason}")]
    Proof {
        /// What the proof system said.
        reason: String,
    },
    /// The request cannot be put to this prover.
    #[error("cannot ask the prover: {0}")]
    Request(#[from] RequestError),
    /// The prover says no: asking again changes nothing.
    #[error("the prover refuses with status {status}: {reason}")]
    Refused {
        /// Status of its answer.
        status: u16,
        /// The prover's words, shortened, in printable characters.
        reason: String,
    },
    /// The prover's answer is not what was asked for.
    #[error("the prover's answer is wrong: {0}")]
    Answer(#[from] AnswerError),
    /// The prover is not available now: the same request may succeed later.
    #[error("prover unavailable: {0}")]
    Transient(#[from] TransientError),
}

impl ProverError {
    /// Whose verdict it is.
    pub fn verdict(&self) -> ProverVerdict {
        match self {
            Self::Rejected(_) | Self::Encoding(_) => ProverVerdict::Ours,
            // What cannot be put to this prover, another one may take.
            Self::Proof { .. } | Self::Request(_) | Self::Refused { .. } | Self::Answer(_) => {
                ProverVerdict::Provers
            }
            Self::Transient(_) => ProverVerdict::None,
        }
    }

    /// Stable code for logs, APIs and the UI.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rejected(error) => error.code(),
            Self::Encoding(_) => "prove-encoding",
            Self::Proof { .. } => "prove-proof",
            Self::Request(error) => error.code(),
            Self::Refused { .. } => "prove-refused",
            Self::Answer(error) => error.code(),
            Self::Transient(_) => "prove-unavailable",
        }
    }
}

/// Whose word it is that there will be no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProverVerdict {
    /// Our own check's, before any prover is asked: no prover will ever prove it.
    Ours,
    /// The prover's, or of whoever answers in its place: it may be wrong, or lie; or of what it can
    /// be asked.
    Provers,
    /// Nobody's: the same request may succeed later.
    None,
}

/// A prover cannot answer now.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct TransientError {
    /// What happened, in words.
    pub reason: String,
}

/// Makes proofs of spells. Blocks until done, which takes milliseconds for a mock and minutes for a
/// real proof: call it where blocking is allowed.
pub trait Prover: Send + Sync {
    /// Which kind of prover this is: a short stable name for records, the API and metrics (`mock`,
    /// `charms`). Proofs of one kind never stand in for another's.
    fn kind(&self) -> &'static str;

    /// Length of its proofs, for whoever plans a transaction around one: a mock's, if the prover
    /// does not say otherwise.
    fn proof_bytes(&self) -> usize {
        MOCK_PROOF_BYTES
    }

    /// The fee output that a transaction must have room and money for, at its most. None: it
    /// charges nothing.
    fn fee_output_max(&self) -> Option<TxOut> {
        None
    }

    /// Words of those provers behind this one that said no while another was asked as well, since
    /// somebody last took them. None where one prover is all there is: its word is the answer.
    fn take_refusals(&self) -> Vec<String> {
        Vec::new()
    }

    /// Proves the spell, or says why not.
    fn prove(&self, request: &ProveRequest) -> Result<Proven, ProverError>;
}
