//! `grail operator cancel`: the cancellation of what is announced, with nobody's signature yet.

use bitcoin::secp256k1::Secp256k1;
use grail_api::{ROTATION_VERSION, RotationDocument, RotationError, RotationPaper};
use grail_types::BoundedVec;

use super::{basis, write_document};
use crate::arguments::CancelRotation;
use crate::failure::Failure;
use crate::report::RotationReport;
use crate::session::Settings;

/// Writes a cancellation.
pub fn cancel(settings: &Settings, asked: &CancelRotation) -> Result<RotationReport, Failure> {
    let basis = basis(asked.basis.basis.as_deref(), settings)?;
    let next = basis
        .next
        .ok_or(RotationError::Step("no roster is announced"))?;
    let document = RotationDocument {
        version: ROTATION_VERSION,
        bridge: basis.bridge,
        roster: basis.roster.clone(),
        governance: basis.governance.clone(),
        attempt: basis.attempt,
        paper: RotationPaper::Cancel { next: next.hash },
        consents: BoundedVec::default(),
    };
    let rotation = document.check(&Secp256k1::new())?;
    write_document(&asked.to, rotation.document())?;
    Ok(RotationReport::of(&rotation)
        .compared_with(&basis.params)
        .written_to(&asked.to))
}
