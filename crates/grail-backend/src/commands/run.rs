//! `run`: all roles in one process.

use std::{
    net::SocketAddr,
    path::PathBuf,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use grail_broker::EmbeddedBroker;
use grail_program::notify::Notify;
use grail_prover::Prover;
use grail_store::{Claim, Conflict, Engine, JobKind, Store, StoreError};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    admin,
    api::{self, Starting},
    backend::{Backend, Config, Parts},
    commands::{deploy::load_wasm, exit::Fault},
    deployment::Deployment,
    node::{Node, NodeArgs},
    prover::ProverArgs,
    roles::{build, retain, rotation_feed, scan, sign},
    work,
};

/// Arguments of `run`.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// The deployment file.
    #[arg(long)]
    deployment: PathBuf,
    /// The database: `sqlite:PATH` or `postgres://USER@HOST/DATABASE`.
    #[arg(long)]
    database: String,
    /// Where admins are listened to: a Unix socket. Beside the database where that is a file,
    /// nowhere else.
    #[arg(long)]
    admin_socket: Option<PathBuf>,
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
    /// Where metrics are to be had: an address that the public does not reach.
    #[arg(long, default_value = "127.0.0.1:9464")]
    metrics: SocketAddr,
    /// A proxy in front of the API whose `X-Forwarded-For` counts: an address, or a network as
    /// 10.0.0.0/8. Limits go by the address of a caller; without this, by the proxy's.
    #[arg(long)]
    trusted_proxy: Vec<api::TrustedProxy>,
    /// Seconds that a ready request waits for company.
    #[arg(long, default_value_t = 30)]
    batch_seconds: u64,
    /// Seconds until operators that have not answered are asked again.
    #[arg(long, default_value_t = 10)]
    ask_seconds: u64,
    /// Seconds after which the work of a backend that is gone is taken over.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    lease_seconds: u64,
    /// How many proofs this process makes at a time; any number of processes may share a database.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=i64::from(PROVE_WORKERS_MAX)))]
    prove_workers: u16,
    #[command(flatten)]
    prover: ProverArgs,
    #[command(flatten)]
    web: api::WebArgs,
}

/// Runs `run`. Ends well when it is asked to end, also while it waits for its node. While it waits
/// its doors say so.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    // One for all of its life: what comes while nobody listens is lost.
    let mut end = pin!(asked_to_end());
    let notify = Notify::from_env();
    let files = read(&args).context(Fault::Configuration)?;
    let mut doors = doors(&args).await.context(Fault::Address)?;
    doors.page.clone_from(&files.page);
    let starting = Starting::default();
    let Started {
        backend,
        claim,
        broker,
    } = tokio::select! {
        started = start(&args, files, |what| {
            notify.status(&format!("waiting for {what}"));
            starting.waits_for(format!("waiting for {what}"));
        }) => started?,
        ended = api::serve_starting(starting.clone(), &doors.api, &doors.metrics, &doors.limits) => {
            return ended;
        }
        () = &mut end => return Ok(()),
    };
    let ready = serde_json::json!({
        "ready": true,
        "api": format!("http://{}", doors.api.local_addr()?),
        "metrics": format!("http://{}/metrics", doors.metrics.local_addr()?),
        "broker": broker.to_string(),
        "admin": doors.admin.as_ref().map(admin::Door::path),
    });
    println!("{ready}");
    notify.ready();
    let mut serving = pin!(serve(Arc::clone(&backend), doors));
    tokio::select! {
        ended = &mut serving => return ended,
        error = keep(claim) => {
            return Err(of_database(error));
        }
        () = &mut end => {}
    }
    notify.stopping();
    backend.stop();
    serving.await
}

/// Between two looks whether the database is still ours.
const CLAIM_SECONDS: u64 = 5;
/// Looks in a row that somebody else must have it: a server that lost us notices after half a
/// minute.
const CLAIM_LOOKS_MAX: u32 = 12;

/// Keeps the claim for as long as it is polled; ends with the error when another backend has it.
async fn keep(mut claim: Claim) -> StoreError {
    let mut taken = 0_u32;
    loop {
        tokio::time::sleep(Duration::from_secs(CLAIM_SECONDS)).await;
        match claim.hold().await {
            Ok(()) => taken = 0,
            Err(error @ StoreError::Conflict(Conflict::Claimed)) => {
                taken = taken.saturating_add(1);
                if taken >= CLAIM_LOOKS_MAX {
                    return error;
                }
                tracing::error!("the database is claimed by another backend");
            }
            Err(error) => tracing::warn!(%error, "the claim of the database is not certain"),
        }
    }
}

/// What runs.
struct Started {
    backend: Arc<Backend>,
    claim: Claim,
    /// Where the broker listens.
    broker: SocketAddr,
}

/// All parts, once the node is there; and where the broker listens. Says what it waits for.
async fn start(args: &RunArgs, files: Files, waits_for: impl Fn(&str)) -> anyhow::Result<Started> {
    let Files {
        deployment,
        prover,
        wasm,
        page: _,
    } = files;
    let network = deployment.protocol.bridge().network;
    waits_for("the database");
    let store = Store::open(&args.database).await.map_err(of_database)?;
    let claim = store.claim().await.map_err(of_database)?;
    let node = Node::wait(&args.node, network, |code| {
        waits_for(&format!("the node ({code})"));
    })
    .await
    .context(Fault::Configuration)?;
    let broker = EmbeddedBroker::listen(args.broker)
        .await
        .with_context(|| format!("cannot listen for operators on {}", args.broker))
        .context(Fault::Address)?;
    let broker_address = broker.address();
    let config = Config {
        batch_seconds: args.batch_seconds,
        ask_seconds: args.ask_seconds,
        lease_seconds: args.lease_seconds,
        prove_workers: args.prove_workers,
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
    waits_for("the rows");
    let backend = Backend::new(parts).await.map_err(|error| {
        // The rest is the database's fault: it is another bridge's, or damaged.
        match error.downcast::<StoreError>() {
            Ok(error) => of_database(error),
            Err(error) => error.context(Fault::Database),
        }
    })?;
    Ok(Started {
        backend,
        claim,
        broker: broker_address,
    })
}

struct Files {
    deployment: Deployment,
    prover: Arc<dyn Prover>,
    wasm: Vec<u8>,
    page: Option<Arc<api::Web>>,
}

/// What files say.
fn read(args: &RunArgs) -> anyhow::Result<Files> {
    // Never shows the URL, which may hold what nobody is to read.
    Engine::of(&args.database).context("--database")?;
    let deployment = Deployment::load(&args.deployment)?;
    let bridge = deployment.protocol.bridge();
    let prover = (args.prover).prover(bridge.network, deployment.protocol.params())?;
    let wasm = load_wasm(&args.wasm, &bridge.app)?;
    let page = api::Web::of(&args.web, bridge.network)?;
    Ok(Files {
        deployment,
        prover,
        wasm,
        page,
    })
}

/// One that is only busy is worth another start, and so is one that another backend has: a server
/// takes a while to notice that a machine is gone.
fn of_database(error: StoreError) -> anyhow::Error {
    let is_busy = matches!(
        error,
        StoreError::Transient(_) | StoreError::Conflict(Conflict::Claimed)
    );
    let error = anyhow::Error::new(error).context("cannot open the database");
    if is_busy {
        error
    } else {
        error.context(Fault::Database)
    }
}

async fn doors(args: &RunArgs) -> anyhow::Result<Doors> {
    let (api, metrics) = (args.api, args.metrics);
    Ok(Doors {
        admin: match (args.admin_socket.clone()).or_else(|| admin::socket_of(&args.database)) {
            Some(path) => Some(
                (admin::Door::open(&path).await)
                    .with_context(|| format!("cannot listen for admins on {}", path.display()))?,
            ),
            None => None,
        },
        api: TcpListener::bind(api)
            .await
            .with_context(|| format!("cannot listen for the API on {api}"))?,
        metrics: TcpListener::bind(metrics)
            .await
            .with_context(|| format!("cannot listen for metrics on {metrics}: --metrics ADDR"))?,
        page: None,
        limits: api::Limits {
            trusted_proxies: args.trusted_proxy.clone(),
            ..api::Limits::default()
        },
    })
}

async fn asked_to_end() {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated() => {}
    }
    tracing::info!("asked to end");
}

async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Roles of the workers that prove; as many as `prove_workers` says run.
const PROVE_ROLES: [&str; PROVE_WORKERS_MAX as usize] = [
    "prove", "prove-2", "prove-3", "prove-4", "prove-5", "prove-6", "prove-7", "prove-8",
    "prove-9", "prove-10", "prove-11", "prove-12", "prove-13", "prove-14", "prove-15", "prove-16",
];
/// Most proofs made at a time by one process; more take another process.
const PROVE_WORKERS_MAX: u16 = 16;
/// Longest wait for workers to give their jobs back when the backend stops; after it their leases
/// end by themselves.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Where the backend is called, and what callers may do.
#[derive(Debug)]
pub struct Doors {
    /// The public one.
    pub api: TcpListener,
    /// The one for whoever runs the backend.
    pub metrics: TcpListener,
    /// The socket for whoever runs the backend; none with a database that is no file.
    pub admin: Option<admin::Door>,
    /// Limits of the public one.
    pub limits: api::Limits,
    /// The page that the public one serves.
    pub page: Option<Arc<api::Web>>,
}

/// Runs every role in a task of its own, so that what one of them computes keeps no other waiting.
/// A role that fails is begun again after a pause: the rows say where it was. Ends well only when
/// the backend is told to stop from outside, once its workers have given back what they had begun.
pub async fn serve(backend: Arc<Backend>, doors: Doors) -> anyhow::Result<()> {
    // Dropped with this future: no role outlives it.
    let (mut roles, mut workers) = (JoinSet::new(), JoinSet::new());
    let start = |set: &mut JoinSet<()>, name: &'static str, run: RunRole| {
        set.spawn(role(Arc::clone(&backend), name, run));
    };
    start(&mut roles, "scan", |b| {
        Box::pin(async move { scan::run(&b).await })
    });
    start(&mut roles, "build", |b| {
        Box::pin(async move { build::run(&b).await })
    });
    start(&mut roles, "retain", |b| {
        Box::pin(async move { retain::run(&b).await })
    });
    start(&mut roles, "rotation-feed", |b| {
        Box::pin(async move { rotation_feed::run(&b).await })
    });
    for name in PROVE_ROLES
        .into_iter()
        .take(backend.config.prove_workers.into())
    {
        start(&mut workers, name, |b| {
            Box::pin(async move { work::run(&b, JobKind::Prove).await })
        });
    }
    start(&mut workers, JobKind::DryRun.name(), |b| {
        Box::pin(async move { work::run(&b, JobKind::DryRun).await })
    });
    start(&mut workers, JobKind::Ask.name(), |b| {
        Box::pin(async move { work::run(&b, JobKind::Ask).await })
    });
    start(&mut workers, JobKind::AskTimeout.name(), |b| {
        Box::pin(async move { work::run(&b, JobKind::AskTimeout).await })
    });
    start(&mut roles, "sign", |b| {
        Box::pin(async move { sign::listen(&b).await })
    });
    start(&mut workers, JobKind::Publish.name(), |b| {
        Box::pin(async move { work::run(&b, JobKind::Publish).await })
    });
    start(&mut roles, "operators", |b| {
        let operators = Arc::clone(&b.operators);
        Box::pin(operators.run(Arc::clone(&b.broker), Some(b.store.clone())))
    });
    let serving = Arc::clone(&backend);
    roles.spawn(async move {
        if let Err(error) = api::serve_with_page(serving, doors.api, doors.limits, doors.page).await
        {
            tracing::error!(error = %format!("{error:#}"), "the API ended");
        }
    });
    let serving = Arc::clone(&backend);
    roles.spawn(async move {
        if let Err(error) = api::serve_metrics(serving, doors.metrics).await {
            tracing::error!(error = %format!("{error:#}"), "metrics ended");
        }
    });
    if let Some(door) = doors.admin {
        roles.spawn(door.serve(Arc::clone(&backend)));
    }
    // None ends by itself: whoever watches this process starts it anew.
    let ended = tokio::select! {
        biased;
        () = backend.stopping() => {
            let all = async { while workers.join_next().await.is_some() {} };
            if tokio::time::timeout(STOP_PATIENCE, all).await.is_err() {
                tracing::warn!("stopped with work under way; it is taken over when its lease ends");
            }
            // A failure to whoever watches: that starts it again.
            ensure!(
                !backend.is_outdated(),
                "a rotation brought other parameters: a start takes them"
            );
            return Ok(());
        }
        ended = roles.join_next() => ended,
        ended = workers.join_next() => ended,
    };
    match ended {
        Some(Err(error)) => Err(error.into()),
        Some(Ok(())) | None => bail!("a role or the API ended"),
    }
}

type RunRole = fn(Arc<Backend>) -> RoleFuture;
type RoleFuture = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// Pauses between two runs of a failing role: growing, so that a dead node is not hammered.
const RESTART_SECONDS: [u64; 5] = [1, 1, 2, 5, 10];

async fn role(backend: Arc<Backend>, name: &'static str, run: RunRole) {
    let mut failures = 0_usize;
    loop {
        backend.health.running(name);
        let began = crate::clock::now();
        let ended = run(Arc::clone(&backend)).await;
        if backend.is_stopping() {
            return;
        }
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
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(pause)) => {}
            () = backend.stopping() => return,
        }
    }
}
