//! Donations become part of the vault's coin when somebody pays for it, and not before.

use bitcoin::{Amount, OutPoint, ScriptBuf};
use grail_backend::roles::{build, build::Built, lane};
use grail_fixtures::world::{funding, output};
use grail_flow::SettlementState;

use super::{
    users::DEPOSIT_SAT,
    world::{QUORUM, World, settlement_id},
};

/// Gives the vault these coins in one transaction, with confirmations enough.
async fn donate(w: &World, amounts: &[u64]) -> Vec<OutPoint> {
    let state = w.backend.deployment.state().unwrap();
    let script = ScriptBuf::from_bytes(state.vault_script);
    let outputs = amounts.iter().map(|sat| output(*sat, script.clone()));
    let given = funding(4_000 + u64::from(w.next_number()), outputs.collect());
    let txid = given.compute_txid();
    w.mine(vec![given]).await;
    (0..)
        .zip(amounts)
        .map(|(vout, _)| OutPoint::new(txid, vout))
        .collect()
}

async fn totals(w: &World) -> (Amount, Amount) {
    let mut reader = w.backend.store.read().await.unwrap();
    let totals = reader.vault_totals().await.unwrap();
    (totals.vault, totals.donations)
}

#[tokio::test]
async fn a_sponsor_has_donations_moved_into_the_vaults_coin() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    w.settle().await;
    w.mine_mempool().await;
    let (vault, none) = totals(&w).await;
    assert_eq!(none, Amount::ZERO);
    let given = donate(&w, &[40_000, 50_000]).await;
    // Nobody pays, so they stay where they are.
    assert_eq!(w.build_later().await, Built::Nothing);
    let sponsor = w.ask_sponsor("sponsor-merge").await;
    w.mine(vec![w.deposit(&sponsor, DEPOSIT_SAT)]).await;
    let (id, transaction) = w.settle().await;
    let spent: Vec<_> = transaction
        .input
        .iter()
        .map(|it| it.previous_output)
        .collect();
    assert!(given.iter().all(|it| spent.contains(it)), "{spent:?}");
    w.mine_mempool().await;
    let after = (vault + Amount::from_sat(90_000), Amount::ZERO);
    assert_eq!(totals(&w).await, after);
    assert_eq!(w.settlement(id).await.state.name(), "confirmed");
    w.mine_empty(10).await;
    assert_eq!(w.standing(&sponsor).await, ("paid", None));
    // Settlements go on from the larger coin.
    w.ready_peg_ins(1).await;
    w.settle().await;
    w.mine_mempool().await;
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_merge_that_nobody_signs_holds_up_nobody() {
    let w = World::new().await;
    donate(&w, &[40_000]).await;
    let sponsor = w.ask_sponsor("sponsor-merge").await;
    w.mine(vec![w.deposit(&sponsor, DEPOSIT_SAT)]).await;
    let ask = w.ask_operators().await;
    w.sign(&ask, &QUORUM[..2]).await;
    let asked = w.settlement(settlement_id(&ask)).await;
    let due = asked.stage_since + lane::deadline(asked.state.stage()).unwrap();
    lane::watch(&w.backend, due).await.unwrap();
    let ended = w.settlement(settlement_id(&ask)).await.state;
    assert!(
        matches!(ended, SettlementState::Abandoned { .. }),
        "{ended:?}"
    );
    assert_eq!(w.standing(&sponsor).await, ("ready", None));
    let pegs = w.ready_peg_ins(1).await;
    w.settle().await;
    assert_eq!(w.standing(&pegs[0].0).await, ("settling", None));
    assert_eq!(w.alarms().await, [""; 0]);
    // And again, once a while has passed.
    let later = grail_backend::clock::now() + 10 * 60;
    assert_eq!(
        build::build_at(&w.backend, later).await.unwrap(),
        Built::Draft
    );
}

#[tokio::test]
async fn a_new_database_follows_the_nft_over_a_merge() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    w.settle().await;
    w.mine_mempool().await;
    donate(&w, &[40_000]).await;
    let sponsor = w.ask_sponsor("sponsor-merge").await;
    w.mine(vec![w.deposit(&sponsor, DEPOSIT_SAT)]).await;
    w.settle().await;
    w.mine_mempool().await;
    let expected = totals(&w).await;
    let w = w.rebuilt().await;
    assert_eq!(totals(&w).await, expected);
    assert_eq!(w.alarms().await, [""; 0]);
    w.ready_peg_ins(1).await;
    w.settle().await;
    w.mine_mempool().await;
    assert_eq!(w.alarms().await, [""; 0]);
}
