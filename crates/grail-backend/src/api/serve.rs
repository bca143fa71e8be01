//! Connections: accepted up to a number, of one caller up to a smaller one, dropped when they take
//! too long.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::{Request, body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

use super::{
    Limits,
    caller::{Caller, Peer},
    places::Places,
};

/// Connections at a time; more wait in the kernel's queue. Each costs a file and some 100 kB.
const CONNECTIONS_MAX: usize = 1_024;
/// Connections of one caller at a time. A proxy that speaks for many has no such limit, and its own
/// to keep.
const CONNECTIONS_EACH_MAX: usize = 128;
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

/// Serves routes for as long as it is polled. Dropping it ends all connections.
pub(super) async fn serve(
    router: Router,
    limits: &Limits,
    listener: &TcpListener,
) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let of_callers = Places::new(CONNECTIONS_MAX, CONNECTIONS_EACH_MAX);
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await?;
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let speaks_for_many = limits.trusted_proxies.iter().any(|it| it.holds(peer.ip()));
        let own_place = of_callers.take(Caller::from(peer.ip()));
        if own_place.is_none() && !speaks_for_many {
            tracing::debug!(%peer, "a caller has too many connections");
            continue;
        }
        let service = OfPeer {
            inner: TowerToHyperService::new(router.clone()),
            peer,
        };
        connections.spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // How a connection ends is its peer's affair.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
            drop((place, own_place));
        });
    }
}

/// The routes, told who is at the other end.
struct OfPeer {
    inner: TowerToHyperService<Router>,
    peer: SocketAddr,
}

impl Service<Request<Incoming>> for OfPeer {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Peer(self.peer));
        self.inner.call(request)
    }
}
