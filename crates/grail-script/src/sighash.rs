//! BIP-341 script-path sighashes of roster inputs.

use bitcoin::{
    TapLeafHash, TapSighashType, Transaction, TxOut,
    hashes::Hash,
    secp256k1::Message,
    sighash::{Prevouts, SighashCache},
};

/// Computes many inputs' sighashes of one transaction; the parts that are common to all inputs are hashed once,
/// so the cost is linear in the number of inputs.
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

    /// The `SIGHASH_DEFAULT` digest for spending `leaf` at an input: commits to the whole transaction and to
    /// all amounts and scripts spent.
    pub fn script_path(
        &mut self,
        input_index: usize,
        leaf: TapLeafHash,
    ) -> Result<Message, SighashError> {
        // The library hashes any index, as long as there is one prevout per input.
        let inputs = self.prevouts.len();
        if input_index >= inputs {
            return Err(SighashError {
                input_index,
                reason: format!("expected an index below {inputs}"),
            });
        }
        let sighash = self
            .cache
            .taproot_script_spend_signature_hash(
                input_index,
                &Prevouts::All(self.prevouts),
                leaf,
                TapSighashType::Default,
            )
            .map_err(|error| SighashError {
                input_index,
                reason: error.to_string(),
            })?;
        Ok(Message::from_digest(sighash.to_byte_array()))
    }
}
