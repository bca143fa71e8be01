//! What batches of a whole bridge cost: how long a hundred ready requests wait for their settlement
//! to be in a node's mempool, with sixteen operators as processes of their own, and how many vbytes
//! each request takes.
//!
//! `cargo bench -p grail-testkit --bench batch`
//!
//! Not criterion's: one run is a whole batch on a running bridge, measured from the backend's own
//! log, and its stages matter more than its sum. Prints tables; asserts nothing about time.

#![allow(clippy::unwrap_used)]

mod limit;
mod sizes;
mod stages;

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::thread::available_parallelism;

use anyhow::{Context, Result, ensure};
use bitcoin::{Amount, Transaction};
use grail_api::Kind;
use grail_api::client::ClientError;
use grail_chain::Chain as _;
use grail_testkit::{Asked, Cluster, ClusterConfig, User, build_programs, until};
use serde_json::Value;

use stages::{Marks, Stages};

/// Requests of a batch, and how many such batches are measured, one after the other on the same
/// bridge. The last fills a settlement.
const BATCHES: [(usize, usize); 3] = [(10, 5), (100, 7), (198, 3)];
/// Runs of each when this is set.
const RUNS: &str = "GRAIL_BENCH_RUNS";
/// What each deposit pays.
const DEPOSIT: Amount = Amount::from_sat(1_000_000);

fn main() -> Result<()> {
    // `cargo test` runs benches too, without this argument: nothing here is a test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let fixed: Option<usize> = std::env::var(RUNS)
        .ok()
        .map(|runs| runs.parse())
        .transpose()?;
    build_programs();
    println!("## vB per request\n");
    sizes::of_batches();

    let config = ClusterConfig {
        signers: 16,
        threshold: 12,
        ..ClusterConfig::default()
    };
    let cluster = Cluster::start_with(&config, &|step| eprintln!("{step}"))?;
    let cores = available_parallelism()?.get();
    for (requests, runs) in BATCHES {
        let runs = fixed.unwrap_or(runs);
        println!("\n## {requests} requests, 12 of 16 operators, {cores} cores, {runs} runs\n");
        let mut measured = Vec::new();
        let mut newest = None;
        for run in 0..runs {
            let (marks, settlement) = batch(&cluster, requests, run)?;
            let stages = Stages::of(&marks);
            eprintln!("{requests} requests, run {run}: {stages}");
            measured.push(stages);
            newest = Some((marks.settlement, settlement));
        }
        stages::print(&measured);
        let (id, settlement) = newest.context("no run")?;
        println!("\nThe same work in one process:\n");
        limit::print(&cluster.rows()?.proposal(id)?, cluster.protocol(), cores)?;
        println!("\nThe last of them, as the node took it:\n");
        sizes::of_inputs(&settlement);
    }
    Ok(())
}

/// Makes a batch, waits until it is published, mines it.
fn batch(cluster: &Cluster, requests: usize, run: usize) -> Result<(Marks, Transaction)> {
    let asked: Vec<Asked> = (0..requests)
        .map(|number| {
            // The API takes ten per second once the first five hundred are in: wait for the rest.
            let user = User::new(&format!("user-{number}-of-{requests}-in-run-{run}"));
            until("a request to be taken", || {
                match user.ask_peg_in(&cluster.api()) {
                    Ok(asked) => Ok(Some(asked)),
                    Err(error) if is_rate_limited(&error) => Ok(None),
                    Err(error) => Err(error),
                }
            })
        })
        .collect::<Result<_>>()?;
    // A transaction of its own for each, as users send them.
    let height = cluster.node.height();
    for request in &asked {
        cluster.node.fund(&request.deposit_script, DEPOSIT);
    }
    ensure!(
        cluster.node.height() == height,
        "the deposits came into more than one block"
    );
    let mut log = Log::open(cluster)?;
    let mined_at = stages::now()?;
    cluster.node.mine(cluster.params().deposit_confirmations);
    let mut lines = Vec::new();
    until("the batch to be broadcast", || {
        lines.extend(log.lines()?);
        let is_broadcast = lines.iter().any(stages::is_broadcast);
        Ok(is_broadcast.then_some(()))
    })?;
    let marks = Marks::read(&lines, mined_at)?;

    let published = cluster.until_published(Kind::PegIn, &asked[0].id)?;
    ensure!(
        published.requests.len() == requests,
        "{} requests in the settlement",
        published.requests.len()
    );
    let settlement = cluster
        .node
        .chain()
        .mempool_tx(&published.txid)?
        .context("the settlement is not in the mempool")?;
    let entry: Value = cluster
        .node
        .rpc()
        .call("getmempoolentry", &[published.txid.to_string().into()])?;
    let vsize = u64::try_from(settlement.vsize())?;
    ensure!(
        entry["vsize"] == vsize && published.vsize == vsize,
        "the node says {}, the API {}, the transaction {vsize} vB",
        entry["vsize"],
        published.vsize
    );
    let ids: Vec<_> = asked.iter().map(|request| request.id).collect();
    cluster.settle(Kind::PegIn, &ids)?;
    Ok((marks, settlement))
}

fn is_rate_limited(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<ClientError>()
        .is_some_and(|error| error.code() == "rate-limited")
}

/// The backend's log from now on.
struct Log {
    file: File,
    rest: String,
}

impl Log {
    fn open(cluster: &Cluster) -> Result<Self> {
        let path: PathBuf = cluster.folder().join("logs/backend.log");
        let mut file = File::open(&path).with_context(|| format!("{}", path.display()))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file,
            rest: String::new(),
        })
    }

    /// What came since the last look.
    fn lines(&mut self) -> Result<Vec<Value>> {
        self.file.read_to_string(&mut self.rest)?;
        let Some(end) = self.rest.rfind('\n') else {
            return Ok(Vec::new());
        };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        Ok(whole
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }
}
