//! Requests: one in full, many in short.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
};
use bitcoin::{Address, Amount};
use grail_api::{
    Deposit, FeeWait, HoldingRoster, Kind, OtherDeposit, OutflowWait, Page, ProblemCode, Receipt,
    ReclaimCode, ReclaimInfo, Refused, RequestSettlement, RequestState, RequestStatus,
    RequestSummary,
};
use grail_flow::{
    DepositCharms, RequestStage, confirmations, confirmations_needed, reclaim_height,
};
use grail_script::InternalKey;
use grail_store::{DepositRow, DepositState, ListedRequest, Reader, Request};

use super::{
    Api,
    answer::{Answer, Failure},
    outflow, proofs,
    query::{ListQuery, bad_query, parse_after, parse_id},
    states::{reclaim_code, request_state, settlement_state},
    view::{output_index_of_item, required, tip_height},
};
use crate::{
    backend::Backend,
    clock,
    roles::build::{fee_cap::wait_blocks, former},
    rotations,
};

/// Deposits of a request that are listed. Anybody who knows the address can make more.
const DEPOSITS_MAX: u32 = 100;
/// Refusals that are listed.
const REFUSALS_MAX: u32 = 50;

pub(super) async fn peg_in(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Answer<Json<RequestStatus>> {
    status(&api.backend, "peg-in", |kind| kind == Kind::PegIn, id).await
}

pub(super) async fn peg_out(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Answer<Json<RequestStatus>> {
    status(&api.backend, "peg-out", |kind| kind == Kind::PegOut, id).await
}

pub(super) async fn sponsor(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Answer<Json<RequestStatus>> {
    let is_one = |kind| grail_types::Kind::from(kind).is_sponsor();
    status(&api.backend, "sponsor", is_one, id).await
}

async fn status(
    backend: &Backend,
    what: &str,
    is_one: impl Fn(Kind) -> bool,
    id: Result<Path<String>, PathRejection>,
) -> Answer<Json<RequestStatus>> {
    let id = parse_id(id.map(|Path(id)| id).unwrap_or_default().as_str())?;
    let mut reader = backend.store.read().await?;
    let request = reader
        .request(&id)
        .await?
        .filter(|request| is_one(request.terms.kind.into()))
        .ok_or_else(|| Failure::not_found(format!("no {what} {id}")))?;
    Ok(Json(read(backend, &mut reader, request).await?))
}

/// A request in full.
pub(super) async fn read(
    backend: &Backend,
    reader: &mut Reader,
    request: Request,
) -> Answer<RequestStatus> {
    let tip_height = tip_height(backend, reader).await?;
    let rows = reader.deposits_of(&request.id, None, DEPOSITS_MAX).await?;
    let own = match request.state.deposit() {
        Some(outpoint) => reader.deposit(&outpoint).await?,
        None => None,
    };
    let other_deposits = rows
        .iter()
        .filter(|row| Some(row.deposit.outpoint) != request.state.deposit())
        .filter(|row| row.state != DepositState::Vanished)
        .map(|row| OtherDeposit {
            outpoint: row.deposit.outpoint,
            amount_sat: row.deposit.value.to_sat(),
            token_sat: token_sat(row),
            confirmations: confirmations_of(row, tip_height),
            code: row.code.map_or(ReclaimCode::DuplicateDeposit, reclaim_code),
            reclaim_possible_at_height: reclaim_possible_at(row, &request),
        })
        .collect();
    let refusals = reader
        .refusals_of(&request.id, REFUSALS_MAX)
        .await?
        .into_iter()
        .map(|answer| Refused {
            signer: answer.signer.0,
            code: answer.code.unwrap_or_default(),
            details: answer.details.unwrap_or_default(),
        })
        .collect();
    let settlement = settlement(backend, reader, &request, tip_height).await?;
    let proving = match request.state.settlement() {
        Some(id) => proofs::of_settlement(backend, reader, id).await?,
        None => None,
    };
    let fee_wait = reader
        .fee_wait(&request.id)
        .await?
        .map(|since_height| FeeWait {
            since_height,
            until_height: since_height
                .saturating_add(wait_blocks(backend.params(), request.terms.reclaim_delay)),
        });
    let state = request_state(request.state.stage());
    let holding_roster = Some(holding_roster(backend, reader, &request).await?);
    let outflow_wait = outflow_wait(backend, reader, &request, own.as_ref()).await?;
    let receipt = Receipt::new(
        InternalKey::Nums,
        request.terms.clone(),
        request.roster.clone(),
    );
    Ok(RequestStatus {
        id: request.id,
        kind: request.terms.kind.into(),
        state,
        code: request.state.code().map(reclaim_code),
        deposit_address: receipt.deposit_address.clone(),
        deadline_height: request.deadline_height,
        deposit: own.as_ref().map(|row| Deposit {
            outpoint: row.deposit.outpoint,
            amount_sat: row.deposit.value.to_sat(),
            token_sat: token_sat(row),
            confirmations: confirmations_of(row, tip_height),
            confirmations_needed: confirmations_needed(backend.params(), row.deposit.origin),
            height: row.block.map(|block| block.height),
        }),
        other_deposits,
        settlement,
        proving,
        fee_wait,
        outflow_wait,
        refusals,
        reclaim: own
            .as_ref()
            .filter(|_| !matches!(state, RequestState::Paid | RequestState::Taken))
            .map(|row| ReclaimInfo {
                outpoint: row.deposit.outpoint,
                delay: request.terms.reclaim_delay,
                possible_at_height: reclaim_possible_at(row, &request),
                reclaimed_by: row.reclaim.map(|reclaim| reclaim.txid),
            }),
        holding_roster,
        receipt,
        created_at: request.created_at,
        updated_at: request.updated_at,
    })
}

/// What becomes of a request whose roster is not to stay.
async fn holding_roster(
    backend: &Backend,
    reader: &mut Reader,
    request: &Request,
) -> Answer<HoldingRoster> {
    let rosters = backend.rosters(reader).await?;
    if request.terms.epoch < rosters.newest().epoch() {
        // No step of a later epoch takes a sponsor.
        let is_peg = !request.terms.kind.is_sponsor();
        let (roster, now) = (&request.roster, clock::now());
        return Ok(
            if is_peg && former::is_asked(backend, reader, roster, now).await? {
                HoldingRoster::Former
            } else {
                HoldingRoster::Gone
            },
        );
    }
    // Reading a state takes milliseconds: not where nobody ever rotated.
    if reader.signed_rotations(1).await?.is_empty() {
        return Ok(HoldingRoster::Holds);
    }
    let nft = rotations::chain_nft(backend, reader).await?;
    Ok(match nft.state.next {
        Some(_) => HoldingRoster::Leaving,
        None => HoldingRoster::Holds,
    })
}

/// What a peg-out that could be settled otherwise waits for, if more would leave with it than may.
async fn outflow_wait(
    backend: &Backend,
    reader: &mut Reader,
    request: &Request,
    deposit: Option<&DepositRow>,
) -> Answer<Option<OutflowWait>> {
    let waits = matches!(
        request.state.stage(),
        RequestStage::Unconfirmed | RequestStage::Ready
    );
    let token = deposit.and_then(token_sat).filter(|_| waits);
    let (Some(token), grail_types::Kind::PegOut) = (token, request.terms.kind) else {
        return Ok(None);
    };
    let leaving = outflow::leaving(backend, reader).await?;
    // A roster that a reorg undid holds nothing that could be settled.
    let leaving = leaving.filter(|leaving| request.roster.epoch() <= leaving.epoch);
    Ok(leaving.and_then(|leaving| leaving.wait(Amount::from_sat(token))))
}

/// The settlement from the request's side, once it has a transaction.
async fn settlement(
    backend: &Backend,
    reader: &mut Reader,
    request: &Request,
    tip_height: u32,
) -> Answer<Option<RequestSettlement>> {
    let Some(id) = request.state.settlement() else {
        return Ok(None);
    };
    let settlement = required(reader.settlement(id).await?, "a request's settlement")?;
    let (Some(txid), Some(transaction)) = (settlement.txid, reader.unsigned_transaction(id).await?)
    else {
        return Ok(None);
    };
    let items = reader.settlement_items(id).await?;
    let position = items.iter().position(|item| item.request == request.id);
    let item = position.and_then(|position| items.get(position).map(|item| (position, item)));
    let (position, item) = required(item, "a request in its settlement")?;
    // A sponsor pays, and is paid nothing.
    let output_index = if request.terms.kind.is_sponsor() {
        None
    } else {
        let index = output_index_of_item(&transaction, items.len(), position);
        Some(required(index, "an output of a settlement")?)
    };
    Ok(Some(RequestSettlement {
        txid,
        state: settlement_state(settlement.state.stage()),
        confirmations: settlement
            .block
            .map_or(0, |block| confirmations(tip_height, block.height)),
        confirmations_needed: backend.params().settlement_confirmations,
        amount_out_sat: item.amount_out.to_sat(),
        fee_share_sat: item.fee_share.to_sat(),
        output_index,
    }))
}

fn confirmations_of(row: &DepositRow, tip_height: u32) -> u32 {
    row.block
        .map_or(0, |block| confirmations(tip_height, block.height))
}

fn token_sat(row: &DepositRow) -> Option<u64> {
    match row.deposit.charms {
        DepositCharms::ZkBtc(amount) => Some(amount.to_sat()),
        DepositCharms::None | DepositCharms::Other => None,
    }
}

fn reclaim_possible_at(row: &DepositRow, request: &Request) -> Option<u32> {
    let (delay, origin) = (request.terms.reclaim_delay, row.deposit.origin);
    row.block
        .filter(|_| row.state != DepositState::Taken)
        .map(|block| reclaim_height(block.height, delay, origin))
}

/// Paid ones alone: before, a request's name and address are its user's to know.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Answer<Json<Page<RequestSummary>>> {
    let Query(query) = query.map_err(|rejection| bad_query(&rejection))?;
    let (state, page) = query.split();
    let paid = RequestState::Paid;
    if state.is_some_and(|name| name != paid.name()) {
        return Err(Failure::new(
            ProblemCode::BadQuery,
            format!("expected state={paid}: others are not listed"),
        ));
    }
    let limit = page.limit()?;
    let before = parse_after(&page)?;
    let mut reader = api.backend.store.read().await?;
    // One more than asked for tells whether there is a next page.
    let mut requests = reader
        .requests_newest_first(
            RequestStage::Paid,
            before,
            u32::from(limit).saturating_add(1),
        )
        .await?;
    let is_last = requests.len() <= usize::from(limit);
    requests.truncate(limit.into());
    let next = requests
        .last()
        .filter(|_| !is_last)
        .map(|request| request.number.to_string());
    let items = requests.iter();
    let items = items.map(|request| summary(&api.backend, request));
    Ok(Json(Page {
        items: items.collect::<Answer<_>>()?,
        next,
    }))
}

fn summary(backend: &Backend, request: &ListedRequest) -> Answer<RequestSummary> {
    let kind = Kind::from(request.kind);
    let network = bitcoin::Network::from(backend.bridge().network);
    let address = Address::from_script(&request.deposit_script, network)
        .map_err(|error| Failure::internal(&error))?;
    let amount = match kind {
        Kind::PegOut => request.deposit_token,
        Kind::PegIn
        | Kind::SponsorAnnounce
        | Kind::SponsorCancel
        | Kind::SponsorExecute
        | Kind::SponsorMerge => request.deposit_amount,
    };
    Ok(RequestSummary {
        id: request.id,
        kind,
        state: request_state(request.state.stage()),
        code: request.state.code().map(reclaim_code),
        deposit_address: address.to_string(),
        amount_sat: amount.map(Amount::to_sat),
        settlement_txid: request.settlement_txid,
        created_at: request.created_at,
    })
}
