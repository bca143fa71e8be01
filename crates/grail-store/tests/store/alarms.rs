//! Alarms: one per fact, open until somebody looked, and a stop when nobody knows better.

use grail_flow::{Alarm, AlarmCode, AlarmSubject, SettlementId, Severity};
use grail_store::{OpenAlarms, Store, StoredCode};

use crate::support::{NONE_OPEN, NOW, code, dead_job, new_store, run};

fn rejected(id: u64, words: &str) -> Alarm {
    Alarm::SettlementRejected {
        settlement: SettlementId(id),
        words: words.to_owned(),
    }
}

#[tokio::test]
async fn an_alarm_is_open_until_acknowledged_once() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let long = "é".repeat(100_000);
    let id = tx.raise_alarm(&rejected(1, &long), NOW).await.unwrap();
    let open = OpenAlarms { stop: 1, look: 0 };
    assert_eq!(tx.open_alarms().await.unwrap(), open);
    let code_of = AlarmCode::SettlementRejected;
    let subject = |id| AlarmSubject::Settlement(SettlementId(id));
    let found = tx.open_alarm(code_of, &subject(1)).await.unwrap();
    assert_eq!(found, Some(id));
    let found = tx.open_alarm(code_of, &subject(2)).await.unwrap();
    assert_eq!(found, None);
    tx.acknowledge_alarm(id, NOW + 5).await.unwrap();
    assert_eq!(code(tx.acknowledge_alarm(id, NOW + 6).await), "not-found");
    assert_eq!(code(tx.acknowledge_alarm(u64::MAX, NOW).await), "not-found");
    assert_eq!(tx.open_alarms().await.unwrap(), NONE_OPEN);
    let alarms = tx.alarms(0, 10).await.unwrap();
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0].acknowledged_at, Some(NOW + 5));
    assert_eq!(alarms[0].details.chars().count(), 4_000);
    let late = tx.raise_alarm(&Alarm::EventLoop, u64::MAX).await;
    assert_eq!(code(late), "out-of-range");
}

#[tokio::test]
async fn one_fact_is_one_alarm_with_a_count_while_it_is_open() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let first = tx.raise_alarm(&rejected(7, "a"), NOW).await.unwrap();
    assert_eq!(
        tx.raise_alarm(&rejected(7, "b"), NOW + 9).await.unwrap(),
        first
    );
    let other = tx.raise_alarm(&rejected(8, "a"), NOW).await.unwrap();
    assert_ne!(other, first);
    let alarms = tx.alarms(0, 10).await.unwrap();
    assert_eq!(alarms.len(), 2);
    let seen = &alarms[0];
    assert_eq!((seen.seen, seen.at, seen.last_at), (2, NOW, NOW + 9));
    assert_eq!(seen.subject, "settlement:7");
    assert_eq!(seen.details, "settlement 7: b");
    // Once somebody looked, the same fact is news again.
    tx.acknowledge_alarm(first, NOW + 10).await.unwrap();
    let again = tx.raise_alarm(&rejected(7, "a"), NOW + 11).await.unwrap();
    assert!(again > other);
    let totals = tx.alarm_totals().await.unwrap();
    let known = StoredCode::Known(AlarmCode::SettlementRejected);
    assert_eq!(totals, [(known, 4)]);
}

#[tokio::test]
async fn an_alarm_to_look_at_stops_nothing() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    tx.raise_alarm(&dead_job("a"), NOW).await.unwrap();
    tx.raise_alarm(&dead_job("b"), NOW).await.unwrap();
    let open = OpenAlarms { stop: 0, look: 2 };
    assert_eq!(tx.open_alarms().await.unwrap(), open);
}

#[tokio::test]
async fn a_code_of_a_newer_version_stops() {
    let store = new_store().await;
    let newer = "INSERT INTO alarms (id, at, code, details) VALUES (1, 5, 'of-tomorrow', '')";
    run(&store, newer).await.unwrap();
    let mut reader = store.read().await.unwrap();
    let open = OpenAlarms { stop: 1, look: 0 };
    assert_eq!(reader.open_alarms().await.unwrap(), open);
    let alarms = reader.alarms(0, 10).await.unwrap();
    assert_eq!(alarms[0].code, StoredCode::Other("of-tomorrow".to_owned()));
    assert_eq!(alarms[0].code.severity(), Severity::Stop);
}

#[tokio::test]
async fn alarms_of_before_subjects_are_read_and_kept_apart() {
    let store = new_store().await;
    // As the version before wrote them: the same code twice, open, without a subject.
    for row in [
        "INSERT INTO alarms (id, at, code, details) VALUES (1, 5, 'dead-job', 'x')",
        "INSERT INTO alarms (id, at, code, details) VALUES (2, 6, 'dead-job', 'y')",
    ] {
        run(&store, row).await.unwrap();
    }
    let again = Store::open(&store.url).await.unwrap();
    let alarms = again.read().await.unwrap().alarms(0, 10).await.unwrap();
    let read: Vec<_> = alarms
        .iter()
        .map(|alarm| (alarm.code.name(), alarm.seen, alarm.last_at))
        .collect();
    assert_eq!(read, [("dead-job", 1, 5), ("dead-job", 1, 6)]);
}

#[tokio::test]
async fn foreign_text_in_an_alarm_has_no_control_characters() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let words = "line\nand\0null\u{1b}[31m";
    tx.raise_alarm(&rejected(1, words), NOW).await.unwrap();
    let details = &tx.alarms(0, 1).await.unwrap()[0].details;
    assert!(!details.chars().any(char::is_control), "{details:?}");
}
