//! Rotations that were handed in, and the settlements that are their steps.

use grail_flow::{AbandonCode, SettlementState};
use grail_store::{RotationStep, SignedRotation, StoreError};
use grail_types::Epoch;

use crate::support::{NOW, add_deposit, code, create_settlement, item, new_store, outpoint};

fn signed<'a>(next: &'a str, document: &'a str, cancels: bool) -> SignedRotation<'a> {
    SignedRotation {
        attempt: 4,
        epoch: Epoch(2),
        next,
        cancels,
        document,
        now: NOW,
    }
}

#[tokio::test]
async fn another_document_takes_the_place_unless_a_step_of_the_first_lives() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    assert!(
        tx.keep_rotation(&signed("aa", "first", false))
            .await
            .unwrap()
    );
    assert!(
        !tx.keep_rotation(&signed("aa", "first", false))
            .await
            .unwrap()
    );
    assert!(
        tx.keep_rotation(&signed("bb", "second", false))
            .await
            .unwrap()
    );
    let row = tx.signed_rotation(4).await.unwrap().unwrap();
    assert_eq!(
        (row.next.as_str(), row.announcement.as_deref()),
        ("bb", Some("second"))
    );

    add_deposit(&mut tx, 1).await;
    let id = create_settlement(&mut tx, outpoint(51), &[item(1)])
        .await
        .unwrap();
    tx.note_rotation_step(id, 4, RotationStep::Announce)
        .await
        .unwrap();
    let third = tx.keep_rotation(&signed("cc", "third", false)).await;
    assert!(matches!(third, Err(StoreError::Stale { what: "rotation" })));
    // More signatures of the same, and a cancellation of it, come in beside it.
    assert!(
        tx.keep_rotation(&signed("bb", "more", false))
            .await
            .unwrap()
    );
    assert!(
        tx.keep_rotation(&signed("bb", "cancel", true))
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();

    let mut reader = store.read().await.unwrap();
    let row = reader.signed_rotations(10).await.unwrap().pop().unwrap();
    assert_eq!(row.announcement.as_deref(), Some("more"));
    assert_eq!(row.cancellation.as_deref(), Some("cancel"));
    let steps = reader.rotation_steps(4, 10).await.unwrap();
    assert_eq!((steps.len(), steps[0].step), (1, RotationStep::Announce));
    assert_eq!(steps[0].settlement.id, id);
}

#[tokio::test]
async fn a_step_is_of_a_known_rotation_and_a_document_is_not_endless() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    let id = create_settlement(&mut tx, outpoint(51), &[item(1)])
        .await
        .unwrap();
    let unknown = tx.note_rotation_step(id, 9, RotationStep::Cancel).await;
    assert!(unknown.is_err());
    let long = "x".repeat(grail_store::ROTATION_DOCUMENT_BYTES_MAX + 1);
    let kept = tx.keep_rotation(&signed("aa", &long, false)).await;
    assert_eq!(code(kept), "out-of-range");
}

#[tokio::test]
async fn a_step_that_came_to_nothing_binds_its_number_to_nobody() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    tx.keep_rotation(&signed("aa", "first", false))
        .await
        .unwrap();
    tx.keep_rotation(&signed("aa", "cancel", true))
        .await
        .unwrap();
    add_deposit(&mut tx, 1).await;
    let id = create_settlement(&mut tx, outpoint(51), &[item(1)])
        .await
        .unwrap();
    tx.note_rotation_step(id, 4, RotationStep::Announce)
        .await
        .unwrap();
    let draft = SettlementState::Draft {};
    let gone = SettlementState::Abandoned {
        code: AbandonCode::Cancelled,
    };
    tx.set_settlement_state(id, &draft, &gone, NOW)
        .await
        .unwrap();
    assert!(
        tx.keep_rotation(&signed("cc", "third", false))
            .await
            .unwrap()
    );
    let row = tx.signed_rotation(4).await.unwrap().unwrap();
    assert_eq!(
        (row.next.as_str(), row.announcement.as_deref()),
        ("cc", Some("third"))
    );
    assert_eq!(row.cancellation, None);
    assert_eq!(tx.rotation_steps(4, 10).await.unwrap().len(), 1);
}
