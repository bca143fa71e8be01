//! Fees above what users pay at most: a wait with an end, and a way back while it lasts.

use bitcoin::FeeRate;
use grail_backend::{roles::build::Built, step::Step};
use grail_flow::SettlementEvent;
use grail_store::DepositState;

use super::{
    users::{Asked, DEPOSIT_SAT},
    world::World,
};

/// Blocks for which these requests wait: half of the 18 for which their deposits can be swept.
const WAIT: u32 = 9;

fn dear(w: &World) {
    w.chain.set_fee_rate(FeeRate::from_sat_per_vb_u32(50));
}

fn cheap(w: &World) {
    w.chain.set_fee_rate(FeeRate::from_sat_per_vb_u32(2));
}

async fn waiting_since(w: &World, asked: &Asked) -> Option<u32> {
    let mut reader = w.backend.store.read().await.unwrap();
    reader.fee_wait(&asked.id).await.unwrap()
}

#[tokio::test]
async fn a_request_whose_fee_stays_above_its_cap_ends_so_and_no_block_sooner() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let (asked, deposit) = &requests[0];
    dear(&w);
    assert_eq!(w.build().await, Built::Hold);
    let since = w.tip_height().await;
    assert_eq!(waiting_since(&w, asked).await, Some(since));
    w.mine_empty(WAIT - 1).await;
    assert_eq!(w.build().await, Built::Hold);
    assert_eq!(w.standing(asked).await, ("ready", None));
    assert_eq!(waiting_since(&w, asked).await, Some(since));
    // The block alone decides nothing: it takes a look that finds it too dear.
    w.mine_empty(1).await;
    assert_eq!(w.standing(asked).await, ("ready", None));
    assert_eq!(w.build().await, Built::Hold);
    assert_eq!(
        w.standing(asked).await,
        ("reclaimable", Some("fee-above-cap"))
    );
    let mut reader = w.backend.store.read().await.unwrap();
    let row = reader.deposit(deposit).await.unwrap().unwrap();
    assert_eq!(row.state, DepositState::Reclaimable);
    assert_eq!(row.code.unwrap().code(), "fee-above-cap");
    drop(reader);
    assert_eq!(waiting_since(&w, asked).await, None);
    // Cheaper times come too late for it.
    cheap(&w);
    assert_eq!(w.build().await, Built::Nothing);
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_request_is_served_when_fees_fall_in_time_even_at_the_last_look() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let asked = &requests[0].0;
    dear(&w);
    assert_eq!(w.build().await, Built::Hold);
    w.mine_empty(WAIT).await;
    cheap(&w);
    w.settle().await;
    assert_eq!(waiting_since(&w, asked).await, None);
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(asked).await, ("paid", None));
}

#[tokio::test]
async fn fees_that_fell_and_rose_again_begin_another_wait() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(1).await;
    let asked = &requests[0].0;
    dear(&w);
    assert_eq!(w.build().await, Built::Hold);
    w.mine_empty(WAIT - 1).await;
    cheap(&w);
    assert_eq!(w.build().await, Built::Draft);
    let mut step = Step::begin(&w.backend).await.unwrap();
    let id = step.tx.settlement_tip().await.unwrap().unwrap().id;
    step.tell_settlement(id, SettlementEvent::Cancelled)
        .await
        .unwrap();
    step.commit().await.unwrap();
    dear(&w);
    assert_eq!(w.build().await, Built::Hold);
    w.mine_empty(WAIT - 1).await;
    assert_eq!(w.build().await, Built::Hold);
    assert_eq!(w.standing(asked).await, ("ready", None));
    assert_eq!(
        waiting_since(&w, asked).await,
        Some(w.tip_height().await - (WAIT - 1))
    );
}

#[tokio::test]
async fn who_pays_enough_is_served_while_the_other_waits() {
    let w = World::new().await;
    let stingy = w.ask_peg_in_capped(2_500).await;
    let other = w.ask_peg_in().await;
    let block = vec![
        w.deposit(&stingy, DEPOSIT_SAT),
        w.deposit(&other, DEPOSIT_SAT),
    ];
    w.mine(block).await;
    w.chain.set_fee_rate(FeeRate::from_sat_per_vb_u32(5));
    w.settle().await;
    assert_eq!(w.standing(&other).await.0, "settling");
    assert_eq!(w.standing(&stingy).await, ("ready", None));
    assert_eq!(waiting_since(&w, &stingy).await, Some(w.tip_height().await));
    assert_eq!(waiting_since(&w, &other).await, None);
}

#[tokio::test]
async fn a_wait_that_the_reclaim_cuts_short_ends_with_the_fee_as_its_reason() {
    let w = World::new().await;
    let requests = w.ready_peg_ins(2).await;
    w.mine_empty(12).await;
    dear(&w);
    assert_eq!(w.build().await, Built::Hold);
    w.mine_empty(5).await;
    assert_eq!(w.standing(&requests[0].0).await, ("ready", None));
    w.mine_empty(1).await;
    for (asked, _) in &requests {
        assert_eq!(
            w.standing(asked).await,
            ("reclaimable", Some("fee-above-cap"))
        );
        assert_eq!(waiting_since(&w, asked).await, None);
    }
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_reorg_that_takes_the_deposit_out_of_its_block_ends_the_wait() {
    let w = World::new().await;
    let asked = w.ask_peg_in().await;
    let deposit = w.deposit(&asked, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    dear(&w);
    assert_eq!(w.build().await, Built::Hold);
    let height = w.tip_height().await;
    w.chain.fork_at(height);
    w.chain.relay(deposit);
    w.mine_empty(2).await;
    assert_eq!(w.standing(&asked).await.0, "unconfirmed");
    assert_eq!(waiting_since(&w, &asked).await, None);
}
