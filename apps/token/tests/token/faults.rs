//! Every single fault of the token's spells is refused; and what they cost.

use charms_data::{App, Data};
use grail_app_testing::{Scope, Spell, charms_app, for_each_fault, outpoint};

use grail_token::{METADATA_TAG, Metadata};

use crate::spells::{CONTRACT, birth, f, m, metadata, moved, transfer, units};

/// How many faults of a spell the wasm judges too: each takes a run of the interpreter.
const WASM_EVERY: usize = 40;

/// A birth may be of any name and of any decimals, not of another supply.
fn is_another_name(app: &App, value: &Data) -> bool {
    let named = Metadata::decode(&value.bytes());
    app.tag == METADATA_TAG && named.is_ok_and(|named| named.supply == metadata().supply)
}

fn all_refused(spell: &Spell) -> usize {
    CONTRACT.judge_both(spell).unwrap();
    let listed = |app: &App| spell.tx.app_public_inputs.contains_key(app);
    let scope = Scope {
        own: [m(), f()].iter().map(charms_app).filter(listed).collect(),
        is_exact: false,
        is_chosen: if spell.tx.outs[0].contains_key(&charms_app(&m())) {
            is_another_name
        } else {
            |_, _| false
        },
        cells: 0..0,
        first_order: 0,
    };
    let mut accepted = Vec::new();
    let mut seen = 0;
    let count = for_each_fault(spell, &scope, &mut |name, fault| {
        seen += 1;
        let verdict = if seen % WASM_EVERY == 0 {
            CONTRACT.judge_both(fault).map(|_| ())
        } else {
            CONTRACT.judge(fault)
        };
        if verdict.is_ok() {
            accepted.push(name.to_owned());
        }
    });
    assert!(accepted.is_empty(), "accepted: {accepted:#?}");
    count
}

/// So many coins become as many others.
fn payment(coins: u16) -> Spell {
    let mut spell = Spell::default();
    for index in 0..coins {
        spell = spell.input(outpoint(index + 1), &units(1, 1_000 + u64::from(index)));
        spell = spell.output(&units(2, 1_000 + u64::from(coins - 1 - index)));
    }
    spell
}

#[test]
fn no_fault_of_the_tokens_spells_is_accepted() {
    let spells = [
        birth(),
        transfer(),
        moved(),
        payment(1),
        payment(40),
        payment(80),
    ];
    let count: usize = spells.iter().map(all_refused).sum();
    println!("{count} faults");
    assert!(count >= 10_000, "{count}");
}

#[test]
fn fuel_stays_within_bounds() {
    let cases = [
        ("birth, both", birth(), 1_000_000),
        ("transfer of 1", payment(1), 400_000),
        ("transfer of 10", payment(10), 650_000),
        ("transfer of 100", payment(100), 3_200_000),
    ];
    for (name, spell, fuel_max) in cases {
        let fuel = CONTRACT.judge_both(&spell).unwrap();
        println!("{name}: {fuel} fuel");
        assert!(fuel <= fuel_max, "{name}: {fuel} fuel");
    }
}

#[test]
fn the_committed_vk_is_the_hash_of_the_committed_wasm() {
    let committed = include_str!("../../../token.vk");
    let vk = hex::encode(CONTRACT.vk());
    assert_eq!(committed.trim(), vk);
}
