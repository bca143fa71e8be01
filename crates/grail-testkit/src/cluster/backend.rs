//! The backend's process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use grail_api::client::Client;

use super::PATIENCE;
use crate::process::{Process, dying_with_us};
use crate::programs::{Programs, bridge_wasm};

/// The backend's local settings.
#[derive(Debug, Clone, Copy)]
pub struct BackendConfig {
    /// Seconds that a ready request waits for company.
    pub batch_seconds: u64,
    /// Seconds until operators are asked again.
    pub ask_seconds: u64,
    /// Seconds until the work of a backend that was killed is taken up again.
    pub lease_seconds: u64,
}

impl Default for BackendConfig {
    /// In a hurry: tests put deposits that belong together into one block.
    fn default() -> Self {
        Self {
            batch_seconds: 0,
            ask_seconds: 2,
            lease_seconds: 3,
        }
    }
}

/// The backend, running or not. Its database stays.
#[derive(Debug)]
pub struct Backend {
    folder: PathBuf,
    node_url: String,
    node_cookie: PathBuf,
    broker: SocketAddr,
    api_port: u16,
    pub(super) prover: Vec<String>,
    /// URL of its database, if that is no file.
    pub(super) server: Option<String>,
    process: Option<Process>,
}

impl Backend {
    pub(super) fn new(
        folder: &Path,
        node_url: String,
        node_cookie: PathBuf,
        broker: SocketAddr,
        api_port: u16,
    ) -> Self {
        Self {
            folder: folder.to_owned(),
            node_url,
            node_cookie,
            broker,
            api_port,
            prover: Vec::new(),
            server: None,
            process: None,
        }
    }

    /// Where its API is, also while it does not run.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.api_port)
    }

    /// Where operators connect.
    pub const fn broker(&self) -> SocketAddr {
        self.broker
    }

    /// A client of its API.
    pub fn client(&self) -> Client {
        Client::new(&self.url())
    }

    /// Its database's file, if it has one.
    pub fn database(&self) -> PathBuf {
        self.folder.join("backend.sqlite")
    }

    /// Its database.
    pub fn database_url(&self) -> String {
        let file = || format!("sqlite:{}", self.database().display());
        self.server.clone().unwrap_or_else(file)
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.process
            .as_ref()
            .is_some_and(|process| !process.has_ended())
    }

    pub(super) fn start(&mut self, programs: &Programs, config: &BackendConfig) -> Result<()> {
        ensure!(!self.is_running(), "the backend runs already");
        let mut command = dying_with_us(&programs.backend());
        command
            .args(["run", "--deployment"])
            .arg(self.folder.join("deployment.json"))
            .arg("--database")
            .arg(self.database_url())
            .args(["--node-url", &self.node_url, "--node-cookie"])
            .arg(&self.node_cookie)
            .arg("--wasm")
            .arg(bridge_wasm())
            .arg("--broker")
            .arg(self.broker.to_string())
            .arg("--api")
            .arg(format!("127.0.0.1:{}", self.api_port))
            .args(["--metrics", "127.0.0.1:0"])
            .arg("--batch-seconds")
            .arg(config.batch_seconds.to_string())
            .arg("--ask-seconds")
            .arg(config.ask_seconds.to_string())
            .arg("--lease-seconds")
            .arg(config.lease_seconds.to_string())
            .args(&self.prover);
        let log = self.folder.join("logs/backend.log");
        let process = Process::spawn(command, &log).map_err(|error| anyhow!(error))?;
        process
            .wait_for_line(1, Instant::now() + PATIENCE, |line| line["ready"] == true)
            .map_err(|why| anyhow!("the backend is not ready: {why}{}", super::log_tail(&log)))?;
        self.process = Some(process);
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) -> Result<()> {
        let process = self.process.take().context("the backend does not run")?;
        process.signal("TERM");
        let status = process.wait_for_end();
        ensure!(
            status.is_some_and(|status| status.success()),
            "the backend ended with {status:?}"
        );
        Ok(())
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process = None;
    }
}
