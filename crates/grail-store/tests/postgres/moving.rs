//! Moving a file's rows to a server: all of them, or none.

use bitcoin::Amount;
use grail_flow::SettlementState;
use grail_postgres_dev::Database;
use grail_store::{JobKind, JobState, MoveError, Moved, NewJob, Store, Work, move_rows};
use sqlx::{AnyConnection, Connection as _, Row as _};

use crate::support::{
    NOW, add_deposit, add_request, block, code, create_settlement, dead_job, item, move_settlement,
    outpoint, terms, transaction,
};

struct Site {
    _folder: tempfile::TempDir,
    file: String,
    database: Database,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("sqlite:{}", folder.path().join("grail.db").display());
        Self {
            _folder: folder,
            file,
            database: Database::new().unwrap(),
        }
    }

    async fn moved(&self) -> Result<Moved, MoveError> {
        move_rows(&self.file, &self.database.url()).await
    }
}

async fn told(url: &str, sql: &str) -> Result<u64, sqlx::Error> {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await.unwrap();
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    Ok(sqlx::query(sql)
        .execute(&mut connection)
        .await?
        .rows_affected())
}

/// Rows in most tables, among them a leased job and sums of what is gone.
async fn fill(url: &str) {
    let store = Store::open(url).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.put_fact("network", "regtest").await.unwrap();
    for seed in 1..=3 {
        add_deposit(&mut tx, seed).await;
    }
    add_request(&mut tx, 4).await;
    tx.put_transaction(&transaction(outpoint(9))).await.unwrap();
    tx.connect_block(block(7, 0)).await.unwrap();
    let id = create_settlement(&mut tx, outpoint(50), &[item(1), item(2)])
        .await
        .unwrap();
    let job = NewJob {
        work: Work::Prove { settlement: id },
        run_after: NOW,
        now: NOW,
    };
    let _job = tx.enqueue(&job).await.unwrap();
    tx.lease_job(JobKind::Prove, NOW, 1_000_000)
        .await
        .unwrap()
        .unwrap();
    tx.raise_alarm(&dead_job("gone"), NOW).await.unwrap();
    tx.raise_alarm(&dead_job("there"), NOW).await.unwrap();
    let gone = tx.alarms(0, 1).await.unwrap()[0].id;
    tx.acknowledge_alarm(gone, NOW).await.unwrap();
    tx.forget_alarms(NOW, 10).await.unwrap();
    move_settlement(&mut tx, id, SettlementState::Proven {})
        .await
        .unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    // Rows of before texts were cleaned; more of them than a page.
    told(url, "UPDATE jobs SET last_error = 'a' || char(0) || 'b'")
        .await
        .unwrap();
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1201) \
        INSERT INTO events (id, at, subject_kind, subject, kind, body) \
        SELECT i, 1, 'settlement', '1', 'test', '{}' FROM n";
    told(url, many).await.unwrap();
    told(url, "UPDATE counters SET value = 1201 WHERE name = 'event'")
        .await
        .unwrap();
}

#[tokio::test]
async fn every_row_is_moved_and_the_file_is_not_opened_again() {
    let site = Site::new();
    fill(&site.file).await;
    let totals = |url: String| async move {
        let store = Store::open(&url).await.unwrap();
        let mut reader = store.read().await.unwrap();
        (
            reader.alarm_totals().await.unwrap(),
            reader.request_counts().await.unwrap(),
            reader.settlement_counts().await.unwrap(),
            reader.proof_totals().await.unwrap(),
            reader.requests(0, 10).await.unwrap(),
            reader.settlements(0, 10).await.unwrap(),
            reader.last_event_id().await.unwrap(),
        )
    };
    let before = totals(site.file.clone()).await;
    let moved = site.moved().await.unwrap();
    assert_eq!(moved.leases_ended, 1);
    let of = |name: &str| {
        moved
            .tables
            .iter()
            .find(|table| table.name == name)
            .unwrap()
    };
    assert_eq!((of("events").rows, of("requests").rows), (1_201, 4));
    assert_eq!((of("jobs").cleaned, of("requests").cleaned), (1, 0));
    assert_eq!(totals(site.database.url()).await, before);

    assert_eq!(code(Store::open(&site.file).await), "moved");
    let store = Store::open(&site.database.url()).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let job = tx.jobs_left(0, 1).await.unwrap().remove(0);
    assert_eq!(job.state, JobState::Ready);
    assert_eq!(job.last_error.as_deref(), Some("a\u{fffd}b"));
    // Numbers go on where they were.
    assert_eq!(add_request(&mut tx, 5).await.number, 5);
    let request = tx.request(&terms(1).id()).await.unwrap().unwrap();
    assert_eq!(request.terms.fee_cap, Amount::from_sat(5_000));
}

#[tokio::test]
async fn nothing_is_moved_into_a_database_that_somebody_used() {
    let site = Site::new();
    fill(&site.file).await;
    let store = Store::open(&site.database.url()).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.put_fact("network", "regtest").await.unwrap();
    tx.commit().await.unwrap();
    let refused = site.moved().await.unwrap_err();
    assert!(
        matches!(refused, MoveError::NotEmpty { table: "facts" }),
        "{refused:?}"
    );
    drop(Store::open(&site.file).await.unwrap());
    let back = move_rows(&site.database.url(), &site.file).await;
    assert!(matches!(back, Err(MoveError::Direction)));
}

#[tokio::test]
async fn a_move_that_fails_leaves_the_file_as_it_was_and_nothing_there() {
    let site = Site::new();
    fill(&site.file).await;
    drop(Store::open(&site.database.url()).await.unwrap());
    // The other side changes what it is given: whatever came out is not what there was.
    told(
        &site.database.url(),
        "CREATE FUNCTION bad() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN NEW.body = ''{ }''; RETURN NEW; END'",
    )
    .await
    .unwrap();
    let trigger = "CREATE TRIGGER bad BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.id = 700) \
                   EXECUTE FUNCTION bad()";
    told(&site.database.url(), trigger).await.unwrap();
    let refused = site.moved().await.unwrap_err();
    assert!(
        matches!(refused, MoveError::Differs { table: "events" }),
        "{refused:?}"
    );
    drop(Store::open(&site.file).await.unwrap());
    told(&site.database.url(), "DROP TRIGGER bad ON events")
        .await
        .unwrap();
    site.moved().await.unwrap();
    // Elsewhere than where it went nobody takes it again.
    let other = Database::new().unwrap();
    let again = move_rows(&site.file, &other.url()).await.unwrap_err();
    assert!(
        matches!(again, MoveError::MovedElsewhere { .. }),
        "{again:?}"
    );
}

#[tokio::test]
async fn every_table_is_among_those_that_are_moved() {
    let site = Site::new();
    drop(Store::open(&site.file).await.unwrap());
    let moved = site.moved().await.unwrap();
    let mut names: Vec<_> = moved
        .tables
        .iter()
        .map(|table| table.name.to_owned())
        .collect();
    names.sort();
    let mut connection = AnyConnection::connect(&site.file).await.unwrap();
    let all = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%sql%' ORDER BY name";
    let rows = sqlx::query(all).fetch_all(&mut connection).await.unwrap();
    let all: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, all);
}
