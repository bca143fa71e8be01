//! PostgreSQL, 15 or later.

use sqlx::Row as _;

use super::{Connection, DbRow, Failure};
use crate::StoreError;

/// What every connection is set to: how long a statement waits for a lock, as SQLite's busy wait,
/// and after how long the server gives up a client that it cannot reach (milliseconds).
macro_rules! settings {
    () => {
        "SET lock_timeout = '10s'; SET tcp_user_timeout = 10000; SET tcp_keepalives_idle = 10; \
         SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; \
         SET idle_in_transaction_session_timeout = "
    };
}

/// Of connections that read. One that stands still for a minute in the middle keeps rows from being
/// cleared away.
pub(super) const READER: &str = concat!(settings!(), "'60s'");
/// Of the one that writes. A process that stands still in a step would stop every other.
pub(super) const WRITER: &str = concat!(settings!(), "'2s'");

/// The lock that every step holds. Such locks belong to one database. The number is "grail" and a
/// one for steps.
const STEP_LOCK: i64 = 0x6772_6169_6c01;
/// The lock of the one backend whose hub operators are on.
const HUB_LOCK: i64 = 0x6772_6169_6c02;
/// Oldest server that tests run on.
const VERSION_MIN: i64 = 150_000;

/// Waits for the lock of steps, then asks for the time. In one statement: what a
/// materialised part yields is there before what is made of it.
pub(super) async fn take_turn(connection: &mut Connection) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock($1) AS held) \
         SELECT CAST(floor(extract(epoch FROM clock_timestamp())) AS BIGINT) AS now, held FROM turn",
    )
    .bind(STEP_LOCK)
    .fetch_one(connection)
    .await?;
    Ok(row.try_get("now")?)
}

/// Claims the database for one hub, for as long as the connection lives; whether nobody else has.
pub(crate) async fn claim_hub(connection: &mut Connection) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT pg_try_advisory_lock($1) AS ours")
        .bind(HUB_LOCK)
        .fetch_one(connection)
        .await?;
    Ok(row.try_get("ours")?)
}

/// A server that would lose what it said it keeps, or that cannot hold our text, is refused.
pub(super) async fn check(connection: &mut Connection) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT current_setting('server_version_num') AS version, \
         current_setting('server_encoding') AS encoding, \
         current_setting('synchronous_commit') AS synchronous, \
         current_setting('transaction_read_only') AS read_only",
    )
    .fetch_one(connection)
    .await?;
    let setting = |name: &'static str| row_text(&row, name);
    let version: i64 = setting("version")?.parse().unwrap_or(0);
    let refusal = if version < VERSION_MIN {
        "is older than version 15"
    } else if setting("encoding")? != "UTF8" {
        "does not have the encoding UTF8"
    } else if setting("synchronous")? == "off" {
        "has synchronous_commit off: it forgets steps that it said were kept"
    } else if setting("read_only")? == "on" {
        // A standby that is to be promoted is worth another try.
        return Err(StoreError::Transient("the database is read only".into()));
    } else {
        return Ok(());
    };
    Err(StoreError::Database(
        format!("the database {refusal}").into(),
    ))
}

fn row_text(row: &DbRow, name: &'static str) -> Result<String, StoreError> {
    Ok(row.try_get(name)?)
}

/// Sorts SQLSTATEs (<https://www.postgresql.org/docs/15/errcodes-appendix.html>) by class.
pub(super) fn classify(code: &str) -> Failure {
    match code {
        // Ended while it stood still; read-only for now, as a standby is; a plan of before a
        // migration, which the next connection does not have.
        "25P03" | "25006" | "0A000" => return Failure::Transient,
        _ => {}
    }
    match code.get(..2) {
        // Connection; rolled back; resources; object in use (locks); intervention of a person.
        Some("08" | "40" | "53" | "55" | "57") => Failure::Transient,
        Some("23") => Failure::Constraint,
        // Internal: index or page corrupted.
        Some("XX") => Failure::Corrupt,
        _ => Failure::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_sqlstate_says_who_must_act() {
        for (codes, expected) in [
            (
                &[
                    "08006", "40001", "40P01", "53300", "55P03", "57P01", "57P03", "57014",
                    "25P03", "25006", "0A000",
                ][..],
                Failure::Transient,
            ),
            (&["23505", "23514", "23503"], Failure::Constraint),
            (&["XX000", "XX001", "XX002"], Failure::Corrupt),
            (
                &[
                    "22021", "25P02", "28P01", "3D000", "42P01", "42501", "", "é",
                ],
                Failure::Other,
            ),
        ] {
            for code in codes {
                assert_eq!(classify(code), expected, "{code}");
            }
        }
    }
}
