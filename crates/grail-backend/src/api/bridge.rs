//! What the bridge is: parameters, roster, reserves, and the description of this API.

use std::{collections::BTreeMap, sync::Arc, sync::LazyLock};

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use grail_api::{
    FailSafe, FormerRoster, ParamsAnswer, Reserves, RosterAnswer, Signer, VaultOutput,
};

use grail_store::Reader;
use grail_types::Epoch;

use super::{
    Api,
    answer::{Answer, Failure},
    rosters,
};
use crate::{backend::Backend, operators, rosters::Rosters, rotations};

/// Vault outputs that are listed; the sums hold all of them. Anybody can make more by sending
/// coins.
const OUTPOINTS_MAX: u32 = 1_000;

/// What the newest roster goes by: administrators change without a new start of this process, and
/// parameters a moment before one.
pub(super) async fn params(State(api): State<Arc<Api>>) -> Answer<Json<ParamsAnswer>> {
    let backend = &api.backend;
    let mut reader = backend.store.read().await?;
    let rosters = backend.rosters(&mut reader).await?;
    let protocol = rotations::protocol_at(backend, &mut reader, rosters.newest()).await?;
    let protocol = protocol.ok_or_else(|| {
        Failure::unavailable("the newest roster goes by parameters that are not known here")
    })?;
    Ok(Json(ParamsAnswer {
        bridge: *protocol.bridge(),
        params: protocol.params().clone(),
        images: protocol.images().get().clone(),
        governance: protocol.governance().clone(),
        params_hash: protocol.hash(),
    }))
}

pub(super) async fn roster(State(api): State<Arc<Api>>) -> Answer<Json<RosterAnswer>> {
    let backend = &api.backend;
    let mut reader = backend.store.read().await?;
    let rosters = backend.rosters(&mut reader).await?;
    let (roster, vault) = (rosters.newest().roster(), rosters.newest().vault());
    let published = reader.published_nft().await?;
    let former = former(backend, &mut reader, &rosters).await?;
    // The newest evidence that a signer has shown us, else what rows keep of it, else that by which
    // it was admitted.
    let known = backend.operators.known().into_iter();
    let mut newest: BTreeMap<_, _> = known.map(|record| (record.public_key, record)).collect();
    for signer in roster.signers() {
        if !newest.contains_key(signer)
            && let Some(record) = operators::recorded(&mut reader, signer).await?
        {
            newest.insert(*signer, record);
        }
    }
    drop(reader);
    for admitted in &backend.deployment.signers {
        newest
            .entry(admitted.public_key)
            .or_insert_with(|| admitted.clone());
    }
    let mut signers = roster
        .signers()
        .iter()
        .zip(0_u16..)
        .map(|(public_key, index)| {
            let record = newest
                .get(public_key)
                .ok_or_else(|| Failure::unavailable("a signer has shown no evidence yet"))?;
            Ok(Signer {
                index,
                public_key: *public_key,
                name: record.name.clone(),
                evidence: record.evidence.clone(),
                nonce: Some(record.nonce.clone()),
                pcr0: record.pcr0.clone(),
                attested_at: record.attested_at,
                fail_safe: None,
            })
        })
        .collect::<Answer<Vec<_>>>()?;
    let brakes = backend.operators.brakes();
    for signer in &mut signers {
        signer.fail_safe = brakes.get(&signer.public_key).map(|brake| FailSafe {
            code: brake.code.to_string(),
            at: brake.at,
        });
    }
    let address = rosters::address(backend, vault)?;
    Ok(Json(RosterAnswer {
        epoch: roster.epoch(),
        threshold: roster.threshold(),
        address,
        nft_outpoint: published.unwrap_or_else(|| backend.deployment_nft()),
        signers,
        former,
    }))
}

/// Former rosters whose operators are still needed.
async fn former(
    backend: &Backend,
    reader: &mut Reader,
    rosters: &Rosters,
) -> Answer<Vec<FormerRoster>> {
    let tip = reader.last_block().await?.map_or(0, |block| block.height);
    let newest = rosters.newest().epoch().0;
    let mut former = Vec::new();
    let lately = newest.saturating_sub(rotations::FORMER_MAX)..newest;
    let mut over = 0;
    for epoch in lately.rev().map(Epoch) {
        let end = rotations::former_end(backend, reader, rosters, epoch).await?;
        match end.filter(|end| *end > tip) {
            Some(serves_until_height) => {
                over = 0;
                former.push(FormerRoster {
                    epoch,
                    serves_until_height,
                });
            }
            None => over += 1,
        }
        if over == rotations::FORMER_OVER {
            break;
        }
    }
    Ok(former)
}

pub(super) async fn reserves(State(api): State<Arc<Api>>) -> Answer<Json<Reserves>> {
    let backend = &api.backend;
    let mut reader = backend.store.read().await?;
    let rosters = backend.rosters(&mut reader).await?;
    let vault = &rosters.newest().vault().script_pubkey;
    let since_height = rosters
        .vault_epoch(vault)
        .and_then(|epoch| rosters.rotation(epoch))
        .map_or(backend.deployment.start_height, |it| it.block.height);
    let block = reader.last_block().await?;
    let totals = reader.vault_totals().await?;
    let outputs = reader.vault_outputs(OUTPOINTS_MAX).await?;
    let (Some(block), Some(nft_outpoint)) = (block, totals.nft) else {
        return Err(Failure::unavailable(
            "the roster NFT is in no block that was read",
        ));
    };
    Ok(Json(Reserves {
        vault_sat: totals.vault.to_sat(),
        supply_sat: totals.supply.to_sat(),
        donations_sat: totals.donations.to_sat(),
        former_sat: totals.former.to_sat(),
        since_height,
        nft_outpoint,
        outpoints: outputs
            .into_iter()
            .map(|output| VaultOutput {
                outpoint: output.outpoint,
                amount_sat: output.amount.to_sat(),
            })
            .collect(),
        height: block.height,
        block_hash: block.hash,
    }))
}

static OPENAPI: LazyLock<Result<String, String>> = LazyLock::new(|| {
    grail_api::openapi()
        .to_pretty_json()
        .map_err(|error| error.to_string())
});

pub(super) async fn openapi() -> Response {
    match &*OPENAPI {
        Ok(document) => (
            [(header::CONTENT_TYPE, "application/json")],
            document.as_str(),
        )
            .into_response(),
        Err(error) => Failure::internal(error).into_response(),
    }
}
