//! Numbers modulo the group order and points of secp256k1: the only module that calls
//! libsecp256k1's arithmetic.
//!
//! Secrets are [`Secret`], and every operation on one runs in constant time. [`Scalar`] and
//! [`Point`] are public values and may be computed in variable time. ADR 35 lists the calls, and
//! what becomes of zero and infinity.

use std::sync::OnceLock;

use bitcoin::secp256k1::{
    self, All, Parity, PublicKey, Secp256k1, SecretKey, XOnlyPublicKey, constants::CURVE_ORDER,
    ecdh::SharedSecret,
};
use zeroize::Zeroizing;

use crate::{BYTES_OF_A_POINT, Vanished};

/// The group order minus two: the exponent that inverts (Fermat).
const INVERSION_EXPONENT: [u8; 32] = {
    let mut exponent = CURVE_ORDER;
    // The order ends in 0x41.
    exponent[31] = 0x3f;
    exponent
};

/// libsecp256k1's tables, made once.
pub(crate) fn curve() -> &'static Secp256k1<All> {
    static CURVE: OnceLock<Secp256k1<All>> = OnceLock::new();
    CURVE.get_or_init(Secp256k1::new)
}

/// A public number modulo the group order, zero among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scalar(secp256k1::Scalar);

impl Scalar {
    pub(crate) const ZERO: Self = Self(secp256k1::Scalar::ZERO);
    pub(crate) const ONE: Self = Self(secp256k1::Scalar::ONE);

    /// Big-endian; none at or above the group order.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        secp256k1::Scalar::from_be_bytes(*bytes).ok().map(Self)
    }

    /// Big-endian, modulo the group order.
    pub(crate) fn from_hash(bytes: [u8; 32]) -> Self {
        Self::from_bytes(&bytes).unwrap_or_else(|| {
            // The order is above 2^255, so one subtraction is enough.
            Self::from_bytes(&less_the_order(&bytes)).unwrap_or(Self::ZERO)
        })
    }

    pub(crate) fn from_u32(value: u32) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().skip(28).zip(value.to_be_bytes()) {
            *to = from;
        }
        Self::from_bytes(&bytes).unwrap_or(Self::ZERO)
    }

    pub(crate) fn to_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    /// None for zero.
    fn as_key(self) -> Option<SecretKey> {
        SecretKey::from_slice(&self.to_bytes()).ok()
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        let Some(key) = self.as_key() else {
            return other;
        };
        key.add_tweak(&other.0).map_or(Self::ZERO, Self::of_key)
    }

    pub(crate) fn times(self, other: Self) -> Self {
        let Some(key) = self.as_key() else {
            return Self::ZERO;
        };
        key.mul_tweak(&other.0).map_or(Self::ZERO, Self::of_key)
    }

    pub(crate) fn negated(self) -> Self {
        self.as_key()
            .map_or(Self::ZERO, |key| Self::of_key(key.negate()))
    }

    pub(crate) fn negated_if(self, condition: bool) -> Self {
        if condition { self.negated() } else { self }
    }

    /// The inverse; zero for zero.
    pub(crate) fn inverse(self) -> Self {
        let mut result = Self::ONE;
        for byte in INVERSION_EXPONENT {
            for bit in (0..8).rev() {
                result = result.times(result);
                if byte >> bit & 1 == 1 {
                    result = result.times(self);
                }
            }
        }
        result
    }

    fn of_key(key: SecretKey) -> Self {
        Self(key.into())
    }
}

/// A secret number, never zero. Erased when it is dropped; copies that libsecp256k1's binding
/// leaves on the stack are not.
pub(crate) struct Secret(SecretKey);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl Secret {
    /// Big-endian; none for zero, or at or above the group order.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        SecretKey::from_slice(bytes).ok().map(Self)
    }

    /// Big-endian, modulo the group order.
    pub(crate) fn from_hash(bytes: &Zeroizing<[u8; 32]>) -> Result<Self, Vanished> {
        if let Some(secret) = Self::from_bytes(bytes) {
            return Ok(secret);
        }
        // One hash in 2^128: the time that this takes says nothing about any other.
        Self::from_bytes(&less_the_order(bytes)).ok_or(Vanished)
    }

    pub(crate) fn of_key(key: &SecretKey) -> Self {
        Self(*key)
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from_secret_key(curve(), &self.0)
    }

    pub(crate) fn bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.secret_bytes())
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0)
    }

    pub(crate) fn plus(self, other: &Self) -> Result<Self, Vanished> {
        self.0
            .add_tweak(&secp256k1::Scalar::from(other.0))
            .map_or(Err(Vanished), |key| Ok(Self(key)))
    }

    pub(crate) fn plus_public(self, other: Scalar) -> Result<Self, Vanished> {
        self.0
            .add_tweak(&other.0)
            .map_or(Err(Vanished), |key| Ok(Self(key)))
    }

    pub(crate) fn times_public(self, other: Scalar) -> Result<Self, Vanished> {
        self.0
            .mul_tweak(&other.0)
            .map_or(Err(Vanished), |key| Ok(Self(key)))
    }

    pub(crate) fn negated(self) -> Self {
        Self(self.0.negate())
    }

    /// The condition is public: the parity of a public point.
    pub(crate) fn negated_if(self, condition: bool) -> Self {
        if condition { self.negated() } else { self }
    }

    /// Gives the number away: a signature share, or a share under its pads.
    pub(crate) fn disclosed(self) -> Scalar {
        Scalar::of_key(self.0)
    }

    /// SHA-256 of the compressed product, as libsecp256k1's `ecdh` module makes it.
    pub(crate) fn shared_with(&self, point: &PublicKey) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(SharedSecret::new(point, &self.0).secret_bytes())
    }
}

/// A public point, infinity among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point(Option<PublicKey>);

impl From<PublicKey> for Point {
    fn from(key: PublicKey) -> Self {
        Self(Some(key))
    }
}

impl Point {
    pub(crate) const INFINITY: Self = Self(None);

    /// Compressed, 33 bytes of zero for infinity (BIP-445, ChillDKG).
    pub(crate) fn from_bytes(bytes: &[u8; BYTES_OF_A_POINT]) -> Option<Self> {
        if bytes == &[0; BYTES_OF_A_POINT] {
            return Some(Self::INFINITY);
        }
        PublicKey::from_slice(bytes).ok().map(Self::from)
    }

    pub(crate) fn to_bytes(self) -> [u8; BYTES_OF_A_POINT] {
        self.0.map_or([0; BYTES_OF_A_POINT], |key| key.serialize())
    }

    /// None at infinity.
    pub(crate) fn finite(self) -> Option<PublicKey> {
        self.0
    }

    pub(crate) fn sum(points: impl IntoIterator<Item = Self>) -> Self {
        let finite: Vec<PublicKey> = points.into_iter().filter_map(|point| point.0).collect();
        let references: Vec<&PublicKey> = finite.iter().collect();
        // An empty sum and a sum at infinity are the same refusal.
        Self(PublicKey::combine_keys(&references).ok())
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self::sum([self, other])
    }

    pub(crate) fn times(self, scalar: Scalar) -> Self {
        Self(
            self.0
                .and_then(|key| key.mul_tweak(curve(), &scalar.0).ok()),
        )
    }

    /// Plus the generator times a scalar.
    pub(crate) fn plus_generator_times(self, scalar: Scalar) -> Self {
        match self.0 {
            Some(key) => Self(key.add_exp_tweak(curve(), &scalar.0).ok()),
            None => Self(scalar.as_key().map(|key| key.public_key(curve()))),
        }
    }

    pub(crate) fn negated_if(self, condition: bool) -> Self {
        if condition {
            Self(self.0.map(|key| key.negate(curve())))
        } else {
            self
        }
    }
}

/// The generator.
pub(crate) fn generator() -> Point {
    Point::INFINITY.plus_generator_times(Scalar::ONE)
}

/// The x coordinate, 32 bytes big-endian.
pub(crate) fn x_of(key: &PublicKey) -> [u8; 32] {
    key.x_only_public_key().0.serialize()
}

/// Whether y is odd.
pub(crate) fn is_odd(key: &PublicKey) -> bool {
    key.x_only_public_key().1 == Parity::Odd
}

/// The point with this x and an even y (BIP-340 `lift_x`).
pub(crate) fn lifted(key: &XOnlyPublicKey) -> PublicKey {
    key.public_key(Parity::Even)
}

/// Of a number between the order and twice the order.
fn less_the_order(bytes: &[u8; 32]) -> [u8; 32] {
    let mut result = [0; 32];
    let mut borrow = false;
    for ((to, from), order) in result.iter_mut().zip(bytes).zip(CURVE_ORDER).rev() {
        let (value, first) = from.overflowing_sub(order);
        let (value, second) = value.overflowing_sub(u8::from(borrow));
        *to = value;
        borrow = first || second;
    }
    result
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn public_arithmetic_knows_zero_and_infinity() {
        let two = Scalar::from_u32(2);
        assert_eq!(two.plus(two.negated()), Scalar::ZERO);
        assert_eq!(Scalar::ZERO.plus(two), two);
        assert_eq!(Scalar::ZERO.times(two), Scalar::ZERO);
        assert_eq!(two.times(Scalar::ZERO), Scalar::ZERO);
        assert_eq!(Scalar::ZERO.negated(), Scalar::ZERO);
        assert_eq!(two.inverse().times(two), Scalar::ONE);
        let point = generator().times(two);
        assert_eq!(point.plus(point.negated_if(true)), Point::INFINITY);
        assert_eq!(Point::INFINITY.plus(point), point);
        assert_eq!(point.times(Scalar::ZERO), Point::INFINITY);
        assert_eq!(generator().plus_generator_times(Scalar::ONE), point);
        assert_eq!(point.plus_generator_times(two.negated()), Point::INFINITY);
        assert_eq!(Point::from_bytes(&[0; 33]), Some(Point::INFINITY));
        assert_eq!(Point::INFINITY.to_bytes(), [0; 33]);
    }

    #[test]
    fn hashes_are_reduced_modulo_the_order() {
        assert_eq!(Scalar::from_hash(CURVE_ORDER), Scalar::ZERO);
        let mut above = CURVE_ORDER;
        above[31] += 5;
        assert_eq!(Scalar::from_hash(above), Scalar::from_u32(5));
        assert!(Scalar::from_bytes(&above).is_none());
        let secret = Secret::from_hash(&Zeroizing::new(above)).unwrap();
        assert_eq!(secret.disclosed(), Scalar::from_u32(5));
        assert!(Secret::from_hash(&Zeroizing::new(CURVE_ORDER)).is_err());
        let mut wide = [0xff; 32];
        wide[31] = 0x42;
        let reduced = Scalar::from_hash(wide);
        assert!(Scalar::from_bytes(&reduced.to_bytes()).is_some());
        assert_ne!(reduced, Scalar::ZERO);
    }

    #[test]
    fn secret_arithmetic_refuses_zero() {
        let three = || Secret::from_hash(&Zeroizing::new(Scalar::from_u32(3).to_bytes())).unwrap();
        assert!(three().plus_public(Scalar::from_u32(3).negated()).is_err());
        assert!(three().times_public(Scalar::ZERO).is_err());
        assert!(three().plus(&three().negated()).is_err());
        let six = three().plus(&three()).unwrap();
        assert_eq!(six.disclosed(), Scalar::from_u32(6));
    }
}
