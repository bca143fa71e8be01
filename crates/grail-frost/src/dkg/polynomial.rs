//! One holder's secret polynomial.

use crate::{
    HolderId, Vanished,
    dkg::TAG,
    group::at,
    hash::Tagged,
    scalar::{Point, Secret},
};

/// Coefficients from the constant term up; all secret, erased on drop.
pub(super) struct Polynomial {
    constant: Secret,
    rest: Vec<Secret>,
}

impl Polynomial {
    /// Expanded from a seed of its own (ChillDKG's `VSS.generate`).
    pub(super) fn expand(seed: &[u8; 32], coefficients: usize) -> Result<Self, Vanished> {
        let coefficient = |index: u32| {
            Secret::from_hash(
                &Tagged::of_parts(TAG, "vss coeffs")
                    .add(seed)
                    .add(&index.to_be_bytes())
                    .finish_secret(),
            )
        };
        Ok(Self {
            constant: coefficient(0)?,
            rest: (1..)
                .take(coefficients.saturating_sub(1))
                .map(coefficient)
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn constant(&self) -> &Secret {
        &self.constant
    }

    /// The share of a holder (Horner). No intermediate is zero but by chance of 2^-256, since the
    /// coefficients are nobody else's.
    pub(super) fn share_of(&self, id: HolderId) -> Result<Secret, Vanished> {
        let at = at(id);
        let Some((highest, lower)) = self.rest.split_last() else {
            return Ok(self.constant.duplicate());
        };
        let mut value = highest.duplicate();
        for coefficient in lower.iter().rev() {
            value = value.times_public(at)?.plus(coefficient)?;
        }
        value.times_public(at)?.plus(&self.constant)
    }

    pub(super) fn commitments(&self) -> Vec<Point> {
        std::iter::once(&self.constant)
            .chain(&self.rest)
            .map(|coefficient| coefficient.public().into())
            .collect()
    }
}
