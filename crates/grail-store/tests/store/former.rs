//! Settlements of a former roster's deposits.

use grail_flow::{AbandonCode, SettlementId, SettlementState};
use grail_store::{Settlement, StoreTx};
use grail_types::Epoch;

use crate::support::{NOW, add_deposit, create_settlement, item, new_store, outpoint};

/// Three settlements.
async fn three(tx: &mut StoreTx) -> Vec<SettlementId> {
    let mut ids = Vec::new();
    for number in 1..=3 {
        add_deposit(tx, number).await;
        let id = create_settlement(tx, outpoint(50 + number), &[item(number)]).await;
        ids.push(id.unwrap());
    }
    ids
}

fn ids_of(settlements: Vec<Settlement>) -> Vec<SettlementId> {
    settlements.into_iter().map(|it| it.id).collect()
}

#[tokio::test]
async fn settlements_of_former_deposits_are_marked_and_found_by_epoch() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let ids = three(&mut tx).await;
    assert!(!tx.is_newest_settlement_former().await.unwrap());
    tx.note_former_settlement(ids[0], Epoch(4)).await.unwrap();
    assert!(!tx.is_newest_settlement_former().await.unwrap());
    tx.note_former_settlement(ids[2], Epoch(4)).await.unwrap();
    assert!(tx.is_newest_settlement_former().await.unwrap());
    assert_eq!(tx.former_epoch(ids[0]).await.unwrap(), Some(Epoch(4)));
    assert_eq!(tx.former_epoch(ids[1]).await.unwrap(), None);
    // Given up or not, and of each once.
    let gone = SettlementState::Abandoned {
        code: AbandonCode::Cancelled,
    };
    let draft = SettlementState::Draft {};
    tx.set_settlement_state(ids[2], &draft, &gone, NOW)
        .await
        .unwrap();
    let found = tx.former_settlements(Epoch(4), 10).await.unwrap();
    assert_eq!(ids_of(found), [ids[2], ids[0]]);
    let found = tx.former_settlements(Epoch(4), 1).await.unwrap();
    assert_eq!(ids_of(found), [ids[2]]);
    assert_eq!(tx.former_settlements(Epoch(5), 10).await.unwrap(), []);
    assert!(tx.note_former_settlement(ids[0], Epoch(5)).await.is_err());
}

#[tokio::test]
async fn no_settlement_that_is_not_there_is_marked() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let unknown = SettlementId(7);
    assert!(tx.note_former_settlement(unknown, Epoch(0)).await.is_err());
    drop(tx);
    let mut reader = store.read().await.unwrap();
    assert_eq!(reader.former_epoch(unknown).await.unwrap(), None);
}

#[tokio::test]
async fn merges_are_marked_and_found_newest_first() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let ids = three(&mut tx).await;
    assert_eq!(tx.merges(10).await.unwrap(), []);
    tx.note_merge(ids[0]).await.unwrap();
    tx.note_merge(ids[2]).await.unwrap();
    let found = tx.merges(10).await.unwrap();
    assert_eq!(ids_of(found), [ids[2], ids[0]]);
    assert_eq!(tx.merges(1).await.unwrap().len(), 1);
}
