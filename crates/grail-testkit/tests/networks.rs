//! Mock proofs and the development TEE start on regtest alone (invariant I11): each program says so
//! and ends.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use grail_testkit::{Programs, bridge_wasm, build_programs};
use grail_types::Network;

/// What `grail-enclave` ends with when a TEE cannot run here, and `grail-host` when its enclave
/// does.
const EXIT_TEE: i32 = 3;
const EXIT_ENCLAVE: i32 = 5;

struct Place {
    dir: tempfile::TempDir,
    programs: Programs,
}

impl Place {
    fn new() -> Self {
        build_programs();
        let dir = tempfile::tempdir().unwrap();
        let programs = Programs::take(&dir.path().join("programs")).unwrap();
        Self { dir, programs }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The protocol file of a bridge on `network`, as `grail-backend init-protocol` writes it.
    fn protocol(&self, network: Network) -> std::path::PathBuf {
        let measurement = self.path().join("measurement.json");
        let printed = run(Command::new(self.programs.enclave()).arg("measurement"));
        std::fs::write(&measurement, printed.stdout).unwrap();
        let protocol = self.path().join(format!("{network}.json"));
        let governance = self.path().join("governance.json");
        let key = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let document = format!(r#"{{"administrators":["{key}"],"threshold":1}}"#);
        std::fs::write(&governance, document).unwrap();
        let written = run(Command::new(self.programs.backend())
            .args(["init-protocol", "--network", &network.to_string()])
            .args(["--funding", &format!("{}:0", "ab".repeat(32))])
            .arg("--wasm")
            .arg(bridge_wasm())
            .arg("--measurement")
            .arg(&measurement)
            .arg("--governance")
            .arg(&governance)
            .arg("--out")
            .arg(&protocol));
        assert!(written.status.success(), "{written:?}");
        protocol
    }
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const OTHERS: [Network; 3] = [Network::Signet, Network::Testnet4, Network::Mainnet];

#[test]
fn no_development_enclave_starts_beyond_regtest() {
    let place = Place::new();
    let hardware = place.path().join("hardware.id");
    std::fs::write(&hardware, [1; 32]).unwrap();
    for network in OTHERS {
        let ended = run(Command::new(place.programs.enclave())
            .arg("--listen")
            .arg(format!("unix:{}", place.path().join("sock").display()))
            .args(["--tee", "development", "--network", &network.to_string()])
            .arg("--hardware")
            .arg(&hardware));
        assert_eq!(ended.status.code(), Some(EXIT_TEE), "{network}");
        assert!(said(&ended).contains("runs on regtest alone"), "{network}");
    }
}

#[test]
fn no_host_brings_a_development_enclave_up_beyond_regtest() {
    let place = Place::new();
    for network in OTHERS {
        let protocol = place.protocol(network);
        let ended = run(Command::new(place.programs.host())
            .args(["--name", "operator", "--broker", "127.0.0.1:1"])
            .arg("--protocol")
            .arg(&protocol)
            .arg("--state")
            .arg(place.path().join(network.to_string()))
            .arg("--enclave-exe")
            .arg(place.programs.enclave()));
        assert_eq!(ended.status.code(), Some(EXIT_ENCLAVE), "{network}");
        let sealed = place.path().join(network.to_string()).join("signer.sealed");
        assert!(!sealed.exists(), "{network}: a key was born");
    }
}

#[test]
fn no_backend_deploys_with_mock_proofs_beyond_regtest() {
    let place = Place::new();
    let key = place.path().join("key");
    std::fs::write(&key, "22".repeat(32)).unwrap();
    for network in OTHERS {
        let protocol = place.protocol(network);
        let out = place.path().join("deployment.json");
        let ended = run(Command::new(place.programs.backend())
            .args(["deploy", "--broker", "127.0.0.1:0"])
            .args(["--node-url", "http://127.0.0.1:1", "--node-cookie", "/none"])
            .args(["--funding", &format!("{}:0", "ab".repeat(32))])
            .arg("--protocol")
            .arg(&protocol)
            .arg("--funding-key")
            .arg(&key)
            .arg("--wasm")
            .arg(bridge_wasm())
            .arg("--out")
            .arg(&out));
        assert!(!ended.status.success(), "{network}");
        assert!(
            said(&ended).contains("mock proofs work on regtest alone"),
            "{network}: {}",
            said(&ended)
        );
        assert!(!out.exists(), "{network}");
    }
}
