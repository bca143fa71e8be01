//! Rotations: what a proposal begins with, where they stand, and the way in for signed ones.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
};
use grail_api::{
    AnnouncedRoster, Attestation, Candidate, Hash32, ProblemCode, ROTATION_BYTES_MAX,
    RotationBasis, RotationDocument, RotationError, RotationStatus, Rotations,
};
use grail_types::SIGNERS_MAX;

use super::{
    Api,
    answer::{Answer, Failure},
    caller::Caller,
    create::{check_media_type, unread},
};
use crate::{
    backend::Backend,
    rosters::Rosters,
    rotations::{self, Nft, NotTaken, ROTATIONS_MAX},
};

pub(super) async fn list(State(api): State<Arc<Api>>) -> Answer<Json<Rotations>> {
    let backend = &api.backend;
    let mut reader = backend.store.read().await?;
    let rosters = backend.rosters(&mut reader).await?;
    let nft = rotations::chain_nft(backend, &mut reader).await?;
    let basis = basis(backend, &rosters, &nft)?;
    let mut all = Vec::new();
    for row in reader.signed_rotations(ROTATIONS_MAX).await? {
        let Some(known) = rotations::readable(backend, row) else {
            continue;
        };
        all.push(rotations::status(backend, &mut reader, &rosters, &nft, &known).await?);
    }
    let candidates = candidates(backend, &rosters);
    Ok(Json(Rotations {
        basis,
        rotations: all,
        candidates,
    }))
}

/// Whoever was heard of and is not in the roster of today. Their evidence is verified already, and
/// anew by whoever proposes them.
fn candidates(backend: &Backend, rosters: &Rosters) -> Vec<Candidate> {
    let today = rosters.newest().roster();
    let known = backend.operators.known().into_iter();
    let others = known.filter(|it| today.position(&it.public_key).is_none());
    others
        .take(SIGNERS_MAX)
        .map(|it| Candidate {
            public_key: it.public_key,
            name: it.name,
            attestation: Some(Attestation {
                evidence: it.evidence,
                nonce: Some(it.nonce),
                attested_at: it.attested_at,
            }),
        })
        .collect()
}

fn basis(backend: &Backend, rosters: &Rosters, nft: &Nft) -> Answer<RotationBasis> {
    let (state, protocol) = (&nft.state, backend.protocol());
    if state.params_hash != protocol.hash().0 {
        return Err(Failure::unavailable(
            "the roster NFT is bound to other parameters than this backend's".to_owned(),
        ));
    }
    Ok(RotationBasis {
        bridge: *backend.bridge(),
        roster: rosters.newest().roster().clone(),
        governance: rosters.newest().governance().clone(),
        params: protocol.params().clone(),
        images: protocol.images().get().clone(),
        attempt: state.attempt,
        next: state.next.as_ref().map(|next| AnnouncedRoster {
            hash: Hash32(next.hash),
            serial: next.serial,
            wait: next.wait,
        }),
        supply_sat: state.supply,
        spell_min: state.spell_min,
        spell_max: state.spell_max,
    })
}

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<(StatusCode, Json<RotationStatus>)> {
    let backend = &api.backend;
    check_media_type(&headers)?;
    let body = body.map_err(|rejection| unread(&rejection, ROTATION_BYTES_MAX))?;
    // A hundred signatures are checked for whoever asks.
    api.creations.take(caller)?;
    let document = RotationDocument::from_json(&body).map_err(|error| refused(&error))?;
    let (known, is_new) = match rotations::take(backend, document).await {
        Ok(taken) => taken,
        Err(NotTaken::Rotation(error)) => return Err(refused(&error)),
        Err(error @ NotTaken::Conflict) => {
            return Err(Failure::new(
                ProblemCode::RotationConflict,
                error.to_string(),
            ));
        }
        Err(NotTaken::Other(error)) => return Err(error.into()),
    };
    let mut reader = backend.store.read().await?;
    let rosters = backend.rosters(&mut reader).await?;
    let nft = rotations::chain_nft(backend, &mut reader).await?;
    let status = rotations::status(backend, &mut reader, &rosters, &nft, &known).await?;
    tracing::warn!(
        attempt = status.attempt,
        stage = %status.stage,
        is_new,
        "a signed rotation was handed in"
    );
    let code = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((code, Json(status)))
}

/// The code of the rotation's own stands in front of the words.
fn refused(error: &RotationError) -> Failure {
    let code = match error {
        RotationError::TooLong(_) => ProblemCode::BodyTooLarge,
        RotationError::Malformed(_) => ProblemCode::MalformedBody,
        RotationError::Bridge
        | RotationError::Epoch { .. }
        | RotationError::Attempt { .. }
        | RotationError::Differs(_)
        | RotationError::Step(_) => ProblemCode::ForeignRotation,
        RotationError::Consent(_) | RotationError::NewcomerSilent(_) => ProblemCode::NotConsented,
        RotationError::Version(_)
        | RotationError::Unfit(_)
        | RotationError::Share(_)
        | RotationError::Images(_)
        | RotationError::Evidence(_)
        | RotationError::NotNew(_)
        | RotationError::NotAdministrator(_)
        | RotationError::AlreadySigned(_)
        | RotationError::Refused(_) => ProblemCode::BadRotation,
    };
    Failure::new(code, format!("{}: {error}", error.code()))
}
