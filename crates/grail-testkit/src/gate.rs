//! A gate between the backend and its node: lets calls through, holds those of one method, or
//! answers them in the node's place.
//!
//! What a program has done and not yet heard of is where a crash hurts most; a held call stops it
//! right there. An answer of the gate's own is what a node says that lies, lags or errs.

use std::collections::HashMap;
use std::io::{self, BufReader};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::http::{HttpMessage, read_message};

/// Longest wait for a call to come.
const PATIENCE: Duration = Duration::from_mins(1);
/// Answers that are larger are blocks, which do not change.
const REMEMBERED_BYTES_MAX: usize = 64 << 10;

/// Where a call is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Before the node is told.
    Before,
    /// After the node has done it, before the caller is told.
    After,
}

/// What is said in the node's place.
#[derive(Debug, Clone, PartialEq)]
pub enum Tale {
    /// A result.
    Result(Value),
    /// Its error of this code, with these words.
    Error(i32, String),
    /// What the node said last to the same method, to whoever asked: a node that lags.
    Stale,
}

/// A listening gate. Dropping it ends all connections that pass through it.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    upstream: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    holds: HashMap<String, Hold>,
    /// Calls that are being held, by method.
    held: HashMap<String, usize>,
    /// What is said in the node's place, by method.
    tales: HashMap<String, Tale>,
    /// What the node said last, by method.
    last: HashMap<String, Value>,
    /// Whether nobody gets through at all.
    is_shut: bool,
    /// Grows whenever held calls are turned away.
    turned_away: u64,
    is_closed: bool,
}

impl Gate {
    /// A gate to the node at `url` (`http://host:port`).
    pub fn to(url: &str) -> Result<Self> {
        let upstream = url.strip_prefix("http://").context("an http address")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            upstream: upstream.to_owned(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&inner);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.lock().is_closed {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let inner = Arc::clone(&accepting);
                // A broken connection is the caller's to notice.
                thread::spawn(move || drop(inner.converse(&stream)));
            }
        });
        Ok(Self { address, inner })
    }

    /// What to give to the backend as its node.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Holds calls of `method` from now on.
    pub fn hold(&self, method: &str, hold: Hold) {
        self.inner.lock().holds.insert(method.to_owned(), hold);
    }

    /// Has calls of `method` answered by `tale` from now on.
    pub fn say(&self, method: &str, tale: Tale) {
        self.inner.lock().tales.insert(method.to_owned(), tale);
    }

    /// Ends every connection at its next call from now on: a node that has vanished.
    pub fn shut(&self) {
        self.inner.lock().is_shut = true;
    }

    /// The node speaks for itself again, and calls get through.
    pub fn be_honest(&self) {
        let mut state = self.inner.lock();
        state.tales.clear();
        state.is_shut = false;
    }

    /// Waits until a call of `method` is held.
    pub fn wait_until_held(&self, method: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.inner.lock();
        while state.held.get(method).copied().unwrap_or_default() == 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no call of {method} came to be held");
            }
            (state, _) = self
                .inner
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Lets every call through, those held included.
    pub fn open(&self) {
        self.inner.lock().holds.clear();
        self.inner.changed.notify_all();
    }

    /// Ends the connections of all held calls: as if their callers had died. Then lets every call
    /// through.
    pub fn turn_away(&self) {
        let mut state = self.inner.lock();
        state.holds.clear();
        state.turned_away += 1;
        drop(state);
        self.inner.changed.notify_all();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.inner.lock().is_closed = true;
        self.turn_away();
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of it is a single one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn converse(&self, caller: &TcpStream) -> io::Result<()> {
        caller.set_nodelay(true)?;
        let node = TcpStream::connect(&self.upstream)?;
        node.set_nodelay(true)?;
        let outcome = self.pass(caller, &node);
        let _ = caller.shutdown(Shutdown::Both);
        outcome
    }

    fn pass(&self, caller: &TcpStream, node: &TcpStream) -> io::Result<()> {
        let (mut from_caller, mut to_caller) = (BufReader::new(caller), caller);
        let (mut from_node, mut to_node) = (BufReader::new(node), node);
        while let Some(call) = read_message(&mut from_caller)? {
            let (method, id) = method_and_id(&call.body);
            if let Some(answer) = self.tale(&method, &id)? {
                answer.write(&mut to_caller)?;
                continue;
            }
            self.wait(&method, Hold::Before)?;
            call.write(&mut to_node)?;
            let Some(answer) = read_message(&mut from_node)? else {
                return Ok(());
            };
            self.remember(method.clone(), &answer);
            self.wait(&method, Hold::After)?;
            answer.write(&mut to_caller)?;
        }
        Ok(())
    }

    /// What is said to a call in the node's place, if anything.
    fn tale(&self, method: &str, id: &Value) -> io::Result<Option<HttpMessage>> {
        let state = self.lock();
        if state.is_shut {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let body = match state.tales.get(method) {
            None => return Ok(None),
            Some(Tale::Result(result)) => json!({ "result": result, "error": null, "id": id }),
            Some(Tale::Error(code, message)) => {
                json!({ "result": null, "error": { "code": code, "message": message }, "id": id })
            }
            Some(Tale::Stale) => match state.last.get(method) {
                None => return Ok(None),
                Some(result) => json!({ "result": result, "error": null, "id": id }),
            },
        };
        let body = body.to_string().into_bytes();
        Ok(Some(HttpMessage::answer(200, "application/json", body)))
    }

    fn remember(&self, method: String, answer: &HttpMessage) {
        if answer.body.len() > REMEMBERED_BYTES_MAX {
            return;
        }
        let answer = serde_json::from_slice::<Value>(&answer.body).ok();
        if let Some(result) = answer.and_then(|mut answer| {
            let result = answer.get_mut("result").map(Value::take);
            result.filter(|result| !result.is_null())
        }) {
            self.lock().last.insert(method, result);
        }
    }

    /// Returns once a call of `method` may go on; fails when it is turned away.
    fn wait(&self, method: &str, at: Hold) -> io::Result<()> {
        let mut state = self.lock();
        if state.holds.get(method) != Some(&at) {
            return Ok(());
        }
        let before = state.turned_away;
        *state.held.entry(method.to_owned()).or_default() += 1;
        self.changed.notify_all();
        while state.holds.get(method) == Some(&at) && state.turned_away == before {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(count) = state.held.get_mut(method) {
            *count -= 1;
        }
        if state.turned_away == before {
            Ok(())
        } else {
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }
}

fn method_and_id(body: &[u8]) -> (String, Value) {
    let call = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let method = call["method"].as_str().unwrap_or_default();
    (method.to_owned(), call["id"].clone())
}
