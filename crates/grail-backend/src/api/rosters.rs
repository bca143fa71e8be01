//! Rosters of all epochs, with the evidence that anybody can follow them by.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
};
use bitcoin::{Address, consensus::encode::serialize_hex};
use grail_api::{Page, PageQuery, ProblemCode, RosterRecord, RosterSummary, SpentOutput};
use grail_policy::adoption::{AdoptedRoster, Handover};
use grail_script::VaultTree;
use grail_store::{BlockRef, Reader};
use grail_types::Epoch;

use super::{
    Api,
    answer::{Answer, Failure},
    query::{bad_query, parse_after},
    view::required,
};
use crate::{backend::Backend, rosters::Rosters, rotations};

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Answer<Json<Page<RosterSummary>>> {
    let Query(page) = query.map_err(|rejection| bad_query(&rejection))?;
    let limit = page.limit()?;
    let before = parse_after(&page)?.unwrap_or(u64::MAX);
    let backend = &api.backend;
    let mut reader = backend.store.read().await?;
    let rosters = backend.rosters(&mut reader).await?;
    let first = block(backend, &rosters, &mut reader, Epoch(0)).await?;
    let newest = rosters.newest().epoch().0;
    let epochs = (0..=newest).rev().filter(|epoch| *epoch < before);
    let items = epochs
        .take(limit.into())
        .filter_map(|epoch| rosters.of(Epoch(epoch)))
        .map(|adopted| {
            let rotation = rosters.rotation(adopted.epoch());
            let block = rotation.map_or(first, |rotation| Some(rotation.block));
            let roster = adopted.roster();
            Ok(RosterSummary {
                epoch: roster.epoch(),
                threshold: roster.threshold(),
                signer_count: u16::try_from(roster.signers().len()).unwrap_or(u16::MAX),
                address: address(backend, adopted.vault())?,
                txid: adopted.txid(),
                height: block.map(|block| block.height),
            })
        })
        .collect::<Answer<Vec<_>>>()?;
    let last = items.last().map(|last| last.epoch);
    let next = last.filter(|last| last.0 > 0).map(|last| last.to_string());
    Ok(Json(Page { items, next }))
}

pub(super) async fn one(
    State(api): State<Arc<Api>>,
    epoch: Result<Path<u64>, PathRejection>,
) -> Answer<Json<RosterRecord>> {
    let Path(epoch) =
        epoch.map_err(|_| Failure::new(ProblemCode::BadId, "expected the number of an epoch"))?;
    let epoch = Epoch(epoch);
    let backend = &api.backend;
    let mut reader = backend.store.read().await?;
    let rosters = backend.rosters(&mut reader).await?;
    let adopted = rosters
        .of(epoch)
        .ok_or_else(|| Failure::not_found(format!("no roster of epoch {epoch}")))?;
    let block = block(backend, &rosters, &mut reader, epoch).await?;
    let (transaction, spent) = evidence(backend, &mut reader, adopted).await?;
    let serves_until_height = rotations::former_end(backend, &mut reader, &rosters, epoch).await?;
    let protocol = rotations::protocol_at(backend, &mut reader, adopted).await?;
    let (params, images) = protocol.map_or((None, None), |it| {
        (Some(it.params().clone()), Some(it.images().get().clone()))
    });
    let roster = adopted.roster();
    Ok(Json(RosterRecord {
        epoch,
        threshold: roster.threshold(),
        public_keys: roster.signers().to_vec(),
        address: address(backend, adopted.vault())?,
        governance: adopted.governance().clone(),
        params_hash: adopted.params_hash(),
        params,
        images,
        serves_until_height,
        txid: adopted.txid(),
        height: block.map(|block| block.height),
        block_hash: block.map(|block| block.hash),
        transaction,
        spent,
    }))
}

/// The transaction that made a roster, hex, and what a rotation spends.
async fn evidence(
    backend: &Backend,
    reader: &mut Reader,
    adopted: &AdoptedRoster,
) -> Answer<(String, Vec<SpentOutput>)> {
    if adopted.epoch() == Epoch(0) {
        return Ok((serialize_hex(&backend.deployment_tx), Vec::new()));
    }
    let bytes = reader.handover(adopted.epoch()).await?;
    let bytes = required(bytes, "a rotation's handover")?;
    let handover = Handover::from_bytes(&bytes).map_err(|error| Failure::internal(&error))?;
    let spent = handover.spent.iter().map(|output| SpentOutput {
        amount_sat: output.value.to_sat(),
        script: output.script_pubkey.to_hex_string(),
    });
    Ok((serialize_hex(&handover.transaction), spent.collect()))
}

/// The block of the transaction that made the roster of an epoch.
async fn block(
    backend: &Backend,
    rosters: &Rosters,
    reader: &mut Reader,
    epoch: Epoch,
) -> Answer<Option<BlockRef>> {
    match rosters.rotation(epoch) {
        Some(rotation) => Ok(Some(rotation.block)),
        None => Ok(reader.vault_output_block(&backend.deployment_nft()).await?),
    }
}

/// The address of a vault on this bridge's network.
pub(super) fn address(backend: &Backend, vault: &VaultTree) -> Answer<String> {
    let network = bitcoin::Network::from(backend.bridge().network);
    let address = Address::from_script(&vault.script_pubkey, network);
    Ok(address
        .map_err(|error| Failure::internal(&error))?
        .to_string())
}
