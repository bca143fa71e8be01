//! `grail operator approve`: checks a proposal or a cancellation and adds a signature.

use std::path::Path;

use bitcoin::Txid;
use bitcoin::secp256k1::Secp256k1;
use grail_api::{CheckedRotation, RotationBasis, RotationError};
use grail_attest::Protocol;
use grail_wallet::followed::{Followed, MinedBy, follow_protocol};
use grail_wallet::history::{HistoryFailure, protocol_of};

use super::evidence::RosterFile;
use super::key::read_key;
use super::{check_basis, read_document, write_document};
use crate::arguments::Approve;
use crate::failure::Failure;
use crate::home::{read_history, read_json};
use crate::report::RotationReport;

/// Signs, once everything that can be checked offline was.
pub fn approve(asked: &Approve) -> Result<RotationReport, Failure> {
    let secp = Secp256k1::new();
    let protocol: Protocol = read_json(&asked.protocol)?;
    let rotation = read_document(&asked.file, &secp)?;
    rotation.check_bridge(protocol.bridge())?;
    let basis: Option<RotationBasis> = asked.basis.as_deref().map(read_json).transpose()?;
    if let Some(basis) = &basis {
        check_basis(&rotation, basis)?;
    }
    let followed = match (asked.history.as_deref(), asked.deployment) {
        (Some(path), Some(deployment)) => Some(follow_file(&protocol, deployment, path)?),
        (None, None) => None,
        // Anybody can write a history that begins with a deployment of his own.
        (Some(_), None) | (None, Some(_)) => {
            return Err(Failure::new(
                "deployment-needed",
                "--history and --deployment go together",
            ));
        }
    };
    if let Some(followed) = &followed {
        check_followed(&rotation, followed)?;
    }
    if let Some(proposed) = rotation.proposed() {
        let fresh = rotation.new_keys();
        let file: Option<RosterFile> = asked.roster.as_deref().map(read_json).transpose()?;
        match file {
            Some(file) => file.check(protocol.bridge(), proposed, &fresh)?,
            None if fresh.is_empty() => {}
            None => {
                return Err(Failure::new(
                    "evidence-missing",
                    format!(
                        "{} keys are new: give the roster file with their evidence, --roster FILE",
                        fresh.len()
                    ),
                ));
            }
        }
    }
    let key = read_key(&asked.key, &secp)?;
    let digest = rotation.consent().digest();
    let signature = secp.sign_schnorr(&digest, &key);
    let signed = rotation.signed(&secp, &key.x_only_public_key().0, signature)?;
    write_document(&asked.to, signed.document())?;
    let mut report = RotationReport::of(&signed).written_to(&asked.to);
    if let Some(followed) = &followed {
        report = report.compared_with(followed.protocol().params());
    } else if let Some(basis) = &basis {
        report = report.compared_with(&basis.params);
    }
    Ok(report.believing(believed(followed.as_ref(), basis.as_ref())))
}

/// The bridge as of the newest roster in a file, followed from its deployment.
fn follow_file(protocol: &Protocol, deployment: Txid, path: &Path) -> Result<Followed, Failure> {
    let records = read_history(path)?.rosters;
    let newest = records.last().ok_or(HistoryFailure::Empty)?;
    let shown =
        protocol_of(protocol.bridge(), newest).ok_or_else(|| HistoryFailure::Malformed {
            epoch: newest.epoch,
            reason: "its parameters and images are missing, or do not belong together".to_owned(),
        })?;
    let mined = MinedBy::Genesis(deployment);
    Ok(follow_protocol(protocol, mined, shown, &records)?)
}

/// Whether the document begins where the history ends.
fn check_followed(rotation: &CheckedRotation, followed: &Followed) -> Result<(), RotationError> {
    let (document, newest) = (rotation.document(), followed.newest());
    let (expected, got) = (newest.epoch(), document.roster.epoch());
    if expected != got {
        return Err(RotationError::Epoch { expected, got });
    }
    if document.roster != *newest.roster() {
        return Err(RotationError::Differs("roster"));
    }
    if document.governance != *newest.governance() {
        return Err(RotationError::Differs("governance"));
    }
    // Others may have been announced and taken back since.
    let (expected, got) = (followed.attempt().saturating_add(1), document.attempt);
    if got < expected {
        return Err(RotationError::Attempt { expected, got });
    }
    Ok(())
}

/// What nothing that was given shows, in words.
fn believed(followed: Option<&Followed>, basis: Option<&RotationBasis>) -> Vec<String> {
    match (followed, basis) {
        (Some(followed), basis) => {
            let mut believed = vec![format!(
                "that epoch {} is the newest, and that its hand-over was mined: if not, this signature is worth nothing",
                followed.newest().epoch()
            )];
            if basis.is_none() {
                believed.push(format!(
                    "the number of the attempt, beyond its being above {}",
                    followed.attempt()
                ));
            }
            believed
        }
        (None, Some(_)) => vec![
            "all that the basis says of today: roster, administrators, parameters, attempt".to_owned(),
        ],
        (None, None) => vec![
            "the proposer, of who holds the bridge today: roster, administrators, parameters, attempt, and so which keys are new"
                .to_owned(),
        ],
    }
}
