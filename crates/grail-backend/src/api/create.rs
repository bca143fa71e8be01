//! New requests. A call stores the whole request or nothing, and the same call again finds it.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use bitcoin::{Amount, secp256k1::Secp256k1};
use grail_api::{
    BODY_BYTES_MAX, BridgeStatus, CreatePegIn, CreatePegOut, CreateSponsor, IDEMPOTENCY_KEY_HEADER,
    IdempotencyKey, Kind, ParsedRequest, Problem, ProblemCode, Receipt, Request, ServingState,
    StatusReason, bip21, deposit_min,
};
use grail_flow::deposit_deadline_height;
use grail_policy::adoption::AdoptedRoster;
use grail_script::{DepositTree, InternalKey};
use grail_store::{
    Conflict, Created, Idempotency, NewEvent, NewRequest, StoreError, StoreTx, Subject,
};
use sha2::{Digest, Sha256};

use super::{
    Api,
    answer::{Answer, Failure},
    caller::Caller,
    estimate::{Estimate, Now, estimate},
    outflow,
    query::only,
    states::{reclaim_code, request_state},
};
use crate::{backend::Backend, clock, rosters::Rosters};

/// Name of the event that tells of a new request.
const CREATED: &str = "created";

type Body = Result<Bytes, BytesRejection>;

pub(super) async fn peg_in(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Answer<(StatusCode, Json<Request>)> {
    let parse = |body: &[u8], backend: &Backend, roster: &AdoptedRoster| {
        CreatePegIn::from_json(body)?.parse(
            backend.bridge(),
            backend.params(),
            roster.roster(),
            roster.governance(),
        )
    };
    create(&api, Kind::PegIn.name(), caller, &headers, body, parse).await
}

pub(super) async fn peg_out(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Answer<(StatusCode, Json<Request>)> {
    let parse = |body: &[u8], backend: &Backend, roster: &AdoptedRoster| {
        CreatePegOut::from_json(body)?.parse(
            backend.bridge(),
            backend.params(),
            roster.roster(),
            roster.governance(),
        )
    };
    create(&api, Kind::PegOut.name(), caller, &headers, body, parse).await
}

pub(super) async fn sponsor(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Answer<(StatusCode, Json<Request>)> {
    let parse = |body: &[u8], backend: &Backend, roster: &AdoptedRoster| {
        let body = CreateSponsor::from_json(body)?;
        body.parse(backend.bridge(), backend.params(), roster.roster())
    };
    create(&api, "sponsor", caller, &headers, body, parse).await
}

async fn create(
    api: &Api,
    kind: &str,
    caller: Caller,
    headers: &HeaderMap,
    body: Body,
    parse: impl FnOnce(&[u8], &Backend, &AdoptedRoster) -> Result<ParsedRequest, Problem>,
) -> Answer<(StatusCode, Json<Request>)> {
    let backend = &api.backend;
    check_media_type(headers)?;
    let key = idempotency_key(headers)?;
    let body = body.map_err(|rejection| unread(&rejection, BODY_BYTES_MAX))?;
    let rosters = backend.rosters(&mut backend.store.read().await?).await?;
    let newest = rosters.newest();
    let parsed = parse(&body, backend, newest)?;
    if rosters.vault_epoch(parsed.destination()).is_some() {
        return Err(Failure::new(
            ProblemCode::UnsupportedAddress,
            "the destination is a vault, of now or of before",
        ));
    }
    let amount = parsed.amount();
    let idempotency = Idempotency {
        key: key.as_str(),
        body_hash: body_hash(kind, &body),
    };
    let known = backend
        .store
        .read()
        .await?
        .request_by_key(idempotency)
        .await;
    let known = known.map_err(refused)?;
    let bridge = api.bridge_status().await?;
    let (status, stored) = match known {
        Some(request) => (StatusCode::OK, request),
        // What is deposited now would wait, perhaps until its reclaim.
        None if bridge.state == ServingState::Paused => return Err(Failure::paused(&bridge)),
        None => create_new(api, caller, &rosters, parsed, idempotency).await?,
    };
    let view = api.node.view(backend).await.ok();
    let now = Now {
        rate: (view.and_then(|view| view.fee_rate)).unwrap_or(backend.params().fee_rate_min),
        deficit: view.map_or(Amount::ZERO, |view| view.deficit),
        ready_count: bridge.ready_requests,
    };
    let estimate = estimate(backend, newest.vault(), &stored, amount, now);
    let warnings = warnings(&bridge, stored.terms.kind.into(), amount);
    Ok((
        status,
        Json(answer(backend, stored, amount, estimate, warnings)),
    ))
}

/// Why a request may take longer than usual. Of what may leave only peg-outs are told, and of the
/// own amount where that is known.
fn warnings(bridge: &BridgeStatus, kind: Kind, amount: Option<Amount>) -> Vec<StatusReason> {
    let limit = grail_api::StatusCode::OutflowLimit;
    let (about_all, of_limit): (Vec<_>, Vec<_>) =
        (bridge.reasons.iter().cloned()).partition(|reason| reason.code != limit);
    if kind != Kind::PegOut {
        return about_all;
    }
    let own = bridge.outflow.zip(amount);
    let own = own.and_then(|(outflow, amount)| outflow::warning(&outflow, amount));
    let of_limit = own.map_or(of_limit, |own| vec![own]);
    about_all.into_iter().chain(of_limit).collect()
}

async fn create_new(
    api: &Api,
    caller: Caller,
    rosters: &Rosters,
    parsed: ParsedRequest,
    idempotency: Idempotency<'_>,
) -> Answer<(StatusCode, grail_store::Request)> {
    let backend = &api.backend;
    let heights = current_heights(api).await?;
    let nft_epoch = backend.store.read().await?.nft_epoch().await?;
    let issuing = rosters
        .issuing(
            nft_epoch,
            backend.protocol().hash(),
            // What was read, not what the node has: only that is known to hold the rotation.
            heights.read,
            backend.params().settlement_confirmations,
        )
        .map_err(|reason| Failure::unavailable(reason.to_string()))?;
    api.creations.take(caller)?;
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| Failure::internal(&error))?;
    let terms = parsed.into_terms(nonce);
    let tree = DepositTree::new(
        &Secp256k1::verification_only(),
        InternalKey::Nums,
        &terms,
        issuing.roster(),
    );
    let new = NewRequest {
        terms: &terms,
        roster: issuing.roster(),
        deposit_script: &tree.script_pubkey,
        deadline_height: deposit_deadline_height(backend.params(), heights.node),
        idempotency: Some(idempotency),
        now: clock::now(),
    };
    store(backend, &new).await
}

/// How far the chain goes.
struct Heights {
    /// The node's tip.
    node: u32,
    /// The newest block taken.
    read: u32,
}

/// Where the chain is. That we are not far behind it, the bridge's status has said.
async fn current_heights(api: &Api) -> Answer<Heights> {
    let view =
        api.node.view(&api.backend).await.map_err(|code| {
            Failure::unavailable(format!("the chain cannot be seen now: {code}"))
        })?;
    let taken = api.backend.store.read().await?.last_block().await?;
    let height = taken.map_or(api.backend.deployment.start_height, |block| block.height);
    Ok(Heights {
        node: view.tip.height,
        read: height,
    })
}

fn refused(error: StoreError) -> Failure {
    match error {
        StoreError::Conflict(Conflict::IdempotencyKeyReused) => Failure::new(
            ProblemCode::IdempotencyConflict,
            "expected the body that came with this key before, got another",
        ),
        // The nonce was the client's own, and is not new.
        StoreError::Conflict(Conflict::RequestExists) => Failure::new(
            ProblemCode::IdempotencyConflict,
            "expected a nonce that no request of these terms has had",
        ),
        error => error.into(),
    }
}

async fn store(
    backend: &Backend,
    new: &NewRequest<'_>,
) -> Answer<(StatusCode, grail_store::Request)> {
    let mut tx = backend.store.begin().await?;
    let now = tx.now(new.now);
    let created = tx
        .create_request(&NewRequest { now, ..*new })
        .await
        .map_err(refused)?;
    match created {
        Created::Existing(request) => Ok((StatusCode::OK, request)),
        Created::New(request) => {
            tell(&mut tx, &request).await?;
            tx.commit().await?;
            backend.hints.feed.notify_waiters();
            tracing::info!(request = %request.id, kind = %Kind::from(request.terms.kind), "request created");
            Ok((StatusCode::CREATED, request))
        }
    }
}

async fn tell(tx: &mut StoreTx, request: &grail_store::Request) -> Result<(), StoreError> {
    let body = serde_json::json!({ "to": request.state.name() });
    tx.append_event(&NewEvent {
        subject: Subject::Request(request.id),
        kind: CREATED,
        body: &body,
        now: request.created_at,
    })
    .await
    .map(|_| ())
}

fn answer(
    backend: &Backend,
    request: grail_store::Request,
    amount: Option<Amount>,
    estimate: Estimate,
    warnings: Vec<StatusReason>,
) -> Request {
    let params = backend.params();
    let kind = Kind::from(request.terms.kind);
    let secp = Secp256k1::verification_only();
    let tree = DepositTree::new(&secp, InternalKey::Nums, &request.terms, &request.roster);
    let deposit_min = deposit_min(params, &tree, &request.terms);
    let receipt = Receipt::new(InternalKey::Nums, request.terms.clone(), request.roster);
    Request {
        id: request.id,
        kind,
        state: request_state(request.state.stage()),
        code: request.state.code().map(reclaim_code),
        deposit_address: receipt.deposit_address.clone(),
        bip21: (kind != Kind::PegOut).then(|| bip21(&receipt.deposit_address, amount)),
        terms: request.terms,
        receipt,
        deadline_height: request.deadline_height,
        deposit_min_sat: deposit_min.to_sat(),
        deposit_max_sat: params.deposit_max.to_sat(),
        carrier_sat: params.carrier.to_sat(),
        estimated_fee_share_sat: estimate.share().to_sat(),
        estimated_surcharge_sat: estimate.surcharge.to_sat(),
        warnings,
        created_at: request.created_at,
    }
}

pub(super) fn check_media_type(headers: &HeaderMap) -> Answer<()> {
    let declared = only(headers, &header::CONTENT_TYPE)
        .ok()
        .flatten()
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    match declared {
        Some(media_type) if media_type.eq_ignore_ascii_case("application/json") => Ok(()),
        _ => Err(Failure::new(
            ProblemCode::UnsupportedMediaType,
            "expected Content-Type: application/json, once",
        )),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Answer<IdempotencyKey> {
    let name = HeaderName::from_static(IDEMPOTENCY_KEY_HEADER);
    let value = only(headers, &name).map_err(|count| {
        Failure::new(
            ProblemCode::BadIdempotencyKey,
            format!("expected one Idempotency-Key header, got {count}"),
        )
    })?;
    Ok(IdempotencyKey::parse(value.map(HeaderValue::as_bytes))?)
}

/// Why a body of at most so many bytes was not read.
pub(super) fn unread(rejection: &BytesRejection, bytes_max: usize) -> Failure {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Failure::new(
            ProblemCode::BodyTooLarge,
            format!("expected at most {bytes_max} bytes"),
        )
    } else {
        Failure::new(ProblemCode::MalformedBody, "the body ended early")
    }
}

fn body_hash(kind: &str, body: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(kind)
        .chain_update([0])
        .chain_update(body)
        .finalize()
        .into()
}
