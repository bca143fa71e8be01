//! What only a server does: it is away, ends who stands still, spoils steps, forgets to answer.

use std::time::{Duration, Instant, SystemTime};

use grail_flow::{Alarm, SettlementId};
use grail_postgres_dev::{Database, Durability, Server};
use grail_store::{Conflict, Store, StoreError};
use grail_types::Epoch;

use crate::{
    proxy::Proxy,
    support::{NOW, add_request, code, conflict, new_store, terms},
};

fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

#[tokio::test]
async fn a_step_waits_for_the_one_before_and_sees_all_of_it() {
    const WAIT: Duration = Duration::from_millis(1_500);
    let first = new_store().await;
    let second = Store::open(&first.url).await.unwrap();
    let mut one = first.begin().await.unwrap();
    let asked_at = unix_now();
    let waiting = tokio::spawn(async move {
        let mut two = second.begin().await.unwrap();
        let known = two.request(&terms(1).id()).await.unwrap().is_some();
        (known, two.now(0))
    });
    tokio::time::sleep(WAIT).await;
    assert!(!waiting.is_finished());
    add_request(&mut one, 1).await;
    one.commit().await.unwrap();
    let (known, time) = waiting.await.unwrap();
    assert!(known);
    // The time of the step is the time at which it had its turn.
    assert!(time > asked_at, "{time} {asked_at}");
    assert!(time <= unix_now());
}

#[tokio::test]
async fn a_process_that_stands_still_in_a_step_stops_nobody_for_long() {
    let first = new_store().await;
    let second = Store::open(&first.url).await.unwrap();
    let mut standing = first.begin().await.unwrap();
    add_request(&mut standing, 1).await;
    let began = Instant::now();
    let mut tx = second.begin().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(8));
    add_request(&mut tx, 2).await;
    tx.commit().await.unwrap();
    // Its own writes are gone, and it is told so.
    assert_eq!(code(standing.commit().await), "transient");
    let mut reader = first.read().await.unwrap();
    assert_eq!(reader.requests(0, 10).await.unwrap().len(), 1);
    drop(first.begin().await.unwrap());
}

#[tokio::test]
async fn a_step_that_an_error_spoiled_is_not_said_to_be_kept() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = add_request(&mut tx, 1).await.id;
    let unknown = tx.note_former_settlement(SettlementId(7), Epoch(0)).await;
    assert_eq!(code(unknown), "conflict");
    assert_eq!(code(tx.commit().await), "database");
    let mut reader = store.read().await.unwrap();
    assert_eq!(reader.request(&id).await.unwrap(), None);
    drop(store.begin().await.unwrap());
}

#[tokio::test]
async fn why_a_database_cannot_be_opened_is_told_at_once() {
    let began = Instant::now();
    let there = Database::new().unwrap();
    let missing = there.url().replace("/test_", "/none_");
    assert_eq!(code(Store::open(&missing).await), "database");
    let nobody = there.url().replace("grail@", "nobody@");
    assert_eq!(code(Store::open(&nobody).await), "database");
    let nowhere = "postgres://grail@%2Fno%2Fsuch%2Ffolder/grail";
    assert_eq!(code(Store::open(nowhere).await), "transient");
    assert_eq!(code(Store::open("nosql:grail").await), "database");
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn a_database_that_forgets_what_it_said_it_kept_is_refused() {
    for (setting, expected) in [
        ("synchronous_commit = off", "database"),
        ("default_transaction_read_only = on", "transient"),
    ] {
        let database = Database::new().unwrap();
        database.set(setting).unwrap();
        assert_eq!(
            code(Store::open(&database.url()).await),
            expected,
            "{setting}"
        );
    }
}

#[tokio::test]
async fn one_backend_at_a_time_has_the_database() {
    let store = new_store().await;
    let other = Store::open(&store.url).await.unwrap();
    let mut claim = store.claim().await.unwrap();
    claim.hold().await.unwrap();
    assert_eq!(conflict(other.claim().await), Conflict::Claimed);
    drop(claim);
    let began = Instant::now();
    while other.claim().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_that_dies_in_a_step_loses_that_step_alone() {
    let server = Server::start(Durability::Kept).unwrap();
    server.create("grail").unwrap();
    let store = Store::open(&server.url("grail")).await.unwrap();
    let mut claim = store.claim().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let kept = add_request(&mut tx, 1).await.id;
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let lost = add_request(&mut tx, 2).await.id;
    let mut reader = store.read().await.unwrap();
    assert!(reader.request(&kept).await.unwrap().is_some());

    server.stop_immediately().unwrap();
    assert_eq!(code(tx.commit().await), "transient");
    assert_eq!(code(reader.request(&kept).await), "transient");
    drop(reader);
    assert_eq!(code(claim.hold().await), "transient");
    server.start_again().unwrap();

    claim.hold().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    assert!(tx.request(&kept).await.unwrap().is_some());
    assert_eq!(tx.request(&lost).await.unwrap(), None);
    assert_eq!(add_request(&mut tx, 2).await.number, 2);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_step_whose_last_answer_is_lost_may_have_been_kept() {
    let database = Database::new().unwrap();
    let mut proxy = Proxy::before(&database.url());
    let store = Store::open(proxy.url()).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let id = add_request(&mut tx, 1).await.id;
    proxy.cut_after("COMMIT");
    assert_eq!(code(tx.commit().await), "transient");
    // Whoever asks again asks by key, and finds it.
    let mut reader = store.read().await.unwrap();
    assert!(reader.request(&id).await.unwrap().is_some());
    let mut tx = store.begin().await.unwrap();
    let again = tx.request(&id).await.unwrap();
    assert!(again.is_some());
}

#[tokio::test]
async fn many_processes_write_side_by_side_and_the_feed_has_no_gap() {
    const STEPS: u64 = 25;
    let first = new_store().await;
    let mut working = Vec::new();
    for _ in 0..4 {
        let store = Store::open(&first.url).await.unwrap();
        working.push(tokio::spawn(async move {
            for _ in 0..STEPS {
                let mut tx = store.begin().await.unwrap();
                let event = grail_store::NewEvent {
                    subject: grail_store::Subject::Settlement(SettlementId(1)),
                    kind: "test",
                    body: &serde_json::json!({}),
                    now: NOW,
                };
                tx.append_event(&event).await.unwrap();
                tx.raise_alarm(&Alarm::EventLoop, NOW).await.unwrap();
                tx.commit().await.unwrap();
            }
        }));
    }
    // Whoever reads on from the last number that it saw misses none.
    let mut seen: u64 = 0;
    while seen < 4 * STEPS {
        let mut reader = first.read().await.unwrap();
        for event in reader.events_after(seen, 10).await.unwrap() {
            assert_eq!(event.id, seen + 1);
            seen = event.id;
        }
    }
    for work in working {
        work.await.unwrap();
    }
    let mut reader = first.read().await.unwrap();
    assert_eq!(reader.alarms(0, 10).await.unwrap()[0].seen, 4 * STEPS);
}

#[tokio::test]
async fn what_the_database_says_of_itself_names_no_secret() {
    let refused = Store::open("postgres://grail:hunter2@localhost/grail").await;
    let error = refused.unwrap_err();
    assert!(matches!(error, StoreError::Database(_)));
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}

#[tokio::test]
async fn a_server_on_another_machine_shows_that_it_is_the_right_one() {
    let mut server = Server::start(Durability::KeptWhilePowered).unwrap();
    server.create("grail").unwrap();
    let own = server.speak_tls().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("server.pem");
    std::fs::copy(own, &certificate).unwrap();
    // Of a server of the same name that somebody else runs.
    let mut stranger = Server::start(Durability::KeptWhilePowered).unwrap();
    let other = folder.path().join("other.pem");
    std::fs::copy(stranger.speak_tls().unwrap(), &other).unwrap();
    let url = |host: &str, mode: &str, root: &std::path::Path| {
        let url = server.tcp_url(host, "grail");
        format!("{url}?sslmode={mode}&sslrootcert={}", root.display())
    };
    let right = url("localhost", "verify-full", &certificate);
    Store::open(&right).await.unwrap();
    let mut connection = <sqlx::AnyConnection as sqlx::Connection>::connect(&right)
        .await
        .unwrap();
    let shown = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = sqlx::query(shown).fetch_one(&mut connection).await.unwrap();
    assert!(sqlx::Row::get::<bool, _>(&row, "ssl"));

    Store::open(&url("127.0.0.1", "verify-ca", &certificate))
        .await
        .unwrap();
    for wrong in [
        url("localhost", "verify-full", &other),
        url("localhost", "verify-ca", &other),
        url("127.0.0.1", "verify-full", &certificate),
    ] {
        assert_eq!(code(Store::open(&wrong).await), "transient", "{wrong}");
    }
}
