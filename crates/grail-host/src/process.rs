//! The enclave as a child process, under the development TEE: its program is a development build (a
//! production build says that it has no such TEE, and ends).

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use grail_types::Network;
use tokio::{
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use crate::{address::ConnectAddress, error::HostError, state::StateFolder};

/// Longest path of a Unix socket, less its final zero (`sockaddr_un`).
const SOCKET_PATH_MAX_BYTES: usize = 107;

/// How long an enclave may take to end by itself.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// A running enclave. Dropping it kills it; should this process be killed, its standard input
/// closes and it ends.
pub struct EnclaveProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    network: Network,
    socket: PathBuf,
}

impl EnclaveProcess {
    /// Starts the program.
    pub fn start(program: &Path, state: &StateFolder, network: Network) -> Result<Self, HostError> {
        let socket = state.socket();
        let length = socket.as_os_str().len();
        if length > SOCKET_PATH_MAX_BYTES {
            return Err(HostError::StateDamaged {
                path: socket,
                expected: "a path of a socket, at most 107 bytes",
                got: format!("{length} bytes"),
            });
        }
        // Left behind by an enclave that was killed; the folder's lock says that no other host uses
        // it.
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(HostError::State {
                    path: socket,
                    error,
                });
            }
            _ => {}
        }
        let mut child = Command::new(program)
            .arg("--listen")
            .arg(ConnectAddress::Unix(socket.clone()).to_string())
            .args(["--tee", "development", "--network"])
            .arg(network.to_string())
            .arg("--hardware")
            .arg(state.hardware()?)
            .arg("--exit-on-stdin-close")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| HostError::EnclaveSpawn {
                path: program.to_owned(),
                error,
            })?;
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            network,
            socket,
        })
    }

    /// Where it listens, soon.
    pub fn address(&self) -> ConnectAddress {
        ConnectAddress::Unix(self.socket.clone())
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its unasked end. Cancelling loses nothing.
    pub async fn ended(&mut self) -> HostError {
        match self.child.wait().await {
            // Its own words for "never like this": command line, TEE.
            Ok(status) if matches!(status.code(), Some(2 | 3)) => {
                HostError::EnclaveRefusesStart(status.code().unwrap_or_default(), self.network)
            }
            Ok(status) => HostError::EnclaveEnded(status.to_string()),
            Err(error) => HostError::EnclaveEnded(error.to_string()),
        }
    }

    /// Asks it to end, and kills it if it does not.
    pub async fn end(mut self) {
        drop(self.stdin.take());
        if timeout(END_PATIENCE, self.child.wait()).await.is_err() {
            tracing::warn!("the enclave does not end, killing it");
            if let Err(error) = self.child.kill().await {
                tracing::warn!(%error, "killing the enclave failed");
            }
        }
    }
}
