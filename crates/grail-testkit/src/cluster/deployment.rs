//! From nothing to a deployed bridge, by the programs that an operator of the backend would use.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use bitcoin::secp256k1::{All, Keypair, Secp256k1};
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, XOnlyPublicKey, consensus};
use grail_attest::{PROTOCOL_JSON_BYTES_MAX, Protocol};
use grail_types::{Governance, Network, Roster};
use serde::Deserialize;

use super::ClusterConfig;
use crate::node::Node;
use crate::process::{Process, dying_with_us};
use crate::programs::{Programs, bridge_wasm};

/// What the deployment is paid from: the NFT's coin and the fee.
const FUNDING: Amount = Amount::from_sat(1_000_000);
/// Not secret: it guards regtest money only.
const FUNDING_SECRET: [u8; 32] = [0x22; 32];
/// Each administrator's key is this number and its own, 32 times.
const FIRST_ADMINISTRATOR: u8 = 0x31;

/// What the deployment file says, as far as anybody but the backend needs it.
#[derive(Debug, Clone, Deserialize)]
pub struct Deployment {
    /// Bridge, parameters and images.
    pub protocol: Protocol,
    /// The roster.
    pub roster: Roster,
    /// No block up to this height holds anything of the bridge.
    pub start_height: u32,
    #[serde(rename = "transaction", deserialize_with = "transaction")]
    transaction: Transaction,
}

fn transaction<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Transaction, D::Error> {
    let text = String::deserialize(input)?;
    consensus::encode::deserialize_hex(&text).map_err(serde::de::Error::custom)
}

impl Deployment {
    /// The transaction that created the roster NFT.
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The roster NFT's first output.
    pub fn nft_outpoint(&self) -> OutPoint {
        OutPoint::new(self.transaction.compute_txid(), 0)
    }
}

/// Where a deployment is made.
pub(super) struct Site<'a> {
    pub folder: &'a Path,
    pub programs: &'a Programs,
    pub node: &'a Node,
    pub broker: SocketAddr,
}

/// Not secret: the key of an administrator of a development bridge, counted from 0.
///
/// # Panics
/// For a number that no governance has.
pub fn administrator_secret(number: u16) -> [u8; 32] {
    let byte = u8::try_from(number)
        .ok()
        .and_then(|number| FIRST_ADMINISTRATOR.checked_add(number));
    [byte.expect("an administrator's number"); 32]
}

/// The administrators of a development bridge.
fn administrators(secp: &Secp256k1<All>, config: &ClusterConfig) -> Result<Governance> {
    let mut keys = (0..config.administrators)
        .map(|number| {
            let secret = administrator_secret(number);
            let key = Keypair::from_seckey_slice(secp, &secret)?;
            Ok(key.x_only_public_key().0)
        })
        .collect::<Result<Vec<_>>>()?;
    keys.sort_by_key(XOnlyPublicKey::serialize);
    Ok(Governance::new(keys, config.administrators_threshold)?)
}

/// What is there before anybody can be asked.
pub(super) struct Prepared {
    pub protocol: Protocol,
    pub protocol_file: PathBuf,
    funding: OutPoint,
    funding_key: PathBuf,
}

impl Site<'_> {
    /// Measures the enclave, funds the deployment and writes the protocol file.
    pub(super) fn prepare(&self, config: &ClusterConfig) -> Result<Prepared> {
        let measurement = self.folder.join("measurement.json");
        let printed = output(Command::new(self.programs.enclave()).arg("measurement"))?;
        std::fs::write(&measurement, printed)?;

        let secp = Secp256k1::new();
        let governance = self.folder.join("governance.json");
        let administrators = administrators(&secp, config)?;
        std::fs::write(&governance, serde_json::to_vec_pretty(&administrators)?)?;
        let key = Keypair::from_seckey_slice(&secp, &FUNDING_SECRET)?;
        let funding_key = self.folder.join("funding.key");
        std::fs::write(&funding_key, key.display_secret().to_string())?;
        let script = ScriptBuf::new_p2tr(&secp, key.x_only_public_key().0, None);
        let funding = self.node.fund(&script, FUNDING);
        self.node.mine(1);

        let protocol_file = self.folder.join("protocol.json");
        output(
            Command::new(self.programs.backend())
                .args(["init-protocol", "--network"])
                .arg(Network::Regtest.to_string())
                .arg("--funding")
                .arg(funding.to_string())
                .arg("--wasm")
                .arg(bridge_wasm())
                .arg("--measurement")
                .arg(&measurement)
                .arg("--governance")
                .arg(&governance)
                .arg("--out")
                .arg(&protocol_file),
        )?;
        let written: Protocol = grail_files::read_json(&protocol_file, PROTOCOL_JSON_BYTES_MAX)?;
        let params = written.params().with(config.params)?;
        let images = written.images().get().clone();
        let governance = written.governance().clone();
        let protocol = Protocol::new(*written.bridge(), params, images, governance)?;
        std::fs::write(&protocol_file, serde_json::to_vec_pretty(&protocol)?)?;
        Ok(Prepared {
            protocol,
            protocol_file,
            funding,
            funding_key,
        })
    }

    /// Starts the program that waits for the operators' evidence and deploys.
    pub(super) fn begin(&self, prepared: &Prepared, config: &ClusterConfig) -> Result<Process> {
        let mut command = dying_with_us(&self.programs.backend());
        command
            .args(["deploy", "--protocol"])
            .arg(&prepared.protocol_file)
            .args(["--node-url", &self.node.rpc_url(), "--node-cookie"])
            .arg(self.node.cookie_path())
            .arg("--broker")
            .arg(self.broker.to_string())
            .arg("--signers")
            .arg(config.signers.to_string())
            .arg("--threshold")
            .arg(config.threshold.to_string())
            .arg("--funding-key")
            .arg(&prepared.funding_key)
            .arg("--funding")
            .arg(prepared.funding.to_string())
            .arg("--wasm")
            .arg(bridge_wasm())
            .arg("--out")
            .arg(self.deployment_file())
            .args(&config.prover);
        let log = self.folder.join("logs/deploy.log");
        Process::spawn(command, &log).map_err(|error| anyhow!(error))
    }

    /// Waits for its end and reads what it wrote.
    pub(super) fn finish(&self, prepared: &Prepared, deploying: Process) -> Result<Deployment> {
        let log = deploying.log().to_owned();
        let status = deploying.wait_for_end();
        ensure!(
            status.is_some_and(|status| status.success()),
            "the deployment ended with {status:?}: see {}",
            log.display()
        );
        let file = self.deployment_file();
        let text = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let deployment: Deployment = serde_json::from_slice(&text)?;
        ensure!(
            deployment.protocol == prepared.protocol,
            "deployed with another protocol"
        );
        Ok(deployment)
    }

    fn deployment_file(&self) -> PathBuf {
        self.folder.join("deployment.json")
    }
}

/// Standard output of a program that must succeed.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let ended = command
        .output()
        .with_context(|| format!("running {command:?}"))?;
    ensure!(
        ended.status.success(),
        "{command:?} ended with {}: {}",
        ended.status,
        String::from_utf8_lossy(&ended.stderr)
    );
    Ok(ended.stdout)
}
