//! Opening, transactions, facts, whole transactions.

use std::time::Duration;

use bitcoin::Amount;
use grail_flow::Alarm;
use grail_store::{Conflict, Store};
use sqlx::Connection as _;

use crate::support::{
    NONE_OPEN, NOW, add_request, code, conflict, new_store, outpoint, terms, transaction,
};

#[tokio::test]
async fn a_step_dropped_before_its_commit_leaves_nothing() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = add_request(&mut tx, 1).await.id;
    tx.raise_alarm(&Alarm::EventLoop, NOW).await.unwrap();
    drop(tx);
    let mut reader = store.read().await.unwrap();
    assert_eq!(reader.request(&id).await.unwrap(), None);
    assert_eq!(reader.open_alarms().await.unwrap(), NONE_OPEN);
    // Numbers given out in it are given out again.
    let mut tx = store.begin().await.unwrap();
    assert_eq!(add_request(&mut tx, 2).await.number, 1);
}

#[tokio::test]
async fn a_committed_step_survives_closing_and_opening() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let request = add_request(&mut tx, 1).await;
    tx.commit().await.unwrap();
    store.close().await;
    let again = Store::open(&store.url).await.unwrap();
    let mut reader = again.read().await.unwrap();
    assert_eq!(reader.request(&request.id).await.unwrap(), Some(request));
}

#[tokio::test]
async fn a_reader_sees_no_half_of_a_step_and_does_not_wait_for_it() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = add_request(&mut tx, 1).await.id;
    let mut reader = store.read().await.unwrap();
    assert_eq!(reader.request(&id).await.unwrap(), None);
    tx.commit().await.unwrap();
    // Its snapshot stays as it was.
    assert_eq!(reader.request(&id).await.unwrap(), None);
    assert!(
        store
            .read()
            .await
            .unwrap()
            .request(&id)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn two_processes_take_turns_and_both_get_through() {
    const STEPS: u64 = 40;
    let first = new_store().await;
    let second = Store::open(&first.url).await.unwrap();
    let work = |store: Store| async move {
        for _ in 0..STEPS {
            let mut tx = store.begin().await.unwrap();
            tx.raise_alarm(&Alarm::EventLoop, NOW).await.unwrap();
            tx.commit().await.unwrap();
        }
    };
    let (one, two) = tokio::join!(
        tokio::spawn(work(first.store.clone())),
        tokio::spawn(work(second))
    );
    one.unwrap();
    two.unwrap();
    let mut reader = first.read().await.unwrap();
    let alarms = reader.alarms(0, 10).await.unwrap();
    assert_eq!((alarms.len(), alarms[0].seen), (1, 2 * STEPS));
}

#[tokio::test]
async fn processes_that_open_a_new_database_together_all_find_it_ready() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("grail.db").display());
    let opening: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { Store::open(&url).await.map(|_| ()) })
        })
        .collect();
    for open in opening {
        let opened = tokio::time::timeout(Duration::from_mins(1), open).await;
        opened.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grail.db");
    std::fs::write(&path, vec![0x55; 8_192]).unwrap();
    let opened = Store::open(&format!("sqlite:{}", path.display())).await;
    assert_eq!(code(opened), "corrupt");
    let nowhere = folder.path().join("no").join("such").join("folder.db");
    let opened = Store::open(&format!("sqlite:{}", nowhere.display())).await;
    assert_eq!(code(opened), "transient");
}

/// Put back after a newer version has run: that one's rows are not for it to read.
#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("grail.db").display());
    drop(Store::open(&url).await.unwrap());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations \
                 (version, description, success, checksum, execution_time) \
                 VALUES (200, 'of tomorrow', 1, x'00', 1)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(code(Store::open(&url).await), "newer");
}

#[tokio::test]
async fn a_fact_is_written_once() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.fact("params").await.unwrap(), None);
    tx.put_fact("params", "a").await.unwrap();
    tx.put_fact("params", "a").await.unwrap();
    assert!(matches!(
        conflict(tx.put_fact("params", "b").await),
        Conflict::FactDiffers { .. }
    ));
    assert_eq!(tx.fact("params").await.unwrap().as_deref(), Some("a"));
}

#[tokio::test]
async fn a_transaction_is_stored_whole_and_once() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let mut transaction = transaction(outpoint(1));
    let txid = transaction.compute_txid();
    assert_eq!(tx.transaction(&txid).await.unwrap(), None);
    transaction.input[0].witness.push([1, 2, 3]);
    tx.put_transaction(&transaction).await.unwrap();
    tx.put_transaction(&transaction).await.unwrap();
    assert_eq!(tx.transaction(&txid).await.unwrap(), Some(transaction));
}

#[tokio::test]
async fn a_value_out_of_range_leaves_no_half_of_a_row() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let mut terms = terms(1);
    terms.fee_cap = Amount::from_sat(u64::MAX);
    let new = grail_store::NewRequest {
        terms: &terms,
        roster: &crate::support::roster(),
        deposit_script: &crate::support::script(1),
        deadline_height: u32::MAX,
        idempotency: None,
        now: NOW,
    };
    assert_eq!(code(tx.create_request(&new).await), "out-of-range");
    tx.commit().await.unwrap();
    let mut reader = store.read().await.unwrap();
    assert!(reader.requests(0, 10).await.unwrap().is_empty());
}
