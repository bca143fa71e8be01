//! An operator: a host process and the enclave that it starts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use bitcoin::XOnlyPublicKey;
use serde_json::Value;

use super::PATIENCE;
use crate::process::{Process, dying_with_us, signal};
use crate::programs::Programs;

/// An operator, running or not. Its state stays in its folder.
#[derive(Debug)]
pub struct Operator {
    name: String,
    state: PathBuf,
    protocol: PathBuf,
    broker: SocketAddr,
    log: PathBuf,
    process: Option<Process>,
}

impl Operator {
    pub(super) fn new(number: usize, folder: &Path, protocol: &Path, broker: SocketAddr) -> Self {
        let name = format!("operator-{number:02}");
        Self {
            state: folder.join(&name),
            protocol: protocol.to_owned(),
            broker,
            log: folder.join("logs").join(format!("{name}.log")),
            process: None,
            name,
        }
    }

    pub(super) fn started(mut self, programs: &Programs) -> Result<Self> {
        self.start(programs)?;
        Ok(self)
    }

    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its host runs.
    pub fn is_running(&self) -> bool {
        self.process
            .as_ref()
            .is_some_and(|process| !process.has_ended())
    }

    pub(super) fn start(&mut self, programs: &Programs) -> Result<()> {
        ensure!(!self.is_running(), "{} runs already", self.name);
        let mut command = dying_with_us(&programs.host());
        command
            .args(["--name", &self.name, "--json", "--protocol"])
            .arg(&self.protocol)
            .arg("--state")
            .arg(&self.state)
            .arg("--broker")
            .arg(self.broker.to_string())
            .arg("--enclave-exe")
            .arg(programs.enclave());
        self.process = Some(Process::spawn(command, &self.log).map_err(|error| anyhow!(error))?);
        Ok(())
    }

    /// Waits until its enclave has booted.
    pub fn wait_until_ready(&self) -> Result<()> {
        self.wait_for_boot(1)
    }

    /// Waits until its enclave has booted for the `count`th time since the host started.
    pub fn wait_for_boot(&self, count: usize) -> Result<()> {
        let process = self.running()?;
        process
            .wait_for_line(count, Instant::now() + PATIENCE, is_ready)
            .map_err(|why| anyhow!("{} is not ready: {why}", self.name))?;
        Ok(())
    }

    /// How often its enclave has booted since the host started.
    pub fn boot_count(&self) -> usize {
        self.process.as_ref().map_or(0, |process| {
            process.lines().iter().filter(|line| is_ready(line)).count()
        })
    }

    /// Its key, once known.
    pub fn public_key(&self) -> Option<XOnlyPublicKey> {
        let text = std::fs::read_to_string(self.state.join("signer.pub")).ok()?;
        text.trim().parse().ok()
    }

    /// Asks the host to end, and waits until it has.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal("TERM");
            let _ = process.wait_for_end();
        }
    }

    /// Ends the host as a power cut would. The enclave ends with it.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Ends the enclave alone, as a crash would; the host starts another.
    pub fn kill_enclave(&self) -> Result<()> {
        let pid = self
            .running()?
            .lines()
            .iter()
            .rfind(|line| is_ready(line))
            .and_then(|line| line["enclave_pid"].as_u64())
            .and_then(|pid| u32::try_from(pid).ok())
            .with_context(|| format!("{} has no enclave", self.name))?;
        signal(pid, "KILL");
        Ok(())
    }

    /// Makes the host stand still: connected and silent.
    pub fn pause(&self) -> Result<()> {
        self.running()?.signal("STOP");
        Ok(())
    }

    /// Lets a host go on that was paused.
    pub fn resume(&self) -> Result<()> {
        self.running()?.signal("CONT");
        Ok(())
    }

    fn running(&self) -> Result<&Process> {
        self.process
            .as_ref()
            .with_context(|| format!("{} does not run", self.name))
    }
}

fn is_ready(line: &Value) -> bool {
    line["event"] == "ready"
}
