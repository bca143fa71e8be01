//! The real program, over a real socket.
#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use grail_attest::{
    Image, ImageClass, Images, Protocol, SignerExpectation, TeeKind, UnixTime,
    verify_signer_evidence,
};
use grail_attest_dev::development_pcr0;
use grail_enclave::hardening;
use grail_link::framing;
use grail_types::{
    BoundedBytes, Bridge, BridgeApp, Epoch, Governance, Measurement, Network, Params,
};
use grail_wire::{
    Attempt, Boot, Booted, ENCLAVE_MESSAGE_MAX_BYTES, FaultCode, Request, Response, decode, encode,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_grail-enclave");
const DEADLINE: Duration = Duration::from_secs(30);

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn measurement() -> Measurement {
    let output = run(&["measurement"]);
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn protocol(network: Network) -> Protocol {
    let app = BridgeApp {
        identity: [1; 32],
        vk: [2; 32],
    };
    let image = Image {
        tee: TeeKind::Development,
        class: ImageClass::Resident,
        measurement: measurement(),
    };
    let images = Images::new(1, vec![image]).unwrap();
    let params = Params::preset(network, images.hash());
    Protocol::new(Bridge { network, app }, params, images, governance()).unwrap()
}

/// One administrator: the curve's generator is everybody's key.
fn governance() -> Governance {
    let key = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    let document = serde_json::json!({ "administrators": [key], "threshold": 1 });
    serde_json::from_value(document).unwrap()
}

/// A running enclave; its folder outlives it.
struct Enclave {
    child: Child,
    socket: PathBuf,
}

impl Enclave {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("enclave.sock");
        drop(std::fs::remove_file(&socket));
        let hardware = folder.join("hardware.id");
        if !hardware.exists() {
            std::fs::write(&hardware, [9; 32]).unwrap();
        }
        let child = Command::new(PROGRAM)
            .arg("--listen")
            .arg(format!("unix:{}", socket.display()))
            .args(["--tee", "development", "--network", "regtest", "--hardware"])
            .arg(hardware)
            .arg("--exit-on-stdin-close")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, socket }
    }

    fn connect(&mut self) -> UnixStream {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Ok(stream) = UnixStream::connect(&self.socket) {
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                return stream;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it has ended");
            assert!(Instant::now() < deadline, "it does not listen");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(&mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Enclave {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn ask(stream: &mut UnixStream, request: &Request) -> Response {
    framing::write(stream, &encode(Epoch(0), request).unwrap()).unwrap();
    hear(stream)
}

fn hear(stream: &mut UnixStream) -> Response {
    decode(&framing::read(stream).unwrap().unwrap())
        .unwrap()
        .message
}

fn boot(
    stream: &mut UnixStream,
    protocol: &Protocol,
    sealed: Option<Vec<u8>>,
) -> Result<Booted, FaultCode> {
    let boot = Boot {
        bridge: *protocol.bridge(),
        sealed: sealed.map(|bytes| BoundedBytes::new(bytes).unwrap()),
    };
    match ask(stream, &Request::Boot(boot)) {
        Response::Booted(born) => Ok(born),
        Response::Failed(fault) => Err(fault.code),
        other => panic!("{other:?}"),
    }
}

fn fault_code(response: Response) -> FaultCode {
    match response {
        Response::Failed(fault) => fault.code,
        other => panic!("expected a fault, got {other:?}"),
    }
}

#[test]
fn it_prints_the_measurement_of_its_own_image() {
    let image = std::fs::read(PROGRAM).unwrap();
    assert_eq!(measurement().pcr0, development_pcr0(&image));
}

#[test]
fn i11_the_development_tee_starts_on_regtest_alone() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let listen = format!("unix:{}", socket.display());
    let hardware = folder.path().join("hardware.id");
    std::fs::write(&hardware, [9; 32]).unwrap();
    for network in ["signet", "testnet4", "mainnet"] {
        let output = run(&[
            "--listen",
            &listen,
            "--tee",
            "development",
            "--network",
            network,
            "--hardware",
            hardware.to_str().unwrap(),
        ]);
        assert_eq!(output.status.code(), Some(3), "{network}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("regtest alone"), "{stderr}");
        assert!(!socket.exists());
    }
}

#[test]
fn i11_a_development_tee_does_not_boot_for_another_network() {
    let folder = tempfile::tempdir().unwrap();
    let mut enclave = Enclave::start(folder.path());
    let mut stream = enclave.connect();
    for network in [Network::Signet, Network::Testnet4, Network::Mainnet] {
        assert_eq!(
            boot(&mut stream, &protocol(network), None),
            Err(FaultCode::NetworkMismatch)
        );
    }
    boot(&mut stream, &protocol(Network::Regtest), None).unwrap();
}

#[test]
fn nitro_says_that_it_is_not_built_in() {
    for network in ["regtest", "mainnet"] {
        let output = run(&[
            "--listen",
            "vsock:1",
            "--tee",
            "nitro",
            "--network",
            network,
        ]);
        assert_eq!(output.status.code(), Some(3));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("no driver for the Nitro"), "{stderr}");
    }
}

#[test]
fn a_wrong_command_line_and_a_wrong_machine_are_told_apart() {
    assert_eq!(run(&["--listen"]).status.code(), Some(2));
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("hardware.id");
    std::fs::write(&short, [9; 31]).unwrap();
    let output = run(&[
        "--listen",
        "unix:/nowhere",
        "--tee",
        "development",
        "--network",
        "regtest",
        "--hardware",
        short.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("expected 32 bytes, got 31"), "{stderr}");
}

#[test]
fn a_key_is_born_once_and_opens_again_on_the_same_machine_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Enclave::start(folder.path());
    let mut stream = first.connect();
    let born = boot(&mut stream, &protocol(Network::Regtest), None).unwrap();
    let sealed = born.sealed.unwrap().into_inner();
    assert_eq!(
        boot(&mut stream, &protocol(Network::Regtest), None),
        Err(FaultCode::AlreadyBooted)
    );
    assert_eq!(first.end(), Some(0));

    let mut second = Enclave::start(folder.path());
    let mut stream = second.connect();
    let mut bridge = *protocol(Network::Regtest).bridge();
    bridge.app.identity[0] ^= 1;
    let other = protocol(Network::Regtest);
    let other = Protocol::new(
        bridge,
        other.params().clone(),
        other.images().get().clone(),
        governance(),
    );
    assert_eq!(
        boot(&mut stream, &other.unwrap(), Some(sealed.clone())),
        Err(FaultCode::SealForeign)
    );
    let opened = boot(
        &mut stream,
        &protocol(Network::Regtest),
        Some(sealed.clone()),
    )
    .unwrap();
    assert_eq!(opened.public_key, born.public_key);
    assert_eq!(opened.sealed, None);

    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("hardware.id"), [8; 32]).unwrap();
    let mut third = Enclave::start(elsewhere.path());
    assert_eq!(
        boot(
            &mut third.connect(),
            &protocol(Network::Regtest),
            Some(sealed)
        ),
        Err(FaultCode::SealForeign)
    );
}

#[test]
fn its_evidence_passes_the_production_verifier() {
    let folder = tempfile::tempdir().unwrap();
    let mut enclave = Enclave::start(folder.path());
    let mut stream = enclave.connect();
    let protocol = protocol(Network::Regtest);
    let born = boot(&mut stream, &protocol, None).unwrap();
    let nonce = [5; 32];
    let Response::Evidence(document) = ask(&mut stream, &Request::Attest { nonce }) else {
        panic!("no evidence");
    };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let expectation = SignerExpectation {
        images: protocol.images(),
        bridge: *protocol.bridge(),
        nonce: Some(&nonce),
    };
    let attested =
        verify_signer_evidence(&document, &expectation, UnixTime::from_secs(now)).unwrap();
    assert_eq!(attested.public_key(), born.public_key);
}

#[test]
fn garbage_is_answered_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut enclave = Enclave::start(folder.path());
    let mut stream = enclave.connect();
    let garbage: [&[u8]; 5] = [b"", b"\0", &[0xff; 100], &[0x81; 5000], b"\x66Attest"];
    for bytes in garbage {
        framing::write(&mut stream, bytes).unwrap();
        assert_eq!(fault_code(hear(&mut stream)), FaultCode::RequestMalformed);
    }
    assert_eq!(
        fault_code(ask(&mut stream, &Request::Identify)),
        FaultCode::NotBooted
    );
    let born = boot(&mut stream, &protocol(Network::Regtest), None).unwrap();
    let malformed = Request::Decide {
        attempt: Attempt::default(),
        proposal: BoundedBytes::new(vec![0xff; 1000]).unwrap(),
    };
    assert_eq!(
        fault_code(ask(&mut stream, &malformed)),
        FaultCode::ProposalMalformed
    );
    let Response::Identity(identity) = ask(&mut stream, &Request::Identify) else {
        panic!("no identity");
    };
    assert_eq!(identity.public_key, born.public_key);
}

#[test]
fn a_frame_over_the_limit_ends_its_connection_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut enclave = Enclave::start(folder.path());
    let too_long = u32::try_from(ENCLAVE_MESSAGE_MAX_BYTES + 1).unwrap();
    for claimed in [too_long, u32::MAX] {
        let mut stream = enclave.connect();
        stream.write_all(&claimed.to_le_bytes()).unwrap();
        assert_eq!(fault_code(hear(&mut stream)), FaultCode::FrameTooLarge);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    // One that only claims to be long costs nothing and holds up nobody.
    let mut idle = enclave.connect();
    idle.write_all(&(too_long - 1).to_le_bytes()).unwrap();
    let mut stream = enclave.connect();
    boot(&mut stream, &protocol(Network::Regtest), None).unwrap();
}

#[test]
fn connections_beyond_the_limit_are_turned_away_until_one_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut enclave = Enclave::start(folder.path());
    let mut held: Vec<_> = (0..4).map(|_| enclave.connect()).collect();
    for stream in &mut held {
        assert_eq!(
            fault_code(ask(stream, &Request::Identify)),
            FaultCode::NotBooted
        );
    }
    assert_eq!(enclave.connect().read(&mut [0]).unwrap(), 0);
    held.pop();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let mut stream = enclave.connect();
        let request = encode(Epoch(0), &Request::Identify).unwrap();
        let answered = framing::write(&mut stream, &request).is_ok()
            && matches!(framing::read(&mut stream), Ok(Some(_)));
        if answered {
            break;
        }
        assert!(Instant::now() < deadline, "no place became free");
    }
}

#[test]
fn it_ends_with_its_standard_input_and_leaves_no_core() {
    let folder = tempfile::tempdir().unwrap();
    let mut enclave = Enclave::start(folder.path());
    enclave.connect();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", enclave.child.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().rev().nth(2), Some("0"), "{core}");
    assert_eq!(enclave.end(), Some(0));
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn panics_in_a_thread() {
    hardening::exit_on_panic();
    drop(thread::spawn(|| panic!("a secret value")).join());
}

#[test]
fn a_panic_in_any_thread_ends_the_process_and_shows_no_values() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "panics_in_a_thread", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(hardening::EXIT_PANIC));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("panic at"), "{stderr}");
    assert!(!stderr.contains("secret"), "{stderr}");
}

/// What an environment says, or leaves empty as compose files do, changes nothing.
#[test]
fn the_environment_is_not_read() {
    let told = |variables: &[(&str, &str)]| {
        let output = Command::new(PROGRAM)
            .arg("measurement")
            .env_clear()
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let names = [
        "RUST_LOG",
        "GRAIL_ENCLAVE_NETWORK",
        "HOME",
        "TMPDIR",
        "NOTIFY_SOCKET",
    ];
    assert_eq!(told(&names.map(|name| (name, ""))), told(&[]));
    assert_eq!(told(&names.map(|name| (name, "nonsense"))), told(&[]));
}
