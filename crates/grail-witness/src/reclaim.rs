//! The user's way out: spends a deposit after the delay with the user's key alone, offline.

use bitcoin::{
    Amount, FeeRate, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Weight, Witness,
    absolute::LockTime,
    secp256k1::{Keypair, Secp256k1, Signing, Verification},
    transaction::Version,
};
use grail_script::{
    DepositTree, InternalKey, Leaf, SighashError, Sighashes,
    weight::{self, SIGNATURE_BYTES},
};
use grail_types::{Roster, Terms};

use crate::quorum::push_leaf;

/// Why a deposit cannot be reclaimed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReclaimError {
    /// Another key than the terms name.
    #[error("the key is not the one that the terms name for reclaiming")]
    WrongKey,
    /// The deposit is not at the address that terms and roster give.
    #[error("the output's script is not the deposit address of these terms")]
    WrongOutput,
    /// No input of the transaction to be signed spends the deposit.
    #[error("no input of the transaction spends the deposit {0}")]
    NotSpent(OutPoint),
    /// After the fee less than dust would remain.
    #[error("{deposit} cannot pay a fee of {fee} and leave an output above dust")]
    TooSmall {
        /// Value of the deposit.
        deposit: Amount,
        /// Fee at the rate asked for.
        fee: Amount,
    },
    /// The digest could not be computed.
    #[error(transparent)]
    Sighash(#[from] SighashError),
}

/// A deposit to be taken back, as its receipt describes it.
#[derive(Clone, Debug)]
pub struct Reclaim<'a> {
    /// The internal key of the deposit address.
    pub internal_key: InternalKey,
    /// The request's terms.
    pub terms: &'a Terms,
    /// The roster that the deposit address was made with.
    pub roster: &'a Roster,
    /// The deposit.
    pub outpoint: OutPoint,
    /// The deposit's amount and script.
    pub output: TxOut,
}

impl Reclaim<'_> {
    /// The input that spends the deposit, unsigned: valid once the deposit has
    /// `terms.reclaim_delay` confirmations (BIP-68 relative lock by height). The transaction must
    /// be of version 2.
    pub fn input(&self) -> TxIn {
        TxIn {
            previous_output: self.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::from_height(self.terms.reclaim_delay),
            witness: Witness::new(),
        }
    }

    /// Weight of the witness that [`Reclaim::sign_input`] gives the input.
    pub fn witness_weight<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
    ) -> Result<Weight, ReclaimError> {
        Ok(self.leaf(secp)?.witness_weight([SIGNATURE_BYTES]))
    }

    /// The unsigned transaction: one input, and output 0 to `to` with the deposit's value less the
    /// fee at `fee_rate`.
    ///
    /// `reserved` is weight that the caller will add: a peg-out deposit carries zkBTC, whose
    /// transfer spell goes into an `OP_RETURN` after output 0. Without it the charms would be lost.
    pub fn unsigned<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        to: ScriptBuf,
        fee_rate: FeeRate,
        reserved: Weight,
    ) -> Result<Transaction, ReclaimError> {
        let witness = self.witness_weight(secp)?;
        let dust = to.minimal_non_dust();
        let mut transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![self.input()],
            output: vec![TxOut {
                value: self.output.value,
                script_pubkey: to,
            }],
        };
        let too_small = |fee| ReclaimError::TooSmall {
            deposit: self.output.value,
            fee,
        };
        let fee = weight::signed(&transaction, [witness])
            .ok()
            .and_then(|weight| weight.checked_add(reserved))
            .and_then(|weight| fee_rate.fee_wu(weight))
            .ok_or_else(|| too_small(Amount::MAX))?;
        let rest = self
            .output
            .value
            .checked_sub(fee)
            .filter(|rest| *rest >= dust)
            .ok_or_else(|| too_small(fee))?;
        for output in &mut transaction.output {
            output.value = rest;
        }
        Ok(transaction)
    }

    /// Signs a transaction made by [`Reclaim::unsigned`], to which the caller may have added
    /// outputs.
    pub fn sign<C: Signing + Verification>(
        &self,
        secp: &Secp256k1<C>,
        mut transaction: Transaction,
        key: &Keypair,
    ) -> Result<Transaction, ReclaimError> {
        let prevouts = std::slice::from_ref(&self.output);
        self.sign_input(secp, &mut transaction, prevouts, key)?;
        Ok(transaction)
    }

    /// Signs the deposit's input of a transaction that spends `prevouts` in order. The signature
    /// binds all inputs and outputs, and no input's witness.
    pub fn sign_input<C: Signing + Verification>(
        &self,
        secp: &Secp256k1<C>,
        transaction: &mut Transaction,
        prevouts: &[TxOut],
        key: &Keypair,
    ) -> Result<(), ReclaimError> {
        if key.x_only_public_key().0 != self.terms.reclaim_key {
            return Err(ReclaimError::WrongKey);
        }
        let leaf = self.leaf(secp)?;
        let input_index = transaction
            .input
            .iter()
            .zip(prevouts)
            .position(|(input, prevout)| {
                input.previous_output == self.outpoint && *prevout == self.output
            })
            .ok_or(ReclaimError::NotSpent(self.outpoint))?;
        let sighash = Sighashes::new(transaction, prevouts).of_leaf(input_index, &leaf)?;
        let signature = secp.sign_schnorr_no_aux_rand(&sighash, key);
        if let Some(input) = transaction.input.get_mut(input_index) {
            input.witness = Witness::from_slice(&[signature.as_ref()]);
            push_leaf(&mut input.witness, &leaf);
        }
        Ok(())
    }

    fn leaf<C: Verification>(&self, secp: &Secp256k1<C>) -> Result<Leaf, ReclaimError> {
        let tree = DepositTree::new(secp, self.internal_key, self.terms, self.roster);
        if self.output.script_pubkey == tree.script_pubkey {
            Ok(tree.reclaim)
        } else {
            Err(ReclaimError::WrongOutput)
        }
    }
}
