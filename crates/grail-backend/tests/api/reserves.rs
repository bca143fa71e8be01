//! Reserves are what blocks say, through reorgs, donations and lost books.

use std::sync::Arc;

use bitcoin::OutPoint;
use grail_api::{Health, HealthStatus, ProblemCode, Reserves};
use grail_store::{VaultKind, VaultOutput};

use super::{
    bridge::payment,
    settlement::{DEPOSIT_SAT, asked, deposited, proven, published, settled},
    support::{TestBackend, at_once},
};

async fn reserves(t: &TestBackend) -> Reserves {
    t.get("/v1/reserves").await.parse()
}

#[tokio::test]
async fn reserves_are_unknown_until_the_deployment_is_in_a_block() {
    let t = TestBackend::new().await;
    t.scan().await;
    let response = t.get("/v1/reserves").await;
    assert_eq!(response.problem(), ProblemCode::Unavailable);
    t.mine(vec![t.backend.deployment_tx.clone()]).await;
    let shown = reserves(&t).await;
    assert_eq!(
        (shown.vault_sat, shown.supply_sat, shown.donations_sat),
        (0, 0, 0)
    );
    assert_eq!(shown.nft_outpoint, t.backend.deployment_nft());
    assert_eq!((shown.height, shown.outpoints), (1, Vec::new()));
}

#[tokio::test]
async fn the_vault_equals_the_supply_after_each_settlement() {
    let t = TestBackend::new().await;
    let (request, first) = settled(&t).await;
    let shown = reserves(&t).await;
    assert_eq!(shown.vault_sat, shown.supply_sat);
    assert!(shown.supply_sat > 0 && shown.supply_sat < DEPOSIT_SAT - request.carrier_sat);
    let txid = first.compute_txid();
    assert_eq!(shown.nft_outpoint, OutPoint::new(txid, 0));
    assert_eq!(shown.outpoints.len(), 1);
    assert_eq!(shown.outpoints[0].outpoint, OutPoint::new(txid, 1));
    assert_eq!(shown.outpoints[0].amount_sat, shown.vault_sat);

    deposited(&t, 41).await;
    let id = proven(&t).await;
    asked(&t).await;
    let second = published(&t, id).await;
    // What is published and not mined does not count.
    assert_eq!(reserves(&t).await.supply_sat, shown.supply_sat);
    t.mine(vec![second.clone()]).await;
    let later = reserves(&t).await;
    assert_eq!(later.vault_sat, later.supply_sat);
    assert!(later.supply_sat > shown.supply_sat);
    // The first vault output is spent.
    assert_eq!(later.outpoints.len(), 1);
    assert_eq!(later.outpoints[0].outpoint.txid, second.compute_txid());
}

#[tokio::test]
async fn donations_are_told_apart() {
    let t = TestBackend::new().await;
    let (_, settlement) = settled(&t).await;
    let before = reserves(&t).await;
    let vault = super::bridge::vault_script();
    let donation = payment(70, vault, 5_000);
    t.mine(vec![donation.clone()]).await;
    let shown = reserves(&t).await;
    assert_eq!(shown.donations_sat, 5_000);
    assert_eq!(
        (shown.vault_sat, shown.supply_sat),
        (before.vault_sat, before.supply_sat)
    );
    let places: Vec<_> = shown
        .outpoints
        .iter()
        .map(|output| output.outpoint)
        .collect();
    assert_eq!(
        places,
        [
            OutPoint::new(settlement.compute_txid(), 1),
            OutPoint::new(donation.compute_txid(), 0)
        ]
    );
}

#[tokio::test]
async fn a_reorg_takes_the_settlement_out_of_the_reserves_and_brings_it_back() {
    let t = TestBackend::new().await;
    let (_, settlement) = settled(&t).await;
    let before = reserves(&t).await;
    t.chain.fork_at(before.height);
    t.chain.mine(Vec::new());
    t.chain.mine(Vec::new());
    t.scan().await;
    let without = reserves(&t).await;
    assert_eq!((without.vault_sat, without.supply_sat), (0, 0));
    assert_eq!(without.nft_outpoint, t.backend.deployment_nft());
    assert_eq!(without.outpoints, []);
    t.mine(vec![settlement]).await;
    let again = reserves(&t).await;
    assert_eq!(
        (again.vault_sat, again.supply_sat, again.outpoints),
        (before.vault_sat, before.supply_sat, before.outpoints)
    );
}

#[tokio::test]
async fn reserves_come_out_the_same_from_an_empty_database() {
    let t = TestBackend::new().await;
    settled(&t).await;
    let vault = super::bridge::vault_script();
    t.mine(vec![payment(70, vault, 5_000)]).await;
    let other = TestBackend::on(Arc::clone(&t.chain), at_once()).await;
    other.scan().await;
    assert_eq!(reserves(&other).await, reserves(&t).await);
}

/// Has rows say that the vault holds a satoshi too few.
pub async fn rob(t: &TestBackend) {
    let shown = reserves(t).await;
    let mut tx = t.backend.store.begin().await.unwrap();
    let block = tx.last_block().await.unwrap().unwrap();
    let spent = tx
        .spend_vault_output(
            &shown.outpoints[0].outpoint,
            &payment(71, bitcoin::ScriptBuf::new(), 1).compute_txid(),
            block,
        )
        .await
        .unwrap();
    assert_eq!(spent, Some(VaultKind::Vault));
    let less = VaultOutput {
        epoch: grail_types::Epoch(0),
        outpoint: OutPoint::null(),
        amount: bitcoin::Amount::from_sat(shown.vault_sat - 1),
        kind: VaultKind::Vault,
    };
    tx.record_vault_output(&less, block).await.unwrap();
    tx.commit().await.unwrap();
}

/// Has rows say that the NFT is in epoch 1, of which there is no roster.
pub async fn lose_the_nft(t: &TestBackend) {
    let mut tx = t.backend.store.begin().await.unwrap();
    let block = tx.last_block().await.unwrap().unwrap();
    let spender = payment(72, bitcoin::ScriptBuf::new(), 1).compute_txid();
    tx.spend_vault_output(&t.backend.deployment_nft(), &spender, block)
        .await
        .unwrap();
    let moved = VaultOutput {
        epoch: grail_types::Epoch(1),
        outpoint: OutPoint::new(spender, 0),
        amount: t.backend.params().nft_carrier,
        kind: VaultKind::Nft {
            supply: bitcoin::Amount::ZERO,
        },
    };
    tx.record_vault_output(&moved, block).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_vault_below_the_supply_is_failing_health() {
    let t = TestBackend::new().await;
    settled(&t).await;
    rob(&t).await;
    let response = t.get("/healthz").await;
    assert_eq!(response.status, 503);
    let health: Health = serde_json::from_str(&response.text).unwrap();
    let reserves = health
        .components
        .iter()
        .find(|part| part.name == "reserves");
    assert_eq!(reserves.unwrap().status, HealthStatus::Failing);
}
