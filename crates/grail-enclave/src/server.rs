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

use grail_signer::{Fault, Request, Response, decode_request, encode_response};

use crate::{
    framing::{self, FrameError},
    log,
    program::Program,
    stream::{Listener, Stream},
};

/// Connections at a time: a host needs one, and one more while the first one's end is not noticed yet.
const CONNECTIONS_MAX: usize = 4;

/// Of a connection's thread: as much as a main thread has.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// Pause after the system refuses to accept, for lack of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until the process ends. A connection waits as long as its host likes: it holds nothing but its own thread.
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
        // A panic has ended the process already; should it ever not, the state is not to be trusted.
        program
            .lock()
            .expect("no thread outlives a panic")
            .handle(request)
    });
    if let Err(error) = outcome {
        log(&format_args!("connection: {error}"));
    }
}

/// Serves requests until the stream ends. Bytes that are no request are answered with a fault; a frame over the
/// limit as well, but then nothing behind it can be told apart and the connection ends.
pub fn serve_requests(
    stream: &mut (impl Read + Write),
    mut handle: impl FnMut(Request) -> Response,
) -> Result<(), FrameError> {
    loop {
        let message = match framing::read(stream) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(()),
            Err(error @ FrameError::TooLarge { .. }) => {
                let fault = Fault::new("frame-too-large", &error);
                respond(stream, &Response::Failed(fault))?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let response = match decode_request(&message) {
            Ok(request) => handle(request),
            Err(error) => Response::Failed(Fault::new("request-malformed", &error)),
        };
        respond(stream, &response)?;
    }
}

fn respond(stream: &mut impl Write, response: &Response) -> Result<(), FrameError> {
    let bytes = encode_response(response)
        .or_else(|error| {
            let fault = Fault::new("response-unencodable", &error);
            encode_response(&Response::Failed(fault))
        })
        .expect("a fault's few words encode");
    framing::write(stream, &bytes)
}
