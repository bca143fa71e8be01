//! The HTTP API: the routes that `grail-api` describes, on this backend's rows.
//!
//! Owns the limits on what a stranger can make us do: connections, calls at a time, seconds and
//! bytes per call, calls that create, open event streams. Trusts rows; believes nothing in a
//! request before `grail-api` parsed it. Never answers with the inside of an error, never leaves
//! half of a request stored: one call writes in one step.

mod answer;
mod bridge;
mod create;
mod events;
mod guard;
mod health;
mod metrics;
mod node_view;
mod proofs;
mod query;
mod receipts;
mod requests;
mod rosters;
mod serve;
mod settlements;
mod states;
mod view;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};
use grail_api::{BODY_BYTES_MAX, RESTORE_BYTES_MAX};
use tokio::sync::Semaphore;

pub use guard::Limits;
pub use serve::serve;

use crate::backend::Backend;
use guard::Bucket;
use node_view::NodeCache;

/// What handlers share.
struct Api {
    backend: Arc<Backend>,
    limits: Limits,
    /// Places of calls that are being answered.
    calls: Semaphore,
    /// Places of event streams.
    streams: Arc<Semaphore>,
    /// Calls that may create something.
    creations: Bucket,
    node: NodeCache,
}

/// All routes with the usual limits. Needs a Tokio runtime with time.
pub fn router(backend: Arc<Backend>) -> Router {
    router_with(backend, Limits::default())
}

/// All routes.
pub fn router_with(backend: Arc<Backend>, limits: Limits) -> Router {
    let api = Arc::new(Api {
        calls: Semaphore::new(limits.calls_max),
        streams: Arc::new(Semaphore::new(limits.streams_max)),
        creations: Bucket::new(limits.creations_burst, limits.creations_per_second),
        node: NodeCache::default(),
        backend,
        limits,
    });
    Router::new()
        .route("/v1/params", get(bridge::params))
        .route("/v1/roster", get(bridge::roster))
        .route("/v1/rosters", get(rosters::list))
        .route("/v1/rosters/{epoch}", get(rosters::one))
        .route("/v1/reserves", get(bridge::reserves))
        .route("/v1/peg-ins", post(create::peg_in))
        .route("/v1/peg-outs", post(create::peg_out))
        .route(
            "/v1/receipts",
            post(receipts::create).layer(DefaultBodyLimit::max(RESTORE_BYTES_MAX)),
        )
        .route("/v1/peg-ins/{id}", get(requests::peg_in))
        .route("/v1/peg-outs/{id}", get(requests::peg_out))
        .route("/v1/requests", get(requests::list))
        .route("/v1/settlements", get(settlements::list))
        .route("/v1/settlements/{txid}", get(settlements::one))
        .route("/v1/proofs", get(proofs::list))
        .route("/v1/events", get(events::events))
        .route("/healthz", get(health::healthz))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(bridge::openapi))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&api),
            guard::guard,
        ))
        .layer(middleware::from_fn(guard::cross_origin))
        .with_state(api)
}
