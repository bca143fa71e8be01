//! The one secret.

use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{Keypair, Secp256k1, SecretKey, Signing},
};
use zeroize::Zeroizing;

/// A signer's key. Its 32 bytes stay in one place on the heap, so that no move leaves a copy in a
/// stack frame, and are erased when dropped. Never shown, cloned or compared.
pub(crate) struct SigningKey {
    secret: Box<Zeroizing<[u8; 32]>>,
    public: XOnlyPublicKey,
}

/// The bytes are no secret key: zero, or not below the curve's order.
pub(crate) struct InvalidKey;

impl SigningKey {
    /// The key of `secret`, which was filled where it lies.
    pub(crate) fn new<C: Signing>(
        secp: &Secp256k1<C>,
        secret: Box<Zeroizing<[u8; 32]>>,
    ) -> Result<Self, InvalidKey> {
        let mut parsed = SecretKey::from_slice(secret.as_slice()).map_err(|_| InvalidKey)?;
        let mut pair = Keypair::from_secret_key(secp, &parsed);
        let public = pair.x_only_public_key().0;
        parsed.non_secure_erase();
        pair.non_secure_erase();
        Ok(Self { secret, public })
    }

    /// Its public half.
    pub(crate) fn public(&self) -> XOnlyPublicKey {
        self.public
    }

    /// The bytes, to be sealed.
    pub(crate) fn to_be_sealed(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Lends the key pair to `sign` and erases it afterwards: `Keypair` is `Copy`, so it must not
    /// be kept anywhere.
    pub(crate) fn with_pair<C: Signing, T>(
        &self,
        secp: &Secp256k1<C>,
        sign: impl FnOnce(&Keypair) -> T,
    ) -> T {
        let mut pair = Keypair::from_seckey_slice(secp, self.secret.as_slice())
            .expect("the bytes were a key when this was made");
        let outcome = sign(&pair);
        pair.non_secure_erase();
        outcome
    }
}
