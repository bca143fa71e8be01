//! What signed transactions weigh (BIP-141). Fees are planned, quoted and judged by these numbers,
//! so they are here and nowhere else.

use bitcoin::{Script, Transaction, VarInt, Weight};

/// Bytes of a BIP-340 signature under the default sighash type.
pub const SIGNATURE_BYTES: usize = 64;
/// Version and lock time.
const FIXED_BYTES: usize = 4 + 4;
/// Bytes of an output's amount.
const AMOUNT_BYTES: usize = 8;

/// Marker and flag: there once any input has a witness.
pub const SEGWIT_MARKER: Weight = Weight::from_wu(2);
/// An input without its witness: outpoint, length of the empty script, sequence.
pub const INPUT: Weight = Weight::from_wu((36 + 1 + 4) * 4);
/// Witness of a taproot key path: count of items, length, signature.
pub const KEY_PATH_WITNESS: Weight = Weight::from_wu(1 + 1 + 64);
/// A P2WPKH output, the smallest that serves a request: amount, length, script.
pub const P2WPKH_OUTPUT: Weight = Weight::from_wu((8 + 1 + 22) * 4);
/// A P2TR output: amount, length, script.
pub const P2TR_OUTPUT: Weight = Weight::from_wu((8 + 1 + 34) * 4);

/// Why a transaction cannot be weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightError {
    /// Another number of witnesses than of inputs.
    #[error("expected a witness for each of {inputs} inputs, got {witnesses}")]
    WitnessCount {
        /// Inputs of the transaction.
        inputs: usize,
        /// Witnesses given.
        witnesses: usize,
    },
    /// The sum leaves the range of weights.
    #[error("weights overflow")]
    Overflow,
}

/// A signed transaction without its inputs and outputs: version, lock time, both counts, marker
/// and flag.
pub fn frame(inputs: usize, outputs: usize) -> Weight {
    let base = FIXED_BYTES
        .saturating_add(VarInt::from(inputs).size())
        .saturating_add(VarInt::from(outputs).size());
    Weight::from_non_witness_data_size(base as u64) + SEGWIT_MARKER
}

/// An output to `script`.
pub fn output(script: &Script) -> Weight {
    Weight::from_non_witness_data_size(AMOUNT_BYTES.saturating_add(item(script.len())) as u64)
}

/// The transaction once every input has its witness. `witnesses` are the weights of the inputs'
/// own witnesses, one each in order: inputs of different rosters weigh differently.
pub fn signed(
    unsigned: &Transaction,
    witnesses: impl IntoIterator<Item = Weight>,
) -> Result<Weight, WeightError> {
    let mut count = 0_usize;
    let mut weight = Weight::from_non_witness_data_size(unsigned.base_size() as u64)
        .checked_add(SEGWIT_MARKER)
        .ok_or(WeightError::Overflow)?;
    for witness in witnesses {
        count = count.saturating_add(1);
        weight = weight.checked_add(witness).ok_or(WeightError::Overflow)?;
    }
    let inputs = unsigned.input.len();
    if count == inputs {
        Ok(weight)
    } else {
        Err(WeightError::WitnessCount {
            inputs,
            witnesses: count,
        })
    }
}

/// A witness of items of these sizes, with their count.
pub(crate) fn witness(sizes: impl IntoIterator<Item = usize>) -> Weight {
    let (count, bytes) = sizes
        .into_iter()
        .fold((0_usize, 0_usize), |(count, bytes), size| {
            (count.saturating_add(1), bytes.saturating_add(item(size)))
        });
    let bytes = bytes.saturating_add(VarInt::from(count).size());
    Weight::from_witness_data_size(bytes as u64)
}

/// Bytes of an item after its length.
fn item(size: usize) -> usize {
    VarInt::from(size).size().saturating_add(size)
}
