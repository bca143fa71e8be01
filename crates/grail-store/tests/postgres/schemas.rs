//! That both databases have the same schema, whatever their migrations say.

use std::collections::{BTreeMap, BTreeSet};

use grail_postgres_dev::Database;
use grail_store::Store;
use sqlx::{AnyConnection, Connection as _, Row as _};

/// Names and words about a table.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    /// Name, type, whether it may be null, default.
    columns: BTreeSet<String>,
    /// Columns, uniqueness, condition; the name where a migration gives one.
    indexes: BTreeSet<String>,
    checks: Vec<String>,
    /// Column and the table that it points to.
    references: BTreeSet<String>,
    triggers: BTreeSet<String>,
}

type Schema = BTreeMap<String, Table>;

/// Words without what one of the two writes differently.
fn normal(words: &str) -> String {
    let words = words.to_lowercase();
    let words = ["::text", "::bigint", "collate \"c\"", "array"]
        .iter()
        .fold(words, |words, gone| words.replace(gone, ""));
    let words = words.replace("= any", " in ");
    let words: String = words
        .chars()
        .map(|char| {
            if "()[],'\"\n".contains(char) {
                ' '
            } else {
                char
            }
        })
        .collect();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn texts(connection: &mut AnyConnection, sql: &str) -> Vec<Vec<String>> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()))
        .fetch_all(connection)
        .await
        .unwrap();
    let text = |row: &sqlx::any::AnyRow, column| {
        row.try_get::<Option<String>, _>(column)
            .unwrap()
            .unwrap_or_default()
    };
    rows.iter()
        .map(|row| (0..row.len()).map(|column| text(row, column)).collect())
        .collect()
}

/// Text of each parenthesis behind a word.
fn behind(word: &str, sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some((_, after)) = rest.split_once(word) {
        let mut depth = 0_u32;
        let end = after.find(|char| {
            match char {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let (inside, beyond) = after.split_at(end.unwrap());
        found.push(normal(inside));
        rest = beyond;
    }
    found
}

async fn of_sqlite(url: &str) -> Schema {
    let mut connection = AnyConnection::connect(url).await.unwrap();
    let mut schema = Schema::new();
    let tables =
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%sqlx%'";
    for table in texts(&mut connection, tables).await {
        let (name, sql) = (&table[0], &table[1]);
        let mut found = Table::default();
        let sql: String = sql
            .lines()
            .filter(|line| !line.trim().starts_with("--"))
            .collect();
        found.checks = behind("CHECK ", &sql);
        found.checks.sort();
        let columns = format!(
            "SELECT name || ' ' || lower(type) || CASE WHEN \"notnull\" = 1 THEN ' required' ELSE '' END \
             || COALESCE(' ' || dflt_value, '') FROM pragma_table_info('{name}')"
        );
        let columns = texts(&mut connection, &columns).await;
        found.columns = columns.iter().map(|row| normal(&row[0])).collect();
        let indexes = format!(
            "SELECT CASE WHEN l.origin = 'c' THEN l.name ELSE '' END, \
             (SELECT group_concat(name, ' ') FROM pragma_index_info(l.name)), CAST(l.\"unique\" AS TEXT), \
             (SELECT sql FROM sqlite_master WHERE name = l.name) FROM pragma_index_list('{name}') l"
        );
        for row in texts(&mut connection, &indexes).await {
            let condition = row[3].split_once("WHERE").map_or("", |(_, words)| words);
            let condition = normal(condition);
            found.indexes.insert(format!(
                "{} on {} unique {} if {condition}",
                row[0], row[1], row[2]
            ));
        }
        let references = format!(
            "SELECT \"from\" || ' ' || \"table\" || ' ' || \"to\" FROM pragma_foreign_key_list('{name}')"
        );
        let references = texts(&mut connection, &references).await;
        found.references = references.into_iter().map(|row| row[0].clone()).collect();
        let triggers = format!(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{name}'"
        );
        let triggers = texts(&mut connection, &triggers).await;
        found.triggers = triggers.into_iter().map(|row| row[0].clone()).collect();
        schema.insert(name.clone(), found);
    }
    schema
}

async fn of_postgres(url: &str) -> Schema {
    let mut connection = AnyConnection::connect(url).await.unwrap();
    let mut schema = Schema::new();
    let tables = "SELECT CAST(relname AS TEXT) FROM pg_class \
                  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE '%sqlx%'";
    for table in texts(&mut connection, tables).await {
        let name = &table[0];
        let mut found = Table::default();
        let columns = format!(
            "SELECT column_name || ' ' || CASE data_type WHEN 'bytea' THEN 'blob' ELSE data_type END \
             || CASE is_nullable WHEN 'NO' THEN ' required' ELSE '' END \
             || COALESCE(' ' || column_default, ''), CAST(collation_name AS TEXT), data_type::text \
             FROM information_schema.columns WHERE table_name = '{name}'"
        );
        for row in texts(&mut connection, &columns).await {
            // Text is ordered by its bytes, as SQLite does.
            assert_eq!(row[2] == "text", row[1] == "C", "{name} {row:?}");
            found.columns.insert(normal(&row[0]));
        }
        let indexes = format!(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid) \
             THEN '' ELSE i.indexrelid::regclass::text END, \
             (SELECT string_agg(a.attname, ' ' ORDER BY k.place) \
              FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place) \
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number), \
             CASE WHEN i.indisunique THEN '1' ELSE '0' END, pg_get_expr(i.indpred, i.indrelid) \
             FROM pg_index i WHERE i.indrelid = '{name}'::regclass"
        );
        for row in texts(&mut connection, &indexes).await {
            let condition = normal(&row[3]);
            found.indexes.insert(format!(
                "{} on {} unique {} if {condition}",
                row[0], row[1], row[2]
            ));
        }
        let checks = format!(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint \
             WHERE conrelid = '{name}'::regclass AND contype = 'c'"
        );
        for row in texts(&mut connection, &checks).await {
            found
                .checks
                .push(normal(row[0].strip_prefix("CHECK").unwrap()));
        }
        found.checks.sort();
        let references = format!(
            "SELECT a.attname || ' ' || c.confrelid::regclass || ' ' || b.attname FROM pg_constraint c \
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] \
             JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = c.confkey[1] \
             WHERE c.conrelid = '{name}'::regclass AND c.contype = 'f'"
        );
        let references = texts(&mut connection, &references).await;
        found.references = references.into_iter().map(|row| row[0].clone()).collect();
        let triggers = format!(
            "SELECT CAST(tgname AS TEXT) FROM pg_trigger WHERE tgrelid = '{name}'::regclass AND NOT tgisinternal"
        );
        let triggers = texts(&mut connection, &triggers).await;
        found.triggers = triggers.into_iter().map(|row| row[0].clone()).collect();
        schema.insert(name.clone(), found);
    }
    schema
}

#[tokio::test]
async fn both_databases_have_the_same_tables_indexes_and_checks() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("grail.db").display());
    let database = Database::new().unwrap();
    drop(Store::open(&file).await.unwrap());
    drop(Store::open(&database.url()).await.unwrap());
    let (sqlite, postgres) = (of_sqlite(&file).await, of_postgres(&database.url()).await);
    assert!(sqlite.len() > 20, "{}", sqlite.len());
    assert!(
        sqlite
            .values()
            .map(|table| table.checks.len())
            .sum::<usize>()
            > 40
    );
    let names = |schema: &Schema| schema.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&sqlite), names(&postgres));
    for (name, table) in &sqlite {
        assert_eq!(table, &postgres[name], "{name}");
    }
}
