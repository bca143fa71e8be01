//! Histories of random clearings, each held against P1-P5, P9 and the model in fractions (P10).

use fastrand::Rng;
use grail_amm::{Amounts, Kind, Order, Outcome, Pool, Terms, plan, settle};
use num_bigint::BigInt;

use crate::model::{self, Exact, Swaps, affordable, down, exact, part, worth};
use crate::random;

/// One clearing that stood, with what came before it.
struct Case<'a> {
    terms: Terms,
    before: Pool,
    orders: &'a [Order],
    outcome: &'a Outcome,
}

/// Walks histories of 20 clearings until `GRAIL_AMM_CLEARINGS` clearings stood; answers how many.
fn walk(salt: u64, mut judge: impl FnMut(&mut Rng, &Case)) -> u64 {
    let started = std::time::Instant::now();
    let mut rng = random::seeded(salt);
    let mut stood = 0;
    while stood < random::clearings() {
        let terms = random::terms(&mut rng);
        let mut pool = random::pool(&mut rng, terms, 1_100);
        for _ in 0..20 {
            let open = random::orders(&mut rng, &pool);
            let plan = plan(terms, &pool, &open, 190).unwrap();
            let orders: Vec<Order> = plan.chosen.iter().map(|index| open[*index]).collect();
            if orders.is_empty() {
                continue;
            }
            let case = Case {
                terms,
                before: pool,
                orders: &orders,
                outcome: &plan.outcome,
            };
            judge(&mut rng, &case);
            pool = plan.outcome.pool;
            stood += 1;
        }
    }
    let rate = u128::from(stood) * 1_000 / started.elapsed().as_millis().max(1);
    println!("{stood} clearings, {rate} a second");
    stood
}

fn total(amounts: impl Iterator<Item = Amounts>) -> [u128; 3] {
    amounts.fold([0; 3], |[a, b, shares], one| {
        [
            a + u128::from(one.a),
            b + u128::from(one.b),
            shares + u128::from(one.shares),
        ]
    })
}

fn swaps(orders: &[Order]) -> Vec<Order> {
    let swaps = orders.iter().filter(|order| order.kind == Kind::Swap);
    swaps.copied().collect()
}

fn price_of(outcome: &Outcome) -> Exact {
    let price = outcome.price.unwrap();
    Exact::new(price.b_units.into(), price.a_units.into())
}

fn units(payout: &Amounts) -> u64 {
    payout.a.max(payout.b)
}

#[test]
fn nothing_comes_from_nowhere_and_a_share_never_loses() {
    let stood = walk(1, |_, case| {
        let holdings = case.before.holdings();
        let after = case.outcome.pool.holdings();
        // P1, assets: what came in and was there is what went out and is there.
        let [a, b, given_shares] = total(case.orders.iter().map(|order| order.given));
        let [paid_a, paid_b, made_shares] = total(case.outcome.payouts.iter().copied());
        assert_eq!(u128::from(holdings.a) + a, u128::from(after.a) + paid_a);
        assert_eq!(u128::from(holdings.b) + b, u128::from(after.b) + paid_b);
        // P1, shares: out less in is what the state counts.
        let counted = i128::from(after.shares) - i128::from(holdings.shares);
        assert_eq!(
            made_shares.cast_signed() - given_shares.cast_signed(),
            counted
        );
        // P2.
        assert!(after.a > 0 && after.b > 0);
        assert!(
            worth(after) >= worth(holdings),
            "a share lost: {holdings:?} to {after:?}"
        );
        // P9.
        for (order, payout) in case.orders.iter().zip(&case.outcome.payouts) {
            assert!(payout.a >= order.wants.a && payout.b >= order.wants.b);
            assert!(payout.shares >= order.wants.shares);
        }
    });
    assert!(stood >= random::clearings());
}

#[test]
fn swaps_commute_and_pay_one_price_and_splitting_gains_nothing() {
    let mut permuted = 0;
    let mut split = 0;
    walk(2, |rng, case| {
        let swaps = swaps(case.orders);
        if swaps.is_empty() {
            return;
        }
        let outcome = settle(case.terms, &case.before, &swaps).unwrap();
        // P3.
        let mut places: Vec<usize> = (0..swaps.len()).collect();
        rng.shuffle(&mut places);
        let shuffled: Vec<Order> = places.iter().map(|place| swaps[*place]).collect();
        let again = settle(case.terms, &case.before, &shuffled).unwrap();
        assert_eq!(again.pool, outcome.pool);
        for (place, payout) in places.iter().zip(&again.payouts) {
            assert_eq!(payout, &outcome.payouts[*place]);
        }
        permuted += u64::from(swaps.len() > 1);
        // P4: two of one side are paid alike per unit that counts, to less than a unit.
        let kept = u128::from(10_000 - case.terms.fee_bps());
        let counts = |order: &Order| u128::from(order.given.a.max(order.given.b)) * kept / 10_000;
        for (one, paid) in swaps.iter().zip(&outcome.payouts) {
            for (other, other_paid) in swaps.iter().zip(&outcome.payouts) {
                if (one.given.a > 0) == (other.given.a > 0) {
                    let left = BigInt::from(units(paid)) * BigInt::from(counts(other));
                    let right = BigInt::from(units(other_paid)) * BigInt::from(counts(one));
                    let unit = BigInt::from(counts(one).max(counts(other)));
                    assert!(&left - &right < unit && &right - &left < unit);
                }
            }
        }
        // P5.
        let place = rng.usize(..swaps.len());
        split += u64::from(splits_without_gain(rng, case, &swaps, &outcome, place));
    });
    println!("{permuted} permutations, {split} splits");
    assert!(permuted > random::clearings() / 4 && split > random::clearings() / 4);
}

/// Splits the order at `place` in two; answers whether both parts were large enough to stand.
fn splits_without_gain(
    rng: &mut Rng,
    case: &Case,
    swaps: &[Order],
    outcome: &Outcome,
    place: usize,
) -> bool {
    let whole = swaps[place].given;
    if whole.a.max(whole.b) < 2 {
        return false;
    }
    let cut = rng.u64(1..whole.a.max(whole.b));
    let mut parts = swaps.to_vec();
    let mut second = swaps[place];
    for order in [&mut parts[place], &mut second] {
        order.wants = Amounts::NONE;
    }
    if whole.a > 0 {
        (parts[place].given.a, second.given.a) = (cut, whole.a - cut);
    } else {
        (parts[place].given.b, second.given.b) = (cut, whole.b - cut);
    }
    parts.push(second);
    let Ok(halves) = settle(case.terms, &case.before, &parts) else {
        return false;
    };
    let got = u128::from(units(&halves.payouts[place]))
        + u128::from(units(halves.payouts.last().unwrap()));
    assert!(got <= u128::from(units(&outcome.payouts[place])));
    true
}

#[test]
fn agrees_with_exact_fractions_and_rounds_toward_the_pool() {
    let mut clearings_with_swaps = 0;
    walk(3, |_, case| {
        let mut reserves = case.before.holdings();
        let mut swap_payouts = Vec::new();
        for (order, payout) in case.orders.iter().zip(&case.outcome.payouts) {
            if order.kind == Kind::Swap {
                swap_payouts.push(*payout);
            }
        }
        if !swap_payouts.is_empty() {
            clearings_with_swaps += 1;
            reserves = swaps_agree(case, &swap_payouts);
        }
        liquidity_agrees(case, reserves);
    });
    assert!(clearings_with_swaps > random::clearings() / 2);
}

/// P10 for swaps; answers with the holdings after them.
fn swaps_agree(case: &Case, payouts: &[Amounts]) -> Amounts {
    let Amounts { a, b, shares } = case.before.holdings();
    let price = price_of(case.outcome);
    let model = Swaps::new(case.terms, a, b, case.orders, true);
    model.assert_defines(&price);
    let (mut after_a, mut after_b) = (BigInt::from(a), BigInt::from(b));
    for (index, payout) in payouts.iter().enumerate() {
        assert_eq!(
            BigInt::from(units(payout)),
            down(&model.gets(index, &price))
        );
        let (sells_a, given, _) = &model.sales[index];
        if *sells_a {
            after_a += given.to_integer();
        } else {
            after_b += given.to_integer();
        }
        after_a -= payout.a;
        after_b -= payout.b;
    }
    // Without any rounding the pool would hold no more, and by less than a few units of either
    // asset less.
    let pure = Swaps::new(case.terms, a, b, case.orders, false);
    let (sold_a, sold_b) = (pure.sum(true), pure.sum(false));
    let weight = exact(case.terms.weight().number());
    let pure_price = (exact(b) + &weight * sold_b) / (exact(a) + &weight * sold_a);
    pure.assert_defines(&pure_price);
    let (pure_a, pure_b) = pure.after(&pure_price);
    let orders = exact(payouts.len());
    let more_a = Exact::from_integer(after_a.clone()) - pure_a;
    let more_b = Exact::from_integer(after_b.clone()) - pure_b;
    assert!(
        more_a >= exact(0) && more_b >= exact(0),
        "rounding paid somebody"
    );
    let dearest = price.clone().max(pure_price);
    let cheapest_inverse = &dearest / (&price * &price);
    assert!(
        more_a <= &orders * (exact(2) + cheapest_inverse.max(&dearest / (&dearest * &dearest)))
    );
    assert!(more_b <= &orders * (exact(2) + &dearest * exact(2)));
    Amounts {
        a: after_a.try_into().unwrap(),
        b: after_b.try_into().unwrap(),
        shares,
    }
}

/// P10 for adds and removals, one after the other from the reserves after the swaps.
fn liquidity_agrees(case: &Case, mut now: Amounts) {
    for (order, payout) in case.orders.iter().zip(&case.outcome.payouts) {
        let total = now.shares + 1_000;
        match order.kind {
            Kind::Swap => {}
            Kind::Add => {
                let made = payout.shares;
                assert_eq!(
                    BigInt::from(made),
                    down(&affordable(order.given, total, now.a, now.b))
                );
                let (cost_a, cost_b) = part(made, total, now.a, now.b);
                let taken = (order.given.a - payout.a, order.given.b - payout.b);
                assert_eq!(BigInt::from(taken.0), cost_a.ceil().to_integer());
                assert_eq!(BigInt::from(taken.1), cost_b.ceil().to_integer());
                (now.a, now.b, now.shares) = (now.a + taken.0, now.b + taken.1, now.shares + made);
            }
            Kind::Remove => {
                let (worth_a, worth_b) = part(order.given.shares, total, now.a, now.b);
                assert_eq!(BigInt::from(payout.a), model::down(&worth_a));
                assert_eq!(BigInt::from(payout.b), model::down(&worth_b));
                now = Amounts {
                    a: now.a - payout.a,
                    b: now.b - payout.b,
                    shares: now.shares - order.given.shares,
                };
            }
        }
    }
    assert_eq!(now, case.outcome.pool.holdings());
}
