//! The cursor, and what a reorg takes with it.

use grail_flow::SettlementState;
use grail_store::{BLOCKS_KEPT, Conflict, Reclaim, Rewound, StoreTx};

use crate::support::{
    NOW, add_deposit, block, conflict, create_settlement, item, move_settlement, new_store,
    outpoint, txid,
};

async fn connect(tx: &mut StoreTx, heights: std::ops::RangeInclusive<u32>, branch: u8) {
    for height in heights {
        tx.connect_block(block(height, branch)).await.unwrap();
    }
}

#[tokio::test]
async fn blocks_connect_one_after_the_other_from_any_start() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.last_block().await.unwrap(), None);
    connect(&mut tx, 100..=102, 0).await;
    for got in [101, 102, 104] {
        let expected = 103;
        assert_eq!(
            conflict(tx.connect_block(block(got, 0)).await),
            Conflict::BlockDoesNotFollow { expected, got }
        );
    }
    assert_eq!(tx.last_block().await.unwrap(), Some(block(102, 0)));
    assert_eq!(
        tx.recent_blocks().await.unwrap(),
        [block(100, 0), block(101, 0), block(102, 0)]
    );
}

#[tokio::test]
async fn only_the_newest_blocks_are_remembered() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    connect(&mut tx, 0..=BLOCKS_KEPT, 0).await;
    let recent = tx.recent_blocks().await.unwrap();
    assert_eq!(recent.len(), BLOCKS_KEPT as usize);
    assert_eq!(recent[0], block(1, 0));
    let too_deep = tx.rewind_blocks(Some(block(0, 0)), NOW).await;
    assert_eq!(conflict(too_deep), Conflict::BlockUnknown { height: 0 });
}

#[tokio::test]
async fn a_rewind_takes_the_height_from_everything_above_and_from_nothing_else() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    connect(&mut tx, 100..=103, 0).await;
    for (seed, height) in [(1, 101), (2, 102), (3, 103)] {
        add_deposit(&mut tx, seed).await;
        let at = outpoint(seed);
        tx.set_deposit_block(&at, Some(block(height, 0)), NOW)
            .await
            .unwrap();
        let reclaim = Reclaim {
            txid: txid(seed),
            block: block(height, 0),
        };
        if seed != 2 {
            tx.set_deposit_reclaim(&at, Some(reclaim), NOW)
                .await
                .unwrap();
        }
    }
    let confirmed = |height| SettlementState::Confirmed {
        height,
        hash: block(height, 0).hash,
    };
    let low = create_settlement(&mut tx, outpoint(50), &[item(1)])
        .await
        .unwrap();
    let high = create_settlement(&mut tx, outpoint(51), &[item(2)])
        .await
        .unwrap();
    move_settlement(&mut tx, low, confirmed(101)).await.unwrap();
    move_settlement(&mut tx, high, confirmed(102))
        .await
        .unwrap();

    let rewound = tx
        .rewind_blocks(Some(block(101, 0)), NOW + 5)
        .await
        .unwrap();
    assert_eq!(
        rewound,
        Rewound {
            deposits: vec![outpoint(2), outpoint(3)],
            reclaims: vec![outpoint(3)],
            settlements: vec![high],
            rotations: Vec::new(),
        }
    );
    let row = tx.deposit(&outpoint(1)).await.unwrap().unwrap();
    assert_eq!(row.block, Some(block(101, 0)));
    assert!(row.reclaim.is_some());
    let row = tx.deposit(&outpoint(3)).await.unwrap().unwrap();
    assert_eq!(
        (row.block, row.reclaim, row.updated_at),
        (None, None, NOW + 5)
    );
    let settlement = tx.settlement(low).await.unwrap().unwrap();
    assert_eq!(settlement.block, Some(block(101, 0)));
    assert_eq!(tx.settlement(high).await.unwrap().unwrap().block, None);
    // The machine's turn: its state still says confirmed, and can be moved on.
    move_settlement(&mut tx, high, SettlementState::Broadcast {})
        .await
        .unwrap();

    // The other branch connects where the cursor now is.
    connect(&mut tx, 102..=104, 1).await;
    assert_eq!(tx.last_block().await.unwrap(), Some(block(104, 1)));
}

#[tokio::test]
async fn a_rewind_to_a_block_of_another_branch_changes_nothing() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    connect(&mut tx, 100..=101, 0).await;
    for unknown in [block(100, 1), block(99, 0), block(102, 0)] {
        let height = unknown.height;
        let rewound = tx.rewind_blocks(Some(unknown), NOW).await;
        assert_eq!(conflict(rewound), Conflict::BlockUnknown { height });
    }
    let none = tx.rewind_blocks(Some(block(101, 0)), NOW).await.unwrap();
    assert_eq!(none, Rewound::default());
    assert_eq!(tx.last_block().await.unwrap(), Some(block(101, 0)));
}

#[tokio::test]
async fn a_rewind_of_everything_starts_over() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    connect(&mut tx, 0..=1, 0).await;
    add_deposit(&mut tx, 1).await;
    tx.set_deposit_block(&outpoint(1), Some(block(0, 0)), NOW)
        .await
        .unwrap();
    let rewound = tx.rewind_blocks(None, NOW).await.unwrap();
    assert_eq!(rewound.deposits, [outpoint(1)]);
    assert_eq!(tx.last_block().await.unwrap(), None);
    connect(&mut tx, 0..=1, 1).await;
}

#[tokio::test]
async fn a_rewind_that_is_not_committed_did_not_happen() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    connect(&mut tx, 100..=101, 0).await;
    add_deposit(&mut tx, 1).await;
    tx.set_deposit_block(&outpoint(1), Some(block(101, 0)), NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.rewind_blocks(Some(block(100, 0)), NOW).await.unwrap();
    drop(tx);
    let mut reader = store.read().await.unwrap();
    assert_eq!(reader.last_block().await.unwrap(), Some(block(101, 0)));
    let row = reader.deposit(&outpoint(1)).await.unwrap().unwrap();
    assert_eq!(row.block, Some(block(101, 0)));
}
