//! Which spells can be proven without the bridge's contract, and that no settlement is among them.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use bitcoin::Transaction;
use common::{BRIDGE, Bridge, VAULT, at, mock_allowed, output, request, roster, transaction};
use grail_prover::{CheckError, check};
use grail_spell::{SettlementItem, nft_app, settlement_spell, token_app};

/// Spends the vault's 100,000 satoshis and passes 60,000 zkBTC on, so that zkBTC balances; all but `vault_out` of the
/// vault goes to someone who burned nothing.
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

/// Whether that can be proven as a settlement that leaves the NFT at `serial`, with or without the contract at hand.
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
fn settlement_with_the_next_serial_needs_the_contract_even_if_zkbtc_balances() {
    let bridge = Bridge::with_contract(BRIDGE);
    let needs_contract = Err(CheckError::NotATransfer {
        app: nft_app(&bridge.app),
    });
    for vault_out in [100_000, 40_000] {
        assert_eq!(prove(&bridge, vault_out, 2, None), needs_contract);
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
fn whatever_lists_zkbtc_needs_the_contract() {
    let bridge = Bridge::with_contract(BRIDGE);
    let needs_contract = Err(CheckError::NotATransfer {
        app: token_app(&bridge.app),
    });
    for vault_out in [100_000, 40_000] {
        assert_eq!(prove(&bridge, vault_out, 1, None), needs_contract);
    }
}

#[test]
fn theft_that_lists_the_nft_alone_is_provable_without_the_contract_hence_operators_ask_for_both_and_the_next_serial()
 {
    // Charms behaves so. What stands against it: `approve` demands both apps and, as the contract does, the next serial.
    let bridge = Bridge::with_contract(BRIDGE);
    let tx = transaction(
        &[at(&bridge.settlement, 0), at(&bridge.settlement, 1)],
        vec![output(1_000, VAULT), output(100_000, 9)],
    );
    let items = [SettlementItem::Plain];
    for (serial, provable) in [(1, true), (2, false)] {
        let state = roster(serial, 100_000);
        let mut spell = settlement_spell(&tx, &bridge.app, &state, &items).unwrap();
        spell.app_public_inputs.remove(&token_app(&bridge.app));
        spell.mock = true;
        let request = request(spell, &[&bridge.settlement], None);
        assert_eq!(check(&request, Some(mock_allowed())).is_ok(), provable);
    }
    for vault_out in [100_000, 40_000] {
        let kept = prove(&bridge, vault_out, 1, Some(BRIDGE));
        assert!(matches!(kept, Err(CheckError::Contract { .. })), "{kept:?}");
    }
}
