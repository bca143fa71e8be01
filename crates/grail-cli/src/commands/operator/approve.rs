//! `grail operator approve`: checks a proposal or a cancellation and adds a signature.

use bitcoin::secp256k1::Secp256k1;
use grail_api::RotationBasis;
use grail_attest::Protocol;

use super::evidence::RosterFile;
use super::key::read_key;
use super::{check_basis, read_document, write_document};
use crate::arguments::Approve;
use crate::failure::Failure;
use crate::home::read_json;
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
    if let Some(basis) = &basis {
        report = report.compared_with(basis);
    }
    Ok(report)
}
