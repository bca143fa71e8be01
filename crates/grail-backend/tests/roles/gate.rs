//! A prover that proves when told to, and workers that call it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Condvar, Mutex},
    time::Instant,
};

use grail_backend::{backend::Backend, roles::prove::request_hash, work};
use grail_prover::{MockProver, ProveRequest, Proven, Prover, ProverError, TransientError};
use grail_store::JobKind;
use tokio::task::JoinHandle;

use super::{
    bridge,
    wait::{PATIENCE, eventually},
};

/// A prover whose calls wait, each by its number from 0, until they are let through.
pub struct Gate {
    prover: MockProver,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What was asked for, in order.
    calls: Vec<[u8; 32]>,
    /// Calls that may go on.
    passes: BTreeSet<usize>,
    is_open: bool,
    /// Calls that have not gone on.
    waiting: BTreeSet<usize>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            prover: bridge::prover(),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// What was asked for so far, in order.
    pub fn calls(&self) -> Vec<[u8; 32]> {
        self.state.lock().unwrap().calls.clone()
    }

    /// Calls that wait now.
    pub fn waiting(&self) -> BTreeSet<usize> {
        self.state.lock().unwrap().waiting.clone()
    }

    /// Waits until so many calls wait at the gate.
    pub async fn until_waiting(&self, count: usize) {
        eventually(async || self.waiting().len() == count).await;
    }

    /// Lets a call through, also one that is yet to come.
    pub fn pass(&self, call: usize) {
        self.state.lock().unwrap().passes.insert(call);
        self.changed.notify_all();
    }

    /// Lets everybody through from now on.
    pub fn open(&self) {
        self.state.lock().unwrap().is_open = true;
        self.changed.notify_all();
    }
}

impl Prover for Gate {
    fn kind(&self) -> &'static str {
        "gate"
    }

    fn prove(&self, request: &ProveRequest) -> Result<Proven, ProverError> {
        let deadline = Instant::now() + 2 * PATIENCE;
        let mut state = self.state.lock().unwrap();
        let call = state.calls.len();
        state.calls.push(request_hash(request).unwrap());
        state.waiting.insert(call);
        while !state.is_open && !state.passes.contains(&call) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let reason = "nobody opened the gate".to_owned();
                return Err(TransientError { reason }.into());
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap();
        }
        state.waiting.remove(&call);
        drop(state);
        self.prover.prove_unchecked(&request.spell)
    }
}

/// The gate opens when the test ends, so that nobody waits for threads behind it.
pub struct OpenAtEnd(pub Arc<Gate>);

impl Drop for OpenAtEnd {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// A worker that proves, in a process.
pub fn worker(backend: &Arc<Backend>) -> JoinHandle<anyhow::Result<()>> {
    let backend = Arc::clone(backend);
    tokio::spawn(async move { work::run(&backend, JobKind::Prove).await })
}
