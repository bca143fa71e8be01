//! Why a roster is not adopted: one variant per rule.

use bitcoin::Txid;
use grail_bridge_contract::StateError;
use grail_types::{Epoch, SignerIndex};
use thiserror::Error;

/// Why a roster is not adopted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AdoptionError {
    /// The deployment is another transaction than the pinned one.
    #[error("expected the genesis {expected}, got {got}")]
    NotGenesis {
        /// The pin.
        expected: Txid,
        /// What was shown.
        got: Txid,
    },
    /// The pinned transaction does not spend first what the bridge's identity comes from.
    #[error("the bridge's identity does not come from the genesis")]
    WrongIdentity,
    /// The roster before was adopted for another bridge.
    #[error("the roster before is another bridge's")]
    WrongBridge,
    /// A script beside the witness: no signature commits to it, and the id does.
    #[error("input {input_index} has a script beside its witness")]
    ScriptSig {
        /// The input.
        input_index: usize,
    },
    /// Not one output is shown for each input.
    #[error("expected {expected} outputs spent, got {got}")]
    SpentCount {
        /// Inputs.
        expected: usize,
        /// Outputs shown.
        got: usize,
    },
    /// Input 0 does not spend from the vault of the roster before.
    #[error("input 0 does not spend from the vault of epoch {0}")]
    NotVault(Epoch),
    /// The witness has an annex, which no operator signs.
    #[error("the witness has an annex")]
    Annex,
    /// The witness does not consist of one place per signer, script and control block.
    #[error("expected a witness of {expected} items, got {got}")]
    WitnessLength {
        /// For this roster.
        expected: usize,
        /// Found.
        got: usize,
    },
    /// Script or control block are not those of the roster's leaf.
    #[error("the witness does not show the leaf of the roster before")]
    WrongLeaf,
    /// A place holds neither nothing nor a signature with the default sighash type.
    #[error("signer {signer}: expected 64 bytes or none, got {got}")]
    SignatureForm {
        /// Whose place.
        signer: SignerIndex,
        /// Bytes found.
        got: usize,
    },
    /// Fewer or more places are filled than the threshold.
    #[error("expected {expected} signatures, got {got}")]
    SignatureCount {
        /// The threshold.
        expected: usize,
        /// Signatures found.
        got: usize,
    },
    /// A signature is not this signer's for this transaction.
    #[error("signer {0}: the signature does not verify")]
    SignatureInvalid(SignerIndex),
    /// Output 0 does not carry the bridge's NFT, and nothing else, by a verified spell.
    #[error("output 0 does not carry the roster NFT alone")]
    NftMissing,
    /// The NFT's state cannot be read.
    #[error(transparent)]
    StateInvalid(#[from] StateError),
    /// Keys and threshold are not a roster's: a key may be off the curve, which no contract sees.
    #[error("the new roster: {0}")]
    RosterInvalid(String),
    /// Other administrators are shown than the state names.
    #[error("the administrators are not those whose hash is in the state")]
    WrongGovernance,
    /// The state's vault script is not the address of its own roster.
    #[error("the vault script is not the new roster's address")]
    WrongVaultScript,
    /// The NFT does not lie at the vault of the roster that it names.
    #[error("output 0 is not at the new roster's address")]
    NftElsewhere,
    /// The epoch is not the one after the last.
    #[error("expected the epoch after {before}, got {got}")]
    WrongEpoch {
        /// Of the roster before.
        before: Epoch,
        /// Of the new one.
        got: Epoch,
    },
}

impl AdoptionError {
    /// Stable name of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotGenesis { .. } => "not-genesis",
            Self::WrongIdentity => "wrong-identity",
            Self::WrongBridge => "wrong-bridge",
            Self::ScriptSig { .. } => "script-sig",
            Self::SpentCount { .. } => "spent-count",
            Self::NotVault(_) => "not-vault",
            Self::Annex => "annex",
            Self::WitnessLength { .. } => "witness-length",
            Self::WrongLeaf => "wrong-leaf",
            Self::SignatureForm { .. } => "signature-form",
            Self::SignatureCount { .. } => "signature-count",
            Self::SignatureInvalid(_) => "signature-invalid",
            Self::NftMissing => "nft-missing",
            Self::StateInvalid(_) => "state-invalid",
            Self::RosterInvalid(_) => "roster-invalid",
            Self::WrongGovernance => "wrong-governance",
            Self::WrongVaultScript => "wrong-vault-script",
            Self::NftElsewhere => "nft-elsewhere",
            Self::WrongEpoch { .. } => "wrong-epoch",
        }
    }
}
