#![allow(clippy::unwrap_used)]
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    replacement::{Cause, Decision, Market, PATIENCE_SECONDS, Waiting, cause, decide},
    request::tests_support::params,
};

const fn rate(sat_per_vb: u64) -> FeeRate {
    FeeRate::from_sat_per_kwu(sat_per_vb * 250)
}

fn waiting(fee: u64, vsize: u64) -> Waiting {
    let fee = Amount::from_sat(fee);
    Waiting {
        bundle: Bundle { fee, vsize },
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

fn owed(waiting: &[Waiting], target: u64) -> u64 {
    deficit(&lane(waiting), rate(target)).to_sat()
}

const fn payer(share: u64, room: u64) -> Payer {
    Payer {
        share: Amount::from_sat(share),
        room: Amount::from_sat(room),
    }
}

fn parts(deficit: u64, payers: &[Payer]) -> Option<Vec<u64>> {
    let parts = surcharges(Amount::from_sat(deficit), payers)?;
    Some(parts.into_iter().map(Amount::to_sat).collect())
}

#[test]
fn what_a_child_pays_too_much_counts_for_those_before_it_alone() {
    assert_eq!(owed(&[], 50), 0);
    let poor = waiting(5_000, 1_000);
    assert_eq!(owed(&[poor], 5), 0);
    assert_eq!(owed(&[poor], 6), 1_000);
    assert_eq!(owed(&[poor, poor], 6), 2_000);
    assert_eq!(owed(&[poor, waiting(6_999, 1_000)], 6), 1);
    assert_eq!(owed(&[poor, waiting(7_000, 1_000)], 6), 0);
    // Mined with its parent, it leaves the next one behind.
    assert_eq!(owed(&[waiting(90_000, 1_000), poor], 6), 1_000);
    assert_eq!(owed(&[poor, waiting(90_000, 1_000), poor], 6), 1_000);
}

#[test]
fn what_strangers_pay_counts_where_it_is_enough() {
    let poor = [waiting(5_000, 1_000)];
    let mut lane = lane(&poor);
    for (fee, vsize, expected) in [(1_000, 0, 0), (999, 0, 1_000), (4_000, 500, 0)] {
        lane.strangers = waiting(fee, vsize).bundle;
        assert_eq!(deficit(&lane, rate(6)).to_sat(), expected, "{fee} {vsize}");
    }
    // A large cheap child pays for nobody, and costs nobody more.
    lane.strangers = waiting(54_000, 54_000).bundle;
    assert_eq!(deficit(&lane, rate(6)).to_sat(), 1_000);
}

#[test]
fn a_lane_with_a_deposit_near_its_reclaim_is_not_made_dearer() {
    let mut late = [waiting(5_000, 1_000), waiting(5_000, 1_000)];
    late[1].is_late = true;
    assert_eq!(owed(&late, 6), 0);
}

#[test]
fn all_pay_the_same_part_and_others_make_up_for_whom_caps_hold_back() {
    let rich = payer(1_000, 1_000);
    assert_eq!(parts(300, &[rich; 3]), Some(vec![100; 3]));
    let uneven = [payer(1_000, 1_000), payer(2_000, 2_000)];
    assert_eq!(parts(300, &uneven), Some(vec![100, 200]));
    let capped = [payer(1_000, 0), payer(1_000, 40), rich];
    assert_eq!(parts(300, &capped), Some(vec![0, 40, 260]));
}

#[test]
fn half_of_the_share_is_given_at_most_and_never_in_vain() {
    let rich = payer(1_000, 1_000);
    assert_eq!(parts(1_500, &[rich; 3]), Some(vec![500; 3]));
    assert_eq!(parts(1_501, &[rich; 3]), None);
    assert_eq!(parts(0, &[rich; 3]), None);
    assert_eq!(parts(1, &[]), None);
    assert_eq!(parts(1, &[payer(1, 1)]), None);
    let huge = payer(u64::MAX, u64::MAX);
    let some = parts(u64::MAX / 8, &[huge, huge]);
    assert!(some.is_none_or(|parts| parts.iter().all(|part| *part <= u64::MAX / 2)));
}

#[test]
fn one_request_behind_a_large_parent_owes_nothing_of_its_debt() {
    let parent = [waiting(235_000, 47_000)];
    assert_eq!(owed(&parent, 50), 2_115_000);
    assert_eq!(parts(2_115_000, &[payer(130_000, 10_000_000)]), None);
    assert_eq!(owed(&parent, 6), 47_000);
    assert_eq!(parts(47_000, &[payer(15_600, 10_000_000)]), None);
    assert_eq!(owed(&parent, 10), 235_000);
    let given = parts(235_000, &[payer(235_000, 500_000); 2]).unwrap();
    assert_eq!(given, [117_500; 2]);
}

#[test]
fn amounts_past_all_money_overflow_nothing() {
    let absurd = [waiting(0, u64::MAX), waiting(u64::MAX, u64::MAX)];
    let _ = deficit(&lane(&absurd), FeeRate::MAX);
    let mut lane = lane(&absurd);
    lane.strangers = absurd[1].bundle;
    let _ = deficit(&lane, rate(1));
}

/// A settlement that is planned on the lane: the estimate, its payers' sizes, and what their caps
/// and deposits leave.
type Child = (u64, Vec<(u64, u64)>);

fn child() -> impl Strategy<Value = Child> {
    let calm = 1..6_u64;
    let spike = prop::bool::weighted(0.2);
    let target = (calm, spike).prop_map(|(calm, spike)| if spike { calm * 50 } else { calm });
    (target, vec((300..3_000_u64, 0..200_000_u64), 1..30))
}

/// The lane as it is with surcharges, and without.
fn lanes(children: &[Child]) -> (Vec<Waiting>, Vec<Waiting>) {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for (target, payers) in children {
        let payers: Vec<Payer> = payers
            .iter()
            .map(|(vsize, room)| payer(vsize * target, *room))
            .collect();
        let fee: u64 = payers.iter().map(|payer| payer.share.to_sat()).sum();
        let vsize = fee / target;
        without.push(waiting(fee, vsize));
        let owed = deficit(&lane(&with), rate(*target));
        let given = surcharges(owed, &payers);
        let mut sum = 0;
        if let Some(given) = &given {
            for (payer, part) in payers.iter().zip(given) {
                assert!(*part <= payer.room && *part * 2 <= payer.share);
            }
            sum = given.iter().map(|part| part.to_sat()).sum();
            // Enough, and little more.
            let most = owed.to_sat() + fee / 1_000 + payers.len() as u64 + 1;
            assert!(owed.to_sat() <= sum && sum <= most);
        }
        with.push(waiting(fee + sum, vsize));
        if given.is_some() {
            assert_eq!(deficit(&lane(&with), rate(*target)), Amount::ZERO);
        }
    }
    (with, without)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn of_children_at_one_rate_one_pays_for_the_parent_and_no_other(
        parent in child(),
        children in vec(child(), 1..8),
        target in 1..300_u64,
    ) {
        let all = children.into_iter().map(|(_, payers)| (target, payers));
        let all: Vec<Child> = std::iter::once(parent).chain(all).collect();
        let (with, without) = lanes(&all);
        let pairs = with.iter().zip(&without);
        prop_assert!(pairs.filter(|(with, without)| with != without).count() <= 1);
    }

    #[test]
    fn whatever_fees_do_a_child_pays_half_more_at_most(children in vec(child(), 1..8)) {
        let (with, without) = lanes(&children);
        for (with, without) in with.iter().zip(&without) {
            prop_assert!(with.bundle.fee >= without.bundle.fee);
            prop_assert!(with.bundle.fee.to_sat() * 2 <= without.bundle.fee.to_sat() * 3);
        }
    }

    #[test]
    fn no_surcharge_makes_a_replacement_impossible_or_raises_its_rate(
        children in vec(child(), 1..6),
        target in 1..300_u64,
        floor in 1..100_u64,
        mined in 0..5_usize,
    ) {
        let (with, without) = lanes(&children);
        let mined = mined.min(with.len() - 1);
        let market = Market {
            target: rate(target.max(floor)),
            floor: rate(floor),
            tip_height: 100,
        };
        let (with, without) = (lane(&with[mined..]), lane(&without[mined..]));
        match cause(&with, &market) {
            // It is mined soon, as it is.
            None => {}
            Some(cause) => {
                prop_assert_ne!(cause, Cause::Late);
                let before = decide(&without, &market, &params());
                let after = decide(&with, &market, &params());
                let (Decision::Replace(before), Decision::Replace(after)) = (before, after) else {
                    // Where it is too dear, it is so without surcharges.
                    prop_assert!(!matches!(before, Decision::Replace(_)), "{after:?}");
                    return Ok(());
                };
                prop_assert!(after.rate <= after.rate_max);
                if cause == Cause::Outbid {
                    prop_assert_eq!(after.rate, before.rate);
                    // One as large as all that it replaces can pay for them.
                    let all = with.waiting.iter().map(|waiting| waiting.bundle);
                    let vsize = all.fold(Bundle::default(), Bundle::with).vsize;
                    let fee = after.fee_min(bitcoin::Weight::from_vb(vsize).unwrap());
                    prop_assert!(fee <= after.rate_max.fee_vb(vsize));
                }
                prop_assert!(after.rate.to_sat_per_kwu() * 2 <= before.rate.to_sat_per_kwu() * 3 + 3);
            }
        }
    }
}
