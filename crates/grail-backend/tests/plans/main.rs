//! That what the backend asks its database costs the same in old age: every statement of a life
//! (requests, deposits, settlements, reorgs, adoption, the API, retention) is collected, and the
//! database is asked how it would run it. A walk over a whole table that grows is a failure, and so
//! is a block whose statements grow with its inputs, or with those who wait.
#![allow(clippy::unwrap_used)]

#[path = "../support/bridge.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod bridge;
#[path = "../support/chain.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod chain;
mod collected;
#[path = "../support/database.rs"]
mod database;
#[path = "../support/operators.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod operators;
#[path = "../roles/signers.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod signers;
#[path = "../roles/users.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod users;
#[path = "../support/wait.rs"]
mod wait;
#[path = "../roles/world.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod world;

use std::{collections::BTreeSet, sync::Arc};

use axum::{Router, body::Body, http::Request};
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut, Txid, hashes::Hash};
use grail_backend::{
    api::{Limits, metrics_router, router},
    clock,
    roles::{retain::Retainer, scan::Scanner},
};
use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};
use tower::ServiceExt as _;

use collected::Collected;
use world::World;

/// Tables with a row for what has ever been. Others are as small as what waits, or have a row for a
/// state, a signer, a roster or a remembered block.
const GROWING: [&str; 11] = [
    "alarms",
    "answers",
    "deposits",
    "events",
    "jobs",
    "proofs",
    "requests",
    "settlement_items",
    "settlements",
    "transactions",
    "vault_outputs",
];

/// Indexes that hold but a few rows of such a table: what is open, unspent, or due to go.
const SMALL: [&str; 6] = [
    "alarms_acknowledged",
    "alarms_open",
    "jobs_ended",
    "requests_keyed",
    "requests_ready_since",
    "vault_outputs_unspent",
];

/// Everything that a backend does, once.
async fn live(collected: &Collected) -> World {
    let world = World::new().await;
    collected.clear();
    let requests = world.ready_peg_ins(3).await;
    let late = world.ask_peg_in().await;
    let ask = world.ask_operators().await;
    let (_, settlement) = world.sign_and_publish(&ask).await;
    world.chain.relay(world.deposit(&late, users::DEPOSIT_SAT));
    world.look().await;
    world.chain.clear_mempool();
    world.look().await;
    world.mine(vec![settlement.clone()]).await;
    world.mine_empty(3).await;
    let ready = world.ready_peg_ins(2).await;
    let calls = calls(&requests[0].0.id.to_string(), &settlement.compute_txid());
    let limits = Limits {
        streams_each_max: 100,
        ..Limits::default()
    };
    let (public, own) = (
        router(Arc::clone(&world.backend)),
        metrics_router(Arc::clone(&world.backend), limits),
    );
    for path in calls {
        get(if path == "/metrics" { &own } else { &public }, &path).await;
    }
    // A reorg undoes the settlement; another database reads it all.
    let height = world.tip_height().await;
    world.chain.fork_at(height - 1);
    world.mine_empty(3).await;
    world.rebuilt().await;
    let user = world.deposit(&ready[0].0, users::DEPOSIT_SAT);
    world.mine(vec![user]).await;
    assert_eq!(
        world.build().await,
        grail_backend::roles::build::Built::Draft
    );
    world.look().await;
    let mut retainer = Retainer::new(&world.backend);
    world.mine_empty(320).await;
    retainer.turn(clock::now()).await.unwrap();
    world
}

fn calls(request: &str, settlement: &Txid) -> Vec<String> {
    let mut calls: Vec<String> = [
        "/v1/status",
        "/v1/params",
        "/v1/roster",
        "/v1/rosters",
        "/v1/rosters/0",
        "/v1/reserves",
        "/v1/requests",
        "/v1/settlements",
        "/v1/proofs",
        "/v1/proofs?state=proven",
        "/healthz",
        "/readyz",
        "/metrics",
    ]
    .map(str::to_owned)
    .to_vec();
    calls.push(format!("/v1/peg-ins/{request}"));
    calls.push(format!("/v1/settlements/{settlement}"));
    calls.push("/v1/events".to_owned());
    calls.push(format!("/v1/events?request={request}"));
    calls
}

async fn get(router: &Router, path: &str) {
    let is_stream = path.starts_with("/v1/events");
    let call = Request::get(path).header("last-event-id", "0");
    let call = call.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(call).await.unwrap();
    assert!(!response.status().is_client_error(), "{path}: {response:?}");
    let mut body = response.into_body().into_data_stream();
    while let Some(part) = tokio_stream::StreamExt::next(&mut body).await {
        part.unwrap();
        if is_stream {
            break;
        }
    }
}

/// A statement and what its plan walks over, where that is a whole table that grows.
async fn walks(database: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    let plan = sqlx::query(AssertSqlSafe(explain))
        .fetch_all(database)
        .await;
    let plan = plan.unwrap_or_else(|error| panic!("{statement}: {error}"));
    // A new row of a table with triggers is looked for in tables that refer to it, in case that one
    // of their rows waits for it: none ever does, and then nothing is looked at.
    if statement.starts_with("INSERT") && !statement.contains("SELECT") {
        return Vec::new();
    }
    let steps = plan.iter().map(|step| step.get::<String, _>("detail"));
    let is_walk = |step: &String| {
        let Some(of) = step.strip_prefix("SCAN ") else {
            return false;
        };
        if SMALL
            .iter()
            .any(|index| of.ends_with(&format!(" INDEX {index}")))
        {
            return false;
        }
        let name = of.split(' ').next().unwrap_or_default();
        GROWING.iter().any(|table| is_named(statement, table, name))
    };
    steps.filter(is_walk).collect()
}

/// Whether a plan's name is a table's, or what a statement calls it.
fn is_named(statement: &str, table: &str, name: &str) -> bool {
    let words: Vec<&str> = statement.split([' ', '(', ')', ',', '\n']).collect();
    let called = |pair: &[&str]| pair[0] == table && pair[1] == name;
    table == name || words.windows(2).any(called)
}

#[tokio::test]
async fn no_statement_of_a_life_walks_over_a_table_that_grows() {
    let collected = Collected::start();
    let world = live(&collected).await;
    let statements = collected.statements();
    for part in [
        "FROM requests",
        "FROM events",
        "INSERT INTO settlement_bodies",
        "DELETE FROM",
    ] {
        let holds = statements.iter().any(|statement| statement.contains(part));
        assert!(holds, "nothing of {part:?} was collected");
    }
    let mut database = SqliteConnection::connect(world.url()).await.unwrap();
    let mut found = BTreeSet::new();
    for statement in &statements {
        let is_plain = ["SELECT", "INSERT", "UPDATE", "DELETE"];
        if is_plain.iter().any(|begin| statement.starts_with(begin)) {
            for step in walks(&mut database, statement).await {
                found.insert(format!("{step}: {statement}"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    // The test itself: a walk is seen, by either name.
    for walk in [
        "SELECT id FROM requests WHERE created_at = 1",
        "SELECT r.id FROM requests r WHERE r.created_at = 1",
    ] {
        assert_eq!(walks(&mut database, walk).await.len(), 1, "{walk}");
    }

    // A block of many inputs asks no more often than one of few.
    let mut counts = Vec::new();
    for inputs in [10, 2_000] {
        let block = async || {
            world.chain.mine(foreign(inputs));
            world.scan().await;
        };
        counts.push(asked_for(&collected, block).await);
    }
    assert!(counts[0] > 0 && counts[0] == counts[1], "{counts:?}");

    // Nor does a block, or a look at a mempool that stands still, for the number of those who wait.
    let few = asked_for_who_waits(&collected, 2).await;
    assert!(few.0 > 0 && few.1 > 0, "{few:?}");
    assert_eq!(asked_for_who_waits(&collected, 30).await, few);
}

/// Statements of an idle look at the mempool, and of an empty block, while so many requests are
/// ready and as many have their deposit in the mempool.
async fn asked_for_who_waits(collected: &Collected, count: usize) -> (usize, usize) {
    let world = World::new().await;
    world.ready_peg_ins(count).await;
    for _ in 0..count {
        let asked = world.ask_peg_in().await;
        world.chain.relay(world.deposit(&asked, users::DEPOSIT_SAT));
    }
    let mut scanner = Scanner::new(&world.backend);
    scanner.look_at_mempool().await.unwrap();
    let idle = async || scanner.look_at_mempool().await.unwrap();
    let idle = asked_for(collected, idle).await;
    let block = async || world.mine_empty(1).await;
    (idle, asked_for(collected, block).await)
}

/// Statements of something that is done: of three times the fewest, since other roles of the
/// process ask now and then.
async fn asked_for(collected: &Collected, mut done: impl AsyncFnMut()) -> usize {
    let mut fewest = usize::MAX;
    for _ in 0..3 {
        collected.clear();
        done().await;
        fewest = fewest.min(collected.count());
    }
    fewest
}

/// Transactions that are nobody's, with so many inputs.
fn foreign(inputs: u32) -> Vec<Transaction> {
    let output = |seed: u32| {
        let mut key = [2; 34];
        key[..2].copy_from_slice(&[0x51, 0x20]);
        key[2..6].copy_from_slice(&seed.to_le_bytes());
        TxOut {
            value: Amount::from_sat(1_000),
            script_pubkey: ScriptBuf::from_bytes(key.to_vec()),
        }
    };
    let source = |seed: u32| {
        let mut bytes = [3; 32];
        bytes[..4].copy_from_slice(&seed.to_le_bytes());
        OutPoint::new(Txid::from_byte_array(bytes), inputs)
    };
    (0..inputs)
        .map(|seed| bridge::transaction(&[source(seed)], vec![output(seed)]))
        .collect()
}
