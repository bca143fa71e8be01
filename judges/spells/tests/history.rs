//! What Charms believes of a token's history, and why zkBTC is no token of tag `t`: the ground of
//! `docs/adr/0005-zkbtc-must-not-rest-on-plain-transfers.md`.

#![allow(missing_docs)]

use grail_fixtures::paper as common;
mod shown;

use bitcoin::Transaction;
use charms_data::{App, B32, Data};
use common::{
    AGREES, BRIDGE, Bridge, at, enchanted, funding, mock_allowed, output, prove, transaction,
};
use grail_charms::transfer_spell;
use grail_prover::check;
use grail_spell::{NormalizedCharms, NormalizedSpell, NormalizedTransaction, without_witnesses};
use grail_spell_judge::{charms_check, charms_reading};
use shown::{request, with_witness};

/// A token of tag `t`.
fn token() -> App {
    App {
        tag: 't',
        identity: B32([1; 32]),
        vk: B32(common::vk_of(AGREES)),
    }
}

/// The spell on `tx` that puts these amounts of the token on its first outputs.
fn spell_of(tx: &Transaction, amounts: &[u64]) -> NormalizedSpell {
    let outs = amounts.iter().map(|amount| match amount {
        0 => NormalizedCharms::new(),
        amount => [(0, Data::from(amount))].into(),
    });
    let spell = NormalizedSpell {
        tx: NormalizedTransaction {
            outs: outs.collect(),
            ..NormalizedTransaction::default()
        },
        app_public_inputs: [(token(), Data::empty())].into(),
        ..NormalizedSpell::default()
    };
    spell.committed_to(tx).unwrap()
}

/// What spends output `vout` of `previous`.
fn child_of(previous: &Transaction, vout: u32) -> Transaction {
    transaction(&[at(previous, vout)], vec![output(400, 9)])
}

#[test]
fn one_transaction_gives_a_token_of_tag_t_to_two_outputs() {
    let source = funding(1, &[10_000]);
    let minted = transaction(&[at(&source, 0)], vec![output(1_000, 2)]);
    let proven = prove(&request(spell_of(&minted, &[500]), &source, Some(AGREES))).unwrap();
    let minted = enchanted(minted, &proven);

    // It carries no spell of its own, and its id does not commit to its witness.
    let bare = transaction(&[at(&minted, 0)], vec![output(400, 3), output(400, 4)]);
    for (vout, amounts) in [(0, [500, 0]), (1, [0, 500])] {
        let proven = prove(&request(spell_of(&bare, &amounts), &minted, None)).unwrap();
        let shown = with_witness(&bare, &proven);
        assert_eq!(shown.compute_txid(), bare.compute_txid());
        assert!(charms_reading(&shown, true).is_ok());
        // Both children take all 500 along, and Charms finds both right: 1,000 of what were 500.
        let child = child_of(&bare, vout);
        let both = request(spell_of(&child, &[500]), &shown, None);
        assert_eq!(charms_check(&both), Ok(true), "output {vout}");
        assert!(check(&both, Some(mock_allowed())).is_ok());
    }
}

#[test]
fn zkbtc_cannot_be_shown_in_a_witness() {
    let bridge = Bridge::with_contract(BRIDGE);
    let bare = bridge.transfer_tx();
    for (vout, amounts) in [(0, [99_999, 1]), (1, [1, 99_999])] {
        let spell = transfer_spell(&bare, &bridge.app, &amounts).unwrap();
        let proven = prove(&request(spell, &bridge.settlement, Some(BRIDGE))).unwrap();
        let shown = with_witness(&bare, &proven);
        assert!(charms_reading(&shown, true).is_ok());

        let child = child_of(&bare, vout);
        let spell = transfer_spell(&child, &bridge.app, &[99_999]).unwrap();
        for wasm in [Some(BRIDGE), None] {
            let shown = request(spell.clone(), &shown, wasm);
            assert!(charms_check(&shown).is_err(), "output {vout}");
            assert!(check(&shown, Some(mock_allowed())).is_err());
        }
        // Without the witness there is nothing to spend.
        let shown = request(spell, &without_witnesses(&shown), Some(BRIDGE));
        assert!(charms_check(&shown).is_err(), "output {vout}");

        // The same spell in an output is what the contract believes.
        let paid = enchanted(bare.clone(), &proven);
        let child = child_of(&paid, vout);
        let spell = transfer_spell(&child, &bridge.app, &[99_999]).unwrap();
        let honest = request(spell, &paid, Some(BRIDGE));
        assert_eq!(charms_check(&honest), Ok(true));
    }
}

#[test]
fn no_transfer_of_zkbtc_is_right_without_the_contract() {
    let bridge = Bridge::with_contract(BRIDGE);
    let tx = bridge.transfer_tx();
    let spell = transfer_spell(&tx, &bridge.app, &[60_001, 39_999]).unwrap();
    let without = request(spell.clone(), &bridge.settlement, None);
    assert!(charms_check(&without).is_err());
    let with = request(spell, &bridge.settlement, Some(BRIDGE));
    assert_eq!(charms_check(&with), Ok(true));
}
