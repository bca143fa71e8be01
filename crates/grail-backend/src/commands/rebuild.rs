//! `rebuild`: a new database from the chain, and from receipts that users hand in.
//!
//! Reads blocks as the backend does, so what it leaves is what a backend that was there all along
//! would have, without what only that one knew. Asks operators nothing, publishes nothing.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use bitcoin::{OutPoint, ScriptBuf};
use grail_api::{CheckedReceipt, RECEIPT_BYTES_MAX, Receipt};
use grail_broker::EmbeddedBroker;
use grail_chain::ChainError;
use grail_files::read_bounded;
use grail_prover::{ProveRequest, Proven, Prover, ProverError};
use grail_store::{Created, Store};

use crate::{
    backend::{Backend, Config, Parts},
    commands::exit::Fault,
    deployment::Deployment,
    node::{Node, NodeArgs},
    receipts::{NotRestored, restore},
    roles::scan::{Scanner, lacks_blocks},
};

/// Blocks between two lines of progress.
const PROGRESS_BLOCKS: u32 = 1_000;
/// Blocks read again in one call to the node, when deposits of receipts are looked for.
const BLOCKS_AT_A_TIME: u32 = 50;
/// Times that one receipt is tried while the chain moves.
const TRIES_MAX: u32 = 10;
/// Pause before another try.
const PAUSE: Duration = Duration::from_millis(500);

/// Arguments of `rebuild`.
#[derive(Clone, Debug, clap::Args)]
pub struct RebuildArgs {
    /// The deployment file.
    #[arg(long)]
    deployment: PathBuf,
    /// The database to make: `sqlite:PATH`, or `postgres://USER@HOST/DATABASE`, which is there and
    /// empty. It must not have read a block yet.
    #[arg(long)]
    database: String,
    #[command(flatten)]
    node: NodeArgs,
    /// Height to read from, at or below the deployment's block; that of the deployment file when
    /// absent.
    #[arg(long)]
    from_height: Option<u32>,
    /// A folder with receipts (`*.json`): requests to make again.
    #[arg(long)]
    receipts: Option<PathBuf>,
}

/// What was made again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Height of the newest block read.
    pub height: u32,
    /// Settlements adopted.
    pub settlements: usize,
    /// Requests made from receipts.
    pub requests: usize,
    /// Receipts of no deposit that the chain shows, or that were refused.
    pub receipts_left: usize,
}

/// Runs `rebuild`.
pub async fn rebuild(args: RebuildArgs) -> anyhow::Result<()> {
    let mut deployment = Deployment::load(&args.deployment)?;
    if let Some(height) = args.from_height {
        deployment.start_height = height;
    }
    let node = Node::connect(&args.node, deployment.protocol.bridge().network).await?;
    let store = Store::open(&args.database)
        .await
        .context("cannot open the database")?;
    // None runs on it meanwhile.
    let claim = store.claim().await?;
    // Nobody is told where: no operator connects, and nothing is asked.
    let broker = EmbeddedBroker::listen(([127, 0, 0, 1], 0).into()).await?;
    let backend = Backend::new(Parts {
        deployment,
        store,
        node,
        broker: Arc::new(broker),
        prover: Arc::new(NoProver),
        wasm: Vec::new(),
        config: Config {
            batch_seconds: 0,
            ask_seconds: 60,
            lease_seconds: 60,
            prove_workers: 0,
        },
    })
    .await?;
    let rebuilt = from_chain(&backend, args.receipts.as_deref()).await?;
    let line = serde_json::json!({
        "rebuilt": true,
        "height": rebuilt.height,
        "settlements": rebuilt.settlements,
        "requests": rebuilt.requests,
        "receipts_left": rebuilt.receipts_left,
    });
    println!("{line}");
    drop(claim);
    backend.store.close().await;
    Ok(())
}

/// Reads the chain into an empty database, then makes the requests of receipts.
pub async fn from_chain(backend: &Backend, receipts: Option<&Path>) -> anyhow::Result<Rebuilt> {
    read(backend, receipts).await.map_err(of_node)
}

async fn read(backend: &Backend, receipts: Option<&Path>) -> anyhow::Result<Rebuilt> {
    let is_new = backend.store.read().await?.last_block().await?.is_none();
    ensure!(
        is_new,
        "the database has read blocks: move it away and name a new one"
    );
    let mut scanner = Scanner::new(backend);
    while scanner.take_block().await? {
        report(backend).await?;
    }
    let mut rebuilt = Rebuilt::default();
    let mut reader = backend.store.read().await?;
    let last = reader.last_block().await?;
    rebuilt.height = last.context("the node has no block to read")?.height;
    ensure!(
        reader.vault_totals().await?.nft.is_some(),
        "the roster NFT is in none of these blocks: read from the deployment's block, at the latest"
    );
    rebuilt.settlements = count_settlements(&mut reader).await?;
    drop(reader);
    if let Some(folder) = receipts {
        hand_in(
            backend,
            &mut rebuilt,
            &read_receipts(backend, folder).await?,
        )
        .await?;
    }
    Ok(rebuilt)
}

/// A node that does not keep what must be read will not have it the next time either.
fn of_node(error: anyhow::Error) -> anyhow::Error {
    if lacks_blocks(&error).is_some() {
        error.context(Fault::Configuration)
    } else {
        error
    }
}

async fn report(backend: &Backend) -> anyhow::Result<()> {
    let last = backend.store.read().await?.last_block().await?;
    if let Some(last) = last.filter(|last| last.height % PROGRESS_BLOCKS == 0) {
        let tip = backend.node.call(|chain| chain.tip()).await?;
        tracing::info!(height = last.height, tip = tip.height, "blocks read");
    }
    Ok(())
}

async fn count_settlements(reader: &mut grail_store::Reader) -> anyhow::Result<usize> {
    let (mut count, mut after) = (0_usize, 0);
    loop {
        let page = reader
            .settlements(after, grail_store::PAGE_ROWS_MAX)
            .await?;
        let Some(last) = page.last() else {
            return Ok(count);
        };
        after = last.id.0;
        count = count.saturating_add(page.len());
    }
}

/// Receipts that are this bridge's. Others are named in the log and left out.
async fn read_receipts(backend: &Backend, folder: &Path) -> anyhow::Result<Receipts> {
    let mut receipts = Receipts::default();
    let mut reader = backend.store.read().await?;
    let rosters = backend.rosters(&mut reader).await?;
    drop(reader);
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let bytes = read_bounded(&path, RECEIPT_BYTES_MAX)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let checked = Receipt::from_json(&bytes)
            .map_err(|error| error.to_string())
            .and_then(|receipt| {
                let roster = rosters
                    .of(receipt.terms.epoch)
                    .map(|it| (it.roster(), it.governance()));
                receipt
                    .check_for(backend.bridge(), backend.params(), roster)
                    .map_err(|problem| problem.to_string())
            });
        match checked {
            Ok(receipt) => receipts.good.push(receipt),
            Err(error) => {
                tracing::warn!(file = %path.display(), error, "a receipt was left out");
                receipts.refused = receipts.refused.saturating_add(1);
            }
        }
    }
    Ok(receipts)
}

/// What a folder holds.
#[derive(Debug, Default)]
struct Receipts {
    good: Vec<CheckedReceipt>,
    refused: usize,
}

/// Makes the requests whose deposits a settlement has spent, then those whose deposits are found in
/// the blocks.
async fn hand_in(
    backend: &Backend,
    rebuilt: &mut Rebuilt,
    receipts: &Receipts,
) -> anyhow::Result<()> {
    rebuilt.receipts_left = receipts.refused;
    let mut open = Vec::new();
    for receipt in &receipts.good {
        if try_restore(backend, receipt, None).await? {
            rebuilt.requests = rebuilt.requests.saturating_add(1);
        } else {
            open.push(receipt);
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    let scripts = open.iter().map(|it| it.script_pubkey().clone()).collect();
    let outputs = outputs_at(backend, scripts, rebuilt.height).await?;
    for receipt in open {
        let mut is_made = false;
        for outpoint in outputs.get(receipt.script_pubkey()).into_iter().flatten() {
            is_made = is_made || try_restore(backend, receipt, Some(*outpoint)).await?;
        }
        let count = if is_made {
            &mut rebuilt.requests
        } else {
            tracing::warn!(request = %receipt.request(), "a receipt without a deposit was left out");
            &mut rebuilt.receipts_left
        };
        *count = count.saturating_add(1);
    }
    Ok(())
}

/// Whether a receipt's request is there now.
async fn try_restore(
    backend: &Backend,
    receipt: &CheckedReceipt,
    deposit: Option<OutPoint>,
) -> anyhow::Result<bool> {
    for _ in 0..TRIES_MAX {
        match restore(backend, receipt, deposit).await {
            Ok(Created::New(_) | Created::Existing(_)) => return Ok(true),
            Err(NotRestored::NoDeposit) => return Ok(false),
            // A block has come: it is read, and then the same is asked again.
            Err(NotRestored::Moving) => {
                let mut scanner = Scanner::new(backend);
                while scanner.take_block().await? {}
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    bail!("the chain did not stand still for {TRIES_MAX} tries")
}

/// Outputs of blocks up to `height` at these scripts: deposits to addresses that nobody watched
/// when their blocks were read.
async fn outputs_at(
    backend: &Backend,
    scripts: std::collections::HashSet<ScriptBuf>,
    height: u32,
) -> anyhow::Result<HashMap<ScriptBuf, Vec<OutPoint>>> {
    let scripts = Arc::new(scripts);
    let mut found: HashMap<ScriptBuf, Vec<OutPoint>> = HashMap::new();
    let mut from = backend.deployment.start_height;
    while from <= height {
        let to = from
            .saturating_add(BLOCKS_AT_A_TIME)
            .min(height.saturating_add(1));
        let watched = Arc::clone(&scripts);
        let outputs = backend
            .node
            .call(move |chain| {
                let mut outputs = Vec::new();
                for height in from..to {
                    let Some(hash) = chain.block_hash(height)? else {
                        continue;
                    };
                    let Some(block) = chain.block(&hash)? else {
                        continue;
                    };
                    let at = |output: &grail_chain::BlockOutput<'_>| {
                        watched.contains(&output.output.script_pubkey)
                    };
                    let paid = grail_chain::outputs(&block).filter(at);
                    outputs.extend(
                        paid.map(|paid| (paid.output.script_pubkey.clone(), paid.outpoint)),
                    );
                }
                Ok::<_, ChainError>(outputs)
            })
            .await?;
        for (script, outpoint) in outputs {
            found.entry(script).or_default().push(outpoint);
        }
        from = to;
    }
    Ok(found)
}

/// Stands where a prover would: nothing is proven here.
struct NoProver;

impl Prover for NoProver {
    fn kind(&self) -> &'static str {
        "none"
    }

    fn prove(&self, _: &ProveRequest) -> Result<Proven, ProverError> {
        Err(ProverError::Proof {
            reason: "nothing is proven during a rebuild".to_owned(),
        })
    }
}
