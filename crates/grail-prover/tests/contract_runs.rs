//! Which spells can be proven without the bridge's contract, and that no settlement is among them.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use bitcoin::Transaction;
use common::{BRIDGE, Bridge, VAULT, at, mock_allowed, output, request, roster, transaction};
use grail_prover::{CheckError, check};
use grail_spell::{SettlementItem, nft_app, settlement_spell};

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
fn theft_that_keeps_the_serial_is_provable_without_the_contract_hence_operators_ask_for_the_next() {
    // Charms behaves so. What stands against it: the contract and `approve` both demand the next serial.
    let bridge = Bridge::with_contract(BRIDGE);
    assert_eq!(prove(&bridge, 40_000, 1, None), Ok(()));
    for vault_out in [100_000, 40_000] {
        let kept = prove(&bridge, vault_out, 1, Some(BRIDGE));
        assert!(matches!(kept, Err(CheckError::Contract { .. })), "{kept:?}");
    }
}
