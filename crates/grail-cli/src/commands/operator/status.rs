//! `grail operator status`: what a document says, and where its rotation stands.

use bitcoin::secp256k1::Secp256k1;

use super::{api, read_document};
use crate::arguments::OperatorStatus;
use crate::failure::Failure;
use crate::report::RotationReport;
use crate::session::Settings;

/// Reads a document, and with the API the chain's side.
pub fn status(settings: &Settings, asked: &OperatorStatus) -> Result<RotationReport, Failure> {
    let rotation = read_document(&asked.file, &Secp256k1::new())?;
    let mut report = RotationReport::of(&rotation);
    if asked.backend {
        let told = api(settings)?.rotations()?;
        rotation.check_bridge(&told.basis.bridge)?;
        let mut known = told.rotations.into_iter();
        let known = known
            .find(|it| it.attempt == rotation.document().attempt && it.next == rotation.next());
        report = report.compared_with(&told.basis).standing(known);
    }
    Ok(report)
}
