//! The tests of `tests/store` on PostgreSQL, and those of what only a server does.

#![allow(clippy::unwrap_used)]

/// Which database these tests run on.
const ENGINE: grail_store::Engine = grail_store::Engine::Postgres;

/// Tests of what there never was here: rows of versions before it, and files.
macro_rules! sqlite_alone {
    ($($item:item)*) => {};
}

#[path = "../store/admin.rs"]
mod admin;
#[path = "../store/adopted.rs"]
mod adopted;
#[path = "../store/alarms.rs"]
mod alarms;
#[path = "../store/answers.rs"]
mod answers;
#[path = "../store/blocks.rs"]
mod blocks;
#[path = "../store/deposits.rs"]
mod deposits;
#[path = "../store/evidence.rs"]
mod evidence;
#[path = "../store/feed.rs"]
mod feed;
#[path = "../store/former.rs"]
mod former;
#[path = "../store/handovers.rs"]
mod handovers;
#[path = "../store/history.rs"]
mod history;
#[path = "../store/jobs.rs"]
mod jobs;
mod moving;
#[path = "../store/probe.rs"]
mod probe;
#[path = "../store/proofs.rs"]
mod proofs;
mod proxy;
#[path = "../store/replacing.rs"]
mod replacing;
#[path = "../store/requests.rs"]
mod requests;
#[path = "../store/retention.rs"]
mod retention;
#[path = "../store/rotations.rs"]
mod rotations;
#[path = "../store/schema.rs"]
mod schema;
mod schemas;
mod server;
#[path = "../store/settlements.rs"]
mod settlements;
#[path = "../store/steps.rs"]
mod steps;
#[path = "../store/support.rs"]
mod support;
#[path = "../store/vault.rs"]
mod vault;

#[test]
fn every_module_of_the_store_s_tests_runs_here_too() {
    let modules = |main: &str| -> Vec<String> {
        main.lines()
            .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
            .filter(|name| !["moving", "proxy", "schemas", "server"].contains(name))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(
        modules(include_str!("main.rs")),
        modules(include_str!("../store/main.rs"))
    );
}
