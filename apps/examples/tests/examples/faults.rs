//! Every single fault of the examples' clearings and births is refused, natively and by the wasm;
//! and what they cost.

use grail_app_examples::{escrow::Order as Deal, tip_jar::Order as Tip};
use grail_app_testing::{Ask, Cleared, Contract, Live, Scope, Sky, Spell, for_each_fault};

use crate::{
    escrow::{self, PAYEE, PAYER, at, escrow, open},
    tip_jar::{self, OWNER, jar, token},
};

/// How many faults of a spell the wasm judges too: each takes a run of the interpreter.
const WASM_EVERY: usize = 40;

fn all_refused(contract: &Contract, spell: &Spell, scope: &Scope) -> usize {
    contract.judge_both(spell).unwrap();
    let mut accepted = Vec::new();
    let mut seen = 0;
    let count = for_each_fault(spell, scope, &mut |name, fault| {
        seen += 1;
        let verdict = if seen % WASM_EVERY == 0 {
            contract.judge_both(fault).map(|_| ())
        } else {
            contract.judge(fault)
        };
        if verdict.is_ok() {
            accepted.push(name.to_owned());
        }
    });
    assert!(accepted.is_empty(), "accepted: {accepted:#?}");
    count
}

fn of<A: grail_app::App>(contract: &Contract, live: &Live<A>, cleared: &Cleared) -> usize {
    all_refused(contract, &cleared.spell, &live.scope(cleared))
}

#[test]
fn no_fault_of_the_tip_jars_clearings_is_accepted() {
    let mut jar = jar();
    let asks = [
        Ask::say(&Tip::Tip {}).giving_sats(5_000),
        Ask::say(&Tip::Tip {}).giving(&token(), 42),
        Ask::say(&Tip::Tip {}).giving_sats(7).giving(&token(), 300),
    ];
    let sky = Sky {
        height: 840_000,
        age: 2,
        ..Sky::default()
    };
    let tips = jar.clear(&[], &sky, &asks).unwrap();
    let mut count = of(&tip_jar::CONTRACT, &jar, &tips);
    jar.apply(&tips);
    let empty = Ask::say(&Tip::Empty {})
        .by(OWNER)
        .wanting(grail_app::Asset::Charm(token()), 1);
    let more = Ask::say(&Tip::Tip {}).giving_sats(1);
    let emptied = jar.clear(&[], &sky, &[empty, more]).unwrap();
    count += of(&tip_jar::CONTRACT, &jar, &emptied);
    println!("{count} faults");
    assert!(count > 10_000, "{count}");
}

#[test]
fn no_fault_of_the_escrows_clearings_is_accepted() {
    let escrow = escrow();
    let asks = [
        Ask::say(&Deal::Release { deal: 0 }).by(PAYER),
        Ask::say(&Deal::Claim { deal: 0 })
            .by(PAYEE)
            .wanting(grail_app::Asset::Charm(token()), 1),
        open(77, 9),
    ];
    let cleared = escrow.clear(&[0, 1], &at(850), &asks).unwrap();
    let count = of(&escrow::CONTRACT, &escrow, &cleared);
    println!("{count} faults");
    assert!(count > 5_000, "{count}");
}

#[test]
fn fuel_stays_within_bounds() {
    let jar = jar();
    for (orders, fuel_max) in [(1, 900_000), (10, 1_500_000), (100, 8_000_000)] {
        let asks = vec![Ask::say(&Tip::Tip {}).giving_sats(5_000); orders];
        let cleared = jar.clear(&[], &Sky::default(), &asks).unwrap();
        let fuel = tip_jar::CONTRACT.judge_both(&cleared.spell).unwrap();
        println!("{orders} tips: {fuel} fuel");
        assert!(fuel <= fuel_max, "{orders} tips: {fuel} fuel");
    }
}
