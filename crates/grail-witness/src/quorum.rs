//! Witnesses from signatures of a quorum or a group, and why some make none.

use std::collections::BTreeMap;

use bitcoin::{
    Witness,
    secp256k1::{Message, Secp256k1, Verification, schnorr::Signature},
};
use grail_script::{KeySpend, Leaf, LeafSpend, Spend};
use grail_types::{Roster, SignerIndex};

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
    /// Signatures of single signers do not complete a spend by the group key.
    #[error("expected a signature of the group, got signatures of its signers")]
    NeedsGroupSignature,
    /// BIP-340 verification under the output key failed.
    #[error("the group's signature does not verify")]
    InvalidGroupSignature,
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

/// The witness from signatures of single signers, which the caller has verified; a spend by the
/// group key cannot be completed so.
pub fn quorum_witness(
    spend: &Spend,
    signatures: &BTreeMap<SignerIndex, Signature>,
) -> Result<Witness, WitnessError> {
    match spend {
        Spend::Leaf(spend) => leaf_witness(spend, signatures),
        Spend::Key(_) => Err(WitnessError::NeedsGroupSignature),
    }
}

/// The witness with the first `threshold` signatures in roster order; BIP-342 demands that
/// every other signer's place is empty. Surplus signatures are left out, since `NUMEQUAL` wants
/// the exact number. The caller has verified the signatures.
pub fn leaf_witness(
    spend: &LeafSpend,
    signatures: &BTreeMap<SignerIndex, Signature>,
) -> Result<Witness, WitnessError> {
    if signatures.len() < spend.threshold() {
        return Err(WitnessError::TooFew {
            expected: spend.threshold(),
            got: signatures.len(),
        });
    }
    let first = || signatures.iter().take(spend.threshold());
    let is_stranger = |index: SignerIndex| usize::from(index.0) >= spend.signers();
    if let Some((stranger, _)) = first().find(|(index, _)| is_stranger(**index)) {
        return Err(WitnessError::UnknownSigner(*stranger));
    }
    let chosen: BTreeMap<usize, &Signature> = first()
        .map(|(index, signature)| (usize::from(index.0), signature))
        .collect();
    let mut witness = multi_a_places(spend.signers(), &chosen);
    push_leaf(&mut witness, spend.leaf());
    Ok(witness)
}

/// A place for each of so many keys, empty but for those of `chosen`.
pub(crate) fn multi_a_places(keys: usize, chosen: &BTreeMap<usize, &Signature>) -> Witness {
    let mut witness = Witness::new();
    // The script pops the first key's signature first, so it lies on top: reverse order.
    for index in (0..keys).rev() {
        match chosen.get(&index) {
            Some(signature) => witness.push(signature.as_ref()),
            None => witness.push([]),
        }
    }
    witness
}

/// The witness, if `signature` is the group's for `sighash`.
pub fn group_witness<C: Verification>(
    secp: &Secp256k1<C>,
    spend: &KeySpend,
    sighash: &Message,
    signature: &Signature,
) -> Result<Witness, WitnessError> {
    secp.verify_schnorr(signature, sighash, &spend.output_key())
        .map_err(|_| WitnessError::InvalidGroupSignature)?;
    Ok(Witness::from_slice(&[signature.as_ref()]))
}

/// Puts what proves the leaf on top.
pub(crate) fn push_leaf(witness: &mut Witness, leaf: &Leaf) {
    witness.push(leaf.script().as_bytes());
    witness.push(leaf.control_block().serialize());
}
