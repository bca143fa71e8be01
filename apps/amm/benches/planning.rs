//! How long a plan takes: `cargo bench -p grail-amm`. The goal is 10 ms for what one clearing
//! holds.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use grail_amm::{Amounts, Kind, Order, Pool, Terms, plan, settle};

const RESERVE: u64 = 1 << 40;

fn order(kind: Kind, given: Amounts, wants: Amounts) -> Order {
    Order { kind, given, wants }
}

fn pool() -> Pool {
    let given = Amounts {
        a: RESERVE,
        b: RESERVE,
        shares: 0,
    };
    let add = order(Kind::Add, given, Amounts::NONE);
    settle(Terms::default(), &Pool::Unopened, &[add])
        .unwrap()
        .pool
}

/// Swaps of both sides with limits within `spread` thousandths of the pool's price, and of ten
/// orders one add that wants all the shares that it can get.
fn orders(count: u64, spread: u64, with_adds: bool) -> Vec<Order> {
    let mut rng = fastrand::Rng::with_seed(count);
    let swap = |rng: &mut fastrand::Rng| {
        let units = rng.u64(RESERVE / 100_000..RESERVE / 1_000);
        let least = units / 1_000 * rng.u64(1_000 - spread..1_000 + spread / 10);
        let (a, b) = if rng.bool() { (units, 0) } else { (0, units) };
        let given = Amounts { a, b, shares: 0 };
        let wants = Amounts {
            a: if a == 0 { least } else { 0 },
            b: if b == 0 { least } else { 0 },
            shares: 0,
        };
        order(Kind::Swap, given, wants)
    };
    (0..count)
        .map(|index| {
            if with_adds && index % 10 == 0 {
                let given = Amounts {
                    a: 1_000_000,
                    b: 1_000_000,
                    shares: 0,
                };
                let wants = Amounts {
                    shares: rng.u64(980_000..999_000),
                    ..Amounts::NONE
                };
                return order(Kind::Add, given, wants);
            }
            swap(&mut rng)
        })
        .collect()
}

fn measure(name: &str, orders: &[Order], places: usize) {
    let (pool, terms) = (pool(), Terms::default());
    let started = Instant::now();
    let mut runs: u32 = 0;
    while started.elapsed() < Duration::from_secs(1) {
        black_box(plan(terms, &pool, black_box(orders), places).unwrap());
        runs += 1;
    }
    let each = started.elapsed() / runs;
    let chosen = plan(terms, &pool, orders, places).unwrap().chosen.len();
    println!(
        "{name}: {each:?} a plan, {chosen} of {} executed",
        orders.len()
    );
}

fn main() {
    measure("100 orders", &orders(100, 20, false), 190);
    measure("190 orders", &orders(190, 20, false), 190);
    measure("190 orders with adds", &orders(190, 20, true), 190);
    measure("190 orders, close limits", &orders(190, 2, true), 190);
    measure("1000 orders for 190 places", &orders(1_000, 20, true), 190);
}
