//! The schema's history: one folder, `migrations/sqlite`, of which PostgreSQL's is derived (ADR
//! 41).
//!
//! A file never changes once it is released: databases remember what they were made by.

use std::borrow::Cow;

use sqlx::{
    Pool, SqlSafeStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::{Db, Engine, sql};
use crate::StoreError;

/// A step of the schema.
struct Schema {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    /// What it is on PostgreSQL, where it speaks SQLite: it has functions or triggers. Such a
    /// database is never older than this version, so there are no rows of before to move.
    postgres: Option<&'static str>,
}

/// A step in words that both understand but for the names of types.
macro_rules! same {
    ($version:literal, $name:literal, $file:literal) => {
        Schema {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $file, ".sql")),
            postgres: None,
        }
    };
}

/// A step that each has words of its own for.
macro_rules! differs {
    ($version:literal, $name:literal, $file:literal) => {
        Schema {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $file, ".sql")),
            postgres: Some(include_str!(concat!(
                "../../migrations/postgres/",
                $file,
                ".sql"
            ))),
        }
    };
}

const MIGRATIONS: [Schema; 18] = [
    same!(1, "start", "0001_start"),
    same!(2, "vault_outputs", "0002_vault_outputs"),
    same!(3, "proofs", "0003_proofs"),
    same!(4, "fee_waits", "0004_fee_waits"),
    same!(5, "alarms", "0005_alarms"),
    same!(6, "drafts", "0006_drafts"),
    differs!(7, "coinbase_deposits", "0007_coinbase_deposits"),
    same!(8, "attempts", "0008_attempts"),
    same!(9, "epochs", "0009_epochs"),
    same!(10, "queue", "0010_queue"),
    same!(11, "stages", "0011_stages"),
    same!(12, "adoption", "0012_adoption"),
    same!(13, "replacements", "0013_replacements"),
    same!(14, "admin", "0014_admin"),
    differs!(15, "retention", "0015_retention"),
    same!(16, "rotations", "0016_rotations"),
    same!(17, "former", "0017_former"),
    same!(18, "sponsors", "0018_sponsors"),
];

impl Schema {
    fn on(&self, engine: Engine) -> Cow<'static, str> {
        match (engine, self.postgres) {
            (Engine::Sqlite, _) => self.sqlite.into(),
            (Engine::Postgres, Some(own)) => in_postgres(own).into(),
            (Engine::Postgres, None) => in_postgres(self.sqlite).into(),
        }
    }
}

/// PostgreSQL's words for types. Text is ordered by its bytes whatever the database's locale:
/// outpoints and hashes are compared and paged by.
fn in_postgres(sqlite: &str) -> String {
    sqlite
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .map(|line| {
            line.replace(" BLOB", " BYTEA")
                .replace(" TEXT", " TEXT COLLATE \"C\"")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// Brings the schema up to date.
pub(super) async fn migrate(engine: Engine, pool: &Pool<Db>) -> Result<(), StoreError> {
    let migrations = MIGRATIONS
        .iter()
        .map(|schema| {
            Migration::new(
                schema.version,
                schema.name.into(),
                MigrationType::Simple,
                sql(schema.on(engine).into_owned()).into_sql_str(),
                false,
            )
        })
        .collect();
    let migrator = Migrator::with_migrations(migrations);
    migrator.run(pool).await.map_err(|error| match error {
        // Rows of a schema that this program has never seen are not its to read, still less to
        // write.
        MigrateError::VersionMissing(version) => StoreError::Newer {
            what: "the database's schema",
            version: u8::try_from(version).unwrap_or(u8::MAX),
        },
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        error => StoreError::Database(error.into()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn files(folder: &str) -> Vec<String> {
        let folder = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    }

    #[test]
    fn every_migration_of_the_folders_is_applied_in_order() {
        let name = |schema: &Schema| format!("{:04}_{}.sql", schema.version, schema.name);
        let all: Vec<_> = MIGRATIONS.iter().map(name).collect();
        assert_eq!(files("sqlite"), all);
        let own = MIGRATIONS.iter().filter(|schema| schema.postgres.is_some());
        assert_eq!(files("postgres"), own.map(name).collect::<Vec<_>>());
    }

    /// Databases remember the very words that made them, and are not opened with others.
    #[test]
    fn what_a_migration_is_on_postgresql_never_changes() {
        use bitcoin::hashes::{Hash as _, sha256};
        let digest = |schema: &Schema| {
            let words = schema.on(Engine::Postgres);
            sha256::Hash::hash(words.as_bytes()).to_string()[..8].to_owned()
        };
        let digests: Vec<_> = MIGRATIONS.iter().map(digest).collect();
        assert_eq!(digests, RELEASED);
    }

    const RELEASED: [&str; 18] = [
        "43456351", "284506ec", "b9808bb4", "381d1f4c", "10f23813", "97d6bfb4", "b2683b1e",
        "761bd625", "a62269dd", "56a84195", "b3aa46e5", "cb61c7f9", "4b459d5b", "a2491f54",
        "c101a0d9", "ce333617", "cfcaef0f", "f2785fe4",
    ];
}
