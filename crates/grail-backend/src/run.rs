//! `run`: all roles in one process.

use std::{net::SocketAddr, path::PathBuf, pin::Pin, sync::Arc};

use anyhow::{Context, bail};
use grail_broker::EmbeddedBroker;
use grail_store::Store;
use tokio::task::JoinSet;

use crate::{
    api,
    backend::{Backend, Config, Parts},
    build,
    deploy::load_wasm,
    deployment::Deployment,
    node::{Node, NodeArgs},
    prove,
    prover::prover_for,
    publish, scan, sign,
    step::{JOB_ASK, JOB_ASK_TIMEOUT, JOB_DRY_RUN, JOB_PROVE, JOB_PUBLISH},
    work,
};

/// Arguments of `run`.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// The deployment file.
    #[arg(long)]
    deployment: PathBuf,
    /// The database, `sqlite:PATH`.
    #[arg(long)]
    database: String,
    #[command(flatten)]
    node: NodeArgs,
    /// The bridge contract.
    #[arg(long)]
    wasm: PathBuf,
    /// Where operators' hosts connect to.
    #[arg(long)]
    broker: SocketAddr,
    /// Where the HTTP API listens.
    #[arg(long)]
    api: SocketAddr,
    /// Seconds that a ready request waits for company.
    #[arg(long, default_value_t = 30)]
    batch_seconds: u64,
    /// Seconds until operators that have not answered are asked again.
    #[arg(long, default_value_t = 10)]
    ask_seconds: u64,
    /// Seconds after which the work of a backend that is gone is taken over; longer than any piece of work takes.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    lease_seconds: u64,
}

/// Runs `run`.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    let deployment = Deployment::load(&args.deployment)?;
    let network = deployment.params.network;
    let prover = prover_for(network)?;
    let wasm = load_wasm(&args.wasm, &deployment.params)?;
    let node = Node::connect(&args.node, network).await?;
    let store = Store::open(&args.database)
        .await
        .context("cannot open the database")?;
    let broker = EmbeddedBroker::listen(args.broker)
        .await
        .with_context(|| format!("cannot listen for operators on {}", args.broker))?;
    let broker_address = broker.address();
    let config = Config {
        batch_seconds: args.batch_seconds,
        ask_seconds: args.ask_seconds,
        lease_seconds: args.lease_seconds,
    };
    let parts = Parts {
        deployment,
        store,
        node,
        broker: Arc::new(broker),
        prover,
        wasm,
        config,
    };
    let backend = Backend::new(parts).await?;
    let listener = tokio::net::TcpListener::bind(args.api)
        .await
        .with_context(|| format!("cannot listen for the API on {}", args.api))?;
    let ready = serde_json::json!({
        "ready": true,
        "api": format!("http://{}", listener.local_addr()?),
        "broker": broker_address.to_string(),
    });
    println!("{ready}");
    tokio::select! {
        ended = serve(Arc::clone(&backend), listener) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
        () = terminated() => Ok(()),
    }
}

async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Runs every role in a task of its own, so that what one of them computes keeps no other waiting. A role that fails is
/// begun again after a pause: the rows say where it was.
pub async fn serve(backend: Arc<Backend>, listener: tokio::net::TcpListener) -> anyhow::Result<()> {
    // Dropped with this future: no role outlives it.
    let mut roles = JoinSet::new();
    let mut start = |name: &'static str, run: fn(Arc<Backend>) -> RoleFuture| {
        roles.spawn(role(Arc::clone(&backend), name, run));
    };
    start("scan", |b| Box::pin(async move { scan::run(&b).await }));
    start("build", |b| Box::pin(async move { build::run(&b).await }));
    start(JOB_PROVE, |b| {
        Box::pin(async move { work::run(&b, JOB_PROVE, prove::prove).await })
    });
    start(JOB_DRY_RUN, |b| {
        Box::pin(async move { work::run(&b, JOB_DRY_RUN, prove::dry_run).await })
    });
    start(JOB_ASK, |b| {
        Box::pin(async move { work::run(&b, JOB_ASK, sign::ask).await })
    });
    start(JOB_ASK_TIMEOUT, |b| {
        Box::pin(async move { work::run(&b, JOB_ASK_TIMEOUT, sign::ask_timeout).await })
    });
    start("sign", |b| Box::pin(async move { sign::listen(&b).await }));
    start(JOB_PUBLISH, |b| {
        Box::pin(async move { work::run(&b, JOB_PUBLISH, publish::publish).await })
    });
    start("operators", |b| {
        let operators = Arc::clone(&b.operators);
        Box::pin(operators.run(Arc::clone(&b.broker)))
    });
    roles.spawn(async move {
        if let Err(error) = api::serve(backend, listener).await {
            tracing::error!(error = %format!("{error:#}"), "the API ended");
        }
    });
    // None ends by itself: whoever watches this process starts it anew.
    match roles.join_next().await {
        Some(Err(error)) => Err(error.into()),
        Some(Ok(())) | None => bail!("a role or the API ended"),
    }
}

type RoleFuture = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// Pauses between two runs of a failing role: growing, so that a dead node is not hammered.
const RESTART_SECONDS: [u64; 5] = [1, 1, 2, 5, 10];

async fn role(backend: Arc<Backend>, name: &'static str, run: fn(Arc<Backend>) -> RoleFuture) {
    let mut failures = 0_usize;
    loop {
        backend.health.running(name);
        let began = crate::clock::now();
        let ended = run(Arc::clone(&backend)).await;
        if crate::clock::now().saturating_sub(began) > 60 {
            failures = 0;
        }
        let pause = RESTART_SECONDS
            .get(failures)
            .or(RESTART_SECONDS.last())
            .copied()
            .unwrap_or(1);
        failures = failures.saturating_add(1);
        match ended {
            Ok(()) => tracing::warn!(role = name, pause, "role ended"),
            Err(error) => {
                tracing::error!(role = name, pause, error = %format!("{error:#}"), "role failed");
            }
        }
        backend.health.failed(name);
        tokio::time::sleep(std::time::Duration::from_secs(pause)).await;
    }
}
