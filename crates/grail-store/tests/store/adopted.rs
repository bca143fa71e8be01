//! Settlements read from blocks: what they may share, and requests that come to be known later.

use bitcoin::{Amount, OutPoint, Transaction, Witness};
use grail_flow::{AbandonCode, BlockRef, SettlementId, SettlementState};
use grail_store::{AdoptedSettlement, Conflict, SettlementItem, StoreError, StoreTx};
use grail_types::Epoch;

use crate::support::{
    NOW, add_deposit, add_request, block, conflict, create_settlement, deposit, item,
    move_settlement, new_store, outpoint, terms, transaction,
};

/// One with a witness, which spends NFT number `seed`.
fn signed(seed: u8) -> Transaction {
    let mut signed = transaction(outpoint(seed));
    signed.input[0].witness = Witness::from_slice(&[[seed; 64]]);
    signed
}

async fn adopt(
    tx: &mut StoreTx,
    transaction: &Transaction,
    items: &[SettlementItem],
) -> Result<SettlementId, StoreError> {
    let new = AdoptedSettlement {
        epoch: Epoch(0),
        transaction,
        nft_input: transaction.input[0].previous_output,
        nft_vout: 0,
        fee: Amount::from_sat(300),
        items,
        now: NOW,
    };
    tx.adopt_settlement(&new).await
}

#[tokio::test]
async fn an_adopted_settlement_is_a_settlement_with_a_mark_and_its_witnesses() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    let signed = signed(50);
    let items = [item(1), item(2)];
    let id = adopt(&mut tx, &signed, &items).await.unwrap();
    let row = tx.settlement(id).await.unwrap().unwrap();
    assert!(row.adopted);
    assert_eq!(row.state, SettlementState::Broadcast {});
    let txid = signed.compute_txid();
    assert_eq!(row.txid, Some(txid));
    assert_eq!(row.nft_output, Some(OutPoint::new(txid, 0)));
    assert_eq!(row.fee, Some(Amount::from_sat(300)));
    assert_eq!(row.weight, Some(signed.weight()));
    assert_eq!(
        tx.signed_transaction(id).await.unwrap(),
        Some(signed.clone())
    );
    let unsigned = tx.unsigned_transaction(id).await.unwrap().unwrap();
    assert_eq!(unsigned, transaction(outpoint(50)));
    assert_eq!(tx.draft(id).await.unwrap(), None);
    assert_eq!(tx.proposal(id).await.unwrap(), None);
    assert_eq!(tx.proof_record(id).await.unwrap(), None);
    // Known or not, what it pays is there in order; machines are told of the known.
    assert_eq!(tx.settlement_items(id).await.unwrap(), items);
    assert_eq!(tx.known_items(id).await.unwrap(), [item(1)]);
    let served = tx.served_requests(id).await.unwrap();
    let known: Vec<_> = served.iter().map(|it| it.kind.is_some()).collect();
    assert_eq!(known, [true, false]);
    assert_eq!(tx.settlement_tip().await.unwrap(), Some(row));
    let made_here = create_settlement(&mut tx, outpoint(51), &[]).await.unwrap();
    assert!(!tx.settlement(made_here).await.unwrap().unwrap().adopted);
}

#[tokio::test]
async fn what_is_adopted_shares_neither_nft_nor_deposit_nor_transaction() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    let by = create_settlement(&mut tx, outpoint(50), &[item(1)])
        .await
        .unwrap();
    let taken = adopt(&mut tx, &signed(50), &[]).await;
    assert_eq!(conflict(taken), Conflict::NftSpent { by });
    let taken = adopt(&mut tx, &signed(51), &[item(1)]).await;
    assert_eq!(conflict(taken), Conflict::DepositUsed { by });
    let elsewhere = SettlementItem {
        request: terms(9).id(),
        ..item(1)
    };
    let abandoned = SettlementState::Abandoned {
        code: AbandonCode::InputsSpent,
    };
    move_settlement(&mut tx, by, abandoned).await.unwrap();
    let strange = adopt(&mut tx, &signed(53), &[elsewhere]).await;
    assert!(matches!(strange, Err(StoreError::NotFound { .. })));
    let mut other = signed(52);
    other.input[0].previous_output = outpoint(60);
    let new = AdoptedSettlement {
        epoch: Epoch(0),
        transaction: &other,
        nft_input: outpoint(52),
        nft_vout: 0,
        fee: Amount::ZERO,
        items: &[],
        now: NOW,
    };
    let differs = tx.adopt_settlement(&new).await;
    assert_eq!(conflict(differs), Conflict::TransactionDiffers);
    let nft_vout = AdoptedSettlement {
        nft_input: outpoint(60),
        nft_vout: 1,
        ..new
    };
    let differs = tx.adopt_settlement(&nft_vout).await;
    assert_eq!(conflict(differs), Conflict::TransactionDiffers);
}

#[tokio::test]
async fn two_adopted_settlements_may_pay_one_request_and_none_made_here_may() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let request = add_deposit(&mut tx, 1).await;
    let mut second = deposit(1);
    second.outpoint = outpoint(2);
    let _ = tx.record_deposit(&request, &second, NOW).await.unwrap();
    let by = adopt(&mut tx, &signed(50), &[item(1)]).await.unwrap();
    let again = SettlementItem {
        deposit: outpoint(2),
        ..item(1)
    };
    let refused = create_settlement(&mut tx, outpoint(51), &[again]).await;
    assert_eq!(conflict(refused), Conflict::RequestServed { by });
    let second = adopt(&mut tx, &signed(52), &[again]).await.unwrap();
    assert_eq!(tx.known_items(second).await.unwrap(), [again]);
    // Also on the way back from abandoned.
    let abandoned = SettlementState::Abandoned {
        code: AbandonCode::InputsSpent,
    };
    for state in [abandoned, SettlementState::Broadcast {}] {
        move_settlement(&mut tx, second, state).await.unwrap();
    }
}

#[tokio::test]
async fn a_request_claims_what_was_paid_to_it_before_it_was_known() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = adopt(&mut tx, &signed(50), &[item(1)]).await.unwrap();
    let request = terms(1).id();
    assert_eq!(tx.unclaimed_items(&request).await.unwrap(), [(id, item(1))]);
    let unclaimed = tx.unclaimed_deposits().await.unwrap();
    assert_eq!(
        unclaimed.into_iter().collect::<Vec<_>>(),
        [(outpoint(1), id)]
    );
    // Not without rows of its own.
    for _ in 0..2 {
        let claimed = tx.claim_item(id, &item(1)).await;
        assert!(matches!(claimed, Err(StoreError::NotFound { .. })));
        if tx.request(&request).await.unwrap().is_none() {
            add_request(&mut tx, 1).await;
        }
    }
    let _ = tx.record_deposit(&request, &deposit(1), NOW).await.unwrap();
    tx.claim_item(id, &item(1)).await.unwrap();
    assert_eq!(tx.known_items(id).await.unwrap(), [item(1)]);
    assert_eq!(tx.unclaimed_items(&request).await.unwrap(), []);
    assert!(tx.unclaimed_deposits().await.unwrap().is_empty());
    let again = tx.claim_item(id, &item(1)).await;
    assert!(matches!(again, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn what_an_abandoned_settlement_was_to_pay_is_nobodys() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = adopt(&mut tx, &signed(50), &[item(1)]).await.unwrap();
    let BlockRef { height, hash } = block(7, 1);
    let confirmed = SettlementState::Confirmed { height, hash };
    move_settlement(&mut tx, id, confirmed).await.unwrap();
    // Spent in a block: nobody else spends it there.
    assert!(tx.unclaimed_deposits().await.unwrap().is_empty());
    let abandoned = SettlementState::Abandoned {
        code: AbandonCode::InputsSpent,
    };
    move_settlement(&mut tx, id, abandoned).await.unwrap();
    assert_eq!(tx.unclaimed_items(&terms(1).id()).await.unwrap(), []);
}

sqlite_alone! {
/// The database as a version that adopted nothing left it.
async fn downgrade(store: &crate::support::TestStore) {
    store.close().await;
    for sql in [
        "CREATE TABLE old_items (settlement BIGINT NOT NULL REFERENCES settlements (id), \
         position BIGINT NOT NULL, request TEXT NOT NULL REFERENCES requests (id), \
         deposit TEXT NOT NULL REFERENCES deposits (outpoint), amount_out_sat BIGINT NOT NULL, \
         fee_share_sat BIGINT NOT NULL, active BIGINT NOT NULL, PRIMARY KEY (settlement, position))",
        "INSERT INTO old_items SELECT settlement, position, request, deposit, amount_out_sat, \
         fee_share_sat, active FROM settlement_items",
        "DROP TABLE settlement_items",
        "ALTER TABLE old_items RENAME TO settlement_items",
        "CREATE UNIQUE INDEX items_one_per_deposit ON settlement_items (deposit) WHERE active = 1",
        "CREATE UNIQUE INDEX items_one_per_request ON settlement_items (request) WHERE active = 1",
        "CREATE INDEX settlement_items_by_request ON settlement_items (request)",
        "ALTER TABLE settlements DROP COLUMN adopted",
        "DELETE FROM _sqlx_migrations WHERE version = 12",
    ] {
        crate::support::run(store, sql).await.unwrap();
    }
}

#[tokio::test]
async fn settlements_of_before_keep_their_items_and_were_made_here() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    for seed in [1, 2, 3] {
        add_deposit(&mut tx, seed).await;
    }
    let items = [item(2), item(1)];
    let live = create_settlement(&mut tx, outpoint(50), &items)
        .await
        .unwrap();
    let gone = create_settlement(&mut tx, outpoint(51), &[item(3)])
        .await
        .unwrap();
    let abandoned = SettlementState::Abandoned {
        code: AbandonCode::Cancelled,
    };
    move_settlement(&mut tx, gone, abandoned).await.unwrap();
    tx.commit().await.unwrap();
    downgrade(&store).await;

    let again = grail_store::Store::open(&store.url).await.unwrap();
    let mut tx = again.begin().await.unwrap();
    assert_eq!(tx.settlement_items(live).await.unwrap(), items);
    assert_eq!(tx.known_items(live).await.unwrap(), items);
    assert!(!tx.settlement(live).await.unwrap().unwrap().adopted);
    let using = tx.settlement_using(&outpoint(1)).await.unwrap();
    assert_eq!(using, Some(live));
    // What was given up holds nothing, as before.
    create_settlement(&mut tx, outpoint(51), &[item(3)])
        .await
        .unwrap();
}
}
