//! `deploy`: admits operators by evidence, forms the first roster, creates the roster NFT.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use bitcoin::{
    FeeRate, OutPoint,
    secp256k1::{Keypair, Secp256k1},
};
use grail_attest::{PROTOCOL_JSON_BYTES_MAX, Protocol};
use grail_broker::EmbeddedBroker;
use grail_chain::SendError;
use grail_prover::ProveRequest;
use grail_txbuild::{Coin, Deployment as DeploymentBuilder};
use grail_types::{Bridge, BridgeApp, Epoch, Roster, Threshold};
use sha2::{Digest, Sha256};

use crate::{
    deployment::{Deployment, SignerRecord},
    node::{Node, NodeArgs, POLL},
    operators::Operators,
    prover::ProverArgs,
};

/// Arguments of `deploy`.
#[derive(Clone, Debug, clap::Args)]
pub struct DeployArgs {
    /// The protocol file, as `init-protocol` writes it.
    #[arg(long)]
    protocol: PathBuf,
    #[command(flatten)]
    node: NodeArgs,
    /// Where operators' hosts connect to.
    #[arg(long)]
    broker: std::net::SocketAddr,
    /// Signers that the roster must have.
    #[arg(long, default_value_t = 16)]
    signers: u16,
    /// Signers that must agree.
    #[arg(long, default_value_t = 12)]
    threshold: u16,
    /// File with the secret key (64 hex characters) of the taproot output that funds the
    /// deployment.
    #[arg(long)]
    funding_key: PathBuf,
    /// The output that funds it; the bridge's identity must come from it.
    #[arg(long)]
    funding: OutPoint,
    /// Fee rate, sat/vB.
    #[arg(long, default_value_t = 2)]
    fee_rate: u32,
    /// The bridge contract.
    #[arg(long)]
    wasm: PathBuf,
    /// Seconds to wait for all signers.
    #[arg(long, default_value_t = 120)]
    timeout: u64,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    prover: ProverArgs,
}

/// The bridge contract has some 200 kB, and what a proof costs grows with it.
pub(crate) const WASM_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Reads the bridge contract and makes sure that it is the one of `app`.
pub fn load_wasm(path: &std::path::Path, app: &BridgeApp) -> anyhow::Result<Vec<u8>> {
    let wasm = grail_files::read_bounded(path, WASM_BYTES_MAX)?;
    let vk: [u8; 32] = Sha256::digest(&wasm).into();
    ensure!(
        vk == app.vk,
        "{} has vk {}, the bridge's is {}",
        path.display(),
        hex::encode(vk),
        hex::encode(app.vk)
    );
    Ok(wasm)
}

/// Runs `deploy`.
pub async fn deploy(args: DeployArgs) -> anyhow::Result<()> {
    let protocol: Protocol = grail_files::read_json(&args.protocol, PROTOCOL_JSON_BYTES_MAX)?;
    let Bridge { network, app } = *protocol.bridge();
    let wasm = load_wasm(&args.wasm, &app)?;
    let prover = args.prover.prover(network, protocol.params())?;
    let node = Node::connect(&args.node, network).await?;
    let broker = Arc::new(EmbeddedBroker::listen(args.broker).await?);
    let operators = Operators::new(protocol.clone());
    let collecting = tokio::spawn(Arc::clone(&operators).run(broker.clone(), None));
    let signers = wait_for_signers(&operators, &args).await;
    collecting.abort();
    let signers = signers?;

    let keys = signers.iter().map(|signer| signer.public_key).collect();
    let roster = Roster::new(Epoch(0), keys, Threshold(args.threshold))?;
    let (funding_tx, _) = node.unspent(args.funding).await?;
    let vout = usize::try_from(args.funding.vout)?;
    let output = funding_tx
        .output
        .get(vout)
        .context("the funding output does not exist")?
        .clone();
    let builder = DeploymentBuilder {
        bridge: protocol.bridge(),
        params: protocol.params(),
        roster: &roster,
        governance: protocol.governance(),
        funding: Coin {
            outpoint: args.funding,
            output,
        },
        fee_rate: FeeRate::from_sat_per_vb_u32(args.fee_rate),
    };
    let secp = Secp256k1::new();
    let key = read_key(&secp, &args.funding_key)?;
    let mut plan = builder.plan(&secp)?;
    let request = ProveRequest::of_bridge(plan.spell.clone(), [&funding_tx], wasm);
    let proven = tokio::task::spawn_blocking(move || prover.prove(&request)).await??;
    plan.prover_fee = proven.fee_output;
    let transaction = builder.finish(&secp, plan, proven.op_return, &key)?;
    let start_height = node.call(|chain| chain.tip()).await?.height;
    let deployment = Deployment::new(
        protocol.clone(),
        roster,
        signers,
        &transaction,
        start_height,
    );
    deployment.check()?;
    // Written before it is sent: a deployment that nobody can describe would be lost.
    std::fs::write(&args.out, serde_json::to_vec_pretty(&deployment)?)?;
    let sent = transaction.clone();
    match node.call(move |chain| chain.send(&sent)).await {
        Ok(_) | Err(SendError::AlreadyInMempool | SendError::AlreadyConfirmed) => {}
        Err(error) => bail!("the node does not take the deployment: {error}"),
    }
    let outcome = serde_json::json!({
        "txid": transaction.compute_txid().to_string(),
        "vsize": transaction.vsize(),
        "nft_outpoint": deployment.nft_outpoint()?.to_string(),
        "signers": deployment.signers.len(),
        "threshold": args.threshold,
    });
    println!("{outcome}");
    Ok(())
}

async fn wait_for_signers(
    operators: &Operators,
    args: &DeployArgs,
) -> anyhow::Result<Vec<SignerRecord>> {
    let expected = usize::from(args.signers);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(args.timeout);
    while operators.count() < expected {
        if tokio::time::Instant::now() >= deadline {
            bail!(
                "expected evidence of {expected} signers within {} s, got {}",
                args.timeout,
                operators.count()
            );
        }
        tokio::time::sleep(POLL).await;
    }
    let mut signers = operators.known();
    ensure!(
        signers.len() == expected,
        "expected {expected} signers, got {}",
        signers.len()
    );
    signers.sort_by_key(|signer| signer.public_key.serialize());
    Ok(signers)
}

fn read_key(
    secp: &Secp256k1<bitcoin::secp256k1::All>,
    path: &std::path::Path,
) -> anyhow::Result<Keypair> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Keypair::from_seckey_str(secp, text.trim())
        .map_err(|_| anyhow::anyhow!("{} holds no secret key", path.display()))
}
