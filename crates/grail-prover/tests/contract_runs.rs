//! No spell of the bridge can be proven without its contract.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::paper as common;

use bitcoin::Transaction;
use common::{BRIDGE, Bridge, VAULT, at, mock_allowed, output, request, roster, transaction};
use grail_charms::{SettlementItem, settlement_spell};
use grail_prover::{CheckError, check};
use grail_spell::{nft_app, token_app};

/// Spends the vault's 100,000 satoshis and passes 60,000 zkBTC on, so that zkBTC balances; all but
/// `vault_out` of the vault goes to someone who burned nothing.
fn balanced(bridge: &Bridge, vault_out: u64) -> Transaction {
    transaction(
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
    )
}

/// Whether that can be proven as a settlement that leaves the NFT at `serial`, with or without the
/// contract at hand.
fn prove(
    bridge: &Bridge,
    vault_out: u64,
    serial: u64,
    wasm: Option<&[u8]>,
) -> Result<(), CheckError> {
    let tx = balanced(bridge, vault_out);
    let items = [
        SettlementItem::Plain,
        SettlementItem::PegIn { amount: 60_000 },
        SettlementItem::Plain,
    ];
    let spell = settlement_spell(&tx, &bridge.app, &roster(serial, 100_000), &items).unwrap();
    let mut request = request(spell, &[&bridge.settlement], wasm);
    request.spell.mock = true;
    check(&request, Some(mock_allowed())).map(|_| ())
}

#[test]
fn no_settlement_is_provable_without_the_contract() {
    let bridge = Bridge::with_contract(BRIDGE);
    let needs_contract = Err(CheckError::NotATransfer {
        app: nft_app(&bridge.app),
    });
    for (vault_out, serial) in [(100_000, 2), (40_000, 2), (100_000, 1), (40_000, 1)] {
        assert_eq!(prove(&bridge, vault_out, serial, None), needs_contract);
    }
}

#[test]
fn contract_accepts_the_next_serial_and_refuses_what_takes_vault_coins() {
    let bridge = Bridge::with_contract(BRIDGE);
    assert_eq!(prove(&bridge, 100_000, 2, Some(BRIDGE)), Ok(()));
    let theft = prove(&bridge, 40_000, 2, Some(BRIDGE));
    assert!(
        matches!(theft, Err(CheckError::Contract { .. })),
        "{theft:?}"
    );
}

#[test]
fn a_spell_that_lists_the_nft_alone_needs_the_contract_too() {
    // With the tag `n` and an unchanged state this would be provable, and with it a theft of the
    // vault.
    let bridge = Bridge::with_contract(BRIDGE);
    let tx = transaction(
        &[at(&bridge.settlement, 0), at(&bridge.settlement, 1)],
        vec![output(1_000, VAULT), output(100_000, 9)],
    );
    let items = [SettlementItem::Plain];
    for serial in [1, 2] {
        let state = roster(serial, 100_000);
        let mut spell = settlement_spell(&tx, &bridge.app, &state, &items).unwrap();
        spell.app_public_inputs.remove(&token_app(&bridge.app));
        spell.mock = true;
        for (wasm, code) in [
            (None, "prove-not-a-transfer"),
            (Some(BRIDGE), "prove-contract"),
        ] {
            let request = request(spell.clone(), &[&bridge.settlement], wasm);
            let refused = check(&request, Some(mock_allowed())).unwrap_err();
            assert_eq!(refused.code(), code);
        }
    }
}

#[test]
fn contract_refuses_a_serial_that_stays() {
    let bridge = Bridge::with_contract(BRIDGE);
    for vault_out in [100_000, 40_000] {
        let kept = prove(&bridge, vault_out, 1, Some(BRIDGE));
        assert!(matches!(kept, Err(CheckError::Contract { .. })), "{kept:?}");
    }
}
