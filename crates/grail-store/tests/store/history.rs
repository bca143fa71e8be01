//! What everybody may ask costs the same after any number of settlements.

use std::time::{Duration, Instant};

use bitcoin::OutPoint;

use crate::support::{new_store, run};

/// Settlements that a bridge makes in some years.
const SETTLEMENTS: u32 = 20_000;
/// A look at a few rows takes a millisecond, and a busy machine some more; one at all of them takes
/// seconds.
const PATIENCE: Duration = Duration::from_millis(500);

/// Each spends the NFT that the one before it made; the newest one is in the mempool. Transactions
/// are called by numbers of ten digits.
const FILL: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000),
    t(i, input, output) AS (SELECT i, '@' || (1000000000 + i) || ':0', '@' || (1000000001 + i) || ':0' FROM n)
    INSERT INTO settlements
        (id, state_name, state, nft_input, nft_output, created_at, updated_at)
    SELECT i, CASE WHEN i = 20000 THEN 'broadcast' ELSE 'final' END, '', input, output, 1, 1 FROM t";

/// A statement with `@` for the 54 digits before a number's.
fn padded(sql: &str) -> String {
    sql.replace('@', &"0".repeat(54))
}

fn output_of(number: u64) -> OutPoint {
    format!("{:064}:0", 1_000_000_000 + number).parse().unwrap()
}

#[tokio::test]
async fn the_place_of_the_nft_is_found_at_once_after_any_history() {
    let store = new_store().await;
    assert_eq!(
        run(&store, &padded(FILL)).await.unwrap(),
        u64::from(SETTLEMENTS)
    );
    let mut reader = store.read().await.unwrap();
    let began = Instant::now();
    let nft = reader.published_nft().await.unwrap();
    let taken = began.elapsed();
    assert_eq!(nft, Some(output_of(u64::from(SETTLEMENTS) + 1)));
    assert!(taken < PATIENCE, "{taken:?}");
}

#[tokio::test]
async fn after_a_rotation_former_settlements_are_passed_over_at_once() {
    let store = new_store().await;
    run(&store, &padded(FILL)).await.unwrap();
    let rotation = "INSERT INTO handovers
        (epoch, vault_epoch, txid, nft_input, handover, height, hash)
        VALUES (1, 0, '@1000000007', '@1000020001:0', x'', 1, '@1000000008')";
    run(&store, &padded(rotation)).await.unwrap();
    let mut reader = store.read().await.unwrap();
    let began = Instant::now();
    let nft = reader.published_nft().await.unwrap();
    let taken = began.elapsed();
    assert_eq!(nft, Some(output_of(7)));
    assert!(taken < PATIENCE, "{taken:?}");
}
