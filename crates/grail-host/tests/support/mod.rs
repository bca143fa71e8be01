//! A hub and real hosts with real enclaves.
#![allow(clippy::unwrap_used)]

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command as BlockingCommand, ExitStatus, Stdio},
    sync::OnceLock,
    time::Duration,
};

use bitcoin::XOnlyPublicKey;
use grail_ask::{Ask, Challenge, Evidence, Hello, Reply};
use grail_attest::Protocol;
use grail_attest::{Image, ImageClass, Images, TeeKind};
use grail_broker::{
    Broker, EmbeddedBroker, Message, Subscription,
    messages::{self, BrokerMessage},
};
use grail_types::{BoundedBytes, Bridge, BridgeApp, Epoch, Measurement, Network, Params};
use grail_wire::{AskerId, Attempt};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::{Instant, sleep, timeout},
};

pub const DEADLINE: Duration = Duration::from_mins(1);
const HOST: &str = env!("CARGO_BIN_EXE_grail-host");

/// The enclave's program as a development build: what lies in the folder may be a production build,
/// so that cargo is asked, unless whoever runs the tests has just built it.
pub fn enclave_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Path::new(HOST).parent().unwrap();
        let program = folder.join("grail-enclave");
        if std::env::var_os("GRAIL_PROGRAMS_BUILT").is_none() {
            let mut cargo = BlockingCommand::new(env!("CARGO"));
            cargo
                .args(["build", "-p", "grail-enclave"])
                .args(["--features", "development,test-action"])
                .arg("--target-dir")
                .arg(folder.parent().unwrap());
            if folder.ends_with("release") {
                cargo.arg("--release");
            }
            assert!(cargo.status().unwrap().success());
        }
        program
    })
}

pub fn protocol(network: Network) -> Protocol {
    let output = BlockingCommand::new(enclave_program())
        .arg("measurement")
        .output()
        .unwrap();
    let measurement: Measurement = serde_json::from_slice(&output.stdout).unwrap();
    let app = BridgeApp {
        identity: [1; 32],
        vk: [2; 32],
    };
    let image = Image {
        tee: TeeKind::Development,
        class: ImageClass::Resident,
        measurement,
    };
    let images = Images::new(1, vec![image]).unwrap();
    let params = Params::preset(network, images.hash());
    Protocol::new(
        Bridge { network, app },
        params,
        images,
        grail_fixtures::world::governance(),
    )
    .unwrap()
}

/// The backend's side.
pub struct Backend {
    pub hub: EmbeddedBroker,
    pub hellos: Subscription,
    pub evidence: Subscription,
    pub replies: Subscription,
}

impl Backend {
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    /// At an address that another one may have left a moment ago.
    pub async fn start_at(address: SocketAddr) -> Self {
        let deadline = Instant::now() + DEADLINE;
        let hub = loop {
            match EmbeddedBroker::listen(address).await {
                Ok(hub) => break hub,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            sleep(Duration::from_millis(5)).await;
        };
        Self {
            hellos: hub.subscribe(Hello::subject()).await.unwrap(),
            evidence: hub.subscribe(Evidence::subject()).await.unwrap(),
            replies: hub.subscribe(Reply::subject()).await.unwrap(),
            hub,
        }
    }

    pub async fn tell<M: BrokerMessage>(&self, message: &M) {
        let bytes = messages::encode(Epoch(0), message).unwrap();
        self.hub.publish(M::subject(), bytes).await.unwrap();
    }

    /// The host has subscribed before it says hello.
    pub async fn hello(&mut self) -> Hello {
        heard(&mut self.hellos).await
    }

    pub async fn challenge(&mut self, nonce: [u8; 32]) -> Evidence {
        self.tell(&Challenge { nonce }).await;
        heard(&mut self.evidence).await
    }

    pub async fn ask(&mut self, attempt: Attempt, proposal: Vec<u8>) -> Reply {
        let ask = Ask {
            attempt,
            proposal: BoundedBytes::new(proposal).unwrap(),
        };
        self.tell(&ask).await;
        heard(&mut self.replies).await
    }
}

/// Attempts of one asker.
pub fn attempt(number: u32) -> Attempt {
    Attempt {
        asker: AskerId([7; 16]),
        number,
    }
}

pub async fn heard<M: BrokerMessage>(subscription: &mut Subscription) -> M {
    let message: Message = timeout(DEADLINE, subscription.next())
        .await
        .unwrap()
        .unwrap();
    messages::decode(&message.payload).unwrap()
}

/// What an operator has on disk.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new(protocol: &Protocol) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write_protocol(protocol);
        folder
    }

    pub fn write_protocol(&self, protocol: &Protocol) {
        std::fs::write(self.protocol(), serde_json::to_vec(protocol).unwrap()).unwrap();
    }

    pub fn protocol(&self) -> PathBuf {
        self.0.path().join("protocol.json")
    }

    pub fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    /// Another run of the program on this folder; its exit code.
    pub fn command(&self, arguments: &[&str]) -> Option<i32> {
        let mut command = BlockingCommand::new(HOST);
        command.args(arguments).arg("--state").arg(self.state());
        // Some of a host's own variables are no reason to take it for one.
        command.env("GRAIL_HOST_NAME", "operator 1");
        command.stderr(Stdio::null());
        command.status().unwrap().code()
    }

    /// A host that starts its own enclave.
    pub fn host(&self, backend: &Backend) -> Host {
        let arguments = ["--enclave-exe", enclave_program().to_str().unwrap()];
        self.host_with(backend, &arguments)
    }

    pub fn host_with(&self, backend: &Backend, arguments: &[&str]) -> Host {
        self.spawn(backend, arguments, &[])
    }

    /// A host that starts its own enclave, with these variables.
    pub fn host_told(&self, backend: &Backend, variables: &[(&str, &str)]) -> Host {
        let arguments = ["--enclave-exe", enclave_program().to_str().unwrap()];
        self.spawn(backend, &arguments, variables)
    }

    fn spawn(&self, backend: &Backend, arguments: &[&str], variables: &[(&str, &str)]) -> Host {
        let mut child = Command::new(HOST)
            .args(["--name", "operator 1", "--json", "--protocol"])
            .arg(self.protocol())
            .arg("--state")
            .arg(self.state())
            .arg("--broker")
            .arg(backend.hub.address().to_string())
            .args(arguments)
            // As compose files pass what nobody set.
            .envs(["RUST_LOG", "GRAIL_HOST_ENCLAVE", "NOTIFY_SOCKET"].map(|name| (name, "")))
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Host { child, lines }
    }

    /// A host that is told all by variables, some of them without content; and its log.
    pub fn host_by_variables(&self, backend: &Backend) -> (Host, ChildStderr) {
        let mut child = Command::new(HOST)
            .env("GRAIL_HOST_NAME", "operator 1")
            .env("GRAIL_HOST_PROTOCOL", self.protocol())
            .env("GRAIL_HOST_STATE", self.state())
            .env("GRAIL_HOST_BROKER", backend.hub.address().to_string())
            .env("GRAIL_HOST_ENCLAVE_EXE", enclave_program())
            .envs(["GRAIL_HOST_ENCLAVE", "GRAIL_HOST_JSON", "RUST_LOG"].map(|name| (name, "")))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let log = child.stderr.take().unwrap();
        (Host { child, lines }, log)
    }
}

pub struct Host {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What a host says when its enclave is booted.
pub struct Ready {
    pub public_key: XOnlyPublicKey,
    pub is_new: bool,
    pub enclave_pid: Option<i32>,
}

impl Host {
    pub async fn ready(&mut self) -> Ready {
        let line = timeout(DEADLINE, self.lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .expect("the host has ended");
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["event"], "ready");
        assert_eq!(value["name"], "operator 1");
        Ready {
            public_key: value["public_key"].as_str().unwrap().parse().unwrap(),
            is_new: value["is_new"].as_bool().unwrap(),
            enclave_pid: value["enclave_pid"]
                .as_i64()
                .map(|pid| pid.try_into().unwrap()),
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().unwrap().try_into().unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    pub async fn end(&mut self) -> ExitStatus {
        timeout(DEADLINE, self.child.wait()).await.unwrap().unwrap()
    }

    pub async fn terminate(mut self) {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.end().await.code(), Some(0));
    }
}

pub fn kill_process(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// Waits until a process is gone; one that only nobody has asked about yet is gone too.
pub async fn until_gone(pid: i32) {
    let deadline = Instant::now() + DEADLINE;
    while let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        let state = stat.rsplit(") ").next().unwrap().chars().next();
        if state == Some('Z') {
            return;
        }
        assert!(Instant::now() < deadline, "process {pid} still runs");
        sleep(Duration::from_millis(10)).await;
    }
}
