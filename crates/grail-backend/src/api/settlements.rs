//! Settlements, with all that they spend and make.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
};
use bitcoin::{Transaction, Txid};
use grail_api::{
    Page, PageQuery, ProblemCode, Settlement, SettlementInput, SettlementOutput, SignerAnswer,
    SignerOutcome,
};
use grail_flow::confirmations;
use grail_store::{Reader, ServedRequest};
use grail_types::{Kind, RequestId};

use super::{
    Api,
    answer::{Answer, Failure},
    proofs,
    query::{bad_query, parse_after},
    states::{settlement_state, signer_outcome},
    view::{output_index_of_item, required, tip_height},
};
use crate::backend::Backend;

/// Requests that a page's settlements serve at most, but for the last of them: a page then ends
/// before its limit.
const SERVED_PER_PAGE_MAX: usize = 250;

pub(super) async fn one(
    State(api): State<Arc<Api>>,
    txid: Result<Path<String>, PathRejection>,
) -> Answer<Json<Settlement>> {
    let text = txid.map(|Path(txid)| txid).unwrap_or_default();
    let txid: Txid = text.parse().map_err(|_| {
        Failure::new(
            ProblemCode::BadId,
            format!(
                "expected a txid of 64 hex characters, got {} characters",
                text.chars().count()
            ),
        )
    })?;
    let mut reader = api.backend.store.read().await?;
    let settlement = reader
        .settlement_by_txid(&txid)
        .await?
        .ok_or_else(|| Failure::not_found(format!("no settlement {txid}")))?;
    Ok(Json(read(&api.backend, &mut reader, settlement).await?))
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Answer<Json<Page<Settlement>>> {
    let Query(page) = query.map_err(|rejection| bad_query(&rejection))?;
    let limit = page.limit()?;
    let before = parse_after(&page)?;
    let mut reader = api.backend.store.read().await?;
    let rows = reader
        .settlements_newest_first(before, u32::from(limit).saturating_add(1))
        .await?;
    let row_count = rows.len();
    let mut items = Vec::new();
    let mut served_count = 0_usize;
    let mut last = None;
    for row in rows.into_iter().take(limit.into()) {
        if served_count >= SERVED_PER_PAGE_MAX {
            break;
        }
        last = Some(row.id);
        let settlement = read(&api.backend, &mut reader, row).await?;
        let served = usize::try_from(settlement.request_count).unwrap_or(usize::MAX);
        served_count = served_count.saturating_add(served);
        items.push(settlement);
    }
    let is_last = items.len() == row_count;
    let next = last.filter(|_| !is_last).map(|id| id.to_string());
    Ok(Json(Page { items, next }))
}

async fn read(
    backend: &Backend,
    reader: &mut Reader,
    row: grail_store::Settlement,
) -> Answer<Settlement> {
    let tip_height = tip_height(backend, reader).await?;
    let served = reader.served_requests(row.id).await?;
    // What it spends and pays is on the network from here on; until then it is its users' alone.
    let stage = row.state.stage();
    let (inputs, outputs, requests) = if stage.is_published() {
        let transaction = reader.unsigned_transaction(row.id).await?;
        let transaction = required(transaction, "a settlement's transaction")?;
        let requests = served.iter().filter_map(known).collect();
        let inputs = inputs(reader, &transaction, &served).await?;
        (inputs, outputs(&transaction, &served), requests)
    } else {
        (Vec::new(), Vec::new(), Vec::new())
    };
    // Who signed what was adopted is not in the rows.
    let mut signers = if row.adopted {
        Vec::new()
    } else {
        signers(backend, reader, &row).await?
    };
    if !stage.is_published() {
        // What was found may name a deposit.
        for signer in &mut signers {
            signer.details = None;
        }
    }
    let proving = proofs::of_settlement(backend, reader, row.id).await?;
    let former_epoch = reader.former_epoch(row.id).await?;
    Ok(Settlement {
        txid: required(row.txid, "a settlement's txid")?,
        state: settlement_state(stage),
        epoch: row.epoch,
        former_epoch,
        confirmations: row
            .block
            .map_or(0, |block| confirmations(tip_height, block.height)),
        height: row.block.map(|block| block.height),
        adopted: row.adopted,
        request_count: u64::try_from(served.len()).unwrap_or(u64::MAX),
        requests,
        inputs,
        outputs,
        fee_sat: required(row.fee, "a settlement's fee")?.to_sat(),
        vsize: required(row.vsize, "a settlement's size")?,
        signers,
        proving,
        created_at: row.created_at,
    })
}

async fn inputs(
    reader: &mut Reader,
    transaction: &Transaction,
    served: &[ServedRequest],
) -> Answer<Vec<SettlementInput>> {
    let deposits: BTreeMap<_, _> = served
        .iter()
        .map(|served| (served.item.deposit, served))
        .collect();
    let mut parents: BTreeMap<Txid, Transaction> = BTreeMap::new();
    let mut inputs = Vec::with_capacity(transaction.input.len());
    for input in &transaction.input {
        let outpoint = input.previous_output;
        // One of a request that is not known is read from its transaction, as the vault is.
        let served = deposits.get(&outpoint);
        if let Some((served, amount)) = served.and_then(|it| Some((it, it.deposit_amount?))) {
            inputs.push(SettlementInput {
                outpoint,
                amount_sat: amount.to_sat(),
                token_sat: served.deposit_token.map(bitcoin::Amount::to_sat),
                request: Some(served.item.request),
            });
            continue;
        }
        if let Entry::Vacant(place) = parents.entry(outpoint.txid) {
            let parent = reader.transaction(&outpoint.txid).await?;
            place.insert(required(parent, "a settlement's parent transaction")?);
        }
        let output = usize::try_from(outpoint.vout).ok().and_then(|vout| {
            parents
                .get(&outpoint.txid)
                .and_then(|parent| parent.output.get(vout))
        });
        inputs.push(SettlementInput {
            outpoint,
            amount_sat: required(output, "a settlement's parent output")?
                .value
                .to_sat(),
            token_sat: None,
            request: None,
        });
    }
    Ok(inputs)
}

fn outputs(transaction: &Transaction, served: &[ServedRequest]) -> Vec<SettlementOutput> {
    // Sponsors of a rotation's step get no output.
    let is_paid = |served: &ServedRequest| !served.kind.is_some_and(Kind::is_sponsor);
    let first_item =
        output_index_of_item(transaction, served.len(), 0).filter(|_| served.iter().all(is_paid));
    transaction
        .output
        .iter()
        .zip(0_u32..)
        .map(|(output, vout)| {
            let served = first_item
                .and_then(|first| vout.checked_sub(first))
                .and_then(|position| usize::try_from(position).ok())
                .and_then(|position| served.get(position));
            SettlementOutput {
                script: output.script_pubkey.to_hex_string(),
                amount_sat: output.value.to_sat(),
                token_sat: served
                    .filter(|served| served.kind == Some(Kind::PegIn))
                    .map(|served| served.item.amount_out.to_sat()),
                request: served.and_then(known),
            }
        })
        .collect()
}

/// The request of an item, if it is known here.
fn known(served: &ServedRequest) -> Option<RequestId> {
    served.kind.map(|_| served.item.request)
}

async fn signers(
    backend: &Backend,
    reader: &mut Reader,
    row: &grail_store::Settlement,
) -> Answer<Vec<SignerAnswer>> {
    let mut answers: BTreeMap<_, _> = reader
        .answer_summaries(row.id)
        .await?
        .into_iter()
        .map(|answer| (answer.signer.0, answer))
        .collect();
    // Without its roster, which a reorg may have undone, those who answered are still known.
    let signers = backend.signers_of(reader, row).await;
    let count = signers.map_or(0, |signers| signers.all().count());
    let positions = (0_u16..).take(count);
    let positions: BTreeSet<_> = positions.chain(answers.keys().copied()).collect();
    let outcome = |index| match answers.remove(&index) {
        None => SignerAnswer {
            index,
            outcome: SignerOutcome::Waiting,
            code: None,
            details: None,
        },
        Some(answer) => SignerAnswer {
            index,
            outcome: signer_outcome(answer.verdict),
            code: answer.code,
            details: answer.details,
        },
    };
    Ok(positions.into_iter().map(outcome).collect())
}
