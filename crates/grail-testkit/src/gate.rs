//! A gate between the backend and its node: lets calls through, or holds those of one method.
//!
//! What a program has done and not yet heard of is where a crash hurts most; a held call stops it
//! right there.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longest wait for a call to come.
const PATIENCE: Duration = Duration::from_mins(1);
/// Larger than any call or answer of a test.
const BODY_BYTES_MAX: usize = 64 << 20;

/// Where a call is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Before the node is told.
    Before,
    /// After the node has done it, before the caller is told.
    After,
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
            let method = method_of(&call.body);
            self.wait(&method, Hold::Before)?;
            call.write(&mut to_node)?;
            let Some(answer) = read_message(&mut from_node)? else {
                return Ok(());
            };
            self.wait(&method, Hold::After)?;
            answer.write(&mut to_caller)?;
        }
        Ok(())
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

/// An HTTP/1.1 message whose length is declared, as its sender wrote it.
struct HttpMessage {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl HttpMessage {
    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.head)?;
        to.write_all(&self.body)?;
        to.flush()
    }
}

/// The next message; none at the end of the stream.
fn read_message(from: &mut impl BufRead) -> io::Result<Option<HttpMessage>> {
    let mut head = Vec::new();
    let mut length = 0;
    loop {
        let mut line = Vec::new();
        if from.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
        if let Some(value) = text.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        head.extend_from_slice(&line);
        if text.trim().is_empty() {
            break;
        }
    }
    if length > BODY_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some(HttpMessage { head, body }))
}

fn method_of(body: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|call| call["method"].as_str().map(str::to_owned))
        .unwrap_or_default()
}
