//! `init-protocol`: writes the protocol file of a bridge that is about to be deployed.

use std::path::PathBuf;

use bitcoin::{Amount, OutPoint};
use grail_attest::{Image, ImageClass, Images, Protocol, TrustAnchor};
use grail_spell::deployment_identity;
use grail_types::{Bridge, BridgeApp, Governance, Measurement, Network, Params};
use sha2::{Digest, Sha256};

use super::deploy::WASM_BYTES_MAX;

/// A measurement is three hashes.
const MEASUREMENT_BYTES_MAX: usize = 16 * 1024;

/// A hundred keys and a threshold.
const GOVERNANCE_BYTES_MAX: usize = 16 * 1024;

/// Arguments of `init-protocol`.
#[derive(Clone, Debug, clap::Args)]
pub struct InitArgs {
    /// regtest, signet, testnet4 or mainnet.
    #[arg(long)]
    network: Network,
    /// The output that the deployment will spend.
    #[arg(long)]
    funding: OutPoint,
    /// The bridge contract.
    #[arg(long)]
    wasm: PathBuf,
    /// Enclave images that may sign: JSON files as `grail-enclave measurement` prints them.
    #[arg(long, required = true)]
    measurement: Vec<PathBuf>,
    /// The operators' administrators: a JSON file with `administrators`, their X-only keys in
    /// ascending order, and `threshold`, how many of them must agree that a roster hands over.
    #[arg(long)]
    governance: PathBuf,
    /// Most satoshis that a settlement may pay its prover, in an output of its own; none by
    /// default.
    #[arg(long, default_value_t = 0)]
    prover_fee_max: u64,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
}

/// Runs `init-protocol`.
pub fn init_protocol(args: &InitArgs) -> anyhow::Result<()> {
    let wasm = grail_files::read_bounded(&args.wasm, WASM_BYTES_MAX)?;
    let bridge = Bridge {
        network: args.network,
        app: BridgeApp {
            identity: deployment_identity(args.funding),
            vk: Sha256::digest(&wasm).into(),
        },
    };
    // Of no other kind could an image ever show evidence on this network. Neither kind's memory is
    // moved: the development TEE stands in for Nitro.
    let tee = TrustAnchor::of(args.network).tee();
    let mut list = args
        .measurement
        .iter()
        .map(|path| {
            let measurement = grail_files::read_json::<Measurement>(path, MEASUREMENT_BYTES_MAX)?;
            Ok(Image {
                tee,
                class: ImageClass::Resident,
                measurement,
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    list.sort();
    let images = Images::new(1, list)?;
    let params = Params::preset(args.network, images.hash())
        .with(|values| values.prover_fee_max = Amount::from_sat(args.prover_fee_max))?;
    let governance: Governance = grail_files::read_json(&args.governance, GOVERNANCE_BYTES_MAX)?;
    let protocol = Protocol::new(bridge, params, images, governance)?;
    std::fs::write(&args.out, serde_json::to_vec_pretty(&protocol)?)?;
    println!(
        "{}",
        serde_json::json!({ "params_hash": protocol.hash().to_string() })
    );
    Ok(())
}
