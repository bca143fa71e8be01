//! `grail operator propose`: the proposal of a rotation, with nobody's signature yet.

use bitcoin::secp256k1::Secp256k1;
use grail_api::{
    ProposedRoster, ROTATION_VERSION, RotationBasis, RotationDocument, RotationError, RotationPaper,
};
use grail_policy::wait_of;
use grail_types::{BoundedVec, Epoch, Params};

use super::evidence::{RosterFile, check_named};
use super::{basis, write_document};
use crate::arguments::Propose;
use crate::failure::Failure;
use crate::home::read_json;
use crate::report::RotationReport;
use crate::session::Settings;

/// Writes a proposal.
pub fn propose(settings: &Settings, asked: &Propose) -> Result<RotationReport, Failure> {
    let secp = Secp256k1::new();
    let basis = basis(asked.basis.basis.as_deref(), settings)?;
    if basis.next.is_some() {
        return Err(RotationError::Step("a roster is announced already").into());
    }
    let file: RosterFile = read_json(&asked.roster)?;
    let proposed = proposed(&basis, &file, asked)?;
    // Blocks as of today's supply: the announcement computes them anew.
    let supply = basis.supply_sat;
    let wait = wait_of(basis.bridge.network, &basis.params, supply).map_err(RotationError::from)?;
    let document = RotationDocument {
        version: ROTATION_VERSION,
        bridge: basis.bridge,
        roster: basis.roster.clone(),
        governance: basis.governance.clone(),
        attempt: basis.attempt.saturating_add(1),
        paper: RotationPaper::Announce(Box::new(proposed)),
        consents: BoundedVec::default(),
    };
    let rotation = document.check(&secp)?;
    if let Some(proposed) = rotation.proposed() {
        if proposed.params.nft_carrier != basis.params.nft_carrier {
            return Err(RotationError::Unfit("it has another carrier of the NFT").into());
        }
        if proposed.spell_min > basis.spell_max {
            return Err(RotationError::Unfit("no spell of today can hand over to it").into());
        }
        let fresh = rotation.new_keys();
        check_named(proposed, &fresh)?;
        file.check(&basis.bridge, proposed, &fresh)?;
    }
    write_document(&asked.to, rotation.document())?;
    Ok(RotationReport::of(&rotation)
        .compared_with(&basis.params)
        .waiting(wait)
        .written_to(&asked.to))
}

fn proposed(
    basis: &RotationBasis,
    file: &RosterFile,
    asked: &Propose,
) -> Result<ProposedRoster, Failure> {
    let epoch = basis.roster.epoch().0.saturating_add(1);
    let images = match &asked.images {
        Some(path) => read_json(path)?,
        None => basis.images.clone(),
    };
    let governance = match &asked.governance {
        Some(path) => read_json(path)?,
        None => basis.governance.clone(),
    };
    let mut params = match &asked.params {
        Some(path) => changed(&basis.params, read_json(path)?)?,
        None => basis.params.clone(),
    };
    // Images are named by their hash: whoever gives others means them.
    if asked.images.is_some() {
        params = params
            .with(|values| values.images = images.hash())
            .map_err(|error| Failure::new("params-invalid", error.to_string()))?;
    }
    let evidence = BoundedVec::new(file.hashes()?)
        .map_err(|error| Failure::new("roster-invalid", error.to_string()))?;
    Ok(ProposedRoster {
        roster: file.roster(Epoch(epoch))?,
        governance,
        params,
        images,
        spell_min: asked.spell_min.unwrap_or(basis.spell_min),
        spell_max: asked.spell_max.unwrap_or(basis.spell_max),
        evidence,
        newcomers: BoundedVec::default(),
    })
}

/// Today's parameters with some values in place of others.
fn changed(
    today: &Params,
    changes: serde_json::Map<String, serde_json::Value>,
) -> Result<Params, Failure> {
    let invalid = |error: &dyn std::fmt::Display| {
        Failure::new("params-invalid", format!("the parameters to come: {error}"))
    };
    let mut values = match serde_json::to_value(today) {
        Ok(serde_json::Value::Object(values)) => values,
        Ok(_) => return Err(invalid(&"expected an object")),
        Err(error) => return Err(invalid(&error)),
    };
    values.extend(changes);
    serde_json::from_value(serde_json::Value::Object(values)).map_err(|error| invalid(&error))
}
