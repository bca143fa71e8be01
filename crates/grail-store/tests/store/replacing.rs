//! Settlements that stand by to take the place of others.

use bitcoin::{Amount, OutPoint, Weight};
use grail_flow::{AbandonCode, SettlementId, SettlementState, replacement::Bundle};
use grail_store::{
    BuiltTransaction, Conflict, NewSettlement, Replaces, SettlementItem, StoreError, StoreTx, Tried,
};
use grail_types::Epoch;

use crate::support::{
    NOW, add_deposit, block, code, conflict, create_settlement, item, move_settlement, new_store,
    outpoint, run, transaction,
};

const BROADCAST: SettlementState = SettlementState::Broadcast {};
const REPLACED: SettlementState = SettlementState::Abandoned {
    code: AbandonCode::Replaced,
};

async fn replace(
    tx: &mut StoreTx,
    settlement: SettlementId,
    items: &[SettlementItem],
) -> Result<SettlementId, StoreError> {
    let nft_input = tx.settlement(settlement).await?.unwrap().nft_input;
    let new = NewSettlement {
        epoch: Epoch(0),
        nft_input,
        draft: b"draft",
        items,
        now: NOW,
    };
    let height = 120;
    tx.create_replacement(&new, Replaces { settlement, height })
        .await
}

fn nft() -> OutPoint {
    outpoint(50)
}

/// A published settlement of requests 1 and 2.
async fn published(tx: &mut StoreTx) -> SettlementId {
    for seed in [1, 2, 3] {
        add_deposit(tx, seed).await;
    }
    let old = create_settlement(tx, nft(), &[item(1), item(2)])
        .await
        .unwrap();
    move_settlement(tx, old, BROADCAST).await.unwrap();
    old
}

/// Signs a settlement for so much.
async fn sign(tx: &mut StoreTx, id: SettlementId, fee: u64) {
    let nft = tx.settlement(id).await.unwrap().unwrap().nft_input;
    let mut unsigned = transaction(nft);
    unsigned.output[0].value = Amount::from_sat(1_000_000 - fee);
    let built = BuiltTransaction {
        unsigned: &unsigned,
        nft_vout: 0,
        fee: Amount::from_sat(fee),
        weight: Weight::from_wu(400),
    };
    tx.set_built(id, &built, NOW).await.unwrap();
    tx.set_signed(id, &unsigned, NOW).await.unwrap();
    move_settlement(tx, id, SettlementState::Signed {})
        .await
        .unwrap();
}

#[tokio::test]
async fn one_that_stands_by_takes_nothing_from_those_that_it_replaces() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let old = published(&mut tx).await;
    let new = replace(&mut tx, old, &[item(1), item(3)]).await.unwrap();
    let row = tx.settlement(new).await.unwrap().unwrap();
    assert_eq!((row.replaces, row.stands_by()), (Some(old), true));
    let holder = tx.settlement_spending_nft(&nft()).await.unwrap().unwrap();
    assert_eq!(holder.id, old);
    for seed in [1, 2] {
        let using = tx.settlement_using(&outpoint(seed)).await.unwrap();
        assert_eq!(using, Some(old));
    }
    assert_eq!(tx.settlement_using(&outpoint(3)).await.unwrap(), None);
    assert_eq!(tx.unconfirmed_settlement_count().await.unwrap(), 1);
    let standing = tx.replacement_of(&nft()).await.unwrap().unwrap();
    assert_eq!(standing.id, new);
    for (seed, expected) in [(1, Some(new)), (2, None), (3, Some(new))] {
        let using = tx.replacement_using(&outpoint(seed)).await.unwrap();
        assert_eq!(using, expected, "{seed}");
    }
}

#[tokio::test]
async fn one_at_a_time_stands_by_for_the_one_that_holds_the_nft() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let old = published(&mut tx).await;
    let twice = replace(&mut tx, old, &[item(1), item(1)]).await;
    assert_eq!(conflict(twice), Conflict::RequestServed { by: old });
    let new = replace(&mut tx, old, &[item(1)]).await.unwrap();
    let second = replace(&mut tx, old, &[item(2)]).await;
    assert_eq!(conflict(second), Conflict::NftSpent { by: new });
    // What stands by is not replaced itself.
    assert_eq!(code(replace(&mut tx, new, &[item(2)]).await), "stale");
    move_settlement(&mut tx, new, REPLACED).await.unwrap();
    replace(&mut tx, old, &[item(2)]).await.unwrap();
    tx.commit().await.unwrap();
    // The schema holds to it where the checks above are gone around.
    for sql in [
        "UPDATE settlements SET state_name = 'signed' WHERE id = 2",
        "UPDATE settlements SET state_name = 'broadcast' WHERE id = 2",
        "UPDATE settlements SET begun_height = NULL WHERE id = 2",
    ] {
        assert!(run(&store, sql).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn once_published_it_holds_what_it_spends_and_not_before_others_let_go() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let old = published(&mut tx).await;
    let new = replace(&mut tx, old, &[item(1), item(3)]).await.unwrap();
    sign(&mut tx, new, 900).await;
    let early = move_settlement(&mut tx, new, BROADCAST).await;
    assert_eq!(conflict(early), Conflict::NftSpent { by: old });
    move_settlement(&mut tx, old, REPLACED).await.unwrap();
    move_settlement(&mut tx, new, BROADCAST).await.unwrap();
    let row = tx.settlement(new).await.unwrap().unwrap();
    assert!(!row.stands_by());
    for (seed, expected) in [(1, Some(new)), (2, None), (3, Some(new))] {
        let using = tx.settlement_using(&outpoint(seed)).await.unwrap();
        assert_eq!(using, expected, "{seed}");
    }
    // A block with the old one after all: each gives way to the other, in either order.
    let block = block(120, 1);
    let (height, hash) = (block.height, block.hash);
    for (ends, comes) in [(new, old), (old, new)] {
        move_settlement(&mut tx, ends, REPLACED).await.unwrap();
        move_settlement(&mut tx, comes, SettlementState::Confirmed { height, hash })
            .await
            .unwrap();
        let using = tx.settlement_using(&outpoint(1)).await.unwrap();
        assert_eq!(using, Some(comes));
    }
}

#[tokio::test]
async fn the_oldest_deposit_in_a_block_is_found() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let old = published(&mut tx).await;
    assert_eq!(tx.oldest_deposit_height(old).await.unwrap(), None);
    for (seed, height) in [(1, 120), (2, 117), (3, 100)] {
        tx.set_deposit_block(&outpoint(seed), Some(block(height, 1)), NOW)
            .await
            .unwrap();
    }
    assert_eq!(tx.oldest_deposit_height(old).await.unwrap(), Some(117));
}

#[tokio::test]
async fn what_was_tried_and_what_nodes_may_have_is_counted_for_the_nft() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let old = published(&mut tx).await;
    assert_eq!(
        tx.replacements_tried(&nft()).await.unwrap(),
        Tried::default()
    );
    let first = replace(&mut tx, old, &[item(1)]).await.unwrap();
    sign(&mut tx, first, 900).await;
    move_settlement(&mut tx, first, REPLACED).await.unwrap();
    let second = replace(&mut tx, old, &[item(1)]).await.unwrap();
    let failed = SettlementState::Abandoned {
        code: AbandonCode::DryRunRefused,
    };
    let tried = |count, has_failed| Tried {
        count,
        newest_height: Some(120),
        has_failed,
    };
    assert_eq!(
        tx.replacements_tried(&nft()).await.unwrap(),
        tried(2, false)
    );
    move_settlement(&mut tx, second, failed).await.unwrap();
    assert_eq!(tx.replacements_tried(&nft()).await.unwrap(), tried(2, true));
    let bundle = |fee| Bundle {
        fee: Amount::from_sat(fee),
        vsize: 100,
    };
    let rivals = tx.signed_rivals(&nft()).await.unwrap();
    // The transaction of the tests is lighter than was said before it was signed.
    let fees: Vec<_> = rivals.iter().map(|rival| rival.fee).collect();
    assert_eq!(fees, [bundle(900).fee]);
    let third = replace(&mut tx, old, &[item(2)]).await.unwrap();
    sign(&mut tx, third, 950).await;
    assert_eq!(tx.signed_rivals(&nft()).await.unwrap().len(), 2);
}
