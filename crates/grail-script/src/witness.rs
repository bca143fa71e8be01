//! Signatures of a quorum, and why they make no witness.

use bitcoin::secp256k1::{Message, Secp256k1, Verification, schnorr::Signature};
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
