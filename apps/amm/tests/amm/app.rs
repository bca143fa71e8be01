//! The app behind the SDK: births, orders as terms write them, and the plan over `App::settle`.

use grail_amm::{Amm, Config, Kind, OrderRefusal, State, Verdict, WholeRefusal, choose};
use grail_app::{
    Amounts, App, AppId, Asset, Clearing, Env, Held, Outcome, Placed, Refuse, Want, Wire,
};

use crate::random;

fn charm(tag: char, seed: u8) -> AppId {
    AppId {
        tag,
        identity: [seed; 32],
        vk: [seed; 32],
    }
}

fn gtt() -> AppId {
    charm('f', 1)
}

fn share() -> AppId {
    charm('q', 9)
}

fn amounts(btc: u64, gtt: u64, shares: u64) -> Amounts {
    Amounts {
        btc,
        shares,
        assets: vec![gtt],
    }
}

/// An order that names all that it may be paid.
fn placed(payload: Kind, given: Amounts) -> Placed<Kind> {
    let want = |asset, amount| Want { asset, amount };
    Placed {
        id: [0; 32],
        payload,
        given,
        author: None,
        wants: vec![
            want(Asset::Btc, 0),
            want(Asset::Charm(gtt()), 0),
            want(Asset::Charm(share()), 0),
        ],
    }
}

fn wanting(mut order: Placed<Kind>, asset: Asset, amount: u64) -> Placed<Kind> {
    order.wants.retain(|want| want.asset != asset);
    order.wants.push(Want { asset, amount });
    order
}

fn held(opened: bool, holdings: Amounts) -> Held<State> {
    Held {
        state: State { opened },
        holdings,
    }
}

/// A pool of 10^6 sat and 2 * 10^6 GTT on the default terms.
fn clear(orders: Vec<Placed<Kind>>) -> Result<Outcome<Amm>, Refuse> {
    let main = held(true, amounts(1_000_000, 2_000_000, 0));
    clear_of(&Config::btc_and(gtt()), main, 1_413_213, 1, orders)
}

fn clear_of(
    config: &Config,
    main: Held<State>,
    shares: u64,
    age: u16,
    orders: Vec<Placed<Kind>>,
) -> Result<Outcome<Amm>, Refuse> {
    Amm::settle(Clearing {
        config,
        env: Env {
            height: 0,
            age,
            prices: vec![],
        },
        shares,
        main,
        cells: vec![],
        orders,
    })
}

fn refused(result: Result<Outcome<Amm>, Refuse>) -> Refuse {
    result.err().unwrap()
}

#[test]
fn birth_of_a_pool_is_not_opened() {
    for spacing in [0, 36] {
        let config = Config {
            spacing,
            ..Config::btc_and(gtt())
        };
        assert_eq!(Amm::create(&config), Ok(State { opened: false }));
        assert_eq!(Config::from_bytes(&config.to_bytes()), Ok(config));
    }
    // zkBTC is an asset as any.
    let pair = Config {
        a: Some(gtt()),
        ..Config::btc_and(charm('z', 1))
    };
    assert_eq!(Amm::create(&pair), Ok(State { opened: false }));
    assert_eq!(Amm::assets(&pair), [gtt(), charm('z', 1)]);
    assert_eq!(Amm::assets(&Config::btc_and(gtt())), [gtt()]);
}

#[test]
fn birth_out_of_bounds_is_refused() {
    let with = |change: fn(&mut Config)| {
        let mut config = Config::btc_and(gtt());
        change(&mut config);
        Amm::create(&config)
    };
    assert_eq!(with(|config| config.fee_bps = 1_001), Err("amm-fee"));
    assert_eq!(with(|config| config.weight = 0), Err("amm-weight"));
    assert_eq!(with(|config| config.weight = 3), Err("amm-weight"));
    assert_eq!(with(|config| config.spacing = 37), Err("amm-spacing"));
    assert_eq!(with(|config| config.a = Some(gtt())), Err("amm-pair"));
    assert_eq!(
        with(|config| config.a = Some(charm('g', 1))),
        Err("amm-pair")
    );
    for tag in ['t', 'n', 's', 'r'] {
        let b = Config::btc_and(charm(tag, 1));
        assert_eq!(Amm::create(&b), Err("amm-asset-tag"));
        let a = Config {
            a: Some(charm(tag, 1)),
            ..Config::btc_and(charm('z', 2))
        };
        assert_eq!(Amm::create(&a), Err("amm-asset-tag"));
    }
}

#[test]
fn swap_of_bitcoin_is_paid_in_charms_and_back() {
    let orders = vec![
        placed(Kind::Swap, amounts(10_000, 0, 0)),
        placed(Kind::Swap, amounts(0, 10_000, 0)),
    ];
    let outcome = clear(orders).unwrap();
    // X = 1,000,000 + 2 * 9,970, Y = 2,000,000 + 2 * 9,970.
    assert_eq!(
        outcome.payouts,
        [amounts(0, 19_745, 0), amounts(5_034, 0, 0)]
    );
    assert_eq!(outcome.main.holdings, amounts(1_004_966, 1_990_255, 0));
    assert!(outcome.main.state.opened && outcome.cells.is_empty());
}

#[test]
fn first_add_opens_and_an_exit_by_the_app_leaves_the_locked_part() {
    let config = Config::btc_and(gtt());
    let add = placed(Kind::Add, amounts(1_000_000, 4_000_000, 0));
    let unopened = held(false, amounts(0, 0, 0));
    let outcome = clear_of(&config, unopened, 0, 1, vec![add]).unwrap();
    assert!(outcome.main.state.opened);
    assert_eq!(outcome.payouts, [amounts(0, 0, 1_999_000)]);
    let remove = placed(Kind::Remove, amounts(0, 0, 1_999_000));
    let outcome = clear_of(&config, outcome.main, 1_999_000, 1, vec![remove]).unwrap();
    assert_eq!(outcome.main.holdings, amounts(500, 2_000, 0));
    assert!(outcome.main.state.opened);
}

#[test]
fn pair_of_two_charms_takes_no_bitcoin() {
    let config = Config {
        a: Some(charm('e', 1)),
        ..Config::btc_and(gtt())
    };
    let two = |btc, a, b| Amounts {
        btc,
        shares: 0,
        assets: vec![a, b],
    };
    let main = || held(true, two(0, 1_000_000, 1_000_000));
    let run = |given| clear_of(&config, main(), 999_000, 1, vec![placed(Kind::Swap, given)]);
    assert_eq!(run(two(0, 10_000, 0)).unwrap().payouts, [two(0, 0, 9_775)]);
    let given = Refuse::Order(0, OrderRefusal::Given.code());
    assert_eq!(refused(run(two(1, 10_000, 0))), given);
    let odd = held(true, two(5, 1_000_000, 1_000_000));
    let holdings = Refuse::Whole(WholeRefusal::Holdings.code());
    assert_eq!(
        refused(clear_of(&config, odd, 999_000, 1, vec![])),
        holdings
    );
}

#[test]
fn clearing_of_a_coin_that_is_too_young_is_refused() {
    let main = || held(true, amounts(1_000_000, 2_000_000, 0));
    let config = Config::btc_and(gtt());
    let young = Refuse::Whole("amm-too-young");
    assert_eq!(refused(clear_of(&config, main(), 5, 0, vec![])), young);
    assert!(clear_of(&config, main(), 5, 1, vec![]).is_ok());
}

#[test]
fn terms_that_no_birth_allows_clear_nothing() {
    let config = Config {
        fee_bps: 1_001,
        ..Config::btc_and(gtt())
    };
    let main = held(true, amounts(1_000_000, 2_000_000, 0));
    assert_eq!(
        refused(clear_of(&config, main, 5, 1, vec![])),
        Refuse::Whole("amm-fee")
    );
}

#[test]
fn cells_that_a_pool_never_makes_are_refused() {
    let config = Config::btc_and(gtt());
    let refusal = Amm::settle(Clearing {
        config: &config,
        env: Env {
            height: 0,
            age: 1,
            prices: vec![],
        },
        shares: 5,
        main: held(true, amounts(1_000_000, 2_000_000, 0)),
        cells: vec![Held {
            state: (),
            holdings: amounts(0, 0, 0),
        }],
        orders: vec![],
    });
    assert_eq!(refused(refusal), Refuse::Whole("amm-cells"));
}

#[test]
fn order_that_does_not_name_the_charm_it_is_paid_is_refused() {
    let not_named = Refuse::Order(0, OrderRefusal::NotNamed.code());
    let without = |mut order: Placed<Kind>, asset: &Asset| {
        order.wants.retain(|want| want.asset != *asset);
        clear(vec![order])
    };
    let swap = || placed(Kind::Swap, amounts(10_000, 0, 0));
    let add = || placed(Kind::Add, amounts(10_000, 20_000, 0));
    let remove = || placed(Kind::Remove, amounts(0, 0, 10_000));
    let (token, shares) = (Asset::Charm(gtt()), Asset::Charm(share()));
    assert_eq!(refused(without(swap(), &token)), not_named);
    assert_eq!(refused(without(add(), &shares)), not_named);
    assert_eq!(refused(without(remove(), &token)), not_named);
    // Bitcoin needs no name, nor does what comes back of what was given.
    assert!(without(placed(Kind::Swap, amounts(0, 10_000, 0)), &Asset::Btc).is_ok());
    assert!(without(add(), &token).is_ok());
    assert!(without(swap(), &shares).is_ok());
    assert!(without(remove(), &Asset::Btc).is_ok());
}

#[test]
fn wants_are_limits_of_their_asset() {
    let limit = Refuse::Order(0, OrderRefusal::LimitNotMet.code());
    let unreachable = Refuse::Order(0, OrderRefusal::WantsUnreachable.code());
    let swap = placed(Kind::Swap, amounts(0, 10_000, 0));
    let paid = clear(vec![swap.clone()]).unwrap().payouts[0].btc;
    assert!(clear(vec![wanting(swap.clone(), Asset::Btc, paid)]).is_ok());
    assert_eq!(
        refused(clear(vec![wanting(swap.clone(), Asset::Btc, paid + 1)])),
        limit
    );
    let add = placed(Kind::Add, amounts(10_000, 20_000, 0));
    let made = clear(vec![add.clone()]).unwrap().payouts[0].shares;
    let shares = Asset::Charm(share());
    assert!(clear(vec![wanting(add.clone(), shares.clone(), made)]).is_ok());
    assert_eq!(refused(clear(vec![wanting(add, shares, made + 1)])), limit);
    // What is no part of the pool: none can be asked for, and asking for none is harmless.
    let alien = Asset::Charm(charm('f', 7));
    assert!(clear(vec![wanting(swap.clone(), alien.clone(), 0)]).is_ok());
    assert_eq!(refused(clear(vec![wanting(swap, alien, 1)])), unreachable);
}

/// The plain loop over `App::settle`, as a planner runs it that knows nothing of the app.
fn plain(config: &Config, main: &Held<State>, shares: u64, orders: &[Placed<Kind>]) -> Vec<usize> {
    let settles = |chosen: &[usize]| {
        let orders = chosen.iter().map(|index| orders[*index].clone());
        clear_of(config, main.clone(), shares, 1, orders.collect())
    };
    let mut chosen: Vec<usize> = (0..orders.len()).collect();
    while let Err(refusal) = settles(&chosen) {
        let Refuse::Order(index, _) = refusal else {
            panic!("{refusal:?}");
        };
        chosen.remove(index);
    }
    loop {
        let before = chosen.clone();
        for index in 0..orders.len() {
            let mut more = chosen.clone();
            if !more.contains(&index) {
                more.push(index);
                more.sort_unstable();
                if settles(&more).is_ok() {
                    chosen = more;
                }
            }
        }
        if chosen == before {
            return chosen;
        }
    }
}

#[test]
fn choice_is_what_the_plain_loop_over_the_app_gives() {
    let mut rng = random::seeded(11);
    let config = Config::btc_and(gtt());
    let main = held(true, amounts(1_000_000, 2_000_000, 0));
    let mut left_out = 0;
    for _ in 0..1_000 {
        let orders: Vec<Placed<Kind>> = (0..rng.usize(1..=12))
            .map(|_| {
                let units = random::size(&mut rng, 1_000, 300_000);
                let (kind, given) = match rng.u8(..8) {
                    0 => (Kind::Add, amounts(units, units, 0)),
                    1 => (Kind::Remove, amounts(0, 0, units)),
                    2..5 => (Kind::Swap, amounts(units, 0, 0)),
                    5..7 => (Kind::Swap, amounts(0, units, 0)),
                    _ => (Kind::Add, amounts(units, 0, 0)),
                };
                let mut order = placed(kind, given);
                if rng.bool() {
                    let (asset, least) = match order.given.btc {
                        0 => (Asset::Btc, units / 2 / 1_000 * rng.u64(700..1_100)),
                        _ => (Asset::Charm(gtt()), units * 2 / 1_000 * rng.u64(700..1_100)),
                    };
                    order = wanting(order, asset, least);
                }
                if rng.u8(..10) == 0 {
                    order.wants.clear();
                }
                order
            })
            .collect();
        let verdicts = choose(&config, &main, 1_413_213, &orders, 190).unwrap();
        let executed = |index: &usize| verdicts[*index] == Verdict::Executed;
        let chosen: Vec<usize> = (0..orders.len()).filter(executed).collect();
        assert_eq!(chosen, plain(&config, &main, 1_413_213, &orders));
        left_out += orders.len() - chosen.len();
    }
    assert!(left_out > 1_000, "{left_out}");
}

#[test]
fn no_choice_helps_a_pool_that_is_none() {
    let config = Config::btc_and(gtt());
    let none = held(true, amounts(0, 5, 0));
    let got = choose(&config, &none, 0, &[], 190);
    assert_eq!(
        got,
        Err(WholeRefusal::Pool {
            a: 0,
            b: 5,
            shares: 0
        })
    );
}
