//! What the contract costs in the wasm interpreter, whose instructions a prover pays for.

use charms_data::Data;
use grail_bridge_contract::{Action, RosterState};

use crate::spell::{DUST, Spell, USER, VAULT, nft, runner_vk, script, state, token};

/// A netted settlement of `requests` peg-ins and as many peg-outs.
fn batch(requests: u64) -> Spell {
    let mut spell = Spell::settlement(&state(1_000_000), &state(1_000_000))
        .input(VAULT, 1_000_000)
        .output(VAULT, 1_000_000);
    for _ in 0..requests {
        spell = spell
            .input(USER, 1_330)
            .tokens_in(1_000)
            .tokens_out(1_000)
            .output(USER, 1_000);
    }
    spell
}

#[test]
fn fuel_stays_within_bounds() {
    let first = RosterState {
        epoch: 0,
        serial: 0,
        ..state(0)
    };
    let deployment = Spell::new(nft())
        .action(Action::Deploy)
        .input(USER, 10_000)
        .output_at(script(VAULT), DUST, [(nft(), first.to_data())]);
    let transfer = Spell::new(token()).tokens_in(5).tokens_out(5);
    let mint = Spell::settlement(&state(0), &state(5))
        .output(VAULT, 5)
        .tokens_out(5);
    let cases = [
        ("deployment, NFT", deployment, 1_500_000),
        ("transfer, zkBTC", transfer, 1_250_000),
        ("one mint, NFT", mint, 1_750_000),
        ("20 requests, NFT", batch(10), 5_000_000),
        ("100 requests, NFT", batch(50), 18_000_000),
        (
            "100 requests, zkBTC",
            batch(50).judged_as(token()),
            18_000_000,
        ),
    ];
    for (name, spell, fuel_max) in cases {
        let fuel = spell.fuel();
        println!("{name}: {fuel} fuel");
        assert!(fuel <= fuel_max, "{name}: {fuel} fuel is above {fuel_max}");
    }
}

#[test]
fn the_committed_vk_is_the_hash_of_the_committed_wasm() {
    let committed = include_str!("../../../bridge.vk");
    assert_eq!(committed.trim(), hex::encode(runner_vk().0));
}

#[test]
fn ignores_how_much_data_a_charm_of_another_app_holds() {
    let data = Data::from(&vec![7_u64; 1_000]);
    batch(1)
        .output_at(script(USER), DUST, [(crate::spell::foreign_token(), data)])
        .accepted();
}
