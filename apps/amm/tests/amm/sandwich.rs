//! P6: orders beside a victim's, before it and after it.

use grail_amm::{Amounts, Kind, Order, Pool, Terms, Weight, settle};

use crate::random;

fn free(weight: Weight) -> Terms {
    Terms::new(0, weight, 1).unwrap()
}

fn sale(a: u64, b: u64) -> Order {
    Order {
        kind: Kind::Swap,
        given: Amounts { a, b, shares: 0 },
        wants: Amounts::NONE,
    }
}

/// Own order beside victims' in one clearing, all that it got sold back alone in the next: what is
/// left over what was put in. None where rounding leaves one of the two nothing.
fn round_trip(terms: Terms, pool: &Pool, victims: &[Order], own: Order) -> Option<i128> {
    let mut orders = victims.to_vec();
    orders.push(own);
    let first = settle(terms, pool, &orders).ok()?;
    let got = *first.payouts.last()?;
    let second = settle(terms, &first.pool, &[sale(got.a, got.b)]).ok()?;
    let back = second.payouts[0];
    Some(i128::from(back.a + back.b) - i128::from(own.given.a + own.given.b))
}

#[test]
fn one_order_beside_a_victims_pays_at_weight_1_always() {
    let mut rng = random::seeded(61);
    let (mut tried, mut paid) = (0, 0);
    while tried < 20_000 {
        let reserve = random::size(&mut rng, 1 << 30, 1 << 55);
        let pool = random::pool_of(reserve, random::size(&mut rng, 1 << 30, 1 << 55));
        let part = |rng: &mut fastrand::Rng| random::size(rng, reserve / 1_000, reserve);
        let (victim, own) = (sale(part(&mut rng), 0), sale(part(&mut rng), 0));
        let gain = round_trip(free(Weight::One), &pool, &[victim], own).unwrap();
        tried += 1;
        paid += u32::from(gain > 0);
    }
    println!("weight 1: {paid} of {tried} pay");
    assert_eq!(paid, tried);
}

#[test]
fn no_order_beside_any_victims_pays_at_weight_2() {
    let mut rng = random::seeded(62);
    let terms = free(Weight::Two);
    let mut tried = 0;
    while tried < 20_000 {
        // Reserves of more than n^2 / 8 units, or what others' rounding left could be a unit.
        let pool = random::pool(&mut rng, terms, 1_100);
        let victims: Vec<Order> = (0..rng.usize(1..=12))
            .map(|_| {
                let sells_a = rng.bool();
                random::swap(&mut rng, &pool, sells_a)
            })
            .collect();
        let sells_a = rng.bool();
        let own = random::swap(&mut rng, &pool, sells_a);
        if let Some(gain) = round_trip(terms, &pool, &victims, own) {
            assert!(
                gain <= 0,
                "{gain} from {own:?} beside {victims:?} in {pool:?}"
            );
            tried += 1;
        }
    }
}

#[test]
fn tiny_pools_lose_no_more_than_what_rounding_left() {
    // What n orders' roundings left in the pool, an own order beside them may find: less than n^2 /
    // 8 over the reserve that the second clearing pays from.
    let mut rng = random::seeded(63);
    let terms = free(Weight::Two);
    let (mut tried, mut paid, mut most) = (0, 0, 0);
    while tried < 20_000 {
        // Many small buyers of a unit or two of A, which is dear: what rounding leaves is a part of
        // all there is.
        let (a, b, shares) = (rng.u64(20..300), 1_000_000_000, 0);
        let pool = Pool::read(Amounts { a, b, shares }, true).unwrap();
        let buyer = sale(0, rng.u64(b / a..b * 8 / a));
        let victims = vec![buyer; rng.usize(1..=60)];
        let own = sale(rng.u64(1..=20), 0);
        let mut orders = victims.clone();
        orders.push(own);
        let Some(gain) = round_trip(terms, &pool, &victims, own) else {
            continue;
        };
        tried += 1;
        if gain > 0 {
            let after = settle(terms, &pool, &orders).unwrap().pool.holdings();
            let count = i128::try_from(victims.len()).unwrap();
            // Roundings are in the reserve too.
            let reserve = i128::from(after.a) - count;
            assert!(
                gain * 8 * reserve <= count * count,
                "{gain} beside {count} in {pool:?}"
            );
            paid += 1;
            most = most.max(gain);
        }
    }
    println!("{paid} of {tried} found something, {most} units at most");
    assert!(paid > 0, "the bound was never tried");
}

/// Own orders of `own` of A in all, over `clearings` before the victim and, sold back, as many
/// after it.
struct Spread {
    clearings: u64,
    victim: u64,
    own: u64,
}

/// What the attacker gains and what the victim gets. Pool of 10^12 each, so that rounding does not
/// show.
fn spread(plan: &Spread) -> (i128, u64) {
    let terms = free(Weight::Two);
    let mut pool = random::pool_of(POOL, POOL);
    let mut alone = |order: Order| {
        let Ok(outcome) = settle(terms, &pool, &[order]) else {
            return Amounts::NONE;
        };
        pool = outcome.pool;
        outcome.payouts[0]
    };
    let parts = |whole: u64| {
        let part = whole / plan.clearings;
        (0..plan.clearings).map(move |index| match index {
            0 => whole - part * (plan.clearings - 1),
            _ => part,
        })
    };
    let bought: u64 = parts(plan.own).map(|part| alone(sale(part, 0)).b).sum();
    let victim = alone(sale(plan.victim, 0)).b;
    let back: u64 = parts(bought).map(|part| alone(sale(0, part)).a).sum();
    (i128::from(back) - i128::from(plan.own), victim)
}

const POOL: u64 = 1_000_000_000_000;

/// The attacker's best gain and the victim's loss against being alone, both in thousandths of a
/// percent of the victim's order, where the victim takes no less than `limit_bps` below what it
/// would get alone.
fn best_spread(clearings: u64, victim: u64, limit_bps: u64) -> (i128, u64) {
    let at = |own: u64| {
        spread(&Spread {
            clearings,
            victim,
            own,
        })
    };
    let alone = at(0).1;
    let least = alone - alone / 10_000 * limit_bps;
    // The more is bought before, the less the victim gets: the most that its limit lets through.
    let (mut low, mut high) = (0, POOL);
    while high - low > POOL / 1_000_000 {
        let middle = low.midpoint(high);
        if at(middle).1 >= least {
            low = middle;
        } else {
            high = middle;
        }
    }
    // The gain rises to one peak and falls again.
    let (mut from, mut to) = (0, low);
    while to - from > POOL / 1_000_000 {
        let third = (to - from) / 3;
        if at(from + third).0 < at(to - third).0 {
            from += third;
        } else {
            to -= third;
        }
    }
    let (gain, got) = at(to);
    let thousandths = |part: i128, whole: u64| part * 100_000 / i128::from(whole);
    let loss = thousandths(i128::from(alone - got), alone);
    (thousandths(gain, victim), loss.try_into().unwrap())
}

#[test]
fn orders_spread_over_clearings_approach_constant_product() {
    let ten_thousand = POOL / 100;
    // (clearings, victim, limit) and what was found: the attacker's gain, the victim's loss; 1 =
    // 0.001 %.
    let table = [
        (1, ten_thousand, 1_000, 488, 985),
        (3, ten_thousand, 1_000, 1_436, 2_825),
        (9, ten_thousand, 1_000, 4_082, 7_790),
        (1, 5 * ten_thousand, 1_000, 2_227, 4_220),
        (3, 5 * ten_thousand, 1_000, 6_098, 9_999),
        (9, 5 * ten_thousand, 1_000, 8_970, 9_999),
        // A limit of 3 % is taken almost whole; one of 1 % is what is left of the attack.
        (9, ten_thousand, 300, 2_494, 2_999),
        (9, 5 * ten_thousand, 300, 3_015, 2_999),
        (9, ten_thousand, 100, 953, 999),
        (9, 5 * ten_thousand, 100, 1_036, 999),
    ];
    for (clearings, victim, limit, gain, loss) in table {
        let (got, lost) = best_spread(clearings, victim, limit);
        println!("{clearings} {victim} {limit}: gain {got}, loss {lost}");
        assert!(
            (got - gain).abs() <= 20,
            "{clearings} {victim} {limit}: {got}, not {gain}"
        );
        assert!(
            lost.abs_diff(loss) <= 40,
            "{clearings} {victim} {limit}: {lost}, not {loss}"
        );
    }
}
