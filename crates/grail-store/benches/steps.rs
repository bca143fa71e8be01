//! Steps per second on both databases: one that puts a job in, and one that leases it and one that
//! ends it. `cargo bench -p grail-store --bench steps`. Prints medians of several runs; asserts
//! nothing about time.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Instant;

use grail_flow::SettlementId;
use grail_postgres_dev::{Durability, Server};
use grail_store::{JobKind, NewJob, Store, Work};

/// Steps of one run, over all tasks.
const STEPS: u64 = 400;
/// Runs of which the median is told.
const RUNS: usize = 5;
const NOW: u64 = 1_800_000_000;

fn main() {
    // `cargo test` runs benches too, without this argument: nothing here is a test.
    if std::env::args().any(|argument| argument == "--bench") {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(all());
    }
}

async fn all() {
    println!("| Steps per second | 1 task | 8 tasks | 4 stores x 4 tasks |\n|---|---|---|---|");
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Durability::Kept).unwrap();
    for engine in ["SQLite", "PostgreSQL"] {
        let (mut put, mut done) = (Vec::new(), Vec::new());
        for (stores, tasks) in [(1, 1), (1, 8), (4, 4)] {
            let (mut puts, mut dones) = (Vec::new(), Vec::new());
            for run in 0..RUNS {
                let name = format!("run_{stores}_{tasks}_{run}");
                let url = if engine == "SQLite" {
                    format!("sqlite:{}", folder.path().join(&name).display())
                } else {
                    server.create(&name).unwrap();
                    server.url(&name)
                };
                let (put, done) = measure(&url, stores, tasks).await;
                puts.push(put);
                dones.push(done);
            }
            put.push(median(puts));
            done.push(median(dones));
        }
        for (what, rates) in [("enqueue", put), ("lease + complete", done)] {
            let rates: Vec<_> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
            println!("| {engine}: {what} | {} |", rates.join(" | "));
        }
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

async fn measure(url: &str, stores: u64, tasks: u64) -> (f64, f64) {
    let mut opened = Vec::new();
    for _ in 0..stores {
        opened.push(Store::open(url).await.unwrap());
    }
    let each = STEPS / (stores * tasks);
    let mut rates = Vec::new();
    for is_put in [true, false] {
        let began = Instant::now();
        let mut working = Vec::new();
        for (store, number) in opened.iter().zip(0..) {
            for task in 0..tasks {
                let first = (number * tasks + task) * each;
                let store = store.clone();
                working.push(tokio::spawn(async move {
                    for step in first..first + each {
                        if is_put {
                            put(&store, step).await;
                        } else {
                            lease_and_complete(&store).await;
                        }
                    }
                }));
            }
        }
        for work in working {
            work.await.unwrap();
        }
        let steps = u32::try_from(each * stores * tasks).unwrap();
        rates.push(f64::from(steps) / began.elapsed().as_secs_f64());
    }
    for store in opened {
        store.close().await;
    }
    (rates[0], rates[1])
}

async fn put(store: &Store, step: u64) {
    let mut tx = store.begin().await.unwrap();
    let job = NewJob {
        work: Work::Publish {
            settlement: SettlementId(1),
            turn: step,
        },
        run_after: NOW,
        now: NOW,
    };
    let _job = tx.enqueue(&job).await.unwrap();
    tx.commit().await.unwrap();
}

async fn lease_and_complete(store: &Store) {
    let lease = store
        .lease_job(JobKind::Publish, NOW, 60)
        .await
        .unwrap()
        .unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.complete_job(lease.job.id, lease.token, NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}
