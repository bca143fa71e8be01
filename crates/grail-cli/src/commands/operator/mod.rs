//! `grail operator`: what the operators' administrators do. Needs no wallet but to pay as a
//! sponsor; keys are files of their own, and can lie on a machine without a network.

mod approve;
mod cancel;
mod evidence;
mod key;
mod propose;
mod send;
mod sponsor;
mod status;

pub use approve::approve;
pub use cancel::cancel;
pub use key::new_key;
pub use propose::propose;
pub use send::send;
pub use sponsor::sponsor;
pub use status::{status, watch};

use std::path::Path;

use bitcoin::secp256k1::{All, Secp256k1};
use grail_api::client::Client;
use grail_api::{
    CheckedRotation, ROTATION_BYTES_MAX, RotationBasis, RotationDocument, RotationError,
};

use crate::failure::Failure;
use crate::home::{read_json, write_new_json};
use crate::session::Settings;

/// The API that was named.
fn api(settings: &Settings) -> Result<Client, Failure> {
    let url = settings.api.as_ref();
    url.map(|url| Client::new(url))
        .ok_or_else(|| Failure::new("no-api", "this needs Grail's API: give --api"))
}

/// Where the bridge stands: from a file, else from the API.
fn basis(file: Option<&Path>, settings: &Settings) -> Result<RotationBasis, Failure> {
    match file {
        Some(path) => Ok(read_json(path)?),
        None => Ok(api(settings)?.rotations()?.basis),
    }
}

/// A document from a file, checked.
fn read_document(path: &Path, secp: &Secp256k1<All>) -> Result<CheckedRotation, Failure> {
    let bytes = grail_files::read_bounded(path, ROTATION_BYTES_MAX)
        .map_err(crate::home::HomeError::from)?;
    let document = RotationDocument::from_json(&bytes)?;
    Ok(document.check(secp)?)
}

/// Writes a document to a file that is not there yet: one that others have signed is not lost.
fn write_document(path: &Path, document: &RotationDocument) -> Result<(), Failure> {
    write_new_json(path, document)
}

/// Whether a basis says the same of the bridge as the document.
fn check_basis(rotation: &CheckedRotation, basis: &RotationBasis) -> Result<(), RotationError> {
    rotation.check_bridge(&basis.bridge)?;
    let document = rotation.document();
    let (expected, got) = (basis.roster.epoch(), document.roster.epoch());
    if expected != got {
        return Err(RotationError::Epoch { expected, got });
    }
    if document.roster != basis.roster {
        return Err(RotationError::Differs("roster"));
    }
    if document.governance != basis.governance {
        return Err(RotationError::Differs("governance"));
    }
    let (announces, announced) = (rotation.proposed().is_some(), basis.next.is_some());
    let expected = if announces {
        basis.attempt.saturating_add(1)
    } else {
        basis.attempt
    };
    let got = document.attempt;
    if expected != got {
        return Err(RotationError::Attempt { expected, got });
    }
    match (announces, announced) {
        (true, true) => Err(RotationError::Step("a roster is announced already")),
        (false, false) => Err(RotationError::Step("no roster is announced")),
        (true, false) => Ok(()),
        (false, true) if basis.next.map(|next| next.hash) == Some(rotation.next()) => Ok(()),
        (false, true) => Err(RotationError::Step("another roster is announced")),
    }
}
