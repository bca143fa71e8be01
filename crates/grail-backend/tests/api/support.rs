//! A backend for one test, and calls to its API.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use bitcoin::{Address, Network, ScriptBuf, secp256k1::Secp256k1};
use grail_api::{Problem, ProblemCode};
use grail_backend::{
    api::{Limits, metrics_router, router_with},
    backend::{Backend, Config, Parts},
    node::Node,
    roles::scan::Scanner,
};
use grail_broker::EmbeddedBroker;
use grail_store::Store;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{
    bridge,
    chain::PaperChain,
    operators::{SIGNER_COUNT, heard_of, key, measurement},
};

pub use super::wait::{PATIENCE, eventually};

/// The usual limits, and no answer that is older than its question.
pub fn at_once() -> Limits {
    Limits {
        fresh: Duration::ZERO,
        sums_fresh: Duration::ZERO,
        ..Limits::default()
    }
}

/// A backend without running roles: tests move it on.
pub struct TestBackend {
    pub backend: Arc<Backend>,
    pub chain: Arc<PaperChain>,
    pub router: Router,
    _folder: tempfile::TempDir,
    _database: Option<grail_postgres_dev::Database>,
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> T {
        assert!(self.status.is_success(), "{self:?}");
        serde_json::from_str(&self.text).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The code of a well-formed problem.
    pub fn problem(&self) -> ProblemCode {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let problem: Problem = serde_json::from_str(&self.text).unwrap();
        assert_eq!(problem.status, self.status.as_u16(), "{self:?}");
        assert_eq!(problem.status, problem.code.status());
        assert_eq!(problem.kind, format!("urn:grail:problem:{}", problem.code));
        assert!(!problem.detail.is_empty(), "{self:?}");
        // Nothing of the inside is told.
        for secret in ["secret-host", "sqlite", "SELECT", "/tmp"] {
            assert!(!self.text.contains(secret), "{self:?}");
        }
        problem.code
    }
}

impl TestBackend {
    pub async fn new() -> Self {
        Self::with_limits(at_once()).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        Self::on(Arc::new(PaperChain::new()), limits).await
    }

    /// With an empty database, on a chain that there is.
    pub async fn on(chain: Arc<PaperChain>, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (url, database) = crate::database::new_in(folder.path());
        let broker = EmbeddedBroker::listen(([127, 0, 0, 1], 0).into())
            .await
            .unwrap();
        let backend = Backend::new(Parts {
            deployment: bridge::deployment(),
            store: Store::open(&url).await.unwrap(),
            node: Node::from_chain(chain.clone()),
            broker: Arc::new(broker),
            prover: Arc::new(bridge::prover()),
            wasm: bridge::WASM.to_vec(),
            config: Config {
                batch_seconds: 0,
                ask_seconds: 60,
                lease_seconds: 60,
                prove_workers: 1,
            },
        })
        .await
        .unwrap();
        heard_of(&backend, 1..=SIGNER_COUNT).await;
        Self {
            router: router_with(Arc::clone(&backend), limits),
            backend,
            chain,
            _folder: folder,
            _database: database,
        }
    }

    /// The same backend with other limits.
    pub fn limited(&self, limits: Limits) -> Router {
        router_with(Arc::clone(&self.backend), limits)
    }

    /// Reads all blocks that there are.
    pub async fn scan(&self) {
        let mut scanner = Scanner::new(&self.backend);
        while scanner.take_block().await.unwrap() {}
    }

    /// Mines transactions and reads the block.
    pub async fn mine(&self, transactions: Vec<bitcoin::Transaction>) {
        self.chain.mine(transactions);
        self.scan().await;
    }

    pub async fn get(&self, path: &str) -> Response {
        send(&self.router, "GET", path, &[], Body::empty()).await
    }

    /// What the operator of the backend sees.
    pub async fn metrics(&self) -> Response {
        let router = metrics_router(Arc::clone(&self.backend), at_once());
        send(&router, "GET", "/metrics", &[], Body::empty()).await
    }

    pub async fn post(&self, path: &str, key: &str, body: &Value) -> Response {
        post(&self.router, path, key, body).await
    }

    /// Rows that a failed call must not add to: requests, events, settlements.
    pub async fn row_counts(&self) -> (usize, u64, usize) {
        let mut reader = self.backend.store.read().await.unwrap();
        (
            reader.requests(0, 1_000).await.unwrap().len(),
            reader.last_event_id().await.unwrap(),
            reader.settlements(0, 1_000).await.unwrap().len(),
        )
    }
}

/// A call.
pub async fn send(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Body,
) -> Response {
    let request = headers
        .iter()
        .fold(
            Request::builder().method(method).uri(path),
            |builder, (name, value)| builder.header(*name, *value),
        )
        .body(body)
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 16 << 20).await.unwrap();
    Response {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

/// A call that creates.
pub async fn post(router: &Router, path: &str, key: &str, body: &Value) -> Response {
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    send(router, "POST", path, &headers, body.to_string().into()).await
}

/// An address of key number `seed`.
pub fn address(seed: u8) -> String {
    Address::p2tr(&Secp256k1::new(), key(seed), None, Network::Regtest).to_string()
}

/// A good peg-in.
pub fn peg_in() -> Value {
    json!({
        "recipient_address": address(50),
        "reclaim_public_key": key(60).to_string(),
        "fee_cap_sat": 10_000,
        "amount_sat": 100_000,
    })
}

/// A good peg-out.
pub fn peg_out() -> Value {
    json!({
        "payout_address": address(51),
        "reclaim_public_key": key(60).to_string(),
        "fee_cap_sat": 10_000,
    })
}

/// The script behind an address.
pub fn script(address: &str) -> ScriptBuf {
    let address: Address<_> = address.parse().unwrap();
    address
        .require_network(Network::Regtest)
        .unwrap()
        .script_pubkey()
}

/// PCR0 of the image that signers run, hex.
pub fn pcr0() -> String {
    hex::encode(measurement().pcr0)
}
