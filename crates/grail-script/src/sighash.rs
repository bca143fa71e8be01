//! BIP-341 sighashes of spends.

use bitcoin::{
    TapSighash, TapSighashType, Transaction, TxOut,
    hashes::Hash,
    secp256k1::Message,
    sighash::{Prevouts, SighashCache, TaprootError},
};

use crate::spend::{Leaf, Spend};

/// Computes many inputs' sighashes of one transaction; the parts that are common to all inputs are
/// hashed once, so the cost is linear in the number of inputs.
pub struct Sighashes<'a> {
    cache: SighashCache<&'a Transaction>,
    prevouts: &'a [TxOut],
}

/// The input cannot be hashed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("input {input_index}: {reason}")]
pub struct SighashError {
    /// Input asked for.
    pub input_index: usize,
    /// The library's reason.
    pub reason: String,
}

impl<'a> Sighashes<'a> {
    /// For `transaction`, whose inputs spend `prevouts` in order.
    pub fn new(transaction: &'a Transaction, prevouts: &'a [TxOut]) -> Self {
        Self {
            cache: SighashCache::new(transaction),
            prevouts,
        }
    }

    /// The `SIGHASH_DEFAULT` digest for spending an input as `spend` says: commits to the whole
    /// transaction and to all amounts and scripts spent, and in a leaf's case to the leaf.
    pub fn of(&mut self, input_index: usize, spend: &Spend) -> Result<Message, SighashError> {
        match spend {
            Spend::Leaf(spend) => self.of_leaf(input_index, spend.leaf()),
            Spend::Key(_) => self.key_path(input_index),
        }
    }

    /// The same for spending it by this leaf, whoever's it is.
    pub fn of_leaf(&mut self, input_index: usize, leaf: &Leaf) -> Result<Message, SighashError> {
        self.check_index(input_index)?;
        let sighash = self.cache.taproot_script_spend_signature_hash(
            input_index,
            &Prevouts::All(self.prevouts),
            leaf.hash(),
            TapSighashType::Default,
        );
        message(input_index, sighash)
    }

    fn key_path(&mut self, input_index: usize) -> Result<Message, SighashError> {
        self.check_index(input_index)?;
        let sighash = self.cache.taproot_key_spend_signature_hash(
            input_index,
            &Prevouts::All(self.prevouts),
            TapSighashType::Default,
        );
        message(input_index, sighash)
    }

    /// The library hashes any index, as long as there is one prevout per input.
    fn check_index(&self, input_index: usize) -> Result<(), SighashError> {
        let inputs = self.prevouts.len();
        if input_index < inputs {
            Ok(())
        } else {
            Err(SighashError {
                input_index,
                reason: format!("expected an index below {inputs}"),
            })
        }
    }
}

fn message(
    input_index: usize,
    sighash: Result<TapSighash, TaprootError>,
) -> Result<Message, SighashError> {
    sighash
        .map(|sighash| Message::from_digest(sighash.to_byte_array()))
        .map_err(|error| SighashError {
            input_index,
            reason: error.to_string(),
        })
}
