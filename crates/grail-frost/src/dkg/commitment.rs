//! Commitments to the coefficients of a polynomial, one's own or the sum of all.

use crate::{
    Group, GroupError, HolderId,
    group::at,
    hash::Tagged,
    scalar::{Point, Scalar, x_of},
};

/// Points from the constant term up; infinity is a value, so that nobody can break the sum of
/// others' commitments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commitment(pub(super) Vec<Point>);

impl Commitment {
    pub(super) fn constant(&self) -> Point {
        self.0.first().copied().unwrap_or(Point::INFINITY)
    }

    /// What a holder's share is the logarithm of (Horner; the factors are small, and so is the cost
    /// of multiplying by them).
    pub(super) fn public_share(&self, id: HolderId) -> Point {
        let at = at(id);
        self.0
            .iter()
            .rev()
            .fold(Point::INFINITY, |value, term| value.times(at).plus(*term))
    }

    /// With BIP-341's tweak for a key without scripts added, and that tweak. Without it a dealer
    /// could hide a script tree in the key, for whoever uses the key as an output's.
    pub(super) fn without_scripts(&self) -> Result<(Self, Scalar), GroupError> {
        let constant = self.constant().finite().ok_or(GroupError::KeyAtInfinity)?;
        let tweak = Scalar::from_hash(Tagged::new("TapTweak").add(&x_of(&constant)).finish());
        let mut terms = self.0.clone();
        if let Some(first) = terms.first_mut() {
            *first = first.plus_generator_times(tweak);
        }
        Ok((Self(terms), tweak))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|term| term.to_bytes()).collect()
    }

    /// The group that this commits to.
    pub(super) fn group(&self, ids: impl Iterator<Item = HolderId>) -> Result<Group, GroupError> {
        let shares: Vec<Point> = ids.map(|id| self.public_share(id)).collect();
        Group::new(self.0.len(), self.constant(), &shares)
    }
}
