//! Puts a quorum's signatures into an approved settlement.

use std::collections::BTreeMap;

use bitcoin::{Transaction, secp256k1::schnorr::Signature};
use grail_policy::{Approved, Settlement};
use grail_script::{WitnessError, quorum_witness};
use grail_types::SignerIndex;

/// Why a settlement cannot be completed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompleteError {
    /// A signer gave another number of signatures than there are inputs.
    #[error("signer {signer}: expected {expected} signatures, got {got}")]
    SignatureCount {
        /// The signer.
        signer: SignerIndex,
        /// Inputs.
        expected: usize,
        /// Signatures.
        got: usize,
    },
    /// An input's witness cannot be made.
    #[error("input {input_index}: {source}")]
    Witness {
        /// The input.
        input_index: usize,
        /// Why.
        source: WitnessError,
    },
}

/// The final transaction. `signatures` holds, per signer, one signature per input in order; the caller has verified
/// each. The first `threshold` signers in roster order are used.
pub fn complete(
    approved: &Approved<Settlement>,
    signatures: &BTreeMap<SignerIndex, Vec<Signature>>,
) -> Result<Transaction, CompleteError> {
    let settlement = approved.get();
    let expected = settlement.spends.len();
    for (signer, list) in signatures {
        if list.len() != expected {
            return Err(CompleteError::SignatureCount {
                signer: *signer,
                expected,
                got: list.len(),
            });
        }
    }
    let mut transaction = settlement.transaction.clone();
    let inputs = transaction
        .input
        .iter_mut()
        .zip(&settlement.spends)
        .enumerate();
    for (input_index, (input, spend)) in inputs {
        let of_input: BTreeMap<_, _> = signatures
            .iter()
            .filter_map(|(signer, list)| {
                list.get(input_index).map(|signature| (*signer, *signature))
            })
            .collect();
        input.witness = quorum_witness(spend, &settlement.roster, &of_input).map_err(|source| {
            CompleteError::Witness {
                input_index,
                source,
            }
        })?;
    }
    Ok(transaction)
}
