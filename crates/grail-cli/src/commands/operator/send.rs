//! `grail operator send`: hands a signed document to the API.

use bitcoin::secp256k1::Secp256k1;

use super::{api, read_document};
use crate::arguments::SendRotation;
use crate::failure::Failure;
use crate::report::RotationReport;
use crate::session::Settings;

/// Sends what everybody who must has signed.
pub fn send(settings: &Settings, asked: &SendRotation) -> Result<RotationReport, Failure> {
    let rotation = read_document(&asked.file, &Secp256k1::new())?;
    rotation.check_complete()?;
    let known = api(settings)?.submit_rotation(rotation.document())?;
    Ok(RotationReport::of(&rotation).standing(Some(known)))
}
