//! A settlement on top of others that pay less than today's rate: it pays for them too where that
//! is little, and where a node drops them they come back with it.

use bitcoin::{FeeRate, OutPoint, Transaction};
use grail_api::Request;
use grail_backend::roles::build::Built;
use grail_flow::{SettlementId, SettlementState, replacement::Bundle};
use grail_store::JobKind;

use super::{
    users::{Asked, DEPOSIT_SAT, FEE_CAP_SAT},
    world::{QUORUM, World, settlement_id},
};

const BROADCAST: SettlementState = SettlementState::Broadcast {};

const fn per_kwu(rate: u64) -> FeeRate {
    FeeRate::from_sat_per_kwu(rate)
}

async fn bundle(w: &World, id: SettlementId) -> Bundle {
    let row = w.settlement(id).await;
    let (fee, vsize) = row.fee.zip(row.vsize).unwrap();
    Bundle { fee, vsize }
}

/// What each request of a settlement pays.
async fn shares(w: &World, id: SettlementId) -> Vec<u64> {
    let mut reader = w.backend.store.read().await.unwrap();
    let items = reader.settlement_items(id).await.unwrap();
    items.iter().map(|item| item.fee_share.to_sat()).collect()
}

/// What each of so many pays at a rate, in a settlement that nothing waits under.
async fn plain_shares(count: usize, rate: FeeRate) -> Vec<u64> {
    let w = World::new().await;
    w.ready_peg_ins(count).await;
    // Its vault is no other than that of the second in a lane.
    w.settle().await;
    w.mine_mempool().await;
    w.ready_peg_ins(count).await;
    w.chain.set_fee_rate(rate);
    let (id, _) = w.settle().await;
    shares(&w, id).await
}

async fn finish(w: &World, requests: &[(Asked, OutPoint)]) {
    w.mine_mempool().await;
    w.mine_empty(1).await;
    for (asked, _) in requests {
        assert_eq!(w.standing(asked).await, ("paid", None));
        assert_eq!(w.paid_count(asked).await, 1);
    }
    assert_eq!(w.alarms().await, [""; 0]);
}

#[tokio::test]
async fn a_new_one_lifts_those_under_it_once_for_half_more_at_most() {
    let w = World::new().await;
    let mut requests = w.ready_peg_ins(3).await;
    let (first, _) = w.settle().await;
    requests.append(&mut w.ready_peg_ins(3).await);
    // Too little for a replacement, ever.
    let rate = per_kwu(350);
    w.chain.set_fee_rate(rate);
    let (second, _) = w.settle().await;
    let plain = plain_shares(3, rate).await;
    let with = shares(&w, second).await;
    for (with, plain) in with.iter().zip(&plain) {
        assert!(with > plain && with * 2 <= plain * 3, "{with} {plain}");
    }
    let (parent, child) = (bundle(&w, first).await, bundle(&w, second).await);
    let both = parent.with(child);
    assert!(parent.rate() < rate && both.fee >= rate.fee_vb(both.vsize).unwrap());
    // Nothing is left to pay for.
    requests.append(&mut w.ready_peg_ins(3).await);
    let (third, _) = w.settle().await;
    assert_eq!(shares(&w, third).await, plain);
    finish(&w, &requests).await;
}

/// What the API expects of a peg-in asked for now: its whole share, and the part for others.
async fn estimated(w: &World, fee_cap_sat: u64) -> (u64, u64) {
    let request: Request = w.answer(w.peg_in_call(fee_cap_sat)).await;
    let surcharge = request.estimated_surcharge_sat;
    (request.estimated_fee_share_sat, surcharge)
}

#[tokio::test]
async fn the_estimate_has_what_a_request_will_pay_for_those_under_it() {
    let w = World::new().await;
    let mut requests = w.ready_peg_ins(3).await;
    w.settle().await;
    let rate = per_kwu(350);
    w.chain.set_fee_rate(rate);
    requests.append(&mut w.ready_peg_ins(2).await);
    let (share, surcharge) = estimated(&w, FEE_CAP_SAT).await;
    let own = share - surcharge;
    assert!(surcharge > 0 && surcharge * 2 <= own, "{surcharge} {own}");
    // A cap that bears the own share alone bears no more; the others would.
    assert_eq!(estimated(&w, own).await, (own, 0));
    requests.append(&mut w.ready_peg_ins(1).await);
    let (id, _) = w.settle().await;
    let plain = plain_shares(3, rate).await[0];
    let paid = shares(&w, id).await[0];
    assert!(own.abs_diff(plain) * 10 <= plain, "{own} for {plain}");
    assert!(share.abs_diff(paid) * 10 <= paid, "{share} for {paid}");
    let extra = paid - plain;
    assert!(
        surcharge.abs_diff(extra) * 3 <= extra,
        "{surcharge} for {extra}"
    );
    // What was paid for is not paid for again, and a block ends it.
    let (_, none) = estimated(&w, FEE_CAP_SAT).await;
    assert_eq!(none, 0);
    finish(&w, &requests).await;
    assert_eq!(estimated(&w, FEE_CAP_SAT).await.1, 0);
}

#[tokio::test]
async fn one_behind_a_large_poor_one_pays_for_itself_and_waits_for_no_fee() {
    let w = World::new().await;
    let mut requests = w.ready_peg_ins(12).await;
    w.settle().await;
    requests.append(&mut w.ready_peg_ins(1).await);
    let rate = per_kwu(750);
    w.chain.set_fee_rate(rate);
    let (id, _) = w.settle().await;
    assert_eq!(shares(&w, id).await, plain_shares(1, rate).await);
    let alone = requests.last().unwrap();
    let mut reader = w.backend.store.read().await.unwrap();
    assert_eq!(reader.fee_wait(&alone.0.id).await.unwrap(), None);
    drop(reader);
    finish(&w, &requests).await;
}

#[tokio::test]
async fn whose_cap_bears_the_own_share_alone_is_served_and_others_pay() {
    let rate = per_kwu(350);
    let plain = plain_shares(3, rate).await;
    let w = World::new().await;
    let mut requests = w.ready_peg_ins(3).await;
    let (first, _) = w.settle().await;
    let capped = w.ask_peg_in_capped(plain[0]).await;
    let others = [w.ask_peg_in().await, w.ask_peg_in().await];
    let mut block = vec![w.deposit(&capped, DEPOSIT_SAT)];
    block.extend(others.iter().map(|asked| w.deposit(asked, DEPOSIT_SAT)));
    w.mine(block.clone()).await;
    w.chain.set_fee_rate(rate);
    let (second, _) = w.settle().await;
    let mut with = shares(&w, second).await;
    with.sort_unstable();
    assert_eq!(with[0], plain[0]);
    assert!(with[1] > plain[0]);
    let both = bundle(&w, first).await.with(bundle(&w, second).await);
    assert!(both.fee >= rate.fee_vb(both.vsize).unwrap());
    let all = [capped].into_iter().chain(others);
    let outpoint = |made: &Transaction| OutPoint::new(made.compute_txid(), 0);
    requests.extend(all.zip(block.iter().map(outpoint)));
    finish(&w, &requests).await;
}

#[tokio::test]
async fn a_surcharge_that_is_replaced_is_outbid_within_bounds_and_not_paid() {
    let w = World::new().await;
    let mut requests = w.ready_peg_ins(3).await;
    let (first, _) = w.settle().await;
    requests.append(&mut w.ready_peg_ins(3).await);
    w.chain.set_fee_rate(per_kwu(350));
    let (second, _) = w.settle().await;
    let lane = bundle(&w, first).await.with(bundle(&w, second).await);
    // Half above what the lane pays.
    let rate = per_kwu(540);
    w.chain.set_fee_rate(rate);
    assert_eq!(w.build_later().await, Built::Draft);
    w.jobs().await;
    let ask = w.take_ask().await;
    let (id, made) = w.sign_and_publish(&ask).await;
    assert_eq!(w.chain.mempool(), [made]);
    // What nodes ask of it, or the estimate: no step above the one that paid for both.
    let paid = bundle(&w, id).await;
    let own = per_kwu(250).fee_vb(paid.vsize).unwrap();
    let least = (lane.fee + own).max(rate.fee_vb(paid.vsize).unwrap());
    assert!(paid.fee >= least && paid.fee * 20 <= least * 21, "{paid:?}");
    assert!(paid.rate() <= per_kwu(2 * 540));
    finish(&w, &requests).await;
}

/// One that pays the least, and one above it that pays for both at 350 sat/kwu. The node has
/// neither, and takes nothing below 300.
async fn dropped(w: &World) -> ([SettlementId; 2], Vec<(Asked, OutPoint)>) {
    let mut requests = w.ready_peg_ins(3).await;
    let (first, _) = w.settle().await;
    requests.append(&mut w.ready_peg_ins(3).await);
    w.chain.set_fee_rate(per_kwu(350));
    let (second, _) = w.settle().await;
    w.chain.set_floor(per_kwu(300));
    assert_eq!(w.chain.mempool(), []);
    ([first, second], requests)
}

#[tokio::test]
async fn what_the_node_drops_alone_comes_back_with_the_one_that_pays_for_it() {
    let w = World::new().await;
    let (ids, requests) = dropped(&w).await;
    w.look().await;
    w.jobs().await;
    let both = [w.signed(ids[0]).await, w.signed(ids[1]).await];
    assert_eq!(w.chain.mempool(), both);
    assert!(w.chain.packages() > 0);
    finish(&w, &requests).await;
}

#[tokio::test]
async fn a_parent_dropped_while_its_child_is_signed_is_published_with_it() {
    let w = World::new().await;
    let mut requests = w.ready_peg_ins(3).await;
    let (first, old) = w.settle().await;
    requests.append(&mut w.ready_peg_ins(3).await);
    w.chain.set_fee_rate(per_kwu(350));
    let ask = w.ask_operators().await;
    let second = settlement_id(&ask);
    w.chain.set_floor(per_kwu(300));
    // Alone it stays out: nobody can pay for it yet.
    w.look().await;
    w.jobs().await;
    assert_eq!((w.chain.mempool(), w.chain.packages()), (vec![], 0));
    w.sign(&ask, &QUORUM).await;
    w.answered(second).await;
    // On a busy machine what is due later may be done already.
    for _ in 0..2 {
        w.jobs().await;
        w.job_later_if_any(JobKind::Publish).await;
    }
    assert_eq!(w.chain.mempool(), [old, w.signed(second).await]);
    for id in [first, second] {
        assert_eq!(w.settlement(id).await.state, BROADCAST);
    }
    finish(&w, &requests).await;
}

#[tokio::test]
async fn a_package_that_pays_too_little_is_tried_again_and_nothing_ends() {
    let w = World::new().await;
    let (ids, requests) = dropped(&w).await;
    w.chain.set_floor(per_kwu(700));
    w.look().await;
    w.jobs().await;
    assert!(w.chain.packages() > 0);
    assert_eq!(w.chain.mempool(), []);
    for id in ids {
        assert_eq!(w.settlement(id).await.state, BROADCAST);
    }
    assert_eq!(w.alarms().await, [""; 0]);
    w.chain.set_floor(per_kwu(300));
    w.job_later(JobKind::Publish).await;
    w.jobs().await;
    w.job_later_if_any(JobKind::Publish).await;
    assert_eq!(w.chain.mempool().len(), 2);
    finish(&w, &requests).await;
}

#[tokio::test]
async fn unknown_words_about_a_package_are_shown_and_end_nothing() {
    let w = World::new().await;
    let (ids, _) = dropped(&w).await;
    w.chain.set_package_words(Some("package-too-odd"));
    w.look().await;
    w.jobs().await;
    assert_eq!(w.alarms().await, ["unknown-rejection"]);
    for id in ids {
        assert_eq!(w.settlement(id).await.state, BROADCAST);
    }
    w.chain.set_package_words(None);
    w.job_later(JobKind::Publish).await;
    w.jobs().await;
    w.job_later_if_any(JobKind::Publish).await;
    assert_eq!(w.chain.mempool().len(), 2);
}

#[tokio::test]
async fn a_child_whose_user_can_reclaim_is_not_fed_with_its_parent() {
    let w = World::new().await;
    let patient = [w.ask_peg_in_for(100).await, w.ask_peg_in_for(100).await];
    let late = [w.ask_peg_in().await, w.ask_peg_in().await];
    let mut block: Vec<_> = patient
        .iter()
        .map(|it| w.deposit(it, DEPOSIT_SAT))
        .collect();
    w.mine(block).await;
    let (first, _) = w.settle().await;
    block = late.iter().map(|it| w.deposit(it, DEPOSIT_SAT)).collect();
    w.mine(block).await;
    w.chain.set_fee_rate(per_kwu(350));
    w.settle().await;
    // The 24th block may hold the reclaim.
    w.mine_empty(22).await;
    w.chain.set_floor(per_kwu(300));
    w.look().await;
    w.jobs().await;
    assert!(w.chain.packages() > 0 && w.chain.mempool().len() == 2);
    let before = w.chain.packages();
    w.mine_empty(1).await;
    w.chain.clear_mempool();
    w.look().await;
    w.jobs().await;
    assert_eq!((w.chain.packages(), w.chain.mempool()), (before, vec![]));
    assert_eq!(w.settlement(first).await.state, BROADCAST);
}
