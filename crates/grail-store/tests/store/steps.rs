//! Opening, transactions, facts, whole transactions.

use std::time::Duration;

use bitcoin::Amount;
use grail_flow::Alarm;
use grail_store::{Conflict, Store};

use crate::support::{
    NONE_OPEN, NOW, Place, add_request, code, conflict, new_store, outpoint, run, terms,
    transaction,
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
    let place = Place::new();
    let url = place.url();
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

sqlite_alone! {
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
}

/// Put back after a newer version has run: that one's rows are not for it to read.
#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let store = new_store().await;
    let newer = "INSERT INTO _sqlx_migrations \
                 (version, description, success, checksum, execution_time) \
                 VALUES (200, 'of tomorrow', true, x'00', 1)";
    run(&store, newer).await.unwrap();
    assert_eq!(code(Store::open(&store.url).await), "newer");
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

/// Text of others may hold what one of the databases refuses: it must not stop whoever keeps it.
#[tokio::test]
async fn foreign_text_with_nul_is_kept_on_every_database() {
    const WORDS: &str = "a\0b";
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    crate::support::add_deposit(&mut tx, 1).await;
    let items = [crate::support::item(1)];
    let id = crate::support::create_settlement(&mut tx, outpoint(50), &items)
        .await
        .unwrap();
    let alarm = crate::support::dead_job(WORDS);
    tx.raise_alarm(&alarm, NOW).await.unwrap();
    let verdict = grail_store::Verdict::Refused {
        code: WORDS.to_owned(),
        details: WORDS.to_owned(),
    };
    let answer = grail_store::NewAnswer {
        settlement: id,
        signer: grail_types::SignerIndex(1),
        epoch: grail_types::Epoch(0),
        attempt: 0,
        verdict: &verdict,
    };
    let _ = tx.record_answer(&answer, NOW).await.unwrap();
    let job = grail_store::NewJob {
        work: grail_store::Work::Prove { settlement: id },
        run_after: NOW,
        now: NOW,
    };
    tx.enqueue(&job).await.unwrap();
    let lease = tx.lease_job(grail_store::JobKind::Prove, NOW, 60).await;
    let lease = lease.unwrap().unwrap();
    tx.fail_job(lease.job.id, lease.token, WORDS, NOW)
        .await
        .unwrap();
    tx.fail_proof(id, WORDS, WORDS, NOW).await.ok();
    let action = grail_store::NewAction {
        uid: 0,
        action: grail_store::AdminAction::Pause,
        subject: WORDS,
        reason: Some(WORDS),
        now: NOW,
    };
    tx.record_action(&action).await.unwrap();
    let event = grail_store::NewEvent {
        subject: grail_store::Subject::Settlement(id),
        kind: "test",
        body: &serde_json::json!({ "words": WORDS }),
        now: NOW,
    };
    tx.append_event(&event).await.unwrap();
    tx.commit().await.unwrap();
    let mut reader = store.read().await.unwrap();
    let answers = reader.answers(id).await.unwrap();
    let expected = grail_store::Verdict::Refused {
        code: "a\u{fffd}b".to_owned(),
        details: "a\u{fffd}b".to_owned(),
    };
    assert_eq!(answers[0].verdict, expected);
}
