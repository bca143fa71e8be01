//! Who holds a key, and which of them sign.

use std::fmt;

use bitcoin::secp256k1::PublicKey;
use thiserror::Error;

use crate::{
    BYTES_OF_A_POINT,
    scalar::{Point, Scalar},
};

/// Position of a holder among the holders of a key, from zero. The share is the polynomial at
/// `position + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolderId(pub u32);

impl fmt::Display for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The public side of a shared key: the key, its threshold, each holder's public share. Made by a
/// key generation alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    threshold: usize,
    key: PublicKey,
    shares: Vec<PublicKey>,
}

/// Why a group's points are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GroupError {
    /// The holders' constant terms cancel.
    #[error("the group key is the point at infinity")]
    KeyAtInfinity,
    /// A holder's public share is infinity.
    #[error("the public share of holder {0} is the point at infinity")]
    ShareAtInfinity(HolderId),
}

/// Why these are no signers of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignersError {
    /// `1 <= threshold <= holders` does not hold.
    #[error("threshold {threshold} of {holders} holders")]
    Threshold {
        /// Given.
        threshold: usize,
        /// Given.
        holders: usize,
    },
    /// Too few or too many.
    #[error("{got} signers; expected between {least} and {most}")]
    Count {
        /// Given.
        got: usize,
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
    },
    /// Not as many public shares as signers.
    #[error("{got} public shares for {expected} signers")]
    PublicShares {
        /// Given.
        got: usize,
        /// The signers.
        expected: usize,
    },
    /// No holder has this number.
    #[error("the identifier at position {position} is out of range")]
    OutOfRange {
        /// In the list.
        position: usize,
    },
    /// One signs once.
    #[error("holder {0} stands twice in the list")]
    Twice(HolderId),
    /// Not a point.
    #[error("the public share at position {position} is no point")]
    PublicShare {
        /// In the list.
        position: usize,
    },
    /// The shares do not interpolate to the key.
    #[error("the public shares are not those of the key")]
    KeyMaterial,
}

impl Group {
    /// `shares` in the holders' order.
    pub(crate) fn new(threshold: usize, key: Point, shares: &[Point]) -> Result<Self, GroupError> {
        let key = key.finite().ok_or(GroupError::KeyAtInfinity)?;
        let shares = shares
            .iter()
            .zip(0..)
            .map(|(share, id)| {
                share
                    .finite()
                    .ok_or(GroupError::ShareAtInfinity(HolderId(id)))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            threshold,
            key,
            shares,
        })
    }

    /// How many sign.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// The key, before any tweak.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// The public shares, in the holders' order.
    pub fn public_shares(&self) -> &[PublicKey] {
        &self.shares
    }

    /// These holders as signers: exactly the threshold, each once. The draft allows more; with a
    /// fixed count, the nonce coefficient's hash needs none (ADR 35).
    ///
    /// # Errors
    /// [`SignersError`]; the list is the coordinator's, so nobody else is at fault.
    pub fn signers(&self, ids: &[HolderId]) -> Result<SignerSet, SignersError> {
        let shares: Vec<_> = self
            .shares_of(ids)?
            .iter()
            .map(PublicKey::serialize)
            .collect();
        SignerSet::new(self.shares.len(), self.threshold, ids, &shares, &self.key)
    }

    /// The public shares of exactly the threshold of distinct holders; all that can be wrong with
    /// such a list.
    pub(crate) fn shares_of(&self, ids: &[HolderId]) -> Result<Vec<PublicKey>, SignersError> {
        if ids.len() != self.threshold {
            return Err(SignersError::Count {
                got: ids.len(),
                least: self.threshold,
                most: self.threshold,
            });
        }
        distinct(ids)?;
        ids.iter()
            .enumerate()
            .map(|(position, id)| {
                usize::try_from(id.0)
                    .ok()
                    .and_then(|index| self.shares.get(index))
                    .copied()
                    .ok_or(SignersError::OutOfRange { position })
            })
            .collect()
    }
}

/// Distinct holders of one key who make a signature together, with their public shares and
/// interpolation coefficients. Always consistent with the key.
#[derive(Clone, Debug)]
pub struct SignerSet {
    key: PublicKey,
    members: Vec<Member>,
}

#[derive(Clone, Debug)]
struct Member {
    id: HolderId,
    share: PublicKey,
    coefficient: Scalar,
}

impl SignerSet {
    /// BIP-445's `ValidateSignersCtx`.
    pub(crate) fn new(
        holders: usize,
        threshold: usize,
        ids: &[HolderId],
        shares: &[[u8; BYTES_OF_A_POINT]],
        key: &PublicKey,
    ) -> Result<Self, SignersError> {
        if !(1..=holders).contains(&threshold) {
            return Err(SignersError::Threshold { threshold, holders });
        }
        if !(threshold..=holders).contains(&ids.len()) {
            return Err(SignersError::Count {
                got: ids.len(),
                least: threshold,
                most: holders,
            });
        }
        if shares.len() != ids.len() {
            return Err(SignersError::PublicShares {
                got: shares.len(),
                expected: ids.len(),
            });
        }
        let mut points = Vec::with_capacity(ids.len());
        for (position, (id, share)) in ids.iter().zip(shares).enumerate() {
            if usize::try_from(id.0).map_or(true, |id| id >= holders) {
                return Err(SignersError::OutOfRange { position });
            }
            points.push(
                PublicKey::from_slice(share).map_err(|_| SignersError::PublicShare { position })?,
            );
        }
        distinct(ids)?;
        let members: Vec<Member> = ids
            .iter()
            .zip(points)
            .zip(coefficients(ids))
            .map(|((id, share), coefficient)| Member {
                id: *id,
                share,
                coefficient,
            })
            .collect();
        let interpolated = Point::sum(
            members
                .iter()
                .map(|member| Point::from(member.share).times(member.coefficient)),
        );
        if interpolated != Point::from(*key) {
            return Err(SignersError::KeyMaterial);
        }
        Ok(Self { key: *key, members })
    }

    /// The key they sign for, before any tweak.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Their numbers, in the order given.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = HolderId> {
        self.members.iter().map(|member| member.id)
    }

    pub(crate) fn holds(&self, share: &PublicKey) -> bool {
        self.members.iter().any(|member| member.share == *share)
    }

    /// Public share and coefficient of a signer.
    pub(crate) fn member(&self, id: HolderId) -> Option<(PublicKey, Scalar)> {
        self.members
            .iter()
            .find(|member| member.id == id)
            .map(|member| (member.share, member.coefficient))
    }

    /// BIP-445's `SerializeIds`: a set, so sorted.
    pub(crate) fn id_bytes(&self) -> Vec<u8> {
        let mut ids: Vec<HolderId> = self.ids().collect();
        ids.sort_unstable();
        ids.iter().flat_map(|id| id.0.to_be_bytes()).collect()
    }
}

fn distinct(ids: &[HolderId]) -> Result<(), SignersError> {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    for pair in sorted.windows(2) {
        if let [one, two] = pair
            && one == two
        {
            return Err(SignersError::Twice(*one));
        }
    }
    Ok(())
}

/// Lagrange coefficients at zero, for distinct positions; one inversion for all (Montgomery).
fn coefficients(ids: &[HolderId]) -> Vec<Scalar> {
    let fractions: Vec<(Scalar, Scalar)> = ids.iter().map(|id| fraction(*id, ids)).collect();
    // Products of all denominators before each, then the inverse of the whole product, from which
    // the single inverses are taken off from the end.
    let mut before = Vec::with_capacity(fractions.len());
    let mut product = Scalar::ONE;
    for (_, denominator) in &fractions {
        before.push(product);
        product = product.times(*denominator);
    }
    let mut rest = product.inverse();
    let mut result: Vec<Scalar> = fractions
        .iter()
        .zip(before)
        .rev()
        .map(|((numerator, denominator), before)| {
            let inverse = rest.times(before);
            rest = rest.times(*denominator);
            numerator.times(inverse)
        })
        .collect();
    result.reverse();
    result
}

fn fraction(id: HolderId, ids: &[HolderId]) -> (Scalar, Scalar) {
    let own = at(id);
    ids.iter().filter(|other| **other != id).fold(
        (Scalar::ONE, Scalar::ONE),
        |(numerator, denominator), other| {
            let x = at(*other);
            (numerator.times(x), denominator.times(x.plus(own.negated())))
        },
    )
}

/// Where a holder's share is taken: position plus one, so that nobody holds the key itself.
pub(crate) fn at(id: HolderId) -> Scalar {
    Scalar::from_u32(id.0).plus(Scalar::ONE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::scalar::generator;

    /// Holders of a polynomial with small coefficients.
    fn group(threshold: u32, holders: u32) -> Group {
        let public = |x: Scalar| {
            let value = (0..threshold).rev().fold(Scalar::ZERO, |value, power| {
                value.times(x).plus(Scalar::from_u32(1_000 + power))
            });
            generator().times(value)
        };
        let shares: Vec<Point> = (0..holders).map(|id| public(at(HolderId(id)))).collect();
        Group::new(threshold as usize, public(Scalar::ZERO), &shares).unwrap()
    }

    fn ids(numbers: &[u32]) -> Vec<HolderId> {
        numbers.iter().copied().map(HolderId).collect()
    }

    #[test]
    fn fewer_than_the_threshold_do_not_interpolate_to_the_key() {
        let group = group(12, 16);
        for first in 0..16 {
            let eleven = ids(&(0..11).map(|n| (first + n) % 16).collect::<Vec<_>>());
            let shares: Vec<_> = eleven
                .iter()
                .map(|id| group.shares[id.0 as usize].serialize())
                .collect();
            // Even if somebody lowers the threshold for them.
            assert_eq!(
                SignerSet::new(16, 11, &eleven, &shares, &group.key).err(),
                Some(SignersError::KeyMaterial)
            );
        }
    }

    #[test]
    fn coefficients_are_lagranges() {
        // At zero, for the positions 1, 2, 4: 8/3, -2, 1/3.
        let third = Scalar::from_u32(3).inverse();
        assert_eq!(
            coefficients(&ids(&[0, 1, 3])),
            [
                Scalar::from_u32(8).times(third),
                Scalar::from_u32(2).negated(),
                third
            ]
        );
    }

    #[test]
    fn points_at_infinity_make_no_group() {
        let point = generator();
        assert_eq!(
            Group::new(1, Point::INFINITY, &[point]),
            Err(GroupError::KeyAtInfinity)
        );
        assert_eq!(
            Group::new(1, point, &[point, Point::INFINITY]),
            Err(GroupError::ShareAtInfinity(HolderId(1)))
        );
    }
}
