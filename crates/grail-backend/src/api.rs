//! The HTTP API.

use std::sync::Arc;

use crate::backend::Backend;

/// Serves the API until the listener fails.
pub async fn serve(backend: Arc<Backend>, listener: tokio::net::TcpListener) -> anyhow::Result<()> {
    let app = axum::Router::new().with_state(backend);
    Ok(axum::serve(listener, app).await?)
}
