//! What a backend costs when its bridge is old: a database of a million requests and ten thousand
//! settlements, filled with rows as they would be, and then started, asked, and given a block.
//!
//! `cargo bench -p grail-backend --bench growth`; `-- fill FILE` and `-- measure FILE` are its two
//! halves. A database that another version filled can be measured too, after `-- upgrade FILE`.
//! Prints tables; asserts nothing about time.

#![allow(clippy::unwrap_used)]

#[path = "../tests/support/bridge.rs"]
#[allow(dead_code, reason = "shared with tests")]
mod bridge;
#[path = "../tests/support/chain.rs"]
#[allow(dead_code, reason = "shared with tests")]
mod chain;
mod fill;
mod measure;
#[path = "../tests/support/operators.rs"]
#[allow(dead_code, reason = "shared with tests")]
mod operators;
mod past;
mod rows;
#[path = "../tests/support/wait.rs"]
#[allow(dead_code, reason = "shared with tests")]
mod wait;

use std::{path::Path, process::Command, sync::Arc, time::Instant};

use anyhow::{Result, bail, ensure};
use grail_backend::{
    backend::{Backend, Config, Parts},
    node::Node,
};
use grail_broker::EmbeddedBroker;
use grail_store::Store;

use chain::PaperChain;

/// Divides all numbers, to try the benchmark itself.
const PART: &str = "GRAIL_GROWTH_PART";
/// Blocks of the chain on paper.
const BLOCKS: u32 = 1_000;

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` runs benches too, without this argument: nothing here is a test.
    let Some(index) = arguments.iter().position(|argument| argument == "--bench") else {
        return Ok(());
    };
    arguments.remove(index);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.enable_all().build()
    };
    match arguments.as_slice() {
        [] => both(),
        ["fill", path] => runtime()?.block_on(fill::fill(Path::new(path), part()?)),
        ["measure", path] => runtime()?.block_on(measure::measure(Path::new(path))),
        ["upgrade", path] => runtime()?.block_on(upgrade(Path::new(path))),
        other => bail!("expected nothing, fill, upgrade or measure FILE, got {other:?}"),
    }
}

/// Each half is a process of its own: what filling takes is not what running takes.
fn both() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("grail.db");
    for half in ["fill", "measure"] {
        let program = std::env::current_exe()?;
        let status = Command::new(program)
            .args(["--bench", half])
            .arg(&file)
            .status()?;
        ensure!(status.success(), "{half}: {status}");
    }
    Ok(())
}

/// What the first start of a new version does before all else.
async fn upgrade(file: &Path) -> Result<()> {
    let began = Instant::now();
    Store::open(&url(file)).await?.close().await;
    println!("upgraded in {} s", began.elapsed().as_secs());
    Ok(())
}

fn part() -> Result<u64> {
    Ok(std::env::var(PART).map_or(Ok(1), |part| part.parse())?)
}

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

/// The chain of both halves: the deployment and empty blocks, the same every time.
fn paper_chain() -> Arc<PaperChain> {
    let chain = PaperChain::new();
    chain.mine(vec![bridge::deployment().transaction().unwrap()]);
    for _ in 0..BLOCKS {
        chain.mine(Vec::new());
    }
    Arc::new(chain)
}

/// A backend whose roles do nothing by themselves.
async fn backend(file: &Path, chain: &Arc<PaperChain>) -> Arc<Backend> {
    let broker = EmbeddedBroker::listen(([127, 0, 0, 1], 0).into());
    let parts = Parts {
        deployment: bridge::deployment(),
        store: Store::open(&url(file)).await.unwrap(),
        node: Node::from_chain(chain.clone()),
        broker: Arc::new(broker.await.unwrap()),
        prover: Arc::new(bridge::prover()),
        wasm: bridge::WASM.to_vec(),
        config: Config {
            batch_seconds: 0,
            ask_seconds: 60,
            lease_seconds: 60,
            prove_workers: 1,
        },
    };
    Backend::new(parts).await.unwrap()
}
