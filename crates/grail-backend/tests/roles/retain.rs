//! Old age: what nobody needs any more goes, and everything that anybody may ask is still told.

use axum::http::StatusCode;
use bitcoin::{BlockHash, hashes::Hash};
use grail_api::RequestState;
use grail_backend::{
    clock,
    roles::retain::{Gone, Retainer},
};
use grail_store::{BLOCKS_KEPT, BlockRef};

use super::{
    receipts::{get, hand_in, receipt},
    users::Asked,
    world::World,
};

/// A turn of the role, and all that follow from it.
async fn turns(w: &World) {
    let mut retainer = Retainer::new(&w.backend);
    while retainer.turn(clock::now()).await.unwrap() {}
}

/// Blocks on a settlement's own after which its large parts may go.
fn kept(w: &World) -> u32 {
    w.backend.params().settlement_confirmations + BLOCKS_KEPT
}

#[tokio::test]
async fn what_was_settled_is_told_whole_after_its_large_parts_are_gone() {
    let w = World::new().await;
    let (asked, deposit) = w.ready_peg_ins(1).await.remove(0);
    let (id, settlement) = w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(kept(&w) - 1).await;
    turns(&w).await;
    let txid = settlement.compute_txid();
    let paths = [
        format!("/v1/peg-ins/{}", asked.id),
        format!("/v1/settlements/{txid}"),
    ];
    let before = [get(&w, &paths[0]).await, get(&w, &paths[1]).await];
    let mut reader = w.backend.store.read().await.unwrap();
    assert!(reader.signed_transaction(id).await.unwrap().is_some());
    assert!(reader.transaction(&deposit.txid).await.unwrap().is_some());
    drop(reader);

    w.mine_empty(1).await;
    turns(&w).await;
    let mut reader = w.backend.store.read().await.unwrap();
    assert_eq!(reader.signed_transaction(id).await.unwrap(), None);
    assert_eq!(reader.proposal(id).await.unwrap(), None);
    assert_eq!(reader.transaction(&deposit.txid).await.unwrap(), None);
    drop(reader);
    for (path, mut before) in paths.iter().zip(before) {
        let mut now = get(&w, path).await;
        for answer in [&mut before, &mut now] {
            // One block further.
            for part in [
                "/confirmations",
                "/deposit/confirmations",
                "/settlement/confirmations",
            ] {
                if let Some(number) = answer.pointer_mut(part) {
                    *number = 0.into();
                }
            }
        }
        assert_eq!(now, before);
    }
    let removed = |gone| w.backend.removed.count(gone);
    assert_eq!(removed(Gone::SettlementBodies), 1);
    assert_eq!(removed(Gone::Transactions), 1);

    // The bridge goes on from there: on an NFT whose maker has no witnesses any more.
    let next = w.ready_peg_ins(1).await.remove(0).0;
    w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&next).await, ("paid", None));
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_receipt_counts_after_the_settlement_that_paid_it_was_trimmed() {
    let w = World::new().await;
    let asked = w.ready_peg_ins(1).await.remove(0).0;
    let (_, settlement) = w.settle().await;
    w.mine_mempool().await;
    for _ in 0..=kept(&w) {
        w.chain.mine(Vec::new());
    }
    let new = w.rebuilt().await;
    turns(&new).await;
    let mut reader = new.backend.store.read().await.unwrap();
    let txid = settlement.compute_txid();
    let adopted = reader.settlement_by_txid(&txid).await.unwrap().unwrap();
    assert_eq!(reader.signed_transaction(adopted.id).await.unwrap(), None);
    drop(reader);
    let receipt = receipt(&w, &asked).await;
    let (status, answer) = hand_in(&new, &receipt, None).await;
    assert_eq!(
        (status, answer.state),
        (StatusCode::CREATED, RequestState::Paid)
    );
}

#[tokio::test]
async fn requests_that_no_block_ended_are_ended_by_the_role() {
    let w = World::new().await;
    let mut asked: Vec<Asked> = Vec::new();
    for _ in 0..3 {
        asked.push(w.ask_peg_in().await);
    }
    // Blocks whose steps had more to end than they take.
    let (tip, deadline) = (w.tip_height().await, asked[2].deadline_height);
    let mut tx = w.backend.store.begin().await.unwrap();
    for height in tip + 1..=deadline {
        let mut hash = [7; 32];
        hash[..4].copy_from_slice(&height.to_le_bytes());
        let hash = BlockHash::from_byte_array(hash);
        tx.connect_block(BlockRef { height, hash }).await.unwrap();
    }
    tx.commit().await.unwrap();
    for asked in &asked {
        assert_eq!(w.standing(asked).await.0, "awaiting-deposit");
    }
    turns(&w).await;
    for asked in &asked {
        assert_eq!(w.standing(asked).await.0, "expired");
    }
}

/// Retention takes no request, so one that comes late is seen in old age too.
#[tokio::test]
async fn a_deposit_to_an_old_request_is_recognised_after_everything_else_went() {
    let w = World::new().await;
    let asked = w.ask_peg_in().await;
    let tip = w.tip_height().await;
    w.mine_empty(asked.deadline_height - tip + kept(&w)).await;
    turns(&w).await;
    assert_eq!(w.standing(&asked).await, ("expired", None));
    w.mine(vec![w.deposit(&asked, 100_000)]).await;
    assert_eq!(w.standing(&asked).await, ("reclaimable", Some("late")));
}
