//! What is answered before there is anything to serve: that the process lives, and what it waits
//! for. Whoever asks for more comes again later.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use tokio::net::TcpListener;

use super::{Limits, answer::Failure, health, metrics, serve};

/// What a start waits for, in words that show nothing of the inside. Shared.
#[derive(Clone, Debug)]
pub struct Starting(Arc<Mutex<String>>);

impl Default for Starting {
    fn default() -> Self {
        Self(Arc::new(Mutex::new("starting".to_owned())))
    }
}

impl Starting {
    /// Takes note of what it waits for now.
    pub fn waits_for(&self, what: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    /// What it waits for.
    pub fn what(&self) -> String {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Serves both doors of a backend that starts, for as long as it is polled.
pub async fn serve_starting(
    starting: Starting,
    api: &TcpListener,
    operators: &TcpListener,
    limits: &Limits,
) -> anyhow::Result<()> {
    let public = Router::new()
        .route("/livez", get(health::livez))
        .fallback(not_yet)
        .with_state(starting);
    let own = Router::new()
        .route("/metrics", get(metrics::of_a_start))
        .fallback(super::answer::not_found);
    let own_limits = Limits::default();
    tokio::try_join!(
        serve::serve(public, limits, api),
        serve::serve(own, &own_limits, operators)
    )?;
    Ok(())
}

async fn not_yet(State(starting): State<Starting>) -> impl IntoResponse {
    let detail = format!("the backend starts: {}", starting.what());
    // No page of another origin has to guess why.
    let everybody = [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (everybody, Failure::unavailable(detail))
}
