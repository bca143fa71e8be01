//! Deposits.

use bitcoin::Amount;
use grail_flow::{Deposit, DepositCharms, DepositOrigin, ReclaimCode};
use grail_store::{Conflict, DepositState, Reclaim, Recorded};
use grail_types::{RequestId, SUPPLY_MAX_SAT};

use crate::support::{
    NOW, add_deposit, add_request, block, code, conflict, deposit, new_store, outpoint, txid,
};

#[tokio::test]
async fn a_deposit_reads_back_as_written_whatever_it_carries() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let request = add_request(&mut tx, 1).await.id;
    let zkbtc = |sat| DepositCharms::ZkBtc(Amount::from_sat(sat));
    for (seed, value_sat, charms) in [
        (1, 0, DepositCharms::None),
        (2, SUPPLY_MAX_SAT, DepositCharms::Other),
        (3, 330, zkbtc(0)),
        (4, 330, zkbtc(SUPPLY_MAX_SAT)),
    ] {
        let given = Deposit {
            outpoint: outpoint(seed),
            value: Amount::from_sat(value_sat),
            charms,
            ..deposit(seed)
        };
        let recorded = tx.record_deposit(&request, &given, NOW).await.unwrap();
        assert_eq!(recorded, Recorded::New);
        let row = tx.deposit(&given.outpoint).await.unwrap().unwrap();
        assert_eq!(row.deposit, given);
        assert_eq!(row.request, request);
        assert_eq!((row.state, row.block), (DepositState::Unconfirmed, None));
    }
    assert_eq!(tx.deposits_of(&request, None, 10).await.unwrap().len(), 4);
    let rest = tx.deposits_of(&request, Some(&outpoint(3)), 10).await;
    assert_eq!(rest.unwrap().len(), 1);
}

#[tokio::test]
async fn an_amount_that_cannot_exist_is_refused() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let request = add_request(&mut tx, 1).await.id;
    for sat in [SUPPLY_MAX_SAT + 1, i64::MAX as u64, u64::MAX] {
        let amount = Amount::from_sat(sat);
        let coin = Deposit {
            value: amount,
            ..deposit(1)
        };
        let token = Deposit {
            charms: DepositCharms::ZkBtc(amount),
            ..deposit(1)
        };
        for given in [coin, token] {
            let recorded = tx.record_deposit(&request, &given, NOW).await;
            assert_eq!(code(recorded), "out-of-range");
        }
    }
    assert_eq!(tx.deposit(&outpoint(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_deposit_told_twice_is_one_and_told_otherwise_is_a_conflict() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let request = add_deposit(&mut tx, 1).await;
    let other = add_request(&mut tx, 2).await.id;
    let known = tx.record_deposit(&request, &deposit(1), NOW + 9).await;
    assert_eq!(known.unwrap(), Recorded::Known);
    let more = Deposit {
        value: Amount::from_sat(50_001),
        ..deposit(1)
    };
    let charmed = Deposit {
        charms: DepositCharms::Other,
        ..deposit(1)
    };
    for (request, given) in [(request, more), (request, charmed), (other, deposit(1))] {
        let recorded = tx.record_deposit(&request, &given, NOW).await;
        assert_eq!(conflict(recorded), Conflict::DepositDiffers);
    }
    let nobody = tx
        .record_deposit(&RequestId([9; 32]), &deposit(3), NOW)
        .await;
    assert_eq!(code(nobody), "not-found");
}

#[tokio::test]
async fn a_second_deposit_to_one_address_is_a_row_of_its_own() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let request = add_deposit(&mut tx, 1).await;
    let second = tx.record_deposit(&request, &deposit(2), NOW).await;
    assert_eq!(second.unwrap(), Recorded::New);
    tx.set_deposit_state(
        &outpoint(2),
        DepositState::Reclaimable,
        Some(ReclaimCode::DuplicateDeposit),
        NOW,
    )
    .await
    .unwrap();
    let rows = tx.deposits_of(&request, None, 10).await.unwrap();
    let codes: Vec<_> = rows.iter().map(|row| row.code).collect();
    assert_eq!(codes, [None, Some(ReclaimCode::DuplicateDeposit)]);
}

#[tokio::test]
async fn every_state_and_code_reads_back() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    let codes = ReclaimCode::ALL.into_iter().map(Some).chain([None]);
    for (state, code) in DepositState::ALL.into_iter().cycle().zip(codes) {
        tx.set_deposit_state(&outpoint(1), state, code, NOW + 1)
            .await
            .unwrap();
        let row = tx.deposit(&outpoint(1)).await.unwrap().unwrap();
        assert_eq!((row.state, row.code), (state, code));
        let listed = tx.deposits_in_state(state, None, 10).await.unwrap();
        assert_eq!(listed, [row]);
    }
}

#[tokio::test]
async fn block_and_reclaim_are_set_and_cleared() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    let at = outpoint(1);
    let reclaim = Reclaim {
        txid: txid(9),
        block: block(130, 0),
    };
    for (mined, reclaimed) in [(Some(block(100, 0)), Some(reclaim)), (None, None)] {
        tx.set_deposit_block(&at, mined, NOW + 1).await.unwrap();
        tx.set_deposit_reclaim(&at, reclaimed, NOW + 2)
            .await
            .unwrap();
        let row = tx.deposit(&at).await.unwrap().unwrap();
        assert_eq!((row.block, row.reclaim), (mined, reclaimed));
        assert_eq!(row.updated_at, NOW + 2);
    }
    let nowhere = outpoint(2);
    assert_eq!(
        code(tx.set_deposit_block(&nowhere, None, NOW).await),
        "not-found"
    );
    assert_eq!(
        code(tx.set_deposit_reclaim(&nowhere, None, NOW).await),
        "not-found"
    );
    let state = DepositState::Ready;
    let missing = tx.set_deposit_state(&nowhere, state, None, NOW).await;
    assert_eq!(code(missing), "not-found");
}

#[tokio::test]
async fn a_deposit_that_a_reward_made_is_read_back_as_one() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let request = add_request(&mut tx, 1).await.id;
    let reward = Deposit {
        origin: DepositOrigin::Coinbase,
        ..deposit(1)
    };
    let recorded = tx.record_deposit(&request, &reward, NOW).await.unwrap();
    assert_eq!(recorded, Recorded::New);
    let row = tx.deposit(&reward.outpoint).await.unwrap().unwrap();
    assert_eq!(row.deposit, reward);
    let payment = tx.record_deposit(&request, &deposit(1), NOW).await;
    assert_eq!(conflict(payment), Conflict::DepositDiffers);
    tx.set_deposit_origin(&reward.outpoint, DepositOrigin::Payment, NOW)
        .await
        .unwrap();
    let row = tx.deposit(&reward.outpoint).await.unwrap().unwrap();
    assert_eq!(row.deposit, deposit(1));
    let unknown = tx
        .set_deposit_origin(&outpoint(9), DepositOrigin::Coinbase, NOW)
        .await;
    assert_eq!(code(unknown), "not-found");
}

sqlite_alone! {
#[tokio::test]
async fn deposits_of_before_are_told_apart_by_their_transactions() {
    const MIGRATION: &str = include_str!("../../migrations/sqlite/0007_coinbase_deposits.sql");
    let (_, update) = MIGRATION.split_once("UPDATE").unwrap();
    let update = format!("UPDATE{update}");
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let mut made = Vec::new();
    for (seed, input, has_witness, origin) in [
        (1, bitcoin::OutPoint::null(), true, DepositOrigin::Coinbase),
        (2, bitcoin::OutPoint::null(), false, DepositOrigin::Coinbase),
        (3, outpoint(9), true, DepositOrigin::Payment),
        (4, outpoint(9), false, DepositOrigin::Payment),
    ] {
        let mut transaction = crate::support::transaction(input);
        transaction.output[0].value = Amount::from_sat(u64::from(seed));
        if has_witness {
            transaction.input[0].witness.push([0; 32]);
        }
        tx.put_transaction(&transaction).await.unwrap();
        let request = add_request(&mut tx, seed).await.id;
        let given = Deposit {
            outpoint: bitcoin::OutPoint::new(transaction.compute_txid(), 0),
            ..deposit(seed)
        };
        let recorded = tx.record_deposit(&request, &given, NOW).await.unwrap();
        assert_eq!(recorded, Recorded::New);
        made.push((given.outpoint, origin));
    }
    tx.commit().await.unwrap();
    assert_eq!(crate::support::run(&store, &update).await.unwrap(), 2);
    let mut reader = store.read().await.unwrap();
    for (outpoint, origin) in made {
        let row = reader.deposit(&outpoint).await.unwrap().unwrap();
        assert_eq!(row.deposit.origin, origin);
    }
}
}
