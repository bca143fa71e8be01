//! The conversation with the enclave: one question at a time, on a thread of its own.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use grail_link::{
    framing::{self, FrameError},
    stream::Stream,
};
use grail_types::Epoch;
use grail_wire::{Request, Response, WireError, decode, encode};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::address::{ConnectAddress, set_timeout};

/// Longest wait for an answer: the largest settlement takes an enclave a few seconds.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// Pause between attempts to connect to an enclave that is starting.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);

/// Why the enclave did not answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The request does not fit; it was not sent, and the conversation goes on.
    #[error("request: {0}")]
    Request(WireError),
    /// Nobody listens there.
    #[error("no connection to {address} within {patience:?}: {error}")]
    Connect {
        /// Where.
        address: ConnectAddress,
        /// How long it was tried.
        patience: Duration,
        /// The last attempt's failure.
        error: io::Error,
    },
    /// The stream broke.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The answer cannot be read.
    #[error("answer: {0}")]
    Answer(WireError),
    /// No answer in time.
    #[error("no answer within {CALL_TIMEOUT:?}")]
    Timeout,
    /// The conversation ended before.
    #[error("the enclave closed the connection")]
    Closed,
}

struct Call {
    request: Vec<u8>,
    answer: oneshot::Sender<Result<Response, LinkError>>,
}

/// A connection to an enclave. After any error but [`LinkError::Request`] it answers nothing more.
pub struct EnclaveClient {
    calls: mpsc::Sender<Call>,
}

impl EnclaveClient {
    /// Connects, trying again until the enclave listens.
    pub async fn connect(address: ConnectAddress, patience: Duration) -> Result<Self, LinkError> {
        let (calls, asked) = mpsc::channel(1);
        let (connected, outcome) = oneshot::channel();
        // Not one of the runtime's threads: those would be waited for at the end.
        let spawned = thread::Builder::new()
            .name("enclave".to_owned())
            .spawn(move || {
                match connect(address, patience) {
                    Ok(stream) => {
                        // Whoever asked for it may have given up.
                        drop(connected.send(Ok(())));
                        converse(stream, asked);
                    }
                    Err(error) => drop(connected.send(Err(error))),
                }
            });
        spawned.map_err(FrameError::from)?;
        outcome.await.map_err(|_| LinkError::Closed)??;
        Ok(Self { calls })
    }

    /// Asks, and waits for the answer.
    pub async fn call(&self, request: Request) -> Result<Response, LinkError> {
        let encoded = encode(Epoch(0), &request).map_err(LinkError::Request)?;
        // A proposal is megabytes, and what is asked about is in the encoded bytes by now.
        drop(request);
        let (answer, answered) = oneshot::channel();
        let exchange = async {
            self.calls
                .send(Call {
                    request: encoded,
                    answer,
                })
                .await
                .map_err(|_| LinkError::Closed)?;
            answered.await.map_err(|_| LinkError::Closed)?
        };
        timeout(CALL_TIMEOUT, exchange)
            .await
            .unwrap_or(Err(LinkError::Timeout))
    }
}

fn connect(address: ConnectAddress, patience: Duration) -> Result<Stream, LinkError> {
    let started = Instant::now();
    loop {
        let error = match address.connect() {
            Ok(stream) => {
                set_timeout(&stream, CALL_TIMEOUT).map_err(FrameError::from)?;
                return Ok(stream);
            }
            Err(error) => error,
        };
        if started.elapsed() >= patience {
            return Err(LinkError::Connect {
                address,
                patience,
                error,
            });
        }
        thread::sleep(CONNECT_PAUSE);
    }
}

/// Until the client is dropped or the stream breaks.
fn converse(mut stream: Stream, mut asked: mpsc::Receiver<Call>) {
    while let Some(Call { request, answer }) = asked.blocking_recv() {
        let outcome = exchange(&mut stream, &request);
        let is_broken = outcome.is_err();
        // Whoever asked may have given up waiting.
        drop(answer.send(outcome));
        if is_broken {
            return;
        }
    }
}

fn exchange(stream: &mut Stream, request: &[u8]) -> Result<Response, LinkError> {
    framing::write(stream, request)?;
    let answer = framing::read(stream)?.ok_or(LinkError::Closed)?;
    let envelope = decode(&answer).map_err(LinkError::Answer)?;
    Ok(envelope.message)
}
