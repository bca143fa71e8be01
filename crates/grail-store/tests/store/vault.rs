//! The bridge's own outputs: sums over what is unspent, and reorgs.

use bitcoin::{Amount, OutPoint};
use grail_store::{BlockRef, Reader, Rotation, StoreTx, VaultKind, VaultOutput, VaultTotals};

use grail_types::Epoch;

use crate::support::{NOW, block, new_store, outpoint, txid};

const NFT: VaultKind = VaultKind::Nft {
    supply: Amount::from_sat(7_000),
};

async fn record(tx: &mut StoreTx, seed: u8, kind: VaultKind, sat: u64, at: BlockRef) -> OutPoint {
    record_of(tx, seed, (Epoch(0), kind), sat, at).await
}

async fn record_of(
    tx: &mut StoreTx,
    seed: u8,
    (epoch, kind): (Epoch, VaultKind),
    sat: u64,
    at: BlockRef,
) -> OutPoint {
    let output = VaultOutput {
        outpoint: outpoint(seed),
        amount: Amount::from_sat(sat),
        epoch,
        kind,
    };
    tx.record_vault_output(&output, at).await.unwrap();
    output.outpoint
}

async fn places(reader: &mut Reader) -> Vec<OutPoint> {
    let outputs = reader.vault_outputs(10).await.unwrap();
    outputs.into_iter().map(|output| output.outpoint).collect()
}

fn totals(nft: Option<OutPoint>, supply: u64, vault: u64, donations: u64) -> VaultTotals {
    VaultTotals {
        nft,
        supply: Amount::from_sat(supply),
        vault: Amount::from_sat(vault),
        donations: Amount::from_sat(donations),
        former: Amount::ZERO,
    }
}

#[tokio::test]
async fn unspent_coins_are_summed_by_kind_and_listed_vault_then_largest_first() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.vault_totals().await.unwrap(), totals(None, 0, 0, 0));
    let at = block(1, 0);
    tx.connect_block(at).await.unwrap();
    let nft = record(&mut tx, 1, NFT, 1_000, at).await;
    let small = record(&mut tx, 2, VaultKind::Vault, 2_000, at).await;
    let large = record(&mut tx, 3, VaultKind::Vault, 5_000, at).await;
    let gift = record(&mut tx, 4, VaultKind::Donation, 9_000, at).await;
    assert_eq!(
        tx.vault_totals().await.unwrap(),
        totals(Some(nft), 7_000, 7_000, 9_000)
    );
    assert_eq!(places(&mut tx).await, [large, small, gift]);

    let spent = tx.spend_vault_output(&nft, &txid(9), at).await.unwrap();
    assert_eq!(spent, Some(NFT));
    // Once.
    let again = tx.spend_vault_output(&nft, &txid(9), at).await.unwrap();
    assert_eq!(again, None);
    let stranger = tx.spend_vault_output(&outpoint(50), &txid(9), at).await;
    assert_eq!(stranger.unwrap(), None);
    assert_eq!(
        tx.vault_totals().await.unwrap(),
        totals(None, 0, 7_000, 9_000)
    );
}

#[tokio::test]
async fn a_rewind_forgets_what_its_blocks_made_and_spent_and_nothing_else() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let (first, second) = (block(1, 0), block(2, 0));
    tx.connect_block(first).await.unwrap();
    let old = record(&mut tx, 1, NFT, 1_000, first).await;
    let gone = record(&mut tx, 2, VaultKind::Donation, 500, first).await;
    let spent = tx.spend_vault_output(&gone, &txid(8), first).await.unwrap();
    assert_eq!(spent, Some(VaultKind::Donation));
    tx.connect_block(second).await.unwrap();
    let spent = tx.spend_vault_output(&old, &txid(9), second).await.unwrap();
    assert_eq!(spent, Some(NFT));
    let new = record(&mut tx, 3, NFT, 1_000, second).await;
    record(&mut tx, 4, VaultKind::Vault, 7_000, second).await;
    assert_eq!(
        tx.vault_totals().await.unwrap(),
        totals(Some(new), 7_000, 7_000, 0)
    );
    let _ = tx.rewind_blocks(Some(first), NOW).await.unwrap();
    assert_eq!(
        tx.vault_totals().await.unwrap(),
        totals(Some(old), 7_000, 0, 0)
    );
    // The same block again.
    record(&mut tx, 3, NFT, 1_000, second).await;
    let _ = tx.rewind_blocks(None, NOW).await.unwrap();
    assert_eq!(tx.vault_totals().await.unwrap(), totals(None, 0, 0, 0));
    assert_eq!(places(&mut tx).await, []);
}

#[tokio::test]
async fn what_a_rotation_leaves_behind_is_in_no_sum_but_its_own() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let (first, second) = (block(1, 0), block(2, 0));
    tx.connect_block(first).await.unwrap();
    let old = record(&mut tx, 1, NFT, 1_000, first).await;
    let vault = record(&mut tx, 2, VaultKind::Vault, 7_000, first).await;
    record(&mut tx, 3, VaultKind::Donation, 500, first).await;
    tx.connect_block(second).await.unwrap();
    for spent in [old, vault] {
        let _ = tx
            .spend_vault_output(&spent, &txid(9), second)
            .await
            .unwrap();
    }
    let rotation = Rotation {
        epoch: Epoch(1),
        vault_epoch: Epoch(1),
        txid: outpoint(4).txid,
        nft_input: old,
        block: second,
    };
    tx.record_rotation(&rotation, b"evidence").await.unwrap();
    let nft = record_of(&mut tx, 4, (Epoch(1), NFT), 1_000, second).await;
    assert_eq!(tx.nft_epoch().await.unwrap(), Some(Epoch(1)));
    assert_eq!(tx.nft_block().await.unwrap(), Some(second));
    assert!(tx.is_vault_output_spent(&old).await.unwrap());
    assert!(!tx.is_vault_output_spent(&nft).await.unwrap());
    assert_eq!(tx.vault_output_block(&old).await.unwrap(), Some(first));
    assert_eq!(tx.vault_output_block(&nft).await.unwrap(), Some(second));
    let moved = (Epoch(1), VaultKind::Vault);
    let moved = record_of(&mut tx, 5, moved, 7_000, second).await;
    // A gift to the former address, in the same block.
    record(&mut tx, 6, VaultKind::Donation, 40, second).await;
    assert_eq!(
        tx.vault_totals().await.unwrap(),
        VaultTotals {
            former: Amount::from_sat(540),
            ..totals(Some(nft), 7_000, 7_000, 0)
        }
    );
    assert_eq!(places(&mut tx).await, [moved]);
    let rewound = tx.rewind_blocks(Some(first), NOW).await.unwrap();
    assert_eq!(rewound.rotations, [rotation.nft_output()]);
    assert_eq!(
        tx.vault_totals().await.unwrap(),
        totals(Some(old), 7_000, 7_000, 500)
    );
}

#[tokio::test]
async fn donations_are_read_page_by_page_largest_first() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    let at = block(1, 0);
    tx.connect_block(at).await.unwrap();
    record(&mut tx, 1, VaultKind::Vault, 90_000, at).await;
    let mut given = Vec::new();
    // Two of one amount: the page between them loses neither.
    for (seed, sat) in [(2, 500), (3, 9_000), (4, 500), (5, 700)] {
        given.push(record(&mut tx, seed, VaultKind::Donation, sat, at).await);
    }
    let mut equal = [given[0], given[2]];
    equal.sort_by_key(OutPoint::to_string);
    let (mut read, mut last) = (Vec::new(), None);
    loop {
        let page = tx.donations(last.as_ref(), 2).await.unwrap();
        read.extend(page.iter().map(|it| it.outpoint));
        match page.last() {
            Some(it) => last = Some(*it),
            None => break,
        }
    }
    assert_eq!(read, [given[1], given[3], equal[0], equal[1]]);
}
