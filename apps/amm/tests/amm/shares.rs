//! P7, P8: what adding and removing gains, and pools that are empty, drained, filled again.

use grail_amm::{
    Amounts, Kind, LOCKED_SHARES, Order, OrderRefusal, Outcome, Pool, RESERVE_MAX, Refusal, Terms,
    Weight, WholeRefusal, settle,
};

use crate::model::worth;
use crate::random;

pub fn add(a: u64, b: u64) -> Order {
    Order {
        kind: Kind::Add,
        given: Amounts { a, b, shares: 0 },
        wants: Amounts::NONE,
    }
}

pub fn remove(shares: u64) -> Order {
    Order {
        kind: Kind::Remove,
        given: Amounts {
            shares,
            ..Amounts::NONE
        },
        wants: Amounts::NONE,
    }
}

pub fn sell_a(a: u64) -> Order {
    Order {
        kind: Kind::Swap,
        given: Amounts { a, ..Amounts::NONE },
        wants: Amounts::NONE,
    }
}

pub fn sell_b(b: u64) -> Order {
    Order {
        kind: Kind::Swap,
        given: Amounts { b, ..Amounts::NONE },
        wants: Amounts::NONE,
    }
}

pub fn opened(a: u64, b: u64) -> Pool {
    run(&Pool::Unopened, &[add(a, b)]).unwrap().pool
}

/// A clearing without a fee.
pub fn run(pool: &Pool, orders: &[Order]) -> Result<Outcome, Refusal> {
    settle(Terms::new(0, Weight::Two, 1).unwrap(), pool, orders)
}

fn refused(index: usize, why: OrderRefusal) -> Result<Outcome, Refusal> {
    Err(Refusal::Order { index, why })
}

#[test]
fn adding_and_removing_never_profits() {
    let mut rng = random::seeded(7);
    let mut gone_through = 0;
    while gone_through < 20_000 {
        let terms = random::terms(&mut rng);
        let pool = random::pool(&mut rng, terms, 1_100);
        let before = pool.holdings();
        let given = (
            random::size(&mut rng, 1, before.a),
            random::size(&mut rng, 1, before.b),
        );
        let Ok(added) = settle(terms, &pool, &[add(given.0, given.1)]) else {
            continue;
        };
        let got = added.payouts[0];
        // In one go, or in two parts.
        let part = rng.u64(1..=got.shares);
        let parts: Vec<Order> = [part, got.shares - part]
            .into_iter()
            .filter(|shares| *shares > 0)
            .map(remove)
            .collect();
        let Ok(removed) = settle(terms, &added.pool, &parts) else {
            continue;
        };
        let back = removed
            .payouts
            .iter()
            .fold((got.a, got.b), |(a, b), one| (a + one.a, b + one.b));
        assert!(
            back.0 <= given.0 && back.1 <= given.1,
            "{given:?} became {back:?}"
        );
        gone_through += 1;
    }
}

#[test]
fn first_add_locks_a_thousand_shares_and_takes_all() {
    let outcome = run(&Pool::Unopened, &[add(4_000_000, 9_000_000)]).unwrap();
    let holdings = Amounts {
        a: 4_000_000,
        b: 9_000_000,
        shares: 6_000_000 - LOCKED_SHARES,
    };
    assert_eq!(outcome.pool.holdings(), holdings);
    let made = Amounts {
        shares: holdings.shares,
        ..Amounts::NONE
    };
    assert_eq!(outcome.payouts, [made]);
}

#[test]
fn first_add_of_no_more_than_the_locked_shares_is_refused() {
    assert_eq!(
        run(&Pool::Unopened, &[add(1_000, 1_000)]),
        refused(0, OrderRefusal::TooSmall)
    );
    assert_eq!(opened(1_001, 1_001).holdings().shares, 1);
    // 1,001 * 1,001 = 1,002,001; one unit less makes a root of 1,000.
    assert_eq!(
        run(&Pool::Unopened, &[add(1, 1_002_000)]),
        refused(0, OrderRefusal::TooSmall)
    );
    assert_eq!(opened(1, 1_002_001).holdings().shares, 1);
}

#[test]
fn first_to_add_cannot_make_others_adds_round_to_nothing() {
    // The least first add, then swaps at a loss, as far as they go, to make the one share dear.
    let mut pool = opened(1_001, 1_001);
    for _ in 0..40 {
        for order in [sell_a(pool.holdings().a), sell_b(pool.holdings().b)] {
            pool = run(&pool, &[order]).unwrap().pool;
        }
    }
    let Amounts { a, b, .. } = pool.holdings();
    assert!(a > 1_000_000 && b > 1_000_000, "{a} {b}");
    // Who adds then pays for whole shares alone: the rest goes back, and what was paid comes out
    // again.
    let given = (a / 2 + 77, b / 2 + 77);
    let added = run(&pool, &[add(given.0, given.1)]).unwrap();
    let got = added.payouts[0];
    let left = run(&added.pool, &[remove(got.shares)]).unwrap().payouts[0];
    assert!(given.0 - got.a - left.a <= 1 && given.1 - got.b - left.b <= 1);
    // Who brings less than a share costs is refused, and loses nothing.
    assert_eq!(run(&pool, &[add(1, 1)]), refused(0, OrderRefusal::TooSmall));
}

#[test]
fn unopened_pool_trades_nothing_even_beside_its_first_add() {
    let unopened = Pool::Unopened;
    assert_eq!(
        run(&unopened, &[sell_a(5)]),
        refused(0, OrderRefusal::NotOpened)
    );
    assert_eq!(
        run(&unopened, &[sell_b(5)]),
        refused(0, OrderRefusal::NotOpened)
    );
    assert_eq!(
        run(&unopened, &[remove(5)]),
        refused(0, OrderRefusal::NotOpened)
    );
    let beside = [add(10_000, 10_000), sell_a(5)];
    assert_eq!(run(&unopened, &beside), refused(1, OrderRefusal::NotOpened));
    assert_eq!(run(&unopened, &[]).unwrap().pool, Pool::Unopened);
}

#[test]
fn second_add_of_the_first_clearing_pays_the_first_ones_ratio() {
    let outcome = run(&Pool::Unopened, &[add(10_000, 40_000), add(10_000, 10_000)]).unwrap();
    let second = Amounts {
        a: 7_500,
        b: 0,
        shares: 5_000,
    };
    assert_eq!(outcome.payouts[1], second);
}

#[test]
fn drained_pool_stays_open_and_a_share_keeps_its_worth() {
    for (a, b) in [(4_000_000, 9_000_000), (1, 2_000_000), (1_001, 1_001)] {
        let pool = opened(a, b);
        let drained = run(&pool, &[remove(pool.holdings().shares)]).unwrap().pool;
        let rest = drained.holdings();
        assert!(drained.is_opened() && rest.shares == 0 && rest.a > 0 && rest.b > 0);
        assert!(worth(rest) >= worth(pool.holdings()));
        // Nobody sets the price anew: an add pays the ratio that is there.
        let filled = run(&drained, &[add(1_000_000_000, 1_000_000_000)]).unwrap();
        let now = filled.pool.holdings();
        assert!(worth(now) >= worth(rest), "{rest:?} to {now:?}");
        assert!(
            filled.payouts[0].a == 0 || filled.payouts[0].b == 0 || filled.payouts[0].shares > 0
        );
        // And it trades.
        assert!(run(&filled.pool, &[sell_a(now.a), sell_b(now.b)]).is_ok());
    }
}

#[test]
fn way_out_of_a_broken_pool_leaves_the_locked_part() {
    let pool = opened(4_000_000, 9_000_000);
    let Pool::Open(open) = pool else {
        panic!("not opened");
    };
    let part = open.part_of(open.tokens()).unwrap();
    let removed = run(&pool, &[remove(open.tokens())]).unwrap();
    assert_eq!(removed.payouts, [part]);
    assert!(part.a < open.a() && part.b < open.b());
}

#[test]
fn more_shares_than_there_are_is_refused() {
    let pool = opened(4_000_000, 9_000_000);
    let shares = pool.holdings().shares;
    assert_eq!(
        run(&pool, &[remove(shares + 1)]),
        refused(0, OrderRefusal::SharesAboveAll)
    );
    let twice = [remove(shares), remove(1)];
    assert_eq!(run(&pool, &twice), refused(1, OrderRefusal::SharesAboveAll));
}

#[test]
fn shares_too_few_for_a_unit_are_refused() {
    let pool = opened(1, 1_002_001_000_000);
    assert_eq!(
        run(&pool, &[remove(1)]).map(|outcome| outcome.payouts[0].a),
        Ok(0)
    );
    // 1,001,000 shares over one unit of A and no more than 1,002,001,000,000 of B: swap B out
    // first.
    let poor = Pool::read(
        Amounts {
            a: 3,
            b: 3,
            shares: 9_000,
        },
        true,
    );
    assert_eq!(
        run(&poor.unwrap(), &[remove(1)]),
        refused(0, OrderRefusal::TooSmall)
    );
}

#[test]
fn holdings_that_no_history_leads_to_are_no_pool() {
    let read = |a, b, shares, opened| Pool::read(Amounts { a, b, shares }, opened);
    let refused = |a, b, shares| Err(WholeRefusal::Pool { a, b, shares });
    assert_eq!(read(0, 0, 0, false), Ok(Pool::Unopened));
    assert_eq!(read(1, 0, 0, false), refused(1, 0, 0));
    assert_eq!(read(0, 1, 0, false), refused(0, 1, 0));
    assert_eq!(read(0, 0, 1, false), refused(0, 0, 1));
    assert_eq!(read(0, 1, 0, true), refused(0, 1, 0));
    assert_eq!(read(1, 0, 0, true), refused(1, 0, 0));
    assert!(read(1, 1, 0, true).is_ok());
    assert!(read(RESERVE_MAX, RESERVE_MAX, RESERVE_MAX - LOCKED_SHARES, true).is_ok());
    assert_eq!(
        read(RESERVE_MAX + 1, 1, 0, true),
        refused(RESERVE_MAX + 1, 1, 0)
    );
    assert_eq!(
        read(1, RESERVE_MAX + 1, 0, true),
        refused(1, RESERVE_MAX + 1, 0)
    );
    let too_many = RESERVE_MAX - LOCKED_SHARES + 1;
    assert_eq!(read(1, 1, too_many, true), refused(1, 1, too_many));
    assert_eq!(read(1, 1, u64::MAX, true), Err(WholeRefusal::Overflow));
}
