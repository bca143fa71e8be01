//! What evidence of every kind of TEE is held against, and the proof that it was.

use grail_types::Measurement;

use crate::{error::EvidenceError, images::TeeKind, pinned::PinnedImages};

/// What must be said; everything is compared exactly, and an absent value only equals `None`.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The reference values: images of the evidence's kind that may run. None listed, none
    /// accepted.
    pub references: &'a [Measurement],
    /// `user_data`.
    pub user_data: Option<&'a [u8]>,
    /// The challenge that the evidence answers; `None` for evidence that answers none, which says
    /// nothing about freshness.
    pub nonce: Option<&'a [u8]>,
}

/// What evidence must be made for, and answer: [`Expected`] without its images.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// `user_data`.
    pub user_data: Option<&'a [u8]>,
    /// The challenge; `None` for evidence that answers none.
    pub nonce: Option<&'a [u8]>,
}

/// What verified evidence says, whatever its kind. Only types that a verifier alone makes have it.
pub trait Claims {
    /// The kind of TEE that its anchor vouches for.
    fn tee(&self) -> TeeKind;

    /// What runs.
    fn measurement(&self) -> &Measurement;

    /// That it was made for this `user_data`.
    fn check_user_data(&self, expected: Option<&[u8]>) -> Result<(), EvidenceError>;

    /// That it answers this challenge.
    fn check_nonce(&self, expected: Option<&[u8]>) -> Result<(), EvidenceError>;
}

/// Verified evidence that says what was expected of it.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested<E = crate::verify::VerifiedDocument> {
    evidence: E,
}

/// Holds evidence against what it must say.
pub fn expect<E: Claims>(
    evidence: E,
    expected: &Expected<'_>,
) -> Result<Attested<E>, EvidenceError> {
    let measurement = evidence.measurement();
    if !expected.references.contains(measurement) {
        return Err(EvidenceError::Measurement {
            got: Box::new(*measurement),
        });
    }
    evidence.check_user_data(expected.user_data)?;
    evidence.check_nonce(expected.nonce)?;
    Ok(Attested { evidence })
}

/// Holds evidence against the pinned images of its own kind: what a platform's root vouches for
/// says nothing about an image that was listed for another platform.
pub fn expect_pinned<E: Claims>(
    evidence: E,
    images: &PinnedImages,
    binding: &Binding<'_>,
) -> Result<Attested<E>, EvidenceError> {
    let references = images.references(evidence.tee());
    let Binding { user_data, nonce } = *binding;
    let expected = Expected {
        references: &references,
        user_data,
        nonce,
    };
    expect(evidence, &expected)
}

impl<E> Attested<E> {
    /// What was verified.
    pub fn evidence(&self) -> &E {
        &self.evidence
    }
}
