//! The database's own rules, with the checks above them gone around; and rows that were tampered
//! with.

use grail_flow::{RequestState, SettlementId};

use grail_store::Engine;

use crate::{
    ENGINE,
    support::{
        NOW, TestStore, add_deposit, add_request, code, create_settlement, item, new_store,
        outpoint, run, terms, transaction,
    },
};

fn is_constraint(result: Result<u64, sqlx::Error>) -> bool {
    match result {
        Err(sqlx::Error::Database(error)) => {
            error.is_unique_violation()
                || error.is_check_violation()
                || error.is_foreign_key_violation()
        }
        other => panic!("expected the database to refuse, got {other:?}"),
    }
}

/// Two settlements with a deposit each.
async fn two_settlements() -> TestStore {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    for seed in [1, 2] {
        add_deposit(&mut tx, seed).await;
        create_settlement(&mut tx, outpoint(50 + seed), &[item(seed)])
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    store
}

#[tokio::test]
async fn the_schema_itself_refuses_what_live_settlements_must_not_share() {
    let store = two_settlements().await;
    for sql in [
        "UPDATE settlements SET nft_input = (SELECT nft_input FROM settlements WHERE id = 1) WHERE id = 2",
        "UPDATE settlements SET txid = 'same'",
        "UPDATE settlement_items SET deposit = (SELECT deposit FROM settlement_items WHERE settlement = 1)",
        "UPDATE settlement_items SET request = (SELECT request FROM settlement_items WHERE settlement = 1)",
        "UPDATE settlement_items SET deposit = 'unknown' WHERE settlement = 1",
        "UPDATE settlement_items SET amount_out_sat = 2100000000000001",
        "UPDATE settlement_items SET fee_share_sat = -1",
        "UPDATE settlements SET fee_sat = 2100000000000001",
        "UPDATE settlements SET height = 1",
        "UPDATE deposits SET amount_sat = 2100000000000001",
        "UPDATE deposits SET amount_sat = -1",
        "UPDATE deposits SET token_sat = 1",
        "UPDATE deposits SET height = 1",
        "UPDATE deposits SET reclaim_height = 1",
        "UPDATE requests SET deposit_script = 'same'",
        "DELETE FROM deposits",
    ] {
        assert!(is_constraint(run(&store, sql).await), "{sql}");
    }
    // An abandoned one shares what it likes.
    let share = "UPDATE settlements SET state_name = 'abandoned', \
        nft_input = (SELECT nft_input FROM settlements WHERE id = 1) WHERE id = 2";
    assert_eq!(run(&store, share).await.unwrap(), 1);
}

#[tokio::test]
async fn a_row_that_was_tampered_with_is_named_corrupt_and_nothing_panics() {
    for (sql, what) in [
        (
            "UPDATE requests SET terms = replace(terms, '5000', '5001')",
            "request",
        ),
        ("UPDATE requests SET terms = '{}'", "request"),
        (
            "UPDATE requests SET state = '{\"state\":\"ready\"}'",
            "request",
        ),
        ("UPDATE requests SET roster = ''", "request"),
        (
            "UPDATE requests SET deposit_script = 'zz' WHERE number = 1",
            "request",
        ),
        (
            "UPDATE requests SET deadline_height = 4294967296",
            "request",
        ),
        ("UPDATE requests SET created_at = -1", "request"),
        ("UPDATE deposits SET charms = 'gold'", "deposit"),
        ("UPDATE deposits SET code = 'gold'", "deposit"),
        ("UPDATE deposits SET state_name = 'gold'", "deposit"),
        ("UPDATE deposits SET hash = 'gold', height = 1", "deposit"),
        ("UPDATE deposits SET reclaim_txid = 'gold'", "deposit"),
        ("UPDATE settlements SET state = 'gold'", "settlement"),
        (
            "UPDATE settlements SET nft_output = 'gold' WHERE id = 1",
            "settlement",
        ),
        (
            "UPDATE settlements SET txid = 'gold' WHERE id = 1",
            "settlement",
        ),
        ("UPDATE transactions SET raw = x'00'", "transaction"),
        ("UPDATE transactions SET raw = raw || x'00'", "transaction"),
    ] {
        let store = two_settlements().await;
        let mut tx = store.begin().await.unwrap();
        let transaction = transaction(outpoint(9));
        tx.put_transaction(&transaction).await.unwrap();
        tx.commit().await.unwrap();
        assert!(run(&store, sql).await.unwrap() > 0, "{sql}");
        let mut reader = store.read().await.unwrap();
        let error = match what {
            "request" => reader.request(&terms(1).id()).await.map(|_| ()),
            "deposit" => reader.deposit(&outpoint(1)).await.map(|_| ()),
            "settlement" => reader.settlements(0, 1).await.map(|_| ()),
            _ => {
                let txid = transaction.compute_txid();
                reader.transaction(&txid).await.map(|_| ())
            }
        };
        assert_eq!(code(error), "corrupt", "{sql}");
    }
}

#[tokio::test]
async fn a_transaction_stored_under_another_name_is_corrupt() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let (one, two) = (transaction(outpoint(1)), transaction(outpoint(2)));
    tx.put_transaction(&one).await.unwrap();
    tx.put_transaction(&two).await.unwrap();
    add_request(&mut tx, 1).await;
    tx.raise_alarm(&grail_flow::Alarm::EventLoop, NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    run(
        &store,
        "UPDATE transactions SET raw = (SELECT raw FROM transactions ORDER BY raw LIMIT 1)",
    )
    .await
    .unwrap();
    let mut reader = store.read().await.unwrap();
    let mut results = Vec::new();
    for transaction in [&one, &two] {
        results.push(
            reader
                .transaction(&transaction.compute_txid())
                .await
                .is_ok(),
        );
    }
    results.sort_unstable();
    assert_eq!(results, [false, true]);
}

#[tokio::test]
async fn rows_in_the_form_of_the_version_before_are_read_and_moved_on() {
    let store = two_settlements().await;
    for sql in [
        // States, terms and rosters had no version, nor had drafts.
        "UPDATE requests SET state = is_of(state), terms = is_of(terms), roster = is_of(roster)",
        "UPDATE settlements SET state = is_of(state)",
        "UPDATE settlement_bodies SET body = x'a0' WHERE kind = 'draft'",
    ] {
        let sql = ["state", "terms", "roster"]
            .iter()
            .fold(sql.to_owned(), |sql, column| {
                let own = match ENGINE {
                    Engine::Sqlite => format!("json_extract({column}, '$.is')"),
                    Engine::Postgres => format!("({column}::json ->> 'is')"),
                };
                sql.replace(&format!("is_of({column})"), &own)
            });
        assert!(run(&store, &sql).await.unwrap() > 0, "{sql}");
    }
    let mut tx = store.begin().await.unwrap();
    let id = terms(1).id();
    let request = tx.request(&id).await.unwrap().unwrap();
    let next = RequestState::Expired {};
    tx.set_request_state(&id, &request.state, &next, NOW)
        .await
        .unwrap();
    assert_eq!(tx.request(&id).await.unwrap().unwrap().state, next);

    let id = SettlementId(1);
    assert_eq!(tx.draft(id).await.unwrap().unwrap(), [0xa0]);
    assert_eq!(tx.proposal(id).await.unwrap(), None);
}

#[tokio::test]
async fn a_row_of_a_newer_version_is_not_called_corrupt() {
    let store = two_settlements().await;
    for sql in [
        "UPDATE requests SET state = '{\"v\":9,\"is\":{}}'",
        "UPDATE settlements SET state = '{\"v\":9,\"is\":{}}' WHERE id = 1",
        "UPDATE settlement_bodies SET body = x'0900' WHERE settlement = 2",
    ] {
        assert!(run(&store, sql).await.unwrap() > 0, "{sql}");
    }
    let mut reader = store.read().await.unwrap();
    assert_eq!(code(reader.request(&terms(1).id()).await), "newer");
    assert_eq!(code(reader.settlement(SettlementId(1)).await), "newer");
    assert_eq!(code(reader.draft(SettlementId(2)).await), "newer");
}
