//! The program that proofs run, beside the native code: a pool's life, every fault, and what it
//! costs.

use grail_amm::{Amm, Config, Kind};
use grail_app::{AppId, Asset, EXIT_PAYLOAD, Violation, judge};
use grail_app_testing::{Ask, Cleared, Contract, Live, Sky, for_each_fault};

const CONTRACT: Contract = Contract {
    native: |bytes| judge::<Amm>(bytes).map_err(Violation::code),
    wasm: include_bytes!("../../../amm.wasm"),
};

/// Fuel of 100 swaps of bitcoin in one clearing, at most: found 6.8 million. The design of apps
/// asks for 40 million for the runs of pool and token together.
const FUEL_100_SWAPS_MAX: u64 = 8_000_000;

fn gtt() -> AppId {
    AppId {
        tag: 'f',
        identity: [3; 32],
        vk: [4; 32],
    }
}

/// A block after the clearing before.
fn next_block() -> Sky {
    Sky {
        age: 1,
        ..Sky::default()
    }
}

fn cleared(pool: &Live<Amm>, asks: &[Ask]) -> Result<Cleared, Violation> {
    pool.clear(&[], &next_block(), asks)
}

/// Clears, has both judge, and goes on from there.
fn go_on(pool: &mut Live<Amm>, asks: &[Ask]) -> Cleared {
    let cleared = cleared(pool, asks).unwrap();
    CONTRACT.judge_both(&cleared.spell).unwrap();
    pool.apply(&cleared);
    cleared
}

fn share(pool: &Live<Amm>) -> AppId {
    pool.share().unwrap()
}

fn add(pool: &Live<Amm>, sats: u64, units: u64) -> Ask {
    Ask::say(&Kind::Add)
        .giving_sats(sats)
        .giving(&gtt(), units)
        .wanting(Asset::Charm(share(pool)), 1)
}

fn buy(sats: u64) -> Ask {
    Ask::say(&Kind::Swap)
        .giving_sats(sats)
        .wanting(Asset::Charm(gtt()), 0)
}

fn sell(units: u64, least: u64) -> Ask {
    Ask::say(&Kind::Swap)
        .giving(&gtt(), units)
        .wanting(Asset::Btc, least)
}

fn remove(pool: &Live<Amm>, shares: u64) -> Ask {
    Ask::say(&Kind::Remove)
        .giving(&share(pool), shares)
        .wanting(Asset::Charm(gtt()), 0)
}

fn exit(pool: &Live<Amm>, shares: u64) -> Ask {
    Ask::new(EXIT_PAYLOAD.to_vec())
        .giving(&share(pool), shares)
        .wanting(Asset::Charm(gtt()), 0)
}

/// A pool of 1,000,000,000 sat and 50,000,000 GTT.
fn opened() -> Live<Amm> {
    let (mut pool, birth) = Live::born(&CONTRACT, Config::btc_and(gtt())).unwrap();
    CONTRACT.judge_both(&birth).unwrap();
    let first = add(&pool, 1_000_000_000, 50_000_000);
    go_on(&mut pool, &[first]);
    pool
}

#[test]
fn pool_lives_from_birth_to_its_last_exit() {
    let mut pool = opened();
    assert!(pool.state().state.opened);
    assert_eq!(pool.state().shares, 223_605_797);
    let asks = [
        buy(20_000_000),
        sell(600_000, 12_000_000),
        add(&pool, 100_000_000, 5_000_000),
        remove(&pool, 10_000_000),
    ];
    let clearing = go_on(&mut pool, &asks);
    // The example of the page: what Ben gets, besides his coin less the fee share.
    assert_eq!(clearing.plan.outputs[2].amount, 12_150_389 + 10_000 - 700);
    assert_eq!(pool.state().shares, 223_605_797 + 22_186_524 - 10_000_000);
    let all = pool.state().shares;
    let asks = [exit(&pool, all - 5), exit(&pool, 5)];
    go_on(&mut pool, &asks);
    assert_eq!(pool.state().shares, 0);
    assert!(pool.main.1.amount > 1_000 && pool.state().state.opened);
    // Not a first add: an add at the ratio that is there, and then it trades again.
    let again = add(&pool, 100_000_000, 50_000_000);
    go_on(&mut pool, &[again]);
    go_on(&mut pool, &[buy(1_000_000)]);
}

#[test]
fn clearing_of_a_young_coin_is_refused_by_both() {
    let pool = opened();
    let young = pool.clear(&[], &Sky::default(), &[buy(5_000)]);
    assert_eq!(young.unwrap_err(), Violation::AppRefuses("amm-too-young"));
}

#[test]
fn every_fault_of_every_kind_of_clearing_is_refused() {
    let mut pool = opened();
    let mixed = [
        buy(20_000_000),
        sell(600_000, 12_000_000),
        add(&pool, 100_000_000, 5_000_000),
        remove(&pool, 10_000_000),
    ];
    let exits = [exit(&pool, 9_000), exit(&pool, 1_000)];
    let mut faults = 0;
    let mut accepted = Vec::new();
    for asks in [&mixed[..], &exits[..]] {
        let clearing = cleared(&pool, asks).unwrap();
        faults += for_each_fault(
            &clearing.spell,
            &pool.scope(&clearing),
            &mut |name, spell| {
                if CONTRACT.judge(spell).is_ok() {
                    accepted.push(name.to_owned());
                }
            },
        );
    }
    // No fault: a satoshi more in an add than its shares cost comes back, on the same output.
    assert_eq!(accepted, ["facts: order 2: keeps one less"]);
    let clearing = go_on(&mut pool, &[buy(7_777_777)]);
    faults += for_each_fault(
        &clearing.spell,
        &pool.scope(&clearing),
        &mut |name, spell| {
            assert!(CONTRACT.judge_both(spell).is_err(), "accepted: {name}");
        },
    );
    println!("{faults} faults refused");
    assert!(faults > 1_000, "{faults}");
}

#[test]
fn hundred_swaps_stay_within_their_fuel() {
    let pool = opened();
    for count in [1, 10, 100] {
        let asks: Vec<Ask> = (0..count)
            .map(|index| buy(500_000 + index * 1_000))
            .collect();
        let clearing = cleared(&pool, &asks).unwrap();
        let fuel = CONTRACT.judge_both(&clearing.spell).unwrap();
        println!("{count} swaps: {fuel} fuel");
        assert!(fuel <= FUEL_100_SWAPS_MAX, "{fuel}");
    }
}
