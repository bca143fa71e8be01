//! Rotations: in order, each once, gone with their blocks, and what they do to the lane.

use bitcoin::OutPoint;
use grail_flow::SettlementState;
use grail_store::{BlockRef, Conflict, HANDOVER_BYTES_MAX, NewRequest, Rotation, StoreTx};
use grail_types::{Epoch, Roster, Terms};

use crate::support::{
    NOW, add_deposit, add_request, block, code, conflict, create_settlement, item, move_settlement,
    new_store, outpoint, roster, script, terms, transaction, txid,
};

/// The rotation to epoch `number`, which spends what the one before made.
fn rotation(number: u8, at: BlockRef) -> Rotation {
    Rotation {
        epoch: Epoch(number.into()),
        vault_epoch: Epoch(number.into()),
        txid: txid(100 + number),
        nft_input: OutPoint::new(txid(99 + number), 0),
        block: at,
    }
}

async fn record(tx: &mut StoreTx, rotation: &Rotation) {
    let evidence = [7, rotation.epoch.0.try_into().unwrap()];
    tx.record_rotation(rotation, &evidence).await.unwrap();
}

#[tokio::test]
async fn rotations_are_kept_in_order_with_their_evidence() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.newest_rotation().await.unwrap(), None);
    let [first, second] = [1, 2].map(|number| rotation(number, block(number.into(), 0)));
    let skipped = conflict(tx.record_rotation(&second, b"evidence").await);
    assert_eq!(
        skipped,
        Conflict::RotationDoesNotFollow {
            expected: Epoch(1),
            got: Epoch(2)
        }
    );
    record(&mut tx, &first).await;
    assert!(matches!(
        conflict(tx.record_rotation(&first, b"again").await),
        Conflict::RotationDoesNotFollow { .. }
    ));
    record(&mut tx, &second).await;
    assert_eq!(tx.rotations(Epoch(0), 10).await.unwrap(), [first, second]);
    assert_eq!(tx.rotations(Epoch(1), 10).await.unwrap(), [second]);
    assert_eq!(tx.rotations(Epoch(0), 1).await.unwrap(), [first]);
    assert_eq!(tx.newest_rotation().await.unwrap(), Some(second));
    assert_eq!(
        tx.handover(Epoch(2)).await.unwrap().as_deref(),
        Some(&[7, 2][..])
    );
    assert_eq!(tx.handover(Epoch(0)).await.unwrap(), None);
    assert_eq!(tx.handover(Epoch(u64::MAX)).await.unwrap(), None);
}

#[tokio::test]
async fn a_handover_of_one_byte_too_many_is_refused() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let first = rotation(1, block(1, 0));
    let longest = vec![1; HANDOVER_BYTES_MAX];
    let longer = vec![1; HANDOVER_BYTES_MAX + 1];
    assert_eq!(
        code(tx.record_rotation(&first, &longer).await),
        "out-of-range"
    );
    tx.record_rotation(&first, &longest).await.unwrap();
    assert_eq!(tx.handover(Epoch(1)).await.unwrap(), Some(longest));
}

#[tokio::test]
async fn a_rewind_forgets_the_rotations_of_its_blocks_alone() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let [one, two] = [1, 2].map(|height| block(height, 0));
    tx.connect_block(one).await.unwrap();
    record(&mut tx, &rotation(1, one)).await;
    tx.connect_block(two).await.unwrap();
    record(&mut tx, &rotation(2, two)).await;
    let _ = tx.rewind_blocks(Some(one), NOW).await.unwrap();
    let newest = tx.newest_rotation().await.unwrap().unwrap();
    assert_eq!(newest.epoch, Epoch(1));
    // Another one to the same epoch, in another block.
    record(&mut tx, &rotation(2, block(2, 1))).await;
    let _ = tx.rewind_blocks(None, NOW).await.unwrap();
    assert_eq!(tx.newest_rotation().await.unwrap(), None);
}

#[tokio::test]
async fn nothing_builds_on_a_settlement_whose_nft_a_rotation_took() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    let id = create_settlement(&mut tx, outpoint(50), &[item(1)])
        .await
        .unwrap();
    let built = transaction(outpoint(50));
    let nft = OutPoint::new(built.compute_txid(), 0);
    let built = grail_store::BuiltTransaction {
        unsigned: &built,
        nft_vout: 0,
        fee: bitcoin::Amount::from_sat(100),
        weight: bitcoin::Weight::from_wu(400),
    };
    tx.set_built(id, &built, NOW).await.unwrap();
    move_settlement(&mut tx, id, SettlementState::Broadcast {})
        .await
        .unwrap();
    assert_eq!(tx.settlement_tip().await.unwrap().unwrap().id, id);
    assert_eq!(tx.published_nft().await.unwrap(), Some(nft));
    let at = block(1, 0);
    tx.connect_block(at).await.unwrap();
    let taken = Rotation {
        nft_input: nft,
        ..rotation(1, at)
    };
    record(&mut tx, &taken).await;
    assert_eq!(tx.settlement_tip().await.unwrap(), None);
    assert_eq!(tx.published_nft().await.unwrap(), Some(taken.nft_output()));
    let _ = tx.rewind_blocks(None, NOW).await.unwrap();
    assert_eq!(tx.settlement_tip().await.unwrap().unwrap().id, id);
    assert_eq!(tx.published_nft().await.unwrap(), Some(nft));
}

#[tokio::test]
async fn a_request_is_of_the_epoch_of_its_roster_or_refused() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let later = Terms {
        epoch: Epoch(3),
        ..terms(2)
    };
    let new = NewRequest {
        terms: &later,
        roster: &roster(),
        deposit_script: &script(2),
        deadline_height: 100,
        idempotency: None,
        now: NOW,
    };
    assert_eq!(
        conflict(tx.create_request(&new).await),
        Conflict::EpochDiffers {
            terms: Epoch(3),
            roster: Epoch(0)
        }
    );
    let first = roster();
    let third = Roster::new(Epoch(3), first.signers().to_vec(), first.threshold()).unwrap();
    let new = NewRequest {
        roster: &third,
        ..new
    };
    tx.create_request(&new).await.unwrap();
    add_request(&mut tx, 1).await;
    assert_eq!(
        tx.open_request_epochs().await.unwrap(),
        [(Epoch(0), 1), (Epoch(3), 1)]
    );
}
