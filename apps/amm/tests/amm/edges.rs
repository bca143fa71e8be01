//! Extremes, bounds, and each refusal that `shares.rs` does not produce.

use grail_amm::{
    Amounts, Kind, Order, OrderRefusal, Outcome, Pool, RESERVE_MAX, Refusal, Terms, TermsError,
    Weight, WholeRefusal, check_age, settle,
};
use proptest::prelude::*;

use crate::random::pool_of;
use crate::shares::{add, opened, remove, run, sell_a, sell_b};

const ALL_BITCOIN: u64 = 2_100_000_000_000_000;

fn refused(index: usize, why: OrderRefusal) -> Result<Outcome, Refusal> {
    Err(Refusal::Order { index, why })
}

#[test]
fn lone_trader_of_10_000_in_a_million_gets_what_the_adr_says() {
    let pool = opened(1_000_000, 1_000_000);
    let got = |weight| {
        let terms = Terms::new(0, weight, 1).unwrap();
        settle(terms, &pool, &[sell_a(10_000)]).unwrap().payouts[0].b
    };
    assert_eq!(got(Weight::One), 9_900);
    assert_eq!(got(Weight::Two), 9_803);
}

#[test]
fn fee_is_rounded_up_and_stays_with_the_pool() {
    let terms = Terms::new(30, Weight::Two, 1).unwrap();
    let pool = opened(1_000_000, 1_000_000);
    // 0.3 % of 999 is 2.997: 3 units stay, 996 count.
    let outcome = settle(terms, &pool, &[sell_a(999)]).unwrap();
    assert_eq!(outcome.price.unwrap().a_units, 1_000_000 + 2 * 996);
    assert_eq!(outcome.pool.holdings().a, 1_000_999);
}

#[test]
fn opposite_orders_meet_at_the_pools_price_without_impact() {
    let outcome = run(
        &opened(1_000_000, 2_000_000),
        &[sell_a(50_000), sell_b(100_000)],
    )
    .unwrap();
    assert_eq!(
        (outcome.payouts[0].b, outcome.payouts[1].a),
        (100_000, 50_000)
    );
}

#[test]
fn all_bitcoin_against_the_largest_reserve_stays_in_bounds() {
    let pool = opened(ALL_BITCOIN / 2, RESERVE_MAX / 2);
    for weight in [Weight::One, Weight::Two] {
        for fee in [0, Terms::FEE_MAX_BPS] {
            let terms = Terms::new(fee, weight, 1).unwrap();
            let orders = [sell_a(ALL_BITCOIN / 2), sell_b(RESERVE_MAX / 2)];
            let outcome = settle(terms, &pool, &orders).unwrap();
            assert!(outcome.pool.is_opened());
        }
    }
}

#[test]
fn reserves_reach_the_bound_and_no_further() {
    let pool = opened(RESERVE_MAX / 2, RESERVE_MAX / 2);
    let half = RESERVE_MAX / 2;
    assert!(run(&pool, &[sell_a(half), sell_b(half)]).is_ok());
    assert_eq!(
        run(&pool, &[sell_a(half + 1)]),
        refused(0, OrderRefusal::ReserveAboveMax)
    );
    assert_eq!(
        run(&pool, &[sell_b(half + 1)]),
        refused(0, OrderRefusal::ReserveAboveMax)
    );
    // Of several that do not fit together, the one that goes too far.
    let both = [sell_a(half), sell_a(1)];
    assert_eq!(run(&pool, &both), refused(1, OrderRefusal::ReserveAboveMax));
    // Adds: exactly the bound, and one share's worth more.
    assert!(run(&pool, &[add(half, half)]).is_ok());
    assert_eq!(
        run(&pool, &[add(half + 2, half + 2)]),
        refused(0, OrderRefusal::ReserveAboveMax)
    );
    let first = run(&Pool::Unopened, &[add(RESERVE_MAX, RESERVE_MAX)]).unwrap();
    assert_eq!(first.pool.holdings().shares, RESERVE_MAX - 1_000);
    for (a, b) in [
        (RESERVE_MAX + 1, 1),
        (1, RESERVE_MAX + 1),
        (u64::MAX, u64::MAX),
    ] {
        let add = [add(a, b)];
        assert_eq!(
            run(&Pool::Unopened, &add),
            refused(0, OrderRefusal::ReserveAboveMax)
        );
    }
}

#[test]
fn every_token_there_can_be_is_refused_by_name() {
    let pool = opened(1_000_000, 1_000_000);
    assert_eq!(
        run(&pool, &[sell_a(u64::MAX)]),
        refused(0, OrderRefusal::ReserveAboveMax)
    );
    assert_eq!(
        run(&pool, &[sell_b(u64::MAX)]),
        refused(0, OrderRefusal::ReserveAboveMax)
    );
    assert_eq!(
        run(&pool, &[add(u64::MAX, u64::MAX)]),
        refused(0, OrderRefusal::ReserveAboveMax)
    );
    assert_eq!(
        run(&pool, &[remove(u64::MAX)]),
        refused(0, OrderRefusal::SharesAboveAll)
    );
    // One asset in plenty beside little of the other: only what the shares cost is taken.
    assert_eq!(
        run(&pool, &[add(u64::MAX, 1_000)]).unwrap().payouts[0].a,
        u64::MAX - 1_000
    );
    let mut greedy = sell_a(10_000);
    greedy.wants.b = u64::MAX;
    assert_eq!(run(&pool, &[greedy]), refused(0, OrderRefusal::LimitNotMet));
}

#[test]
fn each_kind_brings_what_it_takes_and_nothing_else() {
    let pool = opened(1_000_000, 1_000_000);
    let takes = |kind, a, b, shares| match kind {
        Kind::Swap => shares == 0 && (a > 0) != (b > 0),
        Kind::Add => shares == 0 && a > 0 && b > 0,
        Kind::Remove => shares > 0 && a == 0 && b == 0,
    };
    for kind in [Kind::Swap, Kind::Add, Kind::Remove] {
        for bits in 0..8_u64 {
            let (a, b, shares) = (bits & 1, bits >> 1 & 1, bits >> 2 & 1);
            let order = Order {
                kind,
                given: Amounts {
                    a: a * 5_000,
                    b: b * 5_000,
                    shares: shares * 5_000,
                },
                wants: Amounts::NONE,
            };
            match run(&pool, &[order]) {
                Ok(_) => assert!(takes(kind, a, b, shares), "{order:?}"),
                other => {
                    assert!(!takes(kind, a, b, shares), "{order:?}");
                    assert_eq!(other, refused(0, OrderRefusal::Given));
                }
            }
        }
    }
}

#[test]
fn wanting_what_a_kind_never_pays_is_refused() {
    let pool = opened(1_000_000, 1_000_000);
    let wants = |a, b, shares| Amounts { a, b, shares };
    for (order, wanted) in [
        (sell_a(5_000), wants(1, 0, 0)),
        (sell_a(5_000), wants(0, 0, 1)),
        (sell_b(5_000), wants(0, 1, 0)),
        (sell_b(5_000), wants(0, 0, 1)),
        (remove(5_000), wants(0, 0, 1)),
    ] {
        let order = Order {
            wants: wanted,
            ..order
        };
        assert_eq!(
            run(&pool, &[order]),
            refused(0, OrderRefusal::WantsUnreachable)
        );
    }
}

#[test]
fn limits_are_kept_to_the_unit() {
    let pool = opened(1_000_000, 3_000_000);
    let orders = [
        sell_a(5_000),
        sell_b(7_000),
        add(10_000, 30_000),
        remove(4_000),
    ];
    let paid = run(&pool, &orders).unwrap().payouts;
    for (index, payout) in paid.iter().enumerate() {
        let mut exactly = orders;
        exactly[index].wants = *payout;
        assert!(run(&pool, &exactly).is_ok());
        for field in 0..3 {
            let mut one_more = exactly;
            let wants = &mut one_more[index].wants;
            let place = [&mut wants.a, &mut wants.b, &mut wants.shares];
            *place.into_iter().nth(field).unwrap() += 1;
            let got = run(&pool, &one_more);
            let unreachable = refused(index, OrderRefusal::WantsUnreachable);
            let not_met = refused(index, OrderRefusal::LimitNotMet);
            assert!(got == not_met || got == unreachable, "{got:?}");
        }
    }
}

#[test]
fn swap_that_rounding_leaves_nothing_is_refused() {
    let pool = opened(1_000_000, 2_000);
    assert_eq!(
        run(&pool, &[sell_a(499)]),
        refused(0, OrderRefusal::LimitNotMet)
    );
    assert_eq!(run(&pool, &[sell_a(501)]).unwrap().payouts[0].b, 1);
    let dear = Terms::new(30, Weight::Two, 1).unwrap();
    let got = settle(dear, &pool, &[sell_b(1)]);
    assert_eq!(got, refused(0, OrderRefusal::TooSmall));
}

#[test]
fn refusal_names_who_gets_the_smallest_part_of_what_it_wants() {
    let pool = opened(1_000_000, 1_000_000);
    let wanting = |mut order: Order, units| {
        match order.given.a {
            0 => order.wants.a = units,
            _ => order.wants.b = units,
        }
        order
    };
    let not_met = |index| refused(index, OrderRefusal::LimitNotMet);
    // One side: the dearest, the later of equals.
    let dear = [wanting(sell_a(1_000), 1_001), wanting(sell_a(1_000), 1_002)];
    assert_eq!(run(&pool, &dear), not_met(1));
    assert_eq!(run(&pool, &[dear[1], dear[0]]), not_met(0));
    assert_eq!(run(&pool, &[dear[0], dear[0], sell_a(5)]), not_met(1));
    // Two sides: at this price of 1 each gets all but a thousandth, all but two.
    let two = [wanting(sell_a(1_000), 1_002), wanting(sell_b(1_000), 1_001)];
    assert_eq!(run(&pool, &two), not_met(0));
    assert_eq!(run(&pool, &[two[1], two[0]]), not_met(1));
    let equal = [wanting(sell_b(1_000), 1_001), wanting(sell_a(1_000), 1_001)];
    assert_eq!(run(&pool, &equal), not_met(1));
}

#[test]
fn adds_and_removals_come_after_swaps_wherever_they_stand() {
    let pool = opened(1_000_000, 1_000_000);
    let swapped = run(&pool, &[sell_a(100_000)]).unwrap();
    let before = run(&pool, &[add(1_000_000, 1_000_000), sell_a(100_000)]).unwrap();
    let after = run(&pool, &[sell_a(100_000), add(1_000_000, 1_000_000)]).unwrap();
    assert_eq!(before.payouts[1], swapped.payouts[0]);
    assert_eq!(before.pool, after.pool);
    assert_eq!(
        run(&swapped.pool, &[add(1_000_000, 1_000_000)])
            .unwrap()
            .pool,
        after.pool
    );
}

#[test]
fn coin_that_has_not_lain_long_enough_is_refused() {
    let spaced = |spacing| Terms::new(30, Weight::Two, spacing).unwrap();
    assert_eq!(check_age(spaced(0), 0), Ok(()));
    let young = WholeRefusal::TooYoung { age: 0, spacing: 1 };
    assert_eq!(check_age(spaced(1), 0), Err(young));
    assert_eq!(check_age(spaced(1), 1), Ok(()));
    let young = WholeRefusal::TooYoung {
        age: 35,
        spacing: 36,
    };
    assert_eq!(check_age(spaced(36), 35), Err(young));
    assert_eq!(check_age(spaced(36), 36), Ok(()));
}

#[test]
fn terms_out_of_bounds_are_refused() {
    assert!(Terms::new(1_000, Weight::Two, 36).is_ok());
    assert_eq!(
        Terms::new(1_001, Weight::Two, 1),
        Err(TermsError::Fee(1_001))
    );
    assert_eq!(Terms::new(0, Weight::Two, 37), Err(TermsError::Spacing(37)));
    assert_eq!(Weight::try_from(0), Err(TermsError::Weight(0)));
    assert_eq!(Weight::try_from(3), Err(TermsError::Weight(3)));
    for number in [1, 2] {
        assert_eq!(Weight::try_from(number).unwrap().number(), number);
    }
    let default = Terms::default();
    assert_eq!(
        (default.fee_bps(), default.weight(), default.spacing()),
        (30, Weight::Two, 1)
    );
}

fn any_amounts() -> impl Strategy<Value = Amounts> {
    let amount = || prop_oneof![Just(0), Just(u64::MAX), 0..5_000_u64, any::<u64>()];
    (amount(), amount(), amount()).prop_map(|(a, b, shares)| Amounts { a, b, shares })
}

fn any_order() -> impl Strategy<Value = Order> {
    let kind = prop_oneof![Just(Kind::Swap), Just(Kind::Add), Just(Kind::Remove)];
    (kind, any_amounts(), any_amounts()).prop_map(|(kind, given, wants)| Order {
        kind,
        given,
        wants,
    })
}

proptest! {
    #[test]
    fn whatever_comes_neither_panics_nor_overflows(
        reserves in (1..=RESERVE_MAX, 1..=RESERVE_MAX),
        orders in proptest::collection::vec(any_order(), 0..8),
        weight in prop_oneof![Just(Weight::One), Just(Weight::Two)],
        fee in 0..=Terms::FEE_MAX_BPS,
    ) {
        prop_assume!(u128::from(reserves.0) * u128::from(reserves.1) > 1_002_001);
        let terms = Terms::new(fee, weight, 1).unwrap();
        for pool in [Pool::Unopened, pool_of(reserves.0, reserves.1)] {
            let settled = settle(terms, &pool, &orders);
            prop_assert!(!matches!(settled, Err(Refusal::Whole(_))), "{settled:?}");
            prop_assert!(grail_amm::plan(terms, &pool, &orders, 5).is_ok());
        }
    }
}
