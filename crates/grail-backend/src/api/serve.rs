//! Connections: accepted up to a number, dropped when they take too long.

use std::{sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

use super::router;
use crate::backend::Backend;

/// Connections at a time; more wait in the kernel's queue. Each costs a file and some 100 kB.
const CONNECTIONS_MAX: usize = 1_024;
/// Longest that a client may take for the head of a request, and longest that an idle connection
/// stays open.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest life of a connection, event streams included: a peer that reads nothing holds its place
/// no longer.
const CONNECTION_TIMEOUT: Duration = Duration::from_hours(2);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Pause when no connection can be accepted: usually the process is out of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the API for as long as it is polled. Dropping it ends all connections.
pub async fn serve(backend: Arc<Backend>, listener: TcpListener) -> anyhow::Result<()> {
    let router = router(backend);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // How a connection ends is its peer's affair.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
            drop(place);
        });
    }
}
