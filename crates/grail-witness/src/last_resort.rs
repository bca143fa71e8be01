//! The administrators' way out of a vault that nothing has moved for a year, offline.

use std::collections::BTreeMap;

use bitcoin::{
    OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    secp256k1::{Message, Secp256k1, Verification, schnorr::Signature},
    transaction::Version,
};
use grail_script::{InternalKey, LAST_RESORT_AGE, SighashError, Sighashes, VaultTree};
use grail_types::{Governance, Roster};

use crate::quorum::{multi_a_places, push_leaf};

/// Why a vault's coin cannot be taken so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LastResortError {
    /// There is no such input, or it spends something else than the vault's coin.
    #[error("input {0} does not spend a coin at the vault")]
    NotVault(usize),
    /// The leaf asks for version 2 and for exactly its age (BIP 68).
    #[error(
        "expected version 2 and sequence {LAST_RESORT_AGE}, got version {version} and {sequence}"
    )]
    Age {
        /// The transaction's version.
        version: i32,
        /// The input's sequence.
        sequence: u32,
    },
    /// A position outside the governance.
    #[error("administrator {0} is not in the governance")]
    UnknownAdministrator(usize),
    /// BIP-340 verification failed.
    #[error("administrator {0}: signature does not verify")]
    Invalid(usize),
    /// Fewer signatures than the leaf asks for.
    #[error("expected {expected} signatures, got {got}")]
    TooFew {
        /// By the leaf.
        expected: usize,
        /// At hand.
        got: usize,
    },
    /// The digest could not be computed.
    #[error(transparent)]
    Sighash(#[from] SighashError),
}

impl LastResortError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotVault(_) => "not-vault",
            Self::Age { .. } => "wrong-age",
            Self::UnknownAdministrator(_) => "unknown-administrator",
            Self::Invalid(_) => "signature-invalid",
            Self::TooFew { .. } => "too-few-signatures",
            Self::Sighash(_) => "sighash",
        }
    }
}

/// A vault that its administrators take coins out of.
#[derive(Clone, Debug)]
pub struct LastResort<'a> {
    vault: VaultTree,
    governance: &'a Governance,
}

impl<'a> LastResort<'a> {
    /// The vault of `roster` under `governance`, with the internal key of its address.
    pub fn new<C: Verification>(
        secp: &Secp256k1<C>,
        internal_key: InternalKey,
        roster: &Roster,
        governance: &'a Governance,
    ) -> Self {
        Self {
            vault: VaultTree::new(secp, internal_key, roster, governance),
            governance,
        }
    }

    /// The vault.
    pub fn vault(&self) -> &VaultTree {
        &self.vault
    }

    /// The input that spends a coin of the vault, unsigned: minable once the coin has
    /// [`LAST_RESORT_AGE`] confirmations. The transaction must be of version 2.
    pub fn input(&self, coin: OutPoint) -> TxIn {
        TxIn {
            previous_output: coin,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::from_height(LAST_RESORT_AGE),
            witness: Witness::new(),
        }
    }

    /// The digest that each administrator signs (BIP-340) for an input of a transaction that spends
    /// `prevouts` in order. It commits to all inputs and outputs.
    pub fn digest(
        &self,
        transaction: &Transaction,
        prevouts: &[TxOut],
        input_index: usize,
    ) -> Result<Message, LastResortError> {
        self.check_input(transaction, prevouts, input_index)?;
        let leaf = self.vault.last_resort.leaf();
        Ok(Sighashes::new(transaction, prevouts).of_leaf(input_index, leaf)?)
    }

    /// Completes an input with signatures by position among the administrators. Each is verified;
    /// of more than are needed the first ones count.
    pub fn complete<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        transaction: &mut Transaction,
        prevouts: &[TxOut],
        input_index: usize,
        signatures: &BTreeMap<usize, Signature>,
    ) -> Result<(), LastResortError> {
        let digest = self.digest(transaction, prevouts, input_index)?;
        let keys = self.governance.administrators();
        for (position, signature) in signatures {
            let unknown = LastResortError::UnknownAdministrator(*position);
            let key = keys.get(*position).ok_or(unknown)?;
            secp.verify_schnorr(signature, &digest, key)
                .map_err(|_| LastResortError::Invalid(*position))?;
        }
        let spend = &self.vault.last_resort;
        let (expected, got) = (spend.needed(), signatures.len());
        if got < expected {
            return Err(LastResortError::TooFew { expected, got });
        }
        let chosen = signatures.iter().take(expected);
        let chosen = chosen.map(|(position, signature)| (*position, signature));
        let mut witness = multi_a_places(spend.administrators(), &chosen.collect());
        push_leaf(&mut witness, spend.leaf());
        if let Some(input) = transaction.input.get_mut(input_index) {
            input.witness = witness;
        }
        Ok(())
    }

    fn check_input(
        &self,
        transaction: &Transaction,
        prevouts: &[TxOut],
        input_index: usize,
    ) -> Result<(), LastResortError> {
        let at_vault = prevouts
            .get(input_index)
            .is_some_and(|output| output.script_pubkey == self.vault.script_pubkey);
        let input = transaction.input.get(input_index);
        let input = input.filter(|_| at_vault);
        let input = input.ok_or(LastResortError::NotVault(input_index))?;
        let aged = input.sequence == Sequence::from_height(LAST_RESORT_AGE);
        if aged && transaction.version == Version::TWO {
            Ok(())
        } else {
            Err(LastResortError::Age {
                version: transaction.version.0,
                sequence: input.sequence.0,
            })
        }
    }
}
