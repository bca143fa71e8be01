#![allow(clippy::unwrap_used)]
use std::convert::Infallible;

use super::*;
use crate::request::tests_support::params;

const fn rate(sat_per_vb: u64) -> FeeRate {
    FeeRate::from_sat_per_kwu(sat_per_vb * 250)
}

fn bundle(fee: u64, vsize: u64) -> Bundle {
    let fee = Amount::from_sat(fee);
    Bundle { fee, vsize }
}

fn waiting(fee: u64, vsize: u64) -> Waiting {
    Waiting {
        bundle: bundle(fee, vsize),
        age: PATIENCE_SECONDS,
        is_late: false,
    }
}

fn lane(waiting: &[Waiting]) -> Lane<'_> {
    Lane {
        waiting,
        is_dropped: false,
        strangers: Bundle::default(),
        rivals: &[],
        begun: 0,
        begun_at: None,
    }
}

fn market(target: u64, floor: u64) -> Market {
    Market {
        target: rate(target),
        floor: rate(floor),
        tip_height: 100,
    }
}

fn bid(lane: &Lane<'_>, market: &Market) -> Bid {
    match decide(lane, market, &params()) {
        Decision::Replace(bid) => bid,
        other => panic!("expected a bid, got {other:?}"),
    }
}

#[test]
fn an_empty_lane_and_one_that_pays_enough_are_kept() {
    assert_eq!(
        decide(&lane(&[]), &market(500, 1), &params()),
        Decision::Keep
    );
    let paid = [waiting(10_000, 1_000)];
    for target in [1, 10, 15] {
        let decision = decide(&lane(&paid), &market(target, 1), &params());
        assert_eq!(decision, Decision::Keep, "{target}");
    }
    assert_eq!(bid(&lane(&paid), &market(16, 1)).cause, Cause::Outbid);
}

#[test]
fn a_settlement_is_given_the_time_that_its_fee_was_meant_for() {
    let mut young = [waiting(1_000, 1_000)];
    young[0].age -= 1;
    for floor in [1, 2] {
        let decision = decide(&lane(&young), &market(50, floor), &params());
        assert_eq!(decision, Decision::Keep);
    }
    // What makes a user's way out dearer is not waited for.
    young[0].is_late = true;
    assert_eq!(bid(&lane(&young), &market(50, 1)).cause, Cause::Late);
}

#[test]
fn what_nodes_drop_is_replaced_though_it_is_outbid_by_little() {
    let paid = [waiting(10_000, 1_000)];
    assert_eq!(bid(&lane(&paid), &market(11, 11)).cause, Cause::BelowFloor);
    assert_eq!(
        decide(&lane(&paid), &market(10, 10), &params()),
        Decision::Keep
    );
}

#[test]
fn what_is_gone_and_needs_more_than_a_child_is_below_the_floor() {
    let paid = [
        waiting(1_000, 1_000),
        waiting(3_000, 1_000),
        waiting(14_000, 1_000),
    ];
    let mut lane = lane(&paid);
    assert_eq!(decide(&lane, &market(6, 6), &params()), Decision::Keep);
    lane.is_dropped = true;
    assert_eq!(decide(&lane, &market(2, 2), &params()), Decision::Keep);
    // Other nodes may have all three.
    let bid = bid(&lane, &market(8, 3));
    assert_eq!(
        (bid.cause, bid.rate),
        (Cause::BelowFloor, just_above(rate(14)))
    );
}

#[test]
fn one_that_pays_for_those_under_it_is_exceeded_and_no_more() {
    // 5 and 15 sat/vB, and 10 together.
    let paid = [waiting(5_000, 1_000), waiting(15_000, 1_000)];
    assert_eq!(bid(&lane(&paid), &market(16, 1)).rate, rate(16));
    let mut late = paid;
    late[0].is_late = true;
    assert_eq!(bid(&lane(&late), &market(10, 1)).rate, just_above(rate(15)));
    // A rival is another one's try: above that is a step.
    let rivals = [bundle(15_000, 1_000)];
    let mut lane = lane(&paid);
    lane.rivals = &rivals;
    assert_eq!(bid(&lane, &market(16, 1)).rate, a_quarter_above(rate(15)));
}

#[test]
fn children_that_pay_for_the_oldest_count_and_large_cheap_ones_do_not() {
    let paid = [waiting(1_000, 1_000), waiting(39_000, 1_000)];
    assert_eq!(
        decide(&lane(&paid), &market(20, 1), &params()),
        Decision::Keep
    );
    let poor = [waiting(1_000, 1_000)];
    let mut lifted = lane(&poor);
    lifted.strangers = bundle(19_000, 200);
    assert_eq!(decide(&lifted, &market(20, 1), &params()), Decision::Keep);
    lifted.strangers = bundle(19_000, 54_000);
    assert_ne!(decide(&lifted, &market(20, 1), &params()), Decision::Keep);
}

#[test]
fn all_that_is_replaced_is_paid_for_and_the_children_that_others_made() {
    let paid = [waiting(5_000, 1_000), waiting(6_000, 1_000)];
    let mut pinned = lane(&paid);
    pinned.strangers = bundle(2_650, 540);
    let bid = bid(&pinned, &market(20, 1));
    assert_eq!(bid.replaced, Amount::from_sat(13_650));
    // And a satoshi for each vbyte of its own.
    let fee = bid.fee_min(Weight::from_wu(4_001)).unwrap();
    assert_eq!(fee, Amount::from_sat(13_650 + 1_001));
}

#[test]
fn of_settlements_that_exclude_each_other_the_dearest_is_paid_for() {
    let paid = [waiting(5_000, 1_000)];
    let rivals = [bundle(9_000, 1_000), bundle(7_000, 500)];
    let mut lane = lane(&paid);
    lane.rivals = &rivals;
    let bid = bid(&lane, &market(30, 1));
    assert_eq!(bid.replaced, Amount::from_sat(9_000));
    // A node may have the dense one.
    assert!(bid.rate >= rate(14) && bid.rate_max == rate(60));
    assert_eq!(
        decide(&lane, &market(8, 1), &params()),
        Decision::Wait(WaitReason::TooDear)
    );
}

#[test]
fn a_step_is_a_quarter_at_least_and_the_estimate_at_once() {
    let paid = [waiting(10_000, 1_000)];
    let mut late = paid;
    late[0].is_late = true;
    assert_eq!(
        bid(&lane(&late), &market(10, 1)).rate,
        a_quarter_above(rate(10))
    );
    assert_eq!(bid(&lane(&paid), &market(80, 1)).rate, rate(80));
}

#[test]
fn nobody_pays_more_than_twice_the_estimate_or_than_parameters_allow() {
    let mut late = [waiting(17_000, 1_000)];
    late[0].is_late = true;
    let lane = lane(&late);
    assert_eq!(
        decide(&lane, &market(10, 1), &params()),
        Decision::Wait(WaitReason::TooDear)
    );
    assert_eq!(bid(&lane, &market(11, 1)).rate_max, rate(22));
    let high = params().fee_rate_max;
    let target = Market {
        target: high,
        ..market(1, 1)
    };
    assert_eq!(bid(&lane, &target).rate_max, high);
}

#[test]
fn it_is_tried_once_in_a_block_and_so_often_at_most() {
    let paid = [waiting(1_000, 1_000)];
    let mut tried = lane(&paid);
    tried.begun = REPLACEMENTS_MAX - 1;
    tried.begun_at = Some(100);
    assert_eq!(decide(&tried, &market(50, 1), &params()), Decision::Keep);
    tried.begun_at = Some(99);
    bid(&tried, &market(50, 1));
    tried.begun = REPLACEMENTS_MAX;
    assert_eq!(
        decide(&tried, &market(50, 1), &params()),
        Decision::Wait(WaitReason::TooOften)
    );
}

/// Ten payers of 400 vbytes with room for `most` each, and 2,000 vbytes that they share.
fn plan(most: u64) -> impl Fn(FeeRate) -> Result<Option<Planned>, Infallible> {
    move |rate| {
        let payers = (1..=10_u64).rev().find(|payers| {
            let part = 1_600 + 8_000 / payers;
            rate.fee_wu(Weight::from_wu(part)).unwrap().to_sat() <= most
        });
        Ok(payers.map(|payers| {
            let weight = Weight::from_wu(8_000 + 1_600 * payers);
            let fee = rate.fee_wu(weight).unwrap();
            Planned { fee, weight }
        }))
    }
}

#[test]
fn the_rate_rises_until_those_who_are_left_pay_for_all_that_is_replaced() {
    let large = [waiting(20_000, 10_000)];
    let bid = bid(&lane(&large), &market(8, 1));
    let planned = bid.settle(plan(1_000_000), |plan| *plan).unwrap().unwrap();
    assert!(planned.fee >= bid.fee_min(planned.weight).unwrap());
    let vsize = planned.weight.to_vbytes_ceil();
    assert!(planned.fee.to_sat() >= 8 * vsize);
    // The same by fewer who have less: their caps, or twice the estimate, end it.
    assert_eq!(
        bid.settle(plan(5), |plan| *plan).unwrap(),
        Err(WaitReason::NobodyPays)
    );
    let many = [waiting(200_000, 100_000)];
    let bid = super::tests::bid(&lane(&many), &market(8, 1));
    assert_eq!(
        bid.settle(plan(1_000_000), |plan| *plan).unwrap(),
        Err(WaitReason::TooDear)
    );
}

#[test]
fn amounts_past_all_money_and_no_size_at_all_overflow_nothing() {
    let absurd = Waiting {
        bundle: bundle(u64::MAX, u64::MAX),
        age: u64::MAX,
        is_late: true,
    };
    let lanes = [absurd, absurd];
    assert_eq!(
        decide(&lane(&lanes), &market(u64::MAX / 1_000, 1), &params()),
        Decision::Wait(WaitReason::TooDear)
    );
    let nothing = [waiting(0, 0)];
    assert_eq!(nothing[0].bundle.rate(), FeeRate::ZERO);
    assert_eq!(bid(&lane(&nothing), &market(1, 1)).replaced, Amount::ZERO);
}
