//! The age of the coins of NFT and vault, and whom it is told to.

use grail_backend::roles::last_resort;

use super::world::World;

/// A peg-in from the request to the payment.
async fn paid_peg_in(w: &World) {
    let asked = w.ready_peg_ins(1).await.remove(0).0;
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&asked).await, ("paid", None));
}

/// Blocks of the NFT's coin, the one that made it included.
async fn age(w: &World) -> u32 {
    let made = w.backend.store.read().await.unwrap().nft_block().await;
    w.tip_height().await - made.unwrap().unwrap().height + 1
}

#[tokio::test]
async fn a_vault_that_nobody_moves_is_told_of_and_a_settlement_ends_it() {
    let w = World::new().await;
    assert_eq!(last_resort::NEAR, 26_280);
    let watch = async |near| last_resort::watch(&w.backend, near).await.unwrap();
    paid_peg_in(&w).await;
    w.mine_empty(5).await;
    let old = age(&w).await;
    watch(old + 1).await;
    assert_eq!(w.alarms().await, [""; 0]);
    watch(old).await;
    assert_eq!(w.alarms().await, ["last-resort-near"]);
    // Work goes on, and the fact stays one alarm.
    watch(old).await;
    assert_eq!(w.alarms().await, ["last-resort-near"]);
    // Whoever looks at it does not make the coins younger.
    w.acknowledge_alarms().await;
    watch(old).await;
    assert_eq!(w.alarms().await, ["last-resort-near"]);
    paid_peg_in(&w).await;
    let younger = age(&w).await;
    assert!(younger < old);
    watch(younger + 1).await;
    assert_eq!(w.alarms().await, [""; 0]);
}
