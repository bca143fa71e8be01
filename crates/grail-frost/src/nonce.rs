//! Nonces: two secrets of a signer for one signature, their public halves, and the sums of those.

use bitcoin::secp256k1::PublicKey;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    BYTES_OF_A_POINT, OutputKey, SigningShare, Vanished,
    hash::Tagged,
    scalar::{Point, Secret},
};

/// Bytes of a pair of points.
pub(crate) const BYTES_OF_A_PAIR: usize = 2 * BYTES_OF_A_POINT;

/// Bytes that are no number, or no point, of the kind expected. Whose fault it is the caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("malformed")]
pub struct Malformed;

/// The two secret nonces of one signer for one signature. Signing takes it by value, so it answers
/// one challenge at most:
///
/// ```compile_fail,E0382
/// use grail_frost::{SecretNonce, Session, SigningShare};
///
/// fn sign_twice(one: &Session, other: &Session, share: &SigningShare, nonce: SecretNonce) {
///     let _ = one.sign(share, nonce);
///     let _ = other.sign(share, nonce);
/// }
/// ```
///
/// It cannot be kept by copying it, printing it or writing it down:
///
/// ```compile_fail,E0277
/// fn needs_clone<T: Clone>() {}
/// needs_clone::<grail_frost::SecretNonce>();
/// ```
///
/// ```compile_fail,E0277
/// fn needs_debug<T: std::fmt::Debug>() {}
/// needs_debug::<grail_frost::SecretNonce>();
/// ```
///
/// Once is fine:
///
/// ```
/// use grail_frost::{SecretNonce, Session, SignError, SignatureShare, SigningShare};
///
/// fn sign_once(
///     session: &Session,
///     share: &SigningShare,
///     nonce: SecretNonce,
/// ) -> Result<SignatureShare, SignError> {
///     session.sign(share, nonce)
/// }
/// ```
pub struct SecretNonce {
    pub(crate) first: Secret,
    pub(crate) second: Secret,
}

impl SecretNonce {
    /// A nonce for this share, output key and message, from 32 bytes of fresh randomness
    /// (BIP-445's `NonceGen` with every optional field). `context` is hashed in: whatever else
    /// makes this signature differ from others.
    ///
    /// # Errors
    /// [`Vanished`], with negligible probability.
    pub(crate) fn draw(
        share: &SigningShare,
        randomness: &Zeroizing<[u8; 32]>,
        key: &OutputKey,
        message: &[u8],
        context: &[u8],
    ) -> Result<(Self, PublicNonce), Vanished> {
        Self::expand(
            &share.masked(randomness),
            &share.public().serialize(),
            &key.x(),
            Some(message),
            context,
        )
    }

    /// BIP-445's `NonceGen` after the mask; absent fields are empty.
    pub(crate) fn expand(
        seed: &Zeroizing<[u8; 32]>,
        public_share: &[u8],
        key: &[u8],
        message: Option<&[u8]>,
        context: &[u8],
    ) -> Result<(Self, PublicNonce), Vanished> {
        let length = |bytes: &[u8]| bytes.len() as u64;
        let mut hash = Tagged::new("BIP0445/nonce")
            .add(seed.as_slice())
            .add(&length(public_share).to_be_bytes()[7..])
            .add(public_share)
            .add(&length(key).to_be_bytes()[7..])
            .add(key);
        hash = match message {
            None => hash.add(&[0]),
            Some(message) => hash
                .add(&[1])
                .add(&length(message).to_be_bytes())
                .add(message),
        };
        let hash = hash.add(&length(context).to_be_bytes()[4..]).add(context);
        let half = |index: u8| Secret::from_hash(&hash.clone().add(&[index]).finish_secret());
        Ok(Self::of_halves(half(0)?, half(1)?))
    }

    pub(crate) fn of_halves(first: Secret, second: Secret) -> (Self, PublicNonce) {
        let public = PublicNonce {
            first: first.public(),
            second: second.public(),
        };
        (Self { first, second }, public)
    }
}

/// What a signer commits to before anybody knows the sums: 66 bytes, two compressed points, neither
/// of them infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicNonce {
    pub(crate) first: PublicKey,
    pub(crate) second: PublicKey,
}

impl PublicNonce {
    /// From its bytes.
    ///
    /// # Errors
    /// [`Malformed`]: its sender's fault.
    pub fn from_bytes(bytes: &[u8; BYTES_OF_A_PAIR]) -> Result<Self, Malformed> {
        let (first, second) = halves(bytes)?;
        Ok(Self {
            first: PublicKey::from_slice(&first).map_err(|_| Malformed)?,
            second: PublicKey::from_slice(&second).map_err(|_| Malformed)?,
        })
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; BYTES_OF_A_PAIR] {
        pair(&self.first.serialize(), &self.second.serialize())
    }
}

/// The sums of the signers' public nonces: 66 bytes, either half 33 zeros when it vanishes, which
/// the last committer can arrange (BIP-445).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggregateNonce {
    pub(crate) first: Point,
    pub(crate) second: Point,
}

impl AggregateNonce {
    /// The sums (BIP-445's `NonceAgg`).
    pub fn sum<'a>(nonces: impl IntoIterator<Item = &'a PublicNonce> + Clone) -> Self {
        Self {
            first: Point::sum(nonces.clone().into_iter().map(|nonce| nonce.first.into())),
            second: Point::sum(nonces.into_iter().map(|nonce| nonce.second.into())),
        }
    }

    /// From its bytes.
    ///
    /// # Errors
    /// [`Malformed`]: the coordinator's fault.
    pub fn from_bytes(bytes: &[u8; BYTES_OF_A_PAIR]) -> Result<Self, Malformed> {
        let (first, second) = halves(bytes)?;
        Ok(Self {
            first: Point::from_bytes(&first).ok_or(Malformed)?,
            second: Point::from_bytes(&second).ok_or(Malformed)?,
        })
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; BYTES_OF_A_PAIR] {
        pair(&self.first.to_bytes(), &self.second.to_bytes())
    }
}

type Halves = ([u8; BYTES_OF_A_POINT], [u8; BYTES_OF_A_POINT]);

fn halves(bytes: &[u8; BYTES_OF_A_PAIR]) -> Result<Halves, Malformed> {
    let (first, second) = bytes.split_at(BYTES_OF_A_POINT);
    Ok((
        first.try_into().map_err(|_| Malformed)?,
        second.try_into().map_err(|_| Malformed)?,
    ))
}

fn pair(first: &[u8; BYTES_OF_A_POINT], second: &[u8; BYTES_OF_A_POINT]) -> [u8; BYTES_OF_A_PAIR] {
    let mut bytes = [0; BYTES_OF_A_PAIR];
    for (to, from) in bytes.iter_mut().zip(first.iter().chain(second)) {
        *to = *from;
    }
    bytes
}
