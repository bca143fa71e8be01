//! Output keys: a group key and the tweaks upon it.

use bitcoin::{
    TapNodeHash, XOnlyPublicKey,
    secp256k1::{Parity, PublicKey},
};
use thiserror::Error;

use crate::{
    hash::Tagged,
    scalar::{Point, Scalar, is_odd, x_of},
};

/// A key that signatures verify under: the group key, tweaked any number of times (BIP-445's tweak
/// context, the same as BIP-327's).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputKey {
    key: PublicKey,
    /// Whether an odd number of negations lies between the group key and this.
    negated: bool,
    /// What was added, with the signs since.
    added: Scalar,
}

/// Why a tweak is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TweakError {
    /// At or above the group order.
    #[error("the tweak is at or above the group order")]
    OutOfRange,
    /// The tweak cancels the key.
    #[error("the tweaked key is the point at infinity")]
    Infinity,
}

impl OutputKey {
    /// The group key itself.
    pub fn untweaked(key: PublicKey) -> Self {
        Self {
            key,
            negated: false,
            added: Scalar::ZERO,
        }
    }

    /// The taproot output key over a script tree: `lift_x(key) + H_TapTweak(key || root) G`
    /// (BIP-341).
    ///
    /// # Errors
    /// [`TweakError`], with negligible probability.
    pub fn taproot(key: PublicKey, root: TapNodeHash) -> Result<Self, TweakError> {
        let tweak = Tagged::new("TapTweak")
            .add(&x_of(&key))
            .add(root.as_ref())
            .finish();
        Self::untweaked(key).x_only(&tweak)
    }

    /// Adds the generator times the tweak to the point as it is.
    ///
    /// # Errors
    /// [`TweakError`].
    pub fn plain(self, tweak: &[u8; 32]) -> Result<Self, TweakError> {
        self.tweaked(tweak, false)
    }

    /// Adds the generator times the tweak to the point of even y with this x.
    ///
    /// # Errors
    /// [`TweakError`].
    pub fn x_only(self, tweak: &[u8; 32]) -> Result<Self, TweakError> {
        let odd = is_odd(&self.key);
        self.tweaked(tweak, odd)
    }

    fn tweaked(self, tweak: &[u8; 32], flip: bool) -> Result<Self, TweakError> {
        let tweak = Scalar::from_bytes(tweak).ok_or(TweakError::OutOfRange)?;
        let key = Point::from(self.key)
            .negated_if(flip)
            .plus_generator_times(tweak)
            .finite()
            .ok_or(TweakError::Infinity)?;
        Ok(Self {
            key,
            negated: self.negated != flip,
            added: tweak.plus(self.added.negated_if(flip)),
        })
    }

    /// What signatures verify under (BIP-340), and what an output commits to.
    pub fn x_only_key(&self) -> (XOnlyPublicKey, Parity) {
        self.key.x_only_public_key()
    }

    pub(crate) fn x(&self) -> [u8; 32] {
        x_of(&self.key)
    }

    /// Whether the group's shares count negated under this key.
    pub(crate) fn shares_negated(&self) -> bool {
        self.negated != is_odd(&self.key)
    }

    /// What the coordinator adds for the tweaks, before it is multiplied by the challenge.
    pub(crate) fn addition(&self) -> Scalar {
        self.added.negated_if(is_odd(&self.key))
    }
}
