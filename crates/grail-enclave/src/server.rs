//! Serves the program to whoever connects: the host.

use std::{
    io::{Read, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use grail_link::{
    framing::{self, FrameError},
    stream::{Listener, Stream},
};
use grail_types::Epoch;
use grail_wire::{Envelope, Fault, FaultCode, Request, Response, decode, encode};

use crate::{log, program::Program};

/// Connections at a time: a host needs one, and one more while the first one's end is not noticed
/// yet.
const CONNECTIONS_MAX: usize = 4;

/// Of a connection's thread: as much as a main thread has.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// Pause after the system refuses to accept, for lack of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until the process ends. A connection waits as long as its host likes: it holds nothing
/// but its own thread.
pub fn serve(listener: &Listener, program: Program) -> ! {
    let program = Arc::new(Mutex::new(program));
    let places = Arc::new(AtomicUsize::new(CONNECTIONS_MAX));
    loop {
        let stream = match listener.accept() {
            Ok(stream) => stream,
            Err(error) => {
                log(&format_args!("accept: {error}"));
                thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        let Some(place) = Place::take(&places) else {
            log(&format_args!(
                "more than {CONNECTIONS_MAX} connections, one turned away"
            ));
            continue;
        };
        let program = Arc::clone(&program);
        let spawned = thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let _place = place;
                converse(stream, &program);
            });
        if let Err(error) = spawned {
            log(&format_args!("thread: {error}"));
        }
    }
}

/// One of the places for connections; free again when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(free: &Arc<AtomicUsize>) -> Option<Self> {
        free.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| {
            free.checked_sub(1)
        })
        .ok()
        .map(|_| Self(Arc::clone(free)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

fn converse(mut stream: Stream, program: &Mutex<Program>) {
    let outcome = serve_requests(&mut stream, |request| {
        // A panic has ended the process already; should it ever not, the state is not to be
        // trusted.
        program
            .lock()
            .expect("no thread outlives a panic")
            .handle(request)
    });
    if let Err(error) = outcome {
        log(&format_args!("connection: {error}"));
    }
}

/// Serves requests until the stream ends. Bytes that are no request are answered with a fault; a
/// frame over the limit as well, but then nothing after it can be told apart and the connection
/// ends.
pub fn serve_requests(
    stream: &mut (impl Read + Write),
    mut handle: impl FnMut(Request) -> (Epoch, Response),
) -> Result<(), FrameError> {
    let failed = |fault| (Epoch(0), Response::Failed(fault));
    loop {
        let message = match framing::read(stream) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(()),
            Err(error @ FrameError::TooLarge { .. }) => {
                let fault = Fault::new(FaultCode::FrameTooLarge, &error);
                respond(stream, failed(fault))?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let request = decode::<Request>(&message);
        // A proposal is in the request by now; a decision's memory is counted, and this would be a
        // second copy.
        drop(message);
        let response = match request {
            Ok(Envelope { message, .. }) => handle(message),
            Err(error) => failed(Fault::new(FaultCode::RequestMalformed, &error)),
        };
        respond(stream, response)?;
    }
}

fn respond(
    stream: &mut impl Write,
    (epoch, response): (Epoch, Response),
) -> Result<(), FrameError> {
    let bytes = encode(epoch, &response)
        .or_else(|error| {
            let fault = Fault::new(FaultCode::ResponseUnencodable, &error);
            encode(epoch, &Response::Failed(fault))
        })
        .expect("a fault's few words encode");
    framing::write(stream, &bytes)
}
