//! `init-params`: writes the protocol parameters of a bridge that is about to be deployed.

use std::path::PathBuf;

use anyhow::Context;
use bitcoin::{Amount, OutPoint};
use grail_spell::deployment_identity;
use grail_types::{BridgeApp, Measurement, Network, Params};
use sha2::{Digest, Sha256};

/// Arguments of `init-params`.
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
    /// Most satoshis that a settlement may pay its prover, in an output of its own; none by default.
    #[arg(long, default_value_t = 0)]
    prover_fee_max: u64,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
}

/// Runs `init-params`.
pub fn init_params(args: &InitArgs) -> anyhow::Result<()> {
    let wasm = std::fs::read(&args.wasm)
        .with_context(|| format!("cannot read {}", args.wasm.display()))?;
    let bridge = BridgeApp {
        identity: deployment_identity(args.funding),
        vk: Sha256::digest(&wasm).into(),
    };
    let measurements = args
        .measurement
        .iter()
        .map(|path| {
            let text =
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_slice::<Measurement>(&text)
                .with_context(|| format!("{} holds no measurement", path.display()))
        })
        .collect::<anyhow::Result<_>>()?;
    let params = Params {
        prover_fee_max: Amount::from_sat(args.prover_fee_max),
        ..Params::preset(args.network, bridge, measurements)
    };
    params.validate()?;
    std::fs::write(&args.out, serde_json::to_vec_pretty(&params)?)?;
    println!(
        "{}",
        serde_json::json!({ "params_hash": params.hash().to_string() })
    );
    Ok(())
}
