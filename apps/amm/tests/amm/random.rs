//! Seeded pools and orders of all sizes.

use fastrand::Rng;
use grail_amm::{Amounts, Kind, Order, Pool, RESERVE_MAX, Terms, Weight};

/// How many clearings the random tests run: 50,000, or `GRAIL_AMM_CLEARINGS`.
pub fn clearings() -> u64 {
    number("GRAIL_AMM_CLEARINGS", 50_000)
}

/// A generator that `GRAIL_AMM_SEED` moves, and a salt per test.
pub fn seeded(salt: u64) -> Rng {
    Rng::with_seed(number("GRAIL_AMM_SEED", 1).wrapping_mul(1_000_003) ^ salt)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |value| value.parse().unwrap())
}

/// A number from `low` to `high`, each magnitude as likely as the next.
pub fn size(rng: &mut Rng, low: u64, high: u64) -> u64 {
    let (low_bits, high_bits) = (low.max(1).ilog2(), high.max(1).ilog2());
    let bits = rng.u32(low_bits..=high_bits);
    let top = if bits == 63 {
        u64::MAX
    } else {
        (1 << (bits + 1)) - 1
    };
    rng.u64((1 << bits)..=top).clamp(low, high)
}

/// Terms of every kind.
pub fn terms(rng: &mut Rng) -> Terms {
    let fee = [0, 1, 30, 100, 1_000][rng.usize(..5)];
    let weight = if rng.bool() { Weight::One } else { Weight::Two };
    Terms::new(fee, weight, 1).unwrap()
}

/// A pool of reserves up to 2^61, opened by one add.
pub fn pool(rng: &mut Rng, terms: Terms, least: u64) -> Pool {
    let given = Amounts {
        a: size(rng, least, RESERVE_MAX / 2),
        b: size(rng, least, RESERVE_MAX / 2),
        shares: 0,
    };
    let add = Order {
        kind: Kind::Add,
        given,
        wants: Amounts::NONE,
    };
    grail_amm::settle(terms, &Pool::Unopened, &[add])
        .unwrap()
        .pool
}

/// A swap of a millionth of the reserve to three times as much.
pub fn swap(rng: &mut Rng, pool: &Pool, sells_a: bool) -> Order {
    let Amounts { a, b, .. } = pool.holdings();
    let mut given = Amounts::NONE;
    let (place, reserve) = if sells_a {
        (&mut given.a, a)
    } else {
        (&mut given.b, b)
    };
    *place = size(
        rng,
        (reserve / 1_000_000).max(1),
        (reserve.saturating_mul(3)).max(1),
    );
    Order {
        kind: Kind::Swap,
        given,
        wants: Amounts::NONE,
    }
}

/// An order of any kind; a swap in three of four, of which half have a limit near the pool's own
/// price.
pub fn order(rng: &mut Rng, pool: &Pool) -> Order {
    let Amounts { a, b, shares } = pool.holdings();
    let mut order = match rng.u8(..8) {
        0 => Order {
            kind: Kind::Add,
            given: Amounts {
                a: size(rng, 1, a.max(1)),
                b: size(rng, 1, b.max(1)),
                shares: 0,
            },
            wants: Amounts::NONE,
        },
        1 if shares > 0 => Order {
            kind: Kind::Remove,
            given: Amounts {
                shares: size(rng, 1, shares),
                ..Amounts::NONE
            },
            wants: Amounts::NONE,
        },
        _ => {
            let sells_a = rng.bool();
            let mut swap = swap(rng, pool, sells_a);
            if rng.bool() {
                limit(rng, pool, &mut swap);
            }
            swap
        }
    };
    if order.kind == Kind::Add && rng.u8(..4) == 0 {
        order.wants.shares = shares / 1_000;
    }
    order
}

/// Half to one and a half of what the pool's reserves say, as what the swap wants.
fn limit(rng: &mut Rng, pool: &Pool, swap: &mut Order) {
    let Amounts { a, b, .. } = pool.holdings();
    let (given, sold, bought) = match swap.given.a {
        0 => (swap.given.b, b, a),
        given => (given, a, b),
    };
    let quote = u128::from(given) * u128::from(bought) / u128::from(sold.max(1));
    let wants = quote * u128::from(rng.u64(500..1_500)) / 1_000;
    let wants = u64::try_from(wants).unwrap_or(u64::MAX);
    match swap.given.a {
        0 => swap.wants.a = wants,
        _ => swap.wants.b = wants,
    }
}

/// One to six orders.
pub fn orders(rng: &mut Rng, pool: &Pool) -> Vec<Order> {
    (0..rng.usize(1..=6)).map(|_| order(rng, pool)).collect()
}

/// A pool of these reserves.
pub fn pool_of(a: u64, b: u64) -> Pool {
    let add = Order {
        kind: Kind::Add,
        given: Amounts { a, b, shares: 0 },
        wants: Amounts::NONE,
    };
    grail_amm::settle(Terms::default(), &Pool::Unopened, &[add])
        .unwrap()
        .pool
}
