//! The HTTP API: the routes that `grail-api` describes, on this backend's rows.
//!
//! Owns the limits on what a stranger can make us do: connections, calls at a time, seconds and
//! bytes per call, calls that create, open event streams, all of them also for each caller. Trusts
//! rows; believes nothing in a request before `grail-api` parsed it. Never answers with the inside
//! of an error, never leaves half of a request stored: one call writes in one step. Never names a
//! request, or its address, to anybody who does not name it first, before it is paid.

mod answer;
mod bridge;
mod buckets;
mod caller;
mod create;
mod estimate;
mod events;
mod fresh;
mod guard;
mod health;
pub(crate) mod metric;
mod metrics;
mod node_view;
mod outflow;
mod places;
mod proofs;
mod query;
mod receipts;
mod requests;
mod rosters;
mod rotations;
mod serve;
mod settlements;
mod starting;
mod states;
mod status;
mod view;
mod web;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};
use grail_api::{BODY_BYTES_MAX, BridgeStatus, Health, RESTORE_BYTES_MAX, ROTATION_BYTES_MAX};
use tokio::{net::TcpListener, sync::Semaphore};

pub use buckets::Rate;
pub use caller::{TrustedProxy, TrustedProxyError};
pub use guard::Limits;
pub use starting::{Starting, serve_starting};
pub use web::{Web, WebArgs};

use crate::backend::Backend;
use answer::Answer;
use buckets::Creations;
use fresh::Fresh;
use metrics::Sums;
use node_view::NodeCache;
use places::Places;

/// What handlers share.
struct Api {
    backend: Arc<Backend>,
    /// Places of calls that are being answered.
    calls: Semaphore,
    /// Places of event streams.
    streams: Arc<Places>,
    /// Calls that may create something.
    creations: Creations,
    node: NodeCache,
    status: Fresh<Answer<Arc<BridgeStatus>>>,
    health: Fresh<Health>,
    sums: Fresh<Answer<Arc<Sums>>>,
    is_readable: Fresh<Answer<()>>,
    limits: Limits,
}

impl Api {
    fn new(backend: Arc<Backend>, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            calls: Semaphore::new(limits.calls_max),
            streams: Places::new(limits.streams_max, limits.streams_each_max),
            creations: Creations::new(limits.creations_each, limits.creations, limits.callers_max),
            node: NodeCache::new(limits.fresh),
            status: Fresh::new(limits.fresh),
            health: Fresh::new(limits.fresh),
            sums: Fresh::new(limits.sums_fresh),
            is_readable: Fresh::new(limits.fresh),
            backend,
            limits,
        })
    }
}

/// All public routes with the usual limits. Needs a Tokio runtime with time.
pub fn router(backend: Arc<Backend>) -> Router {
    router_with(backend, Limits::default())
}

/// All public routes.
pub fn router_with(backend: Arc<Backend>, limits: Limits) -> Router {
    let api = Api::new(backend, limits);
    // Asked by balancers and supervisors: full places are no reason to take a backend away.
    let probes = Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz));
    Router::new()
        .route("/v1/status", get(status::status))
        .route("/v1/params", get(bridge::params))
        .route("/v1/roster", get(bridge::roster))
        .route("/v1/rosters", get(rosters::list))
        .route("/v1/rosters/{epoch}", get(rosters::one))
        .route("/v1/reserves", get(bridge::reserves))
        .route("/v1/peg-ins", post(create::peg_in))
        .route("/v1/peg-outs", post(create::peg_out))
        .route("/v1/sponsors", post(create::sponsor))
        .route(
            "/v1/rotations",
            get(rotations::list)
                .post(rotations::create)
                .layer(DefaultBodyLimit::max(ROTATION_BYTES_MAX)),
        )
        .route("/v1/rotations/events", get(events::rotations))
        .route(
            "/v1/receipts",
            post(receipts::create).layer(DefaultBodyLimit::max(RESTORE_BYTES_MAX)),
        )
        .route("/v1/peg-ins/{id}", get(requests::peg_in))
        .route("/v1/peg-outs/{id}", get(requests::peg_out))
        .route("/v1/sponsors/{id}", get(requests::sponsor))
        .route("/v1/requests", get(requests::list))
        .route("/v1/settlements", get(settlements::list))
        .route("/v1/settlements/{txid}", get(settlements::one))
        .route("/v1/proofs", get(proofs::list))
        .route("/v1/events", get(events::events))
        .route("/healthz", get(health::healthz))
        .route("/openapi.json", get(bridge::openapi))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&api),
            guard::guard,
        ))
        .merge(probes)
        .layer(middleware::from_fn(guard::cross_origin))
        .with_state(api)
}

/// The routes for whoever runs the backend: they show what is nobody else's affair.
pub fn metrics_router(backend: Arc<Backend>, limits: Limits) -> Router {
    let api = Api::new(backend, limits);
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&api),
            guard::guard,
        ))
        .with_state(api)
}

/// Serves the public routes for as long as it is polled.
pub async fn serve(
    backend: Arc<Backend>,
    listener: TcpListener,
    limits: Limits,
) -> anyhow::Result<()> {
    serve_with_page(backend, listener, limits, None).await
}

/// The same with the page around them, if there is one.
pub async fn serve_with_page(
    backend: Arc<Backend>,
    listener: TcpListener,
    limits: Limits,
    page: Option<Arc<Web>>,
) -> anyhow::Result<()> {
    let router = web::around(router_with(backend, limits.clone()), page);
    serve::serve(router, &limits, &listener).await
}

/// Serves the routes for whoever runs the backend, for as long as it is polled.
pub async fn serve_metrics(backend: Arc<Backend>, listener: TcpListener) -> anyhow::Result<()> {
    let limits = Limits::default();
    serve::serve(metrics_router(backend, limits.clone()), &limits, &listener).await
}
