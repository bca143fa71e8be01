//! What rows know of a block.

use std::collections::{HashMap, HashSet};

use bitcoin::{Amount, OutPoint, Script, ScriptBuf};
use grail_flow::{RequestState, SettlementId};
use grail_store::{BuiltTransaction, StoreTx, VaultKind, VaultOutput};
use grail_types::Epoch;

use crate::support::{
    NOW, add_deposit, add_request, block, create_settlement, item, new_store, outpoint, script,
    terms, transaction, txid,
};

async fn built(tx: &mut StoreTx, id: SettlementId) -> bitcoin::Txid {
    let unsigned = transaction(outpoint(50));
    let built = BuiltTransaction {
        unsigned: &unsigned,
        nft_vout: 0,
        fee: Amount::from_sat(1),
        weight: unsigned.weight(),
    };
    tx.set_built(id, &built, NOW).await.unwrap()
}

#[tokio::test]
async fn addresses_are_known_however_their_requests_ended() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    for seed in 1..=3 {
        add_request(&mut tx, seed).await;
    }
    let (start, expired) = (RequestState::start(), RequestState::Expired {});
    tx.set_request_state(&terms(2).id(), &start, &expired, NOW)
        .await
        .unwrap();
    let asked = [script(1), script(2), script(9)];
    let known = tx.requests_at(asked.iter().map(ScriptBuf::as_script)).await;
    let expected = [1, 2].map(|seed| (script(seed), terms(seed).id()));
    assert_eq!(known.unwrap(), HashMap::from(expected));
    let nothing: [&Script; 0] = [];
    assert!(tx.requests_at(nothing).await.unwrap().is_empty());
}

#[tokio::test]
async fn deposits_outputs_and_settlements_are_known_and_nothing_else() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    let vault = VaultOutput {
        outpoint: outpoint(2),
        amount: Amount::from_sat(1),
        epoch: Epoch(0),
        kind: VaultKind::Donation,
    };
    tx.record_vault_output(&vault, block(1, 0)).await.unwrap();
    // Another output of a known transaction is another output.
    let other = OutPoint::new(txid(1), 7);
    let asked = [outpoint(1), outpoint(2), outpoint(3), other];
    let known = tx.known_outpoints(&asked).await.unwrap();
    assert_eq!(known, HashSet::from([outpoint(1), outpoint(2)]));

    let id = create_settlement(&mut tx, outpoint(50), &[item(1)])
        .await
        .unwrap();
    let built = built(&mut tx, id).await;
    let known = tx.known_settlements(&[built, txid(1)]).await.unwrap();
    assert_eq!(known, HashSet::from([built]));
}

/// As many as a block can have, in one statement.
#[tokio::test]
async fn thousands_are_asked_about_at_once() {
    let store = new_store().await;
    let mut tx = store.begin().await.unwrap();
    add_deposit(&mut tx, 1).await;
    let mut asked: Vec<OutPoint> = (0..20_000)
        .map(|vout| OutPoint::new(txid(9), vout))
        .collect();
    asked.push(outpoint(1));
    let known = tx.known_outpoints(&asked).await.unwrap();
    assert_eq!(known, HashSet::from([outpoint(1)]));
}
