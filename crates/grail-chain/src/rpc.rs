//! JSON-RPC to a Bitcoin Core node: connections, credentials, time limits.
//!
//! Owns the transport and the translation of its failures. Trusts the node no further than its answer must parse.
//! Never retries on its own: the caller owns retries, and every call here may be repeated.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use jsonrpc::http::simple_http::{Error as HttpError, SimpleHttpTransport};
use jsonrpc::{Client, Error as JsonRpcError};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ChainError;

/// Longest silence of the node that is waited for, per read: a block of 4 MB comes in well under a second.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections kept open between calls; more may be open while calls run in parallel.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// Longest piece of a foreign text that goes into an error.
const DETAIL_CHARS_MAX: usize = 300;

/// How the node knows us.
#[derive(Clone)]
pub enum Auth {
    /// The cookie file that the node writes at each start; read again when the node no longer accepts the last one.
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
#[derive(Debug)]
pub struct RpcClient {
    url: String,
    auth: Auth,
    timeout: Duration,
    idle: Mutex<Vec<Client>>,
}

impl RpcClient {
    /// A client for the node at `url` (`http://host:port`, plain HTTP as Bitcoin Core speaks it). Does not connect.
    ///
    /// # Errors
    /// [`ChainError::BadUrl`] when `url` is not such an address or its host has none.
    pub fn new(url: &str, auth: Auth, timeout: Duration) -> Result<Self, ChainError> {
        let client = Self {
            url: url.to_owned(),
            auth,
            timeout,
            idle: Mutex::default(),
        };
        if !url.starts_with("http://") {
            return Err(client.bad_url("expected http://host:port"));
        }
        SimpleHttpTransport::builder()
            .url(url)
            .map_err(|error| client.bad_url(error))?;
        Ok(client)
    }

    /// Where the node is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls `method` and reads its result as `R`.
    ///
    /// # Errors
    /// Any [`ChainError`]; an error answer of the node itself is [`ChainError::Refused`], or [`ChainError::Busy`]
    /// while it starts.
    pub fn call<R: DeserializeOwned>(
        &self,
        method: &str,
        params: &[Value],
    ) -> Result<R, ChainError> {
        let params = serde_json::value::to_raw_value(params)
            .map_err(|error| bad_answer(method, &format!("parameters: {error}")))?;
        let mut rejected_once = false;
        loop {
            let (connection, is_new) = self.connection(rejected_once)?;
            let result = connection.call(method, Some(&params));
            match result {
                Ok(value) => {
                    self.give_back(connection);
                    return Ok(value);
                }
                // The node restarted and wrote another cookie: read it once more, then believe the refusal.
                Err(error) if is_unauthorised(&error) && !(rejected_once && is_new) => {
                    rejected_once = true;
                }
                Err(error) => {
                    if matches!(error, JsonRpcError::Rpc(_)) {
                        self.give_back(connection);
                    }
                    return Err(self.translate(method, error));
                }
            }
        }
    }

    /// An idle connection, or a new one; always a new one when `fresh`.
    fn connection(&self, fresh: bool) -> Result<(Client, bool), ChainError> {
        if fresh {
            self.lock_idle().clear();
        } else if let Some(idle) = self.lock_idle().pop() {
            return Ok((idle, false));
        }
        let builder = SimpleHttpTransport::builder()
            .timeout(self.timeout)
            .url(&self.url)
            .map_err(|error| self.bad_url(error))?;
        let builder = match &self.auth {
            Auth::Cookie(path) => builder.cookie_auth(read_cookie(path)?),
            Auth::UserPassword { user, password } => builder.auth(user, Some(password)),
        };
        Ok((Client::with_transport(builder.build()), true))
    }

    fn give_back(&self, connection: Client) {
        let mut idle = self.lock_idle();
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Vec<Client>> {
        // A list of idle connections is sound whatever a panicking thread was doing.
        self.idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn bad_url(&self, detail: impl std::fmt::Display) -> ChainError {
        ChainError::BadUrl {
            url: self.url.clone(),
            detail: shorten(&detail.to_string()),
        }
    }

    fn translate(&self, method: &str, error: JsonRpcError) -> ChainError {
        match error {
            JsonRpcError::Rpc(error) => match error.code {
                // RPC_IN_WARMUP, RPC_CLIENT_IN_INITIAL_DOWNLOAD, RPC_CLIENT_NOT_CONNECTED
                -28 | -10 | -9 => ChainError::Busy {
                    detail: shorten(&error.message),
                },
                code => ChainError::Refused {
                    method: method.to_owned(),
                    code,
                    message: shorten(&error.message),
                },
            },
            JsonRpcError::Transport(error) => match error.downcast_ref::<HttpError>() {
                Some(HttpError::HttpErrorCode(401 | 403)) => ChainError::Credentials {
                    detail: shorten(&error.to_string()),
                },
                // Core answers 503 when its work queue is full; 5xx may also be a proxy in front of it.
                Some(HttpError::HttpErrorCode(500..)) => ChainError::Busy {
                    detail: shorten(&error.to_string()),
                },
                _ => ChainError::Unreachable {
                    url: self.url.clone(),
                    detail: shorten(&error.to_string()),
                },
            },
            other => bad_answer(method, &other.to_string()),
        }
    }
}

fn is_unauthorised(error: &JsonRpcError) -> bool {
    let JsonRpcError::Transport(error) = error else {
        return false;
    };
    matches!(
        error.downcast_ref::<HttpError>(),
        Some(HttpError::HttpErrorCode(401))
    )
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
    fn refuses_an_address_that_is_not_plain_http() {
        for url in ["https://127.0.0.1:1", "127.0.0.1:8332", "", "http://"] {
            let error = RpcClient::new(url, anyone(), CALL_TIMEOUT).unwrap_err();
            assert_eq!(error.code(), "node-bad-url", "{url}");
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
}
