//! The user's way out: spends a deposit after the delay with the user's key alone, offline.

use bitcoin::{
    Amount, FeeRate, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Weight, Witness,
    absolute::LockTime,
    secp256k1::{Keypair, Secp256k1, Signing, Verification},
    taproot::{LeafVersion, TapLeafHash},
    transaction::Version,
};
use grail_types::{Roster, Terms};

use crate::{sighash::Sighashes, spend::DepositTree};

/// Why a deposit cannot be reclaimed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReclaimError {
    /// Another key than the terms name.
    #[error("the key is not the one that the terms name for reclaiming")]
    WrongKey,
    /// The deposit is not at the address that terms and roster give.
    #[error("the output's script is not the deposit address of these terms")]
    WrongOutput,
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
    Sighash(#[from] crate::SighashError),
}

/// A wish to take a deposit back.
#[derive(Clone, Debug)]
pub struct Reclaim<'a> {
    /// The request's terms, from the receipt.
    pub terms: &'a Terms,
    /// The roster that the deposit address was made with, from the receipt.
    pub roster: &'a Roster,
    /// The deposit.
    pub outpoint: OutPoint,
    /// The deposit's amount and script.
    pub output: TxOut,
    /// Where the coin goes.
    pub to: ScriptBuf,
    /// Fee rate to pay.
    pub fee_rate: FeeRate,
}

impl Reclaim<'_> {
    /// The unsigned transaction: one input, valid once the deposit has `terms.reclaim_delay` confirmations
    /// (BIP-68 relative lock by height), and output 0 to `to` with the deposit's value less the fee.
    ///
    /// `reserved` is weight that the caller will add: a peg-out deposit carries zkBTC, whose transfer spell goes
    /// into an `OP_RETURN` behind output 0. Without it the charms would be lost.
    pub fn unsigned<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        reserved: Weight,
    ) -> Result<Transaction, ReclaimError> {
        let tree = self.tree(secp)?;
        let mut transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: self.outpoint,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::from_height(self.terms.reclaim_delay),
                witness: Witness::new(),
            }],
            output: vec![TxOut {
                value: self.output.value,
                script_pubkey: self.to.clone(),
            }],
        };
        // Item count; signature, script and control block, each behind a length byte; segwit marker and flag.
        let witness_size =
            1 + 65 + 1 + tree.reclaim_leaf.len() + 1 + tree.reclaim_control_block.size() + 2;
        let weight =
            transaction.weight() + Weight::from_witness_data_size(witness_size as u64) + reserved;
        let too_small = |fee| ReclaimError::TooSmall {
            deposit: self.output.value,
            fee,
        };
        let fee = self
            .fee_rate
            .fee_wu(weight)
            .ok_or_else(|| too_small(Amount::MAX))?;
        let dust = self.to.minimal_non_dust();
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

    /// Signs a transaction made by [`Reclaim::unsigned`], to which the caller may have added outputs.
    pub fn sign<C: Signing + Verification>(
        &self,
        secp: &Secp256k1<C>,
        mut transaction: Transaction,
        key: &Keypair,
    ) -> Result<Transaction, ReclaimError> {
        if key.x_only_public_key().0 != self.terms.reclaim_key {
            return Err(ReclaimError::WrongKey);
        }
        let tree = self.tree(secp)?;
        let prevouts = [self.output.clone()];
        let leaf_hash = TapLeafHash::from_script(&tree.reclaim_leaf, LeafVersion::TapScript);
        let sighash = Sighashes::new(&transaction, &prevouts).script_path(0, leaf_hash)?;
        let signature = secp.sign_schnorr_no_aux_rand(&sighash, key);
        let control_block = tree.reclaim_control_block.serialize();
        let witness = Witness::from_slice(&[
            signature.as_ref().as_slice(),
            tree.reclaim_leaf.as_bytes(),
            &control_block,
        ]);
        for input in &mut transaction.input {
            input.witness = witness.clone();
        }
        Ok(transaction)
    }

    fn tree<C: Verification>(&self, secp: &Secp256k1<C>) -> Result<DepositTree, ReclaimError> {
        let tree = DepositTree::new(secp, self.terms, self.roster);
        if self.output.script_pubkey == tree.script_pubkey {
            Ok(tree)
        } else {
            Err(ReclaimError::WrongOutput)
        }
    }
}
