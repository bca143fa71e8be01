//! A holder's secret share, and a signer's share of a signature.

use bitcoin::secp256k1::PublicKey;

use crate::{
    HolderId, Malformed, Vanished,
    hash::Tagged,
    scalar::{Scalar, Secret},
};

/// One holder's share of a group's key. Made by a key generation or recovered from its transcript;
/// it has no encoding and no copy.
///
/// ```compile_fail,E0277
/// fn needs_clone<T: Clone>() {}
/// needs_clone::<grail_frost::SigningShare>();
/// ```
///
/// ```compile_fail,E0277
/// fn needs_debug<T: std::fmt::Debug>() {}
/// needs_debug::<grail_frost::SigningShare>();
/// ```
pub struct SigningShare {
    id: HolderId,
    public: PublicKey,
    secret: Secret,
}

impl SigningShare {
    pub(crate) fn new(id: HolderId, secret: Secret) -> Self {
        Self {
            id,
            public: secret.public(),
            secret,
        }
    }

    /// Whose it is.
    pub fn id(&self) -> HolderId {
        self.id
    }

    /// What others know of it.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The secret, under a mask that BIP-445's nonce generation makes of fresh randomness.
    pub(crate) fn masked(&self, draw: &[u8; 32]) -> zeroize::Zeroizing<[u8; 32]> {
        let mut masked = self.secret.bytes();
        let mask = Tagged::new("BIP0445/aux").add(draw).finish_secret();
        for (byte, mask) in masked.iter_mut().zip(mask.iter()) {
            *byte ^= mask;
        }
        masked
    }

    /// The secret times a public factor.
    pub(crate) fn times(&self, factor: Scalar) -> Result<Secret, Vanished> {
        self.secret.duplicate().times_public(factor)
    }

    #[cfg(test)]
    pub(crate) fn secret_bytes(&self) -> [u8; 32] {
        *self.secret.bytes()
    }
}

/// A signer's share of one signature: public, 32 bytes big-endian below the group order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureShare(pub(crate) Scalar);

impl SignatureShare {
    /// From its bytes.
    ///
    /// # Errors
    /// [`Malformed`] at or above the group order: its sender's fault.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Malformed> {
        Scalar::from_bytes(bytes).map(Self).ok_or(Malformed)
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.to_bytes()
    }
}
