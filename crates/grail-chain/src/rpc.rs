//! JSON-RPC to a Bitcoin Core node: connections, credentials, time limits.
//!
//! Owns the transport and the translation of its failures. Trusts the node no further than its
//! answer must parse. Never retries on its own: the caller owns retries, and every call here may be
//! repeated.

use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::http::{StatusCode, Uri};

use crate::ChainError;

/// Longest wait for a whole answer: a block of 4 MB comes in well under a second.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections kept open between calls; more may be open while calls run in parallel.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// Bitcoin Core closes a connection after 30 idle seconds; we do so before.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Bytes of an answer: a block of 4 MB takes 8 as hex, the ids of a full mempool about 20.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Longest piece of a foreign text that goes into an error.
const DETAIL_CHARS_MAX: usize = 300;

/// How the node knows us.
#[derive(Clone)]
pub enum Auth {
    /// The cookie file that the node writes at each start; read again when the node no longer
    /// accepts the last one.
    Cookie(PathBuf),
    /// `-rpcuser` / `-rpcpassword` or `-rpcauth`.
    UserPassword {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cookie(path) => f.debug_tuple("Cookie").field(path).finish(),
            Self::UserPassword { user, .. } => f
                .debug_struct("UserPassword")
                .field("user", user)
                .finish_non_exhaustive(),
        }
    }
}

/// A blocking client that may be used from many threads at once.
pub struct RpcClient {
    url: String,
    auth: Auth,
    agent: ureq::Agent,
    next_id: AtomicU64,
    /// Value of the `Authorization` header; none until the first call, or when the last one was
    /// turned away.
    authorization: RwLock<Option<String>>,
}

impl std::fmt::Debug for RpcClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RpcClient")
            .field("url", &self.url)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// An answer as JSON-RPC wraps it, in any of its versions.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    result: Value,
    error: Option<EnvelopeError>,
    #[serde(default)]
    id: Value,
}

#[derive(Deserialize)]
struct EnvelopeError {
    code: i32,
    message: String,
}

impl RpcClient {
    /// A client for the node at `url` (`http://host:port`). Does not connect.
    ///
    /// # Errors
    /// [`ChainError::BadUrl`] when `url` is not such an address, or has credentials in it.
    pub fn new(url: &str, auth: Auth, timeout: Duration) -> Result<Self, ChainError> {
        check_url(url)?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            // Credentials go to the node alone, whatever the environment says about proxies.
            .proxy(None)
            .no_delay(true)
            .max_idle_connections(IDLE_CONNECTIONS_MAX)
            .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX)
            .max_idle_age(IDLE_MAX)
            .build()
            .new_agent();
        let (next_id, authorization) = (AtomicU64::new(1), RwLock::new(None));
        Ok(Self {
            url: url.to_owned(),
            auth,
            agent,
            next_id,
            authorization,
        })
    }

    /// Where the node is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls `method` and reads its result as `R`.
    ///
    /// # Errors
    /// Any [`ChainError`]; an error answer of the node itself is [`ChainError::Refused`], or
    /// [`ChainError::Busy`] while it starts.
    pub fn call<R: DeserializeOwned>(
        &self,
        method: &str,
        params: &[Value],
    ) -> Result<R, ChainError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let known = self
            .authorization
            .read()
            .ok()
            .and_then(|known| known.clone());
        let (status, body) = match known {
            Some(authorization) => {
                let (status, body) = self.post(&authorization, &request)?;
                // The node restarted and wrote another cookie: read it once more, then believe the
                // answer.
                if status == StatusCode::UNAUTHORIZED {
                    self.post(&self.authorize()?, &request)?
                } else {
                    (status, body)
                }
            }
            None => self.post(&self.authorize()?, &request)?,
        };
        let envelope = self.read(method, status, &body)?;
        if let Some(error) = envelope.error {
            return Err(refusal(method, &error));
        }
        if envelope.id != id {
            return Err(bad_answer(
                method,
                &format!("expected answer {id}, got {}", envelope.id),
            ));
        }
        serde_json::from_value(envelope.result)
            .map_err(|error| bad_answer(method, &error.to_string()))
    }

    fn post(
        &self,
        authorization: &str,
        request: &Value,
    ) -> Result<(StatusCode, Vec<u8>), ChainError> {
        let mut answer = self
            .agent
            .post(&self.url)
            .header("Authorization", authorization)
            .header("Content-Type", "application/json")
            .send(request.to_string())
            .map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()
            .map_err(|error| self.unreachable(&error))?;
        Ok((status, body))
    }

    /// Bitcoin Core explains errors in the body, and sends none when it does not get that far.
    fn read(&self, method: &str, status: StatusCode, body: &[u8]) -> Result<Envelope, ChainError> {
        match serde_json::from_slice(body) {
            Ok(envelope) => Ok(envelope),
            Err(_) if status == StatusCode::UNAUTHORIZED => Err(ChainError::Credentials {
                detail: format!("HTTP status {status}"),
            }),
            // Bitcoin Core says 401 to wrong credentials, and 403 to what `rpcwhitelist` leaves
            // out or to an address that `rpcallowip` does.
            Err(_) if status == StatusCode::FORBIDDEN => Err(ChainError::NotAllowed {
                method: method.to_owned(),
            }),
            // 503 when the work queue is full; any of them from a proxy in front of the node.
            Err(_) if status.is_server_error() => Err(ChainError::Busy {
                detail: format!("HTTP status {status}"),
            }),
            Err(error) if error.is_eof() && status == StatusCode::OK => {
                Err(self.unreachable(&"the answer is cut short"))
            }
            Err(error) => Err(bad_answer(
                method,
                &format!("HTTP status {status}: {error}"),
            )),
        }
    }

    /// The `Authorization` header from what is configured, now.
    fn authorize(&self) -> Result<String, ChainError> {
        let credentials = match &self.auth {
            Auth::Cookie(path) => read_cookie(path)?,
            Auth::UserPassword { user, password } => format!("{user}:{password}"),
        };
        let authorization = format!("Basic {}", BASE64.encode(credentials));
        if let Ok(mut known) = self.authorization.write() {
            *known = Some(authorization.clone());
        }
        Ok(authorization)
    }

    fn unreachable(&self, detail: &impl std::fmt::Display) -> ChainError {
        ChainError::Unreachable {
            url: self.url.clone(),
            detail: shorten(&detail.to_string()),
        }
    }
}

fn check_url(url: &str) -> Result<(), ChainError> {
    let bad = |url: &str, detail: &str| {
        Err(ChainError::BadUrl {
            url: shorten(url),
            detail: detail.to_owned(),
        })
    };
    if url.contains('@') {
        return bad("(not shown)", "credentials do not belong into it");
    }
    match url.parse::<Uri>() {
        Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) => {
            bad(url, "expected http://host:port")
        }
        Ok(uri) if uri.host().is_none_or(str::is_empty) => bad(url, "expected a host"),
        Ok(_) => Ok(()),
        Err(error) => bad(url, &error.to_string()),
    }
}

fn refusal(method: &str, error: &EnvelopeError) -> ChainError {
    let message = shorten(&error.message);
    match error.code {
        // RPC_IN_WARMUP, RPC_CLIENT_IN_INITIAL_DOWNLOAD, RPC_CLIENT_NOT_CONNECTED
        -28 | -10 | -9 => ChainError::Busy { detail: message },
        code => ChainError::Refused {
            method: method.to_owned(),
            code,
            message,
        },
    }
}

fn read_cookie(path: &Path) -> Result<String, ChainError> {
    match std::fs::read_to_string(path) {
        Ok(cookie) => Ok(cookie.trim_end().to_owned()),
        Err(error) => Err(ChainError::Credentials {
            detail: format!("cookie file {}: {error}", path.display()),
        }),
    }
}

pub(crate) fn bad_answer(method: &str, detail: &str) -> ChainError {
    ChainError::BadAnswer {
        method: method.to_owned(),
        detail: shorten(detail),
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn anyone() -> Auth {
        Auth::UserPassword {
            user: "user".into(),
            password: "hidden".into(),
        }
    }

    #[test]
    fn refuses_an_address_that_is_none_or_holds_credentials() {
        for url in [
            "ftp://127.0.0.1:1",
            "127.0.0.1:8332",
            "",
            "http://",
            "http://user:hidden@host:1",
            "http:///x",
        ] {
            let error = RpcClient::new(url, anyone(), CALL_TIMEOUT).unwrap_err();
            assert_eq!(error.code(), "node-bad-url", "{url}");
            assert!(!error.to_string().contains("hidden"), "{error}");
        }
    }

    #[test]
    fn a_node_that_is_down_is_transient() {
        // Port 1 of the loopback is never open on a test machine; a refusal comes at once.
        let client = RpcClient::new("http://127.0.0.1:1", anyone(), CALL_TIMEOUT).unwrap();
        let error = client.call::<u32>("getblockcount", &[]).unwrap_err();
        assert_eq!(error.code(), "node-unreachable");
        assert_eq!(error.kind(), crate::ErrorKind::Transient);
    }

    #[test]
    fn a_missing_cookie_is_transient_and_named() {
        let auth = Auth::Cookie("no/such/.cookie".into());
        let client = RpcClient::new("http://127.0.0.1:1", auth, CALL_TIMEOUT).unwrap();
        let error = client.call::<u32>("getblockcount", &[]).unwrap_err();
        assert_eq!(error.code(), "node-credentials");
        assert!(error.to_string().contains(".cookie"), "{error}");
    }

    #[test]
    fn the_password_is_not_in_debug_output() {
        let client = RpcClient::new("http://127.0.0.1:1", anyone(), CALL_TIMEOUT).unwrap();
        assert!(!format!("{client:?}").contains("hidden"));
    }

    /// A node that gives one answer and is gone. Says what it was asked.
    fn answering(answer: &'static str) -> (RpcClient, std::thread::JoinHandle<String>) {
        use std::io::{Read as _, Write as _};
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let node = std::thread::spawn(move || {
            let (mut stream, _) = socket.accept().unwrap();
            drop(socket);
            let mut asked = Vec::new();
            // All of it: closing a socket with bytes unread cuts the answer off.
            while asked.last() != Some(&b'}') {
                let mut part = [0; 512];
                let length = stream.read(&mut part).unwrap();
                asked.extend_from_slice(&part[..length]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        (RpcClient::new(&url, anyone(), CALL_TIMEOUT).unwrap(), node)
    }

    fn error_of(answer: &'static str) -> ChainError {
        let (client, node) = answering(answer);
        let error = client.call::<u32>("getblockcount", &[]).unwrap_err();
        node.join().unwrap();
        error
    }

    #[test]
    fn sends_method_parameters_and_credentials() {
        let (client, node) = answering(
            "HTTP/1.1 200 OK\r\nContent-Length: 34\r\n\r\n{\"result\":7,\"error\":null,\"id\":1}   ",
        );
        assert_eq!(
            client
                .call::<u32>("getblockhash", &[Value::from(5)])
                .unwrap(),
            7
        );
        let asked = node.join().unwrap();
        assert!(
            asked.contains("\"method\":\"getblockhash\",\"params\":[5]"),
            "{asked}"
        );
        assert!(
            asked.contains("uthorization: Basic dXNlcjpoaWRkZW4="),
            "{asked}"
        );
    }

    #[test]
    fn a_full_work_queue_and_a_starting_node_are_transient() {
        let full = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 24\r\n\r\nWork queue depth exceeded";
        assert_eq!(error_of(full).code(), "node-busy");
        let warming_up = "HTTP/1.1 500 Internal Server Error\r\n\r\n{\"result\":null,\"error\":{\"code\":-28,\"message\":\"Loading block index\"},\"id\":1}";
        assert_eq!(error_of(warming_up).code(), "node-busy");
    }

    #[test]
    fn strange_answers_are_errors_of_their_own() {
        for (answer, code) in [
            ("", "node-unreachable"),
            ("\u{0}\u{1}\u{2}", "node-unreachable"),
            ("HTTP/1.1 200 OK\r\n", "node-unreachable"),
            ("HTTP/1.1 200 OK\r\n\r\n[", "node-unreachable"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
                "node-unreachable",
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\n{\"result\":\"x\",\"error\":null,\"id\":1}",
                "node-bad-answer",
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\n{\"result\":1,\"error\":null,\"id\":2}",
                "node-bad-answer",
            ),
            ("HTTP/1.1 401 Unauthorized\r\n\r\n", "node-credentials"),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "node-not-allowed"),
        ] {
            assert_eq!(error_of(answer).code(), code, "{answer:?}");
        }
    }

    #[test]
    fn a_node_that_never_answers_is_given_up() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let client = RpcClient::new(&url, anyone(), Duration::from_millis(50)).unwrap();
        // The kernel accepts the connection; nobody reads it.
        let error = client.call::<u32>("getblockcount", &[]).unwrap_err();
        assert_eq!(error.code(), "node-unreachable");
    }

    #[test]
    fn long_foreign_texts_are_cut() {
        let long = "é".repeat(10_000);
        assert_eq!(shorten(&long).chars().count(), DETAIL_CHARS_MAX);
    }
}
