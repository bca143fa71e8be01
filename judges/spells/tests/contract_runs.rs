//! Charms proves no spell of the bridge without its contract: the ground of
//! `docs/adr/0002-settlements-run-the-contract.md`.

#![allow(missing_docs)]

use grail_fixtures::paper as common;

use common::{BRIDGE, Bridge, VAULT, at, mock_allowed, output, request, transaction};
use grail_charms::{SettlementItem, settlement_spell};
use grail_prover::{ProveRequest, check};
use grail_spell::token_app;
use grail_spell_judge::charms_check;

/// A settlement that passes 60,000 zkBTC on and leaves `vault_out` of the vault's 100,000 satoshis
/// there.
fn balanced(bridge: &Bridge, vault_out: u64, serial: u64, wasm: Option<&[u8]>) -> ProveRequest {
    let tx = transaction(
        &[
            at(&bridge.settlement, 0),
            at(&bridge.settlement, 1),
            at(&bridge.settlement, 2),
        ],
        vec![
            output(1_000, VAULT),
            output(vault_out, VAULT),
            output(1_000, 3),
            output(100_000 - vault_out, 9),
        ],
    );
    let items = [
        SettlementItem::Plain,
        SettlementItem::PegIn { amount: 60_000 },
        SettlementItem::Plain,
    ];
    let spell =
        settlement_spell(&tx, &bridge.app, &common::roster(serial, 100_000), &items).unwrap();
    let mut request = request(spell, &[&bridge.settlement], wasm);
    request.spell.mock = true;
    request
}

#[test]
fn charms_runs_the_contract_of_every_settlement_with_the_next_serial() {
    let bridge = Bridge::with_contract(BRIDGE);
    let (kept, next) = (1, 2);
    let cases = [
        ("honest, contract", 100_000, next, Some(BRIDGE), true),
        ("honest, none", 100_000, next, None, false),
        ("theft, contract", 40_000, next, Some(BRIDGE), false),
        ("theft, none", 40_000, next, None, false),
        ("serial kept, contract", 100_000, kept, Some(BRIDGE), false),
        (
            "theft, serial kept, contract",
            40_000,
            kept,
            Some(BRIDGE),
            false,
        ),
        ("theft, serial kept, none", 40_000, kept, None, false),
    ];
    for (name, vault_out, serial, wasm, provable) in cases {
        let request = balanced(&bridge, vault_out, serial, wasm);
        assert_eq!(
            charms_check(&request) == Ok(true),
            provable,
            "{name}, Charms"
        );
        assert_eq!(
            check(&request, Some(mock_allowed())).is_ok(),
            provable,
            "{name}, Grail"
        );
    }
}

#[test]
fn charms_runs_the_contract_of_a_spell_that_lists_the_nft_alone() {
    let bridge = Bridge::with_contract(BRIDGE);
    let tx = transaction(
        &[at(&bridge.settlement, 0), at(&bridge.settlement, 1)],
        vec![output(1_000, VAULT), output(100_000, 9)],
    );
    for serial in [1, 2] {
        let state = common::roster(serial, 100_000);
        let items = [SettlementItem::Plain];
        let mut spell = settlement_spell(&tx, &bridge.app, &state, &items).unwrap();
        spell.app_public_inputs.remove(&token_app(&bridge.app));
        spell.mock = true;
        for wasm in [None, Some(BRIDGE)] {
            let request = request(spell.clone(), &[&bridge.settlement], wasm);
            assert!(charms_check(&request).is_err());
            assert!(check(&request, Some(mock_allowed())).is_err());
        }
    }
}
