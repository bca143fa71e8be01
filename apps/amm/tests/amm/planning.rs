//! The plan: what it must be, and that it is the plain loop over `settle`.

use grail_amm::{
    Amounts, OPEN_ORDERS_MAX, Order, OrderRefusal, Plan, Pool, Refusal, Terms, Verdict, Weight,
    out_of_reach, plan, settle,
};

use crate::random;
use crate::shares::{add, opened, remove, sell_a, sell_b};

/// The plan as words say it, with `settle` alone: leave out whom it names until it stands; keep the
/// oldest that there are places for; again; then try by age, each alone, until a whole pass admits
/// none.
fn plain(terms: Terms, pool: &Pool, orders: &[Order], places: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = (0..orders.len()).collect();
    stand(terms, pool, orders, &mut chosen);
    if chosen.len() > places {
        chosen.truncate(places);
        stand(terms, pool, orders, &mut chosen);
    }
    loop {
        let before = chosen.clone();
        for index in 0..orders.len() {
            if chosen.len() < places && !chosen.contains(&index) {
                let mut more = chosen.clone();
                more.push(index);
                more.sort_unstable();
                if settle(terms, pool, &pick(orders, &more)).is_ok() {
                    chosen = more;
                }
            }
        }
        if chosen == before {
            return chosen;
        }
    }
}

fn stand(terms: Terms, pool: &Pool, orders: &[Order], chosen: &mut Vec<usize>) {
    while let Err(refusal) = settle(terms, pool, &pick(orders, chosen)) {
        let Refusal::Order { index, .. } = refusal else {
            panic!("{refusal}");
        };
        chosen.remove(index);
    }
}

fn pick(orders: &[Order], chosen: &[usize]) -> Vec<Order> {
    chosen.iter().map(|index| orders[*index]).collect()
}

fn free() -> Terms {
    Terms::new(0, Weight::Two, 1).unwrap()
}

fn planned(pool: &Pool, orders: &[Order]) -> Plan {
    plan(free(), pool, orders, 190).unwrap()
}

fn wanting_b(mut order: Order, b: u64) -> Order {
    order.wants.b = b;
    order
}

fn wanting_a(mut order: Order, a: u64) -> Order {
    order.wants.a = a;
    order
}

#[test]
fn is_what_the_plain_loop_over_settle_gives() {
    let mut rng = random::seeded(9);
    let (mut left_out, mut admitted) = (0, 0);
    for _ in 0..4_000 {
        let terms = random::terms(&mut rng);
        let pool = match rng.u8(..20) {
            0 => Pool::Unopened,
            _ => random::pool(&mut rng, terms, 1_100),
        };
        let orders: Vec<Order> = (0..rng.usize(1..=24))
            .map(|_| random::order(&mut rng, &pool))
            .collect();
        let places = rng.usize(1..=26);
        let fast = plan(terms, &pool, &orders, places).unwrap();
        assert_eq!(fast.chosen, plain(terms, &pool, &orders, places));
        let mut first = (0..orders.len()).collect();
        stand(terms, &pool, &orders, &mut first);
        left_out += usize::from(fast.chosen.len() < orders.len());
        admitted += usize::from(fast.chosen.iter().any(|index| !first.contains(index)));
    }
    println!("{left_out} left somebody out, {admitted} admitted somebody again");
    assert!(left_out > 2_000 && admitted > 50);
}

#[test]
fn limit_out_of_reach_waits_and_spoils_nobody() {
    let pool = opened(1_000_000, 1_000_000);
    let orders = [wanting_b(sell_a(1_000), 2_000), sell_a(1_000), sell_b(500)];
    let plan = planned(&pool, &orders);
    assert_eq!(plan.chosen, [1, 2]);
    assert_eq!(
        plan.verdicts[0],
        Verdict::Refused(OrderRefusal::LimitNotMet)
    );
    assert_eq!(plan.outcome.payouts.len(), 2);
}

#[test]
fn orders_that_stand_only_together_are_both_executed() {
    // Alone each would move the price by a sixth; together they meet at 1.
    let pool = opened(1_000_000, 1_000_000);
    let orders = [
        wanting_b(sell_a(100_000), 99_000),
        wanting_a(sell_b(100_000), 99_000),
    ];
    assert_eq!(planned(&pool, &orders).chosen, [0, 1]);
    assert!(planned(&pool, &orders[..1]).chosen.is_empty());
    // At exactly 1 each gets exactly what it wants.
    let orders = [
        wanting_b(sell_a(100_000), 100_000),
        wanting_a(sell_b(100_000), 100_000),
    ];
    assert_eq!(planned(&pool, &orders).chosen, [0, 1]);
}

#[test]
fn who_was_left_out_for_anothers_sake_is_tried_again() {
    // The first wants most and is left out first; then the large one; then the first stands after
    // all.
    let pool = opened(1_000_000, 1_000_000);
    let orders = [
        wanting_b(sell_a(10_000), 9_700),
        wanting_b(sell_a(100_000), 85_000),
    ];
    let plan = planned(&pool, &orders);
    assert_eq!(plan.chosen.len(), 1);
    let orders = [
        wanting_b(sell_a(10_000), 9_750),
        wanting_b(sell_a(90_000), 86_500),
    ];
    let plan = planned(&pool, &orders);
    assert_eq!(plan.chosen, [0]);
}

#[test]
fn older_of_two_equals_is_executed() {
    let pool = opened(1_000_000, 1_000_000);
    // Each alone gets 9,803; both 9,615 each.
    let orders = [wanting_b(sell_a(10_000), 9_700); 2];
    assert_eq!(planned(&pool, &orders).chosen, [0]);
}

#[test]
fn places_go_to_the_oldest_and_the_rest_is_told_so() {
    let pool = opened(1_000_000, 1_000_000);
    let plan = plan(free(), &pool, &[sell_a(100); 5], 3).unwrap();
    assert_eq!(plan.chosen, [0, 1, 2]);
    assert_eq!(plan.verdicts[3..], [Verdict::Full; 2]);
}

#[test]
fn place_that_becomes_free_is_filled() {
    let pool = opened(1_000_000, 1_000_000);
    // Three stand together, two places: without the third, which sells the other way, the first
    // fails and the third takes its place.
    let orders = [
        wanting_b(sell_a(50_000), 49_000),
        sell_a(100),
        wanting_a(sell_b(50_000), 40_000),
    ];
    let plan = plan(free(), &pool, &orders, 2).unwrap();
    assert_eq!(plan.chosen, [1, 2]);
}

#[test]
fn wrong_shapes_and_early_swaps_have_their_verdict() {
    let wrong = Order {
        given: Amounts::NONE,
        ..sell_a(1)
    };
    let orders = [sell_a(5), add(10_000, 10_000), wrong, remove(100)];
    let plan = planned(&Pool::Unopened, &orders);
    let refused = Verdict::Refused;
    let verdicts = [
        refused(OrderRefusal::NotOpened),
        Verdict::Executed,
        refused(OrderRefusal::Given),
        Verdict::Executed,
    ];
    assert_eq!(plan.verdicts, verdicts);
}

#[test]
fn nobody_waiting_is_a_plan_of_nothing() {
    let pool = opened(1_000_000, 1_000_000);
    let plan = planned(&pool, &[]);
    assert!(plan.chosen.is_empty() && plan.outcome.pool == pool);
    assert!(plan.outcome.price.is_none());
}

#[test]
fn orders_beyond_the_bound_are_not_looked_at() {
    let pool = opened(1 << 50, 1 << 50);
    let orders = vec![sell_a(10_000); OPEN_ORDERS_MAX + 1];
    let plan = plan(free(), &pool, &orders, OPEN_ORDERS_MAX + 1).unwrap();
    assert_eq!(plan.verdicts.len(), OPEN_ORDERS_MAX);
    assert_eq!(plan.chosen.len(), OPEN_ORDERS_MAX);
}

#[test]
fn no_clearing_meets_a_limit_that_is_out_of_reach() {
    let mut rng = random::seeded(10);
    let (mut asleep, mut awake) = (0, 0);
    for _ in 0..400 {
        let terms = random::terms(&mut rng);
        let pool = random::pool(&mut rng, terms, 1_100);
        let orders: Vec<Order> = (0..rng.usize(1..=7))
            .map(|_| random::order(&mut rng, &pool))
            .collect();
        let out = out_of_reach(terms, &pool, &orders).unwrap();
        for (index, out) in out.iter().enumerate() {
            let mut sets = (0..1_usize << orders.len()).filter(|set| set >> index & 1 == 1);
            let stands = sets.any(|set| {
                let chosen: Vec<usize> = (0..orders.len())
                    .filter(|place| set >> place & 1 == 1)
                    .collect();
                settle(terms, &pool, &pick(&orders, &chosen)).is_ok()
            });
            assert!(!(*out && stands), "{index} of {orders:?} in {pool:?}");
            asleep += u32::from(*out);
            awake += u32::from(!*out && stands);
        }
    }
    println!("{asleep} asleep, {awake} stand somewhere");
    assert!(asleep > 100 && awake > 500);
}

#[test]
fn limits_within_reach_are_awake_to_the_unit() {
    let pool = opened(1_000_000, 1_000_000);
    let out = |orders: &[Order]| out_of_reach(free(), &pool, orders).unwrap();
    // Alone: 9,803. With 10,000 from the other side: 10,000.
    assert_eq!(out(&[wanting_b(sell_a(10_000), 9_803)]), [false]);
    assert_eq!(out(&[wanting_b(sell_a(10_000), 9_804)]), [true]);
    let helped = [wanting_b(sell_a(10_000), 10_000), sell_b(10_000)];
    assert_eq!(out(&helped), [false, false]);
    // Help from one that itself sleeps is none.
    let sleeping = [
        wanting_b(sell_a(10_000), 10_000),
        wanting_a(sell_b(10_000), 10_500),
    ];
    assert_eq!(out(&sleeping), [true, true]);
    assert_eq!(out(&[add(5, 5), remove(5)]), [false, false]);
    assert_eq!(
        out_of_reach(free(), &Pool::Unopened, &helped),
        Ok(vec![false; 2])
    );
}
