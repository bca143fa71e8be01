//! A prover server of few words: real sockets on the loopback interface, one scripted behaviour per
//! connection.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the server does with a connection once it has read the request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Answers with a status and a body, declared in full.
    Answer(u16, Vec<u8>),
    /// Answers with another header line too.
    AnswerWith(u16, &'static str, Vec<u8>),
    /// Declares a longer body than it sends, then closes.
    Truncated(Vec<u8>),
    /// Sends a body in chunks until the client goes, without ever saying how long it is.
    Endless,
    /// Says nothing and keeps the connection.
    Hangs,
    /// Sends an answer byte by byte, slower than anyone can wait.
    Drips,
    /// Closes the connection before it says anything.
    Closes,
}

pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one; the last behaviour serves every further connection.
    pub fn start(behaviours: Vec<Behaviour>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (requests, stop) = (Arc::clone(&requests), Arc::clone(&stop));
            move || serve(&listener, &behaviours, &requests, &stop)
        });
        Self {
            address,
            requests,
            stop,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bodies of all requests so far; empty ones too.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    listener: &TcpListener,
    behaviours: &[Behaviour],
    requests: &Mutex<Vec<Vec<u8>>>,
    stop: &AtomicBool,
) {
    let mut kept = Vec::new();
    let mut turn = 0;
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let Ok(mut stream) = stream else { continue };
        let Some(body) = read_request(&mut stream) else {
            continue;
        };
        requests.lock().unwrap().push(body);
        let behaviour = behaviours.get(turn).or(behaviours.last()).unwrap();
        turn += 1;
        // A client that has gone is no failure of the server.
        let _ = behave(behaviour, &mut stream, stop);
        match behaviour {
            Behaviour::Hangs => kept.push(stream),
            _ => drop(stream.shutdown(Shutdown::Write)),
        }
    }
}

fn behave(behaviour: &Behaviour, stream: &mut TcpStream, stop: &AtomicBool) -> std::io::Result<()> {
    match behaviour {
        Behaviour::Answer(status, body) => answer(stream, *status, "X-Nothing: 1", body),
        Behaviour::AnswerWith(status, header, body) => answer(stream, *status, header, body),
        Behaviour::Truncated(body) => {
            let length = body.len() + 1;
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            )?;
            stream.write_all(body)
        }
        Behaviour::Endless => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            )?;
            loop {
                write!(stream, "1000\r\n")?;
                stream.write_all(&[0x80; 0x1000])?;
                write!(stream, "\r\n")?;
            }
        }
        Behaviour::Drips => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
            while !stop.load(Ordering::SeqCst) {
                stream.write_all(&[0x80])?;
                thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        }
        Behaviour::Hangs | Behaviour::Closes => Ok(()),
    }
}

fn answer(stream: &mut TcpStream, status: u16, header: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} Status\r\n{header}\r\nContent-Type: application/cbor\r\nContent-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(body)
}

/// Reads a request to its end. `None`: the client closed first.
fn read_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .map_or(0, |length| length.trim().parse::<usize>().unwrap());
            let mut body = bytes.split_off(end + 4);
            while body.len() < length {
                let read = stream.read(&mut buffer).ok()?;
                if read == 0 {
                    return None;
                }
                body.extend_from_slice(&buffer[..read]);
            }
            return Some(body);
        }
        let read = stream.read(&mut buffer).ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}
