//! Signatures and witnesses of a quorum.

use std::collections::BTreeMap;

use bitcoin::{
    VarInt, Weight, Witness,
    secp256k1::{Message, Secp256k1, Verification, schnorr::Signature},
};
use grail_types::{Roster, SignerIndex};

use crate::spend::RosterSpend;

/// Bytes of a BIP-340 signature under the default sighash type.
const SIGNATURE_SIZE: usize = 64;

/// Why no witness can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// Fewer signatures than the threshold.
    #[error("expected {expected} signatures, got {got}")]
    TooFew {
        /// The threshold.
        expected: usize,
        /// Signatures at hand.
        got: usize,
    },
    /// A signature for a position outside the roster.
    #[error("signer {0} is not in the roster")]
    UnknownSigner(SignerIndex),
    /// BIP-340 verification failed.
    #[error("signer {0}: signature does not verify")]
    Invalid(SignerIndex),
}

/// Checks one signer's signature of a sighash (BIP-340).
pub fn verify_signature<C: Verification>(
    secp: &Secp256k1<C>,
    roster: &Roster,
    signer: SignerIndex,
    sighash: &Message,
    signature: &Signature,
) -> Result<(), WitnessError> {
    let key = roster
        .signer(signer)
        .ok_or(WitnessError::UnknownSigner(signer))?;
    secp.verify_schnorr(signature, sighash, key)
        .map_err(|_| WitnessError::Invalid(signer))
}

/// Completes a quorum spend with the first `threshold` signatures in roster order; BIP-342 demands that every
/// other signer's place is empty. Surplus signatures are left out, since `NUMEQUAL` wants the exact number.
pub fn quorum_witness(
    spend: &RosterSpend,
    roster: &Roster,
    signatures: &BTreeMap<SignerIndex, Signature>,
) -> Result<Witness, WitnessError> {
    let threshold = usize::from(roster.threshold().0);
    if signatures.len() < threshold {
        return Err(WitnessError::TooFew {
            expected: threshold,
            got: signatures.len(),
        });
    }
    let chosen: BTreeMap<SignerIndex, &Signature> = signatures
        .iter()
        .take(threshold)
        .map(|(index, signature)| (*index, signature))
        .collect();
    if let Some(stranger) = chosen.keys().find(|index| roster.signer(**index).is_none()) {
        return Err(WitnessError::UnknownSigner(*stranger));
    }
    let mut witness = Witness::new();
    // The script pops the first key's signature first, so it lies on top: reverse order.
    for index in (0..roster.signers().len()).rev() {
        let signature = u16::try_from(index)
            .ok()
            .and_then(|index| chosen.get(&SignerIndex(index)));
        match signature {
            Some(signature) => witness.push(signature.as_ref()),
            None => witness.push([]),
        }
    }
    witness.push(spend.leaf().as_bytes());
    witness.push(spend.control_block().serialize());
    Ok(witness)
}

/// Weight units of a quorum witness: item count, `threshold` signatures, empty places, script, control block.
pub fn quorum_witness_weight(
    roster: &Roster,
    leaf_size: usize,
    control_block_size: usize,
) -> Weight {
    let signers = roster.signers().len();
    let threshold = usize::from(roster.threshold().0);
    let item = |size: usize| VarInt::from(size).size().saturating_add(size);
    let size = VarInt::from(signers.saturating_add(2))
        .size()
        .saturating_add(threshold.saturating_mul(item(SIGNATURE_SIZE)))
        .saturating_add(signers.saturating_sub(threshold))
        .saturating_add(item(leaf_size))
        .saturating_add(item(control_block_size));
    Weight::from_witness_data_size(size as u64)
}
