//! Measures a backend on a database that is full.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use bitcoin::ScriptBuf;
use grail_backend::{
    api::{Limits, metrics_router, router_with},
    backend::Backend,
    clock,
    roles::{
        build::{Built, build_once},
        retain::{Gone, Retainer},
        scan::Scanner,
    },
};
use serde_json::json;
use sqlx::{Connection as _, Row as _, SqliteConnection};
use tokio_stream::StreamExt as _;
use tower::ServiceExt as _;

use super::{
    backend,
    chain::PaperChain,
    operators,
    operators::heard_of,
    paper_chain,
    past::{DEPOSIT_SAT, number, payment, taproot},
    url,
};

/// Calls of each route.
const CALLS: usize = 200;
/// Of those that write, as many as one caller may make.
const WRITES: usize = 100;
/// A block's transactions, and their inputs.
const BLOCK_TRANSACTIONS: u64 = 2_333;
const INPUTS_EACH: u64 = 3;

/// Prints the table.
pub async fn measure(file: &Path) -> Result<()> {
    ensure!(file.exists(), "{} is not there", file.display());
    let chain = paper_chain();
    let samples = samples(file).await?;
    println!("| What | Measured |\n|---|---|");
    let bytes = std::fs::metadata(file)?.len();
    println!("| file | {} MB |", bytes / 1_000_000);

    let began = Instant::now();
    let backend = backend(file, &chain).await;
    line("start: database open, backend ready", began.elapsed());
    let mut scanner = Scanner::new(&backend);
    ensure!(!scanner.take_block().await?, "the chain is another one");
    scanner.look_at_mempool().await?;
    line("start: until the chain was looked at", began.elapsed());
    println!("| memory after the start | {} MB |", memory("VmRSS")?);
    heard_of(&backend, 1..=operators::SIGNER_COUNT).await;

    routes(&backend, &samples).await?;
    blocks(&mut scanner, &chain, &samples).await?;

    let began = Instant::now();
    let built = build_once(&backend).await?;
    line(
        "a look of the builder that drafts a full batch",
        began.elapsed(),
    );
    ensure!(built == Built::Draft, "expected a draft, got {built:?}");
    let began = Instant::now();
    scanner.reconcile().await?;
    line("healing", began.elapsed());
    retention(&backend).await?;
    println!("| memory at the end | {} MB |", memory("VmRSS")?);
    println!("| memory at most | {} MB |", memory("VmHWM")?);
    Ok(())
}

/// Lets go of all that years have left behind, as the role does, but without its pauses.
async fn retention(backend: &Backend) -> Result<()> {
    let mut retainer = Retainer::new(backend);
    let (began, mut turns, mut longest) = (Instant::now(), 0_u32, Duration::ZERO);
    let mut is_more = true;
    while is_more {
        let turn = Instant::now();
        is_more = retainer.turn(clock::now()).await?;
        longest = longest.max(turn.elapsed());
        turns += 1;
    }
    line("retention: all turns", began.elapsed());
    line("retention: the longest turn", longest);
    println!("| retention: turns | {turns} |");
    for gone in Gone::ALL {
        println!("| retention: {gone} | {} |", backend.removed.count(*gone));
    }
    let began = Instant::now();
    retainer.turn(clock::now()).await?;
    line("retention: a turn with nothing to do", began.elapsed());
    Ok(())
}

fn line(what: &str, took: Duration) {
    println!("| {what} | {:.1} ms |", took.as_secs_f64() * 1e3);
}

/// Of this process, MB.
fn memory(what: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|line| line.strip_prefix(what));
    let text = found
        .context("no such line")?
        .trim_matches([':', '\t', ' ']);
    let kilobytes: u64 = text
        .split_whitespace()
        .next()
        .context("no number")?
        .parse()?;
    Ok(kilobytes / 1_000)
}

/// Names that are in the database.
struct Samples {
    paid: Vec<String>,
    paid_kinds: Vec<String>,
    ready: Vec<String>,
    expired_scripts: Vec<ScriptBuf>,
    awaiting_scripts: Vec<ScriptBuf>,
    settlements: Vec<String>,
    middle_request: u64,
    middle_settlement: u64,
    newest_event: u64,
}

async fn samples(file: &Path) -> Result<Samples> {
    let mut from = SqliteConnection::connect(&url(file)).await?;
    let row = sqlx::query(
        "SELECT (SELECT MAX(number) FROM requests) AS requests, (SELECT MAX(id) FROM settlements) \
         AS settlements, (SELECT MAX(id) FROM events) AS events",
    )
    .fetch_one(&mut from)
    .await?;
    let newest = |name: &str| row.get::<i64, _>(name);
    let mut samples = Samples {
        paid: Vec::new(),
        paid_kinds: Vec::new(),
        ready: Vec::new(),
        expired_scripts: Vec::new(),
        awaiting_scripts: Vec::new(),
        settlements: Vec::new(),
        middle_request: u64::try_from(newest("requests") / 2)?,
        middle_settlement: u64::try_from(newest("settlements") / 2)?,
        newest_event: u64::try_from(newest("events"))?,
    };
    let groups = newest("requests") / 100;
    for call in 0..CALLS {
        let drawn = number("sample", call as u64);
        let drawn = i64::from(u32::from_le_bytes(drawn[..4].try_into()?));
        let group = drawn % groups * 100;
        for (offset, into) in [(11 + drawn % 30, 0), (51, 1), (61 + drawn % 30, 2), (56, 3)] {
            let row = sqlx::query("SELECT id, kind, deposit_script FROM requests WHERE number = ?")
                .bind(group + offset)
                .fetch_one(&mut from)
                .await?;
            let script = || ScriptBuf::from_hex(row.get("deposit_script"));
            match into {
                0 => {
                    samples.paid.push(row.get("id"));
                    samples.paid_kinds.push(row.get("kind"));
                }
                1 => samples.ready.push(row.get("id")),
                2 => samples.expired_scripts.push(script()?),
                _ => samples.awaiting_scripts.push(script()?),
            }
        }
        let row = sqlx::query("SELECT txid FROM settlements WHERE id = ?")
            .bind(drawn % newest("settlements") + 1)
            .fetch_one(&mut from)
            .await?;
        samples.settlements.push(row.get("txid"));
    }
    samples.expired_scripts.sort_unstable();
    samples.expired_scripts.dedup();
    samples.awaiting_scripts.sort_unstable();
    samples.awaiting_scripts.dedup();
    from.close().await?;
    Ok(samples)
}

/// Nothing is answered from memory: each call does what the first of its kind does.
fn at_once() -> Limits {
    Limits {
        fresh: Duration::ZERO,
        sums_fresh: Duration::ZERO,
        ..Limits::default()
    }
}

async fn routes(backend: &Arc<Backend>, samples: &Samples) -> Result<()> {
    let router = router_with(Arc::clone(backend), at_once());
    let (number, id) = (samples.middle_request, samples.middle_settlement);
    let fixed = |path: String| vec![path];
    let ready = samples.ready.iter().map(|id| format!("/v1/peg-ins/{id}"));
    let paid = samples.paid.iter().zip(&samples.paid_kinds);
    let paid = paid.map(|(id, kind)| format!("/v1/{kind}s/{id}"));
    let settlements = samples.settlements.iter();
    let settlements = settlements.map(|txid| format!("/v1/settlements/{txid}"));
    for (what, paths) in [
        ("/v1/status", fixed("/v1/status".into())),
        ("/v1/params", fixed("/v1/params".into())),
        ("/v1/roster", fixed("/v1/roster".into())),
        ("/v1/rosters", fixed("/v1/rosters".into())),
        ("/v1/reserves", fixed("/v1/reserves".into())),
        ("/v1/peg-ins/ID, ready", ready.collect()),
        ("/v1/peg-ins/ID, peg-outs/ID, paid", paid.collect()),
        ("/v1/requests", fixed("/v1/requests".into())),
        (
            "/v1/requests, 200 from the middle",
            fixed(format!("/v1/requests?limit=200&after={number}")),
        ),
        ("/v1/settlements", fixed("/v1/settlements".into())),
        (
            "/v1/settlements, 200 from the middle",
            fixed(format!("/v1/settlements?limit=200&after={id}")),
        ),
        ("/v1/settlements/TXID", settlements.collect()),
        ("/v1/proofs", fixed("/v1/proofs".into())),
        (
            "/v1/proofs, 200 from the middle",
            fixed(format!("/v1/proofs?limit=200&after={id}")),
        ),
        ("/healthz", fixed("/healthz".into())),
        ("/readyz", fixed("/readyz".into())),
    ] {
        let mut times = Vec::new();
        for call in 0..CALLS {
            let path = &paths[call % paths.len()];
            let began = Instant::now();
            let status = get(&router, path).await?;
            times.push(began.elapsed());
            // Nobody's roles run, which is what health is about.
            let is_answer = status == StatusCode::OK || path == "/healthz";
            ensure!(is_answer, "{path}: {status}");
        }
        percentiles(what, times);
    }
    creations(&router).await?;
    streams(&router, samples).await?;
    let router = metrics_router(Arc::clone(backend), at_once());
    let mut times = Vec::new();
    for _ in 0..CALLS / 10 {
        let began = Instant::now();
        get(&router, "/metrics").await?;
        times.push(began.elapsed());
    }
    percentiles("/metrics (own listener)", times);
    Ok(())
}

async fn get(router: &Router, path: &str) -> Result<StatusCode> {
    let response = router
        .clone()
        .oneshot(Request::get(path).body(Body::empty())?)
        .await?;
    let status = response.status();
    axum::body::to_bytes(response.into_body(), 64 << 20).await?;
    Ok(status)
}

async fn creations(router: &Router) -> Result<()> {
    let body = json!({
        "recipient_address": bitcoin::Address::p2tr(
            &bitcoin::secp256k1::Secp256k1::new(),
            operators::key(50),
            None,
            bitcoin::Network::Regtest,
        )
        .to_string(),
        "reclaim_public_key": operators::key(60).to_string(),
        "fee_cap_sat": 10_000,
    });
    let mut times = Vec::new();
    for call in 0..WRITES {
        let request = Request::post("/v1/peg-ins")
            .header("content-type", "application/json")
            .header("idempotency-key", format!("growth-{call}"))
            .body(Body::from(body.to_string()))?;
        let began = Instant::now();
        let response = router.clone().oneshot(request).await?;
        times.push(began.elapsed());
        ensure!(response.status() == StatusCode::CREATED, "{response:?}");
    }
    percentiles("POST /v1/peg-ins", times);
    Ok(())
}

/// Streams, until their first event.
async fn streams(router: &Router, samples: &Samples) -> Result<()> {
    let (newest, one) = (samples.newest_event, &samples.paid);
    for what in [
        "/v1/events, 900 missed",
        "/v1/events, all missed",
        "/v1/events?request=ID from the start",
    ] {
        let mut times = Vec::new();
        for id in one.iter().take(CALLS / 10) {
            let (path, last) = match what {
                "/v1/events, 900 missed" => ("/v1/events".to_owned(), newest - 900),
                "/v1/events, all missed" => ("/v1/events".to_owned(), 1),
                _ => (format!("/v1/events?request={id}"), 0),
            };
            let request = Request::get(path)
                .header("last-event-id", last.to_string())
                .body(Body::empty())?;
            let began = Instant::now();
            let response = router.clone().oneshot(request).await?;
            ensure!(response.status() == StatusCode::OK, "{response:?}");
            let mut data = response.into_body().into_data_stream();
            let first = tokio::time::timeout(Duration::from_secs(30), data.next()).await?;
            first.context("no event")??;
            times.push(began.elapsed());
        }
        percentiles(what, times);
    }
    Ok(())
}

fn percentiles(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len() - 1);
        times[index].as_secs_f64() * 1e3
    };
    println!("| {what} | {:.1} / {:.1} ms |", at(50), at(99));
}

async fn blocks(scanner: &mut Scanner<'_>, chain: &PaperChain, samples: &Samples) -> Result<()> {
    chain.mine(Vec::new());
    take(scanner, "an empty block").await?;
    let mut others = 0;
    let mut block = |own: &[ScriptBuf]| {
        let mut transactions: Vec<_> = (0..BLOCK_TRANSACTIONS)
            .map(|_| {
                others += 1;
                let scripts: Vec<_> = (0..INPUTS_EACH)
                    .map(|vout| taproot(number("other", others * INPUTS_EACH + vout)))
                    .collect();
                payment((1 << 40) | others, INPUTS_EACH, &scripts, DEPOSIT_SAT)
            })
            .collect();
        transactions.extend(own.iter().map(|script| {
            others += 1;
            payment(
                (1 << 40) | others,
                1,
                std::slice::from_ref(script),
                DEPOSIT_SAT,
            )
        }));
        chain.mine(transactions);
    };
    block(&[]);
    take(scanner, "a block of 7,000 inputs, none of them ours").await?;
    block(&samples.awaiting_scripts);
    let deposits = samples.awaiting_scripts.len();
    take(scanner, &format!("the same with {deposits} deposits")).await?;
    block(&samples.expired_scripts);
    let late = samples.expired_scripts.len();
    take(scanner, &format!("the same with {late} late deposits")).await
}

async fn take(scanner: &mut Scanner<'_>, what: &str) -> Result<()> {
    let began = Instant::now();
    ensure!(scanner.take_block().await?, "no block");
    line(what, began.elapsed());
    Ok(())
}
