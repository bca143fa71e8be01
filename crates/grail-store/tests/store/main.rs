//! The store against real databases: every method, every rule that a write must not break. Here on
//! SQLite; `tests/postgres` runs the same modules on PostgreSQL.

#![allow(clippy::unwrap_used)]

/// Which database these tests run on.
const ENGINE: grail_store::Engine = grail_store::Engine::Sqlite;

/// Tests of what there never was on PostgreSQL: rows of versions before it, and files.
macro_rules! sqlite_alone {
    ($($item:item)*) => { $($item)* };
}

mod admin;
mod adopted;
mod alarms;
mod answers;
mod blocks;
mod deposits;
mod evidence;
mod feed;
mod former;
mod handovers;
mod history;
mod jobs;
mod probe;
mod proofs;
mod replacing;
mod requests;
mod retention;
mod rotations;
mod schema;
mod settlements;
mod steps;
mod support;
mod vault;
