//! Settlements and their hold on NFT, deposits and requests.

use bitcoin::{Amount, OutPoint, Weight};
use grail_flow::{AbandonCode, SettlementId, SettlementState};
use grail_store::{
    BuiltTransaction, Conflict, DRAFT_BYTES_MAX, NewSettlement, PROPOSAL_BYTES_MAX,
    SETTLEMENT_ITEMS_MAX, SettlementItem,
};
use grail_types::{Epoch, SUPPLY_MAX_SAT};

use crate::support::{
    NOW, add_deposit, add_request, block, code, conflict, create_settlement, deposit, item,
    move_settlement, new_store, outpoint, terms, transaction,
};

const ABANDONED: SettlementState = SettlementState::Abandoned {
    code: AbandonCode::Replaced,
};

fn built(unsigned: &bitcoin::Transaction) -> BuiltTransaction<'_> {
    BuiltTransaction {
        unsigned,
        nft_vout: 0,
        fee: Amount::from_sat(700),
        weight: Weight::from_wu(2_001),
    }
}

#[tokio::test]
async fn a_settlement_reads_back_as_written() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    add_deposit(&mut tx, 2).await;
    let nft = outpoint(50);
    let id = create_settlement(&mut tx, nft, &[item(2), item(1)])
        .await
        .unwrap();
    let settlement = tx.settlement(id).await.unwrap().unwrap();
    assert_eq!(settlement.state, SettlementState::start());
    assert_eq!(settlement.nft_input, nft);
    assert_eq!((settlement.txid, settlement.nft_output), (None, None));
    assert_eq!(tx.settlement_items(id).await.unwrap(), [item(2), item(1)]);
    assert_eq!(tx.draft(id).await.unwrap().unwrap(), b"draft");
    assert_eq!(tx.proposal(id).await.unwrap(), None);
    assert_eq!(tx.unsigned_transaction(id).await.unwrap(), None);
    let row = tx.deposit(&outpoint(1)).await.unwrap().unwrap();
    assert_eq!(row.settlement, Some(id));
    assert_eq!(tx.settlement(SettlementId(u64::MAX)).await.unwrap(), None);
}

#[tokio::test]
async fn two_live_settlements_never_spend_one_nft() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let nft = outpoint(50);
    let first = create_settlement(&mut tx, nft, &[]).await.unwrap();
    let second = create_settlement(&mut tx, nft, &[]).await;
    assert_eq!(conflict(second), Conflict::NftSpent { by: first });
    // It makes room by being abandoned, and cannot come back while another holds the NFT.
    move_settlement(&mut tx, first, ABANDONED).await.unwrap();
    let second = create_settlement(&mut tx, nft, &[]).await.unwrap();
    let back = move_settlement(&mut tx, first, SettlementState::Broadcast {}).await;
    assert_eq!(conflict(back), Conflict::NftSpent { by: second });
    move_settlement(&mut tx, second, ABANDONED).await.unwrap();
    move_settlement(&mut tx, first, SettlementState::Broadcast {})
        .await
        .unwrap();
    let spending = tx.settlement_spending_nft(&nft).await.unwrap().unwrap();
    assert_eq!(spending.id, first);
}

#[tokio::test]
async fn a_deposit_is_used_by_one_live_settlement_only() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    add_deposit(&mut tx, 2).await;
    tx.commit().await.unwrap();

    let mut tx = store.begin().await.unwrap();
    let twice = create_settlement(&mut tx, outpoint(50), &[item(1), item(1)]).await;
    assert!(matches!(conflict(twice), Conflict::DepositUsed { .. }));
    drop(tx);

    let mut tx = store.begin().await.unwrap();
    let first = create_settlement(&mut tx, outpoint(50), &[item(1)])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let second = create_settlement(&mut tx, outpoint(51), &[item(2), item(1)]).await;
    assert_eq!(conflict(second), Conflict::DepositUsed { by: first });
    drop(tx);

    // Nothing of the refused ones is left.
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.settlements(0, 10).await.unwrap().len(), 1);
    assert_eq!(
        tx.deposit(&outpoint(2)).await.unwrap().unwrap().settlement,
        None
    );

    move_settlement(&mut tx, first, ABANDONED).await.unwrap();
    assert_eq!(
        tx.deposit(&outpoint(1)).await.unwrap().unwrap().settlement,
        None
    );
    let second = create_settlement(&mut tx, outpoint(51), &[item(1)])
        .await
        .unwrap();
    let back = move_settlement(&mut tx, first, SettlementState::Signed {}).await;
    assert_eq!(conflict(back), Conflict::DepositUsed { by: second });
}

#[tokio::test]
async fn a_request_is_served_by_one_live_settlement_only() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let request = add_deposit(&mut tx, 1).await;
    let recorded = tx.record_deposit(&request, &deposit(2), NOW).await;
    assert!(recorded.is_ok());
    let first = create_settlement(&mut tx, outpoint(50), &[item(1)])
        .await
        .unwrap();
    let second_deposit = SettlementItem {
        deposit: outpoint(2),
        ..item(1)
    };
    let second = create_settlement(&mut tx, outpoint(51), &[second_deposit]).await;
    assert_eq!(conflict(second), Conflict::RequestServed { by: first });
}

#[tokio::test]
async fn a_deposit_serves_only_its_own_request() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    add_request(&mut tx, 2).await;
    for wrong in [
        SettlementItem {
            request: terms(2).id(),
            ..item(1)
        },
        SettlementItem {
            deposit: outpoint(9),
            ..item(1)
        },
    ] {
        let created = create_settlement(&mut tx, outpoint(50), &[wrong]).await;
        assert_eq!(code(created), "not-found");
        tx = {
            drop(tx);
            let mut tx = store.begin().await.unwrap();
            add_deposit(&mut tx, 1).await;
            add_request(&mut tx, 2).await;
            tx
        };
    }
}

#[tokio::test]
async fn extremes_of_items_and_proposals_are_refused() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    tx.commit().await.unwrap();
    for (amount_out, fee_share, is_fine) in [
        (0, 0, true),
        (SUPPLY_MAX_SAT, SUPPLY_MAX_SAT, true),
        (SUPPLY_MAX_SAT + 1, 0, false),
        (0, u64::MAX, false),
    ] {
        let given = SettlementItem {
            amount_out: Amount::from_sat(amount_out),
            fee_share: Amount::from_sat(fee_share),
            ..item(1)
        };
        let mut tx = store.begin().await.unwrap();
        let created = create_settlement(&mut tx, outpoint(50), &[given]).await;
        if is_fine {
            assert_eq!(
                tx.settlement_items(created.unwrap()).await.unwrap(),
                [given]
            );
        } else {
            assert_eq!(code(created), "out-of-range");
        }
    }
    let mut tx = store.begin().await.unwrap();
    let too_many = vec![item(1); SETTLEMENT_ITEMS_MAX + 1];
    let created = create_settlement(&mut tx, outpoint(50), &too_many).await;
    assert_eq!(code(created), "out-of-range");
    let new = NewSettlement {
        epoch: Epoch(0),
        nft_input: outpoint(50),
        draft: &vec![0; DRAFT_BYTES_MAX + 1],
        items: &[],
        now: NOW,
    };
    assert_eq!(code(tx.create_settlement(&new).await), "out-of-range");
    let id = create_settlement(&mut tx, outpoint(50), &[]).await.unwrap();
    let long = vec![0; PROPOSAL_BYTES_MAX + 1];
    assert_eq!(
        code(tx.set_proposal(id, "name", &long, NOW).await),
        "out-of-range"
    );
}

#[tokio::test]
async fn the_built_and_the_signed_transaction_are_one() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let nft = outpoint(50);
    let id = create_settlement(&mut tx, nft, &[]).await.unwrap();
    let unsigned = transaction(nft);
    let mut signed = unsigned.clone();
    signed.input[0].witness.push([7; 64]);

    let early = tx.set_signed(id, &signed, NOW).await;
    assert_eq!(conflict(early), Conflict::TransactionDiffers);
    let txid = tx.set_built(id, &built(&unsigned), NOW).await.unwrap();
    let settlement = tx.settlement(id).await.unwrap().unwrap();
    assert_eq!(settlement.txid, Some(txid));
    assert_eq!(settlement.nft_output, Some(OutPoint::new(txid, 0)));
    assert_eq!(settlement.fee, Some(Amount::from_sat(700)));
    assert_eq!(
        (settlement.weight, settlement.vsize),
        (Some(Weight::from_wu(2_001)), Some(501))
    );
    assert_eq!(tx.unsigned_transaction(id).await.unwrap(), Some(unsigned));
    assert_eq!(tx.signed_transaction(id).await.unwrap(), None);

    let mut other = signed.clone();
    other.output[0].value += Amount::ONE_SAT;
    let differs = tx.set_signed(id, &other, NOW).await;
    assert_eq!(conflict(differs), Conflict::TransactionDiffers);
    tx.set_signed(id, &signed, NOW).await.unwrap();
    let settlement = tx.settlement_by_txid(&txid).await.unwrap().unwrap();
    assert_eq!(settlement.weight, Some(signed.weight()));
    assert_eq!(tx.signed_transaction(id).await.unwrap(), Some(signed));
    tx.set_proposal(id, "name", b"more", NOW).await.unwrap();
    assert_eq!(tx.proposal(id).await.unwrap().unwrap(), b"more");
    assert_eq!(tx.draft(id).await.unwrap(), None);
}

#[tokio::test]
async fn a_transaction_must_move_the_nft() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let nft = outpoint(50);
    let id = create_settlement(&mut tx, nft, &[]).await.unwrap();
    let elsewhere = transaction(outpoint(51));
    let refused = tx.set_built(id, &built(&elsewhere), NOW).await;
    assert_eq!(conflict(refused), Conflict::TransactionDiffers);
    let right = transaction(nft);
    let without_output = BuiltTransaction {
        nft_vout: 1,
        ..built(&right)
    };
    let refused = tx.set_built(id, &without_output, NOW).await;
    assert_eq!(conflict(refused), Conflict::TransactionDiffers);
}

#[tokio::test]
async fn a_settlement_rebuilt_alike_after_being_abandoned_is_no_conflict() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let nft = outpoint(50);
    let unsigned = transaction(nft);
    let first = create_settlement(&mut tx, nft, &[]).await.unwrap();
    let txid = tx.set_built(first, &built(&unsigned), NOW).await.unwrap();
    move_settlement(&mut tx, first, ABANDONED).await.unwrap();
    let found = tx.settlement_by_txid(&txid).await.unwrap().unwrap();
    assert_eq!(found.id, first);
    let late = tx.set_built(first, &built(&unsigned), NOW).await;
    assert_eq!(conflict(late), Conflict::SettlementAbandoned { id: first });

    let second = create_settlement(&mut tx, nft, &[]).await.unwrap();
    assert_eq!(
        tx.set_built(second, &built(&unsigned), NOW).await.unwrap(),
        txid
    );
    let found = tx.settlement_by_txid(&txid).await.unwrap().unwrap();
    assert_eq!(found.id, second);
}

#[tokio::test]
async fn a_state_is_changed_only_from_the_one_read_and_brings_its_block() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let id = create_settlement(&mut tx, outpoint(50), &[]).await.unwrap();
    let at = block(7, 0);
    let confirmed = SettlementState::Confirmed {
        height: at.height,
        hash: at.hash,
    };
    let mut from = SettlementState::start();
    for to in [
        SettlementState::Proven {},
        SettlementState::Asked { round: 1 },
        SettlementState::Asked { round: 2 },
        SettlementState::Signed {},
        SettlementState::Broadcast {},
        confirmed,
        SettlementState::Final {
            height: at.height,
            hash: at.hash,
        },
        SettlementState::Broadcast {},
        ABANDONED,
    ] {
        tx.set_settlement_state(id, &from, &to, NOW + 3)
            .await
            .unwrap();
        let settlement = tx.settlement(id).await.unwrap().unwrap();
        assert_eq!((settlement.state, settlement.block), (to, to.block()));
        assert_eq!(settlement.updated_at, NOW + 3);
        let listed = tx.settlements_in_state(to.stage(), 0, 9).await.unwrap();
        assert_eq!(listed, [settlement]);
        let stale = tx.set_settlement_state(id, &from, &to, NOW).await;
        assert_eq!(code(stale), "stale");
        from = to;
    }
    let nobody = SettlementId(99);
    let missing = tx
        .set_settlement_state(nobody, &from, &confirmed, NOW)
        .await;
    assert_eq!(code(missing), "not-found");
    assert_eq!(
        code(tx.set_proposal(nobody, "name", b"", NOW).await),
        "not-found"
    );
}

#[tokio::test]
async fn the_tip_is_the_end_of_the_chain_of_live_settlements() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.settlement_tip().await.unwrap(), None);
    let mut nft = outpoint(50);
    let mut chain = Vec::new();
    for _ in 0..3 {
        let id = create_settlement(&mut tx, nft, &[]).await.unwrap();
        let txid = tx
            .set_built(id, &built(&transaction(nft)), NOW)
            .await
            .unwrap();
        nft = OutPoint::new(txid, 0);
        chain.push(id);
    }
    let tip = tx.settlement_tip().await.unwrap().unwrap();
    assert_eq!((tip.id, tip.nft_output), (chain[2], Some(nft)));
    assert_eq!(tx.unconfirmed_settlement_count().await.unwrap(), 3);

    move_settlement(&mut tx, chain[2], ABANDONED).await.unwrap();
    let tip = tx.settlement_tip().await.unwrap().unwrap();
    assert_eq!(tip.id, chain[1]);
    let at = block(5, 0);
    let confirmed = SettlementState::Confirmed {
        height: at.height,
        hash: at.hash,
    };
    move_settlement(&mut tx, chain[0], confirmed).await.unwrap();
    assert_eq!(tx.unconfirmed_settlement_count().await.unwrap(), 1);
    let page = tx.settlements(chain[0].0, 1).await.unwrap();
    assert_eq!(page[0].id, chain[1]);
}

#[tokio::test]
async fn of_two_processes_that_build_on_one_nft_one_wins() {
    let store = new_store().await;
    let other = grail_store::Store::open(&store.url).await.unwrap();
    let build = |store: grail_store::Store| async move {
        let mut tx = store.begin().await.unwrap();
        let created = create_settlement(&mut tx, outpoint(50), &[]).await;
        if created.is_ok() {
            tx.commit().await.unwrap();
        }
        created
    };
    let (one, two) = tokio::join!(
        tokio::spawn(build(store.store.clone())),
        tokio::spawn(build(other))
    );
    let (won, lost): (Vec<_>, Vec<_>) = [one.unwrap(), two.unwrap()]
        .into_iter()
        .partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 1));
    for result in lost {
        assert!(matches!(conflict(result), Conflict::NftSpent { .. }));
    }
}
