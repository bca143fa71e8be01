//! Upstream's own prover server as a process of a test.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use grail_prover::{CharmsConfig, CharmsProver, ProverFee};
use grail_types::Network;

/// Names the server's program: upstream's server in mock mode, as `cargo xtask prover-server`
/// builds it.
const PROGRAM: &str = "CHARMS_EXE";
/// Set where skipping would hide something.
const REQUIRED: &str = "GRAIL_UPSTREAM_REQUIRED";
/// Longest wait for a process to listen.
const START_MAX: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

/// The program, if this run has one. Prints why the test does nothing where it has none.
pub fn program() -> Option<PathBuf> {
    let program = std::env::var_os(PROGRAM).filter(|program| !program.is_empty());
    assert!(
        program.is_some() || std::env::var_os(REQUIRED).is_none(),
        "{REQUIRED} is set and {PROGRAM} is not"
    );
    if program.is_none() {
        eprintln!("skipped: {PROGRAM} names no server (cargo xtask test --slow prover-server)");
    }
    program.map(PathBuf::from)
}

pub struct Upstream {
    process: Child,
    url: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    /// Starts the server; `fee_settings`: a file of upstream's `CHARMS_FEE_SETTINGS`.
    pub fn start(program: &Path, fee_settings: Option<&Path>) -> Self {
        // Somebody may take the port between our asking and the server's: then it ends, and another
        // is tried.
        for _ in 0..5 {
            if let Some(started) = Self::try_start(program, fee_settings) {
                return started;
            }
        }
        panic!("upstream's server does not start");
    }

    fn try_start(program: &Path, fee_settings: Option<&Path>) -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut command = Command::new(program);
        command
            .args(["--ip", "127.0.0.1", "--port", &port.to_string()])
            .env_clear()
            .env("RUST_LOG", "info")
            // In mock mode nobody is called; should that ever change, nobody answers.
            .env("CHARMS_PROVE_API_URL", "http://127.0.0.1:1/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(settings) = fee_settings {
            command.env("CHARMS_FEE_SETTINGS", settings);
        }
        let mut process = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in lines.map_while(Result::ok) {
                    log.lock().unwrap().push(line);
                }
            }
        });
        let mut started = Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
            log,
        };
        let deadline = Instant::now() + START_MAX;
        while started.client(None).ready().is_err() {
            if started.process.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "{:?}", started.log());
            thread::sleep(POLL);
        }
        Some(started)
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn client(&self, fee: Option<ProverFee>) -> CharmsProver {
        let config = CharmsConfig {
            total_timeout: Duration::from_mins(5),
            attempts_max: 1,
            fee,
            ..CharmsConfig::new(self.url.clone(), Network::Regtest)
        };
        CharmsProver::new(config, Box::new(|longest| longest)).unwrap()
    }

    /// What it has written so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Cycles of every spell that its checker ran, in order; waits until there are `count`.
    pub fn cycles(&self, count: usize) -> Vec<u64> {
        let deadline = Instant::now() + START_MAX;
        loop {
            let cycles: Vec<u64> = self
                .log()
                .iter()
                .filter_map(|line| cycles_in(line))
                .collect();
            if cycles.len() >= count {
                return cycles;
            }
            assert!(Instant::now() < deadline, "{:?}", self.log());
            thread::sleep(POLL);
        }
    }

    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.kill();
    }
}

fn cycles_in(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("mock spell checker executed with ")?;
    rest.split_once(" cycles")?.0.parse().ok()
}
