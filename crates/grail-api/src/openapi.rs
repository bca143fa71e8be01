//! The `OpenAPI` document.
//!
//! The functions here are descriptions of routes and are never called; the server implements each
//! of them.
#![expect(dead_code, reason = "descriptions, never called")]

use utoipa::OpenApi;

use crate::{
    BridgeStatus, CreatePegIn, CreatePegOut, CreateSponsor, Event, Health, Page, PageQuery,
    ParamsAnswer, Problem, Proof, ProvingState, Request, RequestState, RequestStatus,
    RequestSummary, Reserves, RestoreRequest, RosterAnswer, RosterRecord, RosterSummary,
    RotationDocument, RotationStatus, Rotations, Settlement, problem::MEDIA_TYPE,
};

/// The `OpenAPI` 3.1 document of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Grail",
        description = "Peg-ins, peg-outs, settlements and reserves. Amounts are satoshis (`_sat`), instants unix seconds (`_at`), ids hex. \
            Every error is a problem detail (RFC 9457) with a stable code."
    ),
    paths(
        params,
        status,
        roster,
        rosters,
        roster_of_epoch,
        create_peg_in,
        create_peg_out,
        create_sponsor,
        create_rotation,
        rotations,
        rotation_events,
        restore_request,
        peg_in,
        peg_out,
        sponsor,
        requests,
        settlements,
        settlement,
        proofs,
        reserves,
        events,
        livez,
        readyz,
        healthz,
        openapi_json
    ),
    components(schemas(Problem, Event))
)]
struct Document;

/// Protocol parameters.
#[utoipa::path(get, path = "/v1/params", responses((status = 200, body = ParamsAnswer)))]
fn params() {}

/// Whether a request made now would be served, and why not.
#[utoipa::path(get, path = "/v1/status", responses(
    (status = 200, body = BridgeStatus),
    (status = 503, body = Problem, content_type = MEDIA_TYPE, description = "the database does not answer"),
))]
fn status() {}

/// The roster of now, with every signer's evidence.
#[utoipa::path(get, path = "/v1/roster", responses(
    (status = 200, body = RosterAnswer),
    (status = 503, body = Problem, content_type = MEDIA_TYPE),
))]
fn roster() {}

/// Every roster so far, newest first.
#[utoipa::path(get, path = "/v1/rosters", params(PageQuery), responses(
    (status = 200, body = Page<RosterSummary>),
    (status = "4XX", body = Problem, content_type = MEDIA_TYPE),
))]
fn rosters() {}

/// The roster of an epoch, with the transaction that made it.
#[utoipa::path(get, path = "/v1/rosters/{epoch}", params(("epoch" = u64, Path)), responses(
    (status = 200, body = RosterRecord),
    (status = "4XX", body = Problem, content_type = MEDIA_TYPE),
))]
fn roster_of_epoch() {}

/// Asks for a peg-in: BTC to zkBTC.
#[utoipa::path(post, path = "/v1/peg-ins", request_body = CreatePegIn,
    params(("Idempotency-Key" = String, Header, description = "1 to 64 letters, digits, - or _")),
    responses(
        (status = 201, body = Request),
        (status = 200, body = Request, description = "asked before with the same key and body"),
        (status = "4XX", body = Problem, content_type = MEDIA_TYPE),
        (status = 503, body = Problem, content_type = MEDIA_TYPE, description = "paused, or not available now"),
    ))]
fn create_peg_in() {}

/// Asks for a peg-out: zkBTC to BTC.
#[utoipa::path(post, path = "/v1/peg-outs", request_body = CreatePegOut,
    params(("Idempotency-Key" = String, Header, description = "1 to 64 letters, digits, - or _")),
    responses(
        (status = 201, body = Request),
        (status = 200, body = Request, description = "asked before with the same key and body"),
        (status = "4XX", body = Problem, content_type = MEDIA_TYPE),
        (status = 503, body = Problem, content_type = MEDIA_TYPE, description = "paused, or not available now"),
    ))]
fn create_peg_out() {}

/// Asks to pay the miners of a step of a rotation. The whole coin is fee; what no step took by then
/// can be taken back.
#[utoipa::path(post, path = "/v1/sponsors", request_body = CreateSponsor,
    params(("Idempotency-Key" = String, Header, description = "1 to 64 letters, digits, - or _")),
    responses(
        (status = 201, body = Request),
        (status = 200, body = Request, description = "asked before with the same key and body"),
        (status = "4XX", body = Problem, content_type = MEDIA_TYPE),
        (status = 503, body = Problem, content_type = MEDIA_TYPE, description = "paused, or not available now"),
    ))]
fn create_sponsor() {}

/// Hands in a rotation, or its cancellation, that enough administrators have signed. Anybody may.
#[utoipa::path(post, path = "/v1/rotations", request_body = RotationDocument,
    responses(
        (status = 201, body = RotationStatus),
        (status = 200, body = RotationStatus, description = "known already"),
        (status = "4XX", body = Problem, content_type = MEDIA_TYPE),
        (status = 503, body = Problem, content_type = MEDIA_TYPE),
    ))]
fn create_rotation() {}

/// What a proposal begins with, and the rotations so far.
#[utoipa::path(get, path = "/v1/rotations", responses(
    (status = 200, body = Rotations),
    (status = 503, body = Problem, content_type = MEDIA_TYPE),
))]
fn rotations() {}

/// Makes a request again from its receipt, for a backend that lost it. Changes nothing where the
/// request is known. The deposit must be unspent in a block, or spent by a settlement.
#[utoipa::path(post, path = "/v1/receipts", request_body = RestoreRequest,
    responses(
        (status = 201, body = RequestStatus),
        (status = 200, body = RequestStatus, description = "known already, and not changed"),
        (status = "4XX", body = Problem, content_type = MEDIA_TYPE),
        (status = 503, body = Problem, content_type = MEDIA_TYPE),
    ))]
fn restore_request() {}

/// A peg-in.
#[utoipa::path(get, path = "/v1/peg-ins/{id}", params(("id" = String, Path, description = "request id, hex")),
    responses((status = 200, body = RequestStatus), (status = "4XX", body = Problem, content_type = MEDIA_TYPE)))]
fn peg_in() {}

/// A peg-out.
#[utoipa::path(get, path = "/v1/peg-outs/{id}", params(("id" = String, Path, description = "request id, hex")),
    responses((status = 200, body = RequestStatus), (status = "4XX", body = Problem, content_type = MEDIA_TYPE)))]
fn peg_out() {}

/// A sponsor.
#[utoipa::path(get, path = "/v1/sponsors/{id}", params(("id" = String, Path, description = "request id, hex")),
    responses((status = 200, body = RequestStatus), (status = "4XX", body = Problem, content_type = MEDIA_TYPE)))]
fn sponsor() {}

/// Requests, newest first.
#[utoipa::path(get, path = "/v1/requests",
    params(("state" = Option<RequestState>, Query, description = "only those in this state"), PageQuery),
    responses(
        (status = 200, body = Page<RequestSummary>),
        (status = "4XX", body = Problem, content_type = MEDIA_TYPE),
    ))]
fn requests() {}

/// Settlements, newest first.
#[utoipa::path(get, path = "/v1/settlements", params(PageQuery), responses(
    (status = 200, body = Page<Settlement>),
    (status = "4XX", body = Problem, content_type = MEDIA_TYPE),
))]
fn settlements() {}

/// A settlement.
#[utoipa::path(get, path = "/v1/settlements/{txid}", params(("txid" = String, Path, description = "transaction id, hex")),
    responses((status = 200, body = Settlement), (status = "4XX", body = Problem, content_type = MEDIA_TYPE)))]
fn settlement() {}

/// How settlements are and were proven, newest first.
#[utoipa::path(get, path = "/v1/proofs",
    params(("state" = Option<ProvingState>, Query, description = "only those in this state"), PageQuery),
    responses(
        (status = 200, body = Page<Proof>),
        (status = "4XX", body = Problem, content_type = MEDIA_TYPE),
    ))]
fn proofs() {}

/// What is locked against what exists.
#[utoipa::path(get, path = "/v1/reserves", responses(
    (status = 200, body = Reserves),
    (status = 503, body = Problem, content_type = MEDIA_TYPE),
))]
fn reserves() {}

/// Server-sent events of rotations and tips: the data of each is an `Event`. Hints only; ask again
/// for the truth.
#[utoipa::path(get, path = "/v1/rotations/events",
    responses((status = 200, body = Event, content_type = "text/event-stream"), (status = "4XX", body = Problem, content_type = MEDIA_TYPE)))]
fn rotation_events() {}

/// Server-sent events: the data of each is an `Event`. Hints only; ask again for the truth.
#[utoipa::path(get, path = "/v1/events",
    params(("request" = Option<String>, Query, description = "only events of this request, and tips")),
    responses((status = 200, body = Event, content_type = "text/event-stream"), (status = "4XX", body = Problem, content_type = MEDIA_TYPE)))]
fn events() {}

/// The process answers.
#[utoipa::path(get, path = "/livez", responses((status = 200, body = String, content_type = "text/plain")))]
fn livez() {}

/// The database answers: calls can be sent here. What a balancer asks.
#[utoipa::path(get, path = "/readyz", responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = 503, body = Problem, content_type = MEDIA_TYPE),
))]
fn readyz() {}

/// How each part of the backend is. For people and alerts: a balancer asks `/readyz`.
#[utoipa::path(get, path = "/healthz", responses(
    (status = 200, body = Health, description = "ok or degraded"),
    (status = 503, body = Health, description = "failing"),
))]
fn healthz() {}

/// This document.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, body = Object, content_type = "application/json")))]
fn openapi_json() {}
