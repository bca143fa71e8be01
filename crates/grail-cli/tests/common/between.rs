//! Between a wallet and its node: hands calls on, answers in the node's place, or hangs up.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use grail_testkit::Node;
use serde_json::{Value, json};

use super::User;

/// What is done with a call: `hand_on` asks the node. Nothing at all hangs up.
type Doing = dyn Fn(&str, &mut dyn FnMut() -> Vec<u8>) -> Vec<u8> + Send + Sync;

/// Ends when dropped.
pub struct Between {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Between {
    pub fn start(
        node: &Node,
        doing: impl Fn(&str, &mut dyn FnMut() -> Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let behind = node.rpc_url().replace("http://", "");
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let doing: Arc<Doing> = Arc::new(doing);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                // One call each: whoever calls opens another connection.
                let _ = converse(stream.unwrap(), &behind, doing.as_ref());
            }
        });
        Self {
            address,
            is_over,
            thread: Some(thread),
        }
    }

    /// The user's folder, with this in the node's place.
    pub fn settings(&self, user: &User) -> grail_cli::Settings {
        grail_cli::Settings {
            node: Some(format!("http://{}", self.address)),
            ..user.settings.clone()
        }
    }

    pub fn open(&self, user: &User) -> grail_cli::Session {
        grail_cli::Session::open(self.settings(user)).unwrap()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An answer of Bitcoin Core's, by HTTP status; of id 0, which every error may have.
pub fn says(status: u16, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// An error of Bitcoin Core's.
pub fn refuses(code: i32, message: &str) -> Vec<u8> {
    says(
        500,
        &json!({ "result": null, "error": { "code": code, "message": message }, "id": 0 }),
    )
}

/// What `rpcwhitelist` answers.
pub fn forbids() -> Vec<u8> {
    b"HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec()
}

/// Changes the node's own answer.
pub fn changed(answer: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer);
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let mut body: Value = serde_json::from_str(body).unwrap();
    change(&mut body["result"]);
    says(200, &body)
}

fn converse(mut stream: TcpStream, behind: &str, doing: &Doing) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let mut hand_on = || {
        let mut node = TcpStream::connect(behind).unwrap();
        write!(node, "{head}connection: close\r\n\r\n").unwrap();
        node.write_all(&body).unwrap();
        let mut answer = Vec::new();
        node.read_to_end(&mut answer).unwrap();
        answer
    };
    let answer = doing(asked["method"].as_str().unwrap(), &mut hand_on);
    stream.write_all(&answer)
}
