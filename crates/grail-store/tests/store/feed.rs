//! The feed of events.

use grail_flow::SettlementId;
use grail_store::{NewEvent, StoreTx, Subject};
use serde_json::json;

use crate::support::{NOW, code, new_store, terms};

async fn append(tx: &mut StoreTx, subject: Subject, kind: &str) -> u64 {
    let body = json!({ "kind": kind });
    let event = NewEvent {
        subject,
        kind,
        body: &body,
        now: NOW,
    };
    tx.append_event(&event).await.unwrap()
}

#[tokio::test]
async fn events_are_read_in_order_from_anywhere() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.last_event_id().await.unwrap(), 0);
    let request = Subject::Request(terms(1).id());
    let settlement = Subject::Settlement(SettlementId(7));
    for (subject, kind) in [(request, "a"), (settlement, "b"), (request, "c")] {
        append(&mut tx, subject, kind).await;
    }
    assert_eq!(tx.last_event_id().await.unwrap(), 3);
    let events = tx.events_after(1, 10).await.unwrap();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| (event.id, event.subject, event.kind.as_str()))
        .collect();
    assert_eq!(kinds, [(2, settlement, "b"), (3, request, "c")]);
    assert_eq!(events[0].body, json!({ "kind": "b" }));
    assert_eq!(tx.events_after(0, 1).await.unwrap().len(), 1);
    assert!(tx.events_after(u64::MAX, 1).await.unwrap().is_empty());
    let newest = tx.newest_event_about(request).await.unwrap().unwrap();
    assert_eq!((newest.id, newest.kind.as_str()), (3, "c"));
    let rotation = Subject::Rotation(4);
    assert_eq!(tx.newest_event_about(rotation).await.unwrap(), None);
    append(&mut tx, rotation, "d").await;
    let newest = tx.newest_event_about(rotation).await.unwrap().unwrap();
    assert_eq!((newest.id, newest.subject), (4, rotation));
    let about = tx.events_about(request, 1, 10).await.unwrap();
    assert_eq!(about.len(), 1);
    assert_eq!(about[0].kind, "c");
}

#[tokio::test]
async fn an_event_is_there_with_its_step_or_not_at_all() {
    let store = new_store().await;
    let subject = Subject::Settlement(SettlementId(1));
    let mut tx = store.begin().await.unwrap();
    append(&mut tx, subject, "dropped").await;
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(append(&mut tx, subject, "kept").await, 1);
    tx.commit().await.unwrap();
    let mut reader = store.read().await.unwrap();
    let events = reader.events_after(0, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].kind, "kept");
}

#[tokio::test]
async fn a_huge_event_is_refused() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let body = json!("x".repeat(64 << 10));
    let event = NewEvent {
        subject: Subject::Settlement(SettlementId(1)),
        kind: "huge",
        body: &body,
        now: NOW,
    };
    assert_eq!(code(tx.append_event(&event).await), "out-of-range");
}
