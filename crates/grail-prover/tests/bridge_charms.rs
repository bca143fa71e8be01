//! Which charms of the bridge are believed, shown with spells that a reader accepts.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::paper as common;

use bitcoin::{Transaction, TxOut};
use charms_data::{B32, Data};
use common::{at, funding, mock_allowed, output, transaction};
use grail_charms::{PrevTx, transfer_spell};
use grail_prover::MockProver;
use grail_spell::{BridgeCharms, NormalizedSpell};
use grail_types::BridgeApp;

const BRIDGE: BridgeApp = BridgeApp {
    identity: [7; 32],
    vk: [8; 32],
};

/// A transfer of 700 satoshis of zkBTC, its spell changed before it is proven.
fn transfer(change: impl FnOnce(&mut NormalizedSpell)) -> Transaction {
    let coin = funding(1, &[1_000]);
    let mut tx = transaction(&[at(&coin, 0)], vec![output(330, 1)]);
    let mut spell = transfer_spell(&tx, &BRIDGE, &[700]).unwrap();
    change(&mut spell);
    let proven = MockProver::new(mock_allowed())
        .prove_unchecked(&spell)
        .unwrap();
    tx.output.push(TxOut {
        value: bitcoin::Amount::ZERO,
        script_pubkey: proven.op_return,
    });
    tx
}

fn read(tx: &Transaction) -> BridgeCharms {
    let read = PrevTx::read_committed(tx, Some(mock_allowed()));
    assert_eq!(read.rejected(), None, "the spell itself is sound");
    assert!(
        !read.charms_at(0).is_empty(),
        "and gives the output a charm"
    );
    read.bridge_charms(0, &BRIDGE)
}

#[test]
fn zkbtc_of_a_current_spell_is_believed() {
    assert_eq!(read(&transfer(|_| {})), BridgeCharms::Token(700));
}

#[test]
fn zkbtc_of_an_older_protocol_version_is_not_believed() {
    assert_eq!(
        read(&transfer(|spell| spell.version = 14)),
        BridgeCharms::Other
    );
}

#[test]
fn zkbtc_that_was_beamed_away_is_not_here() {
    let tx = transfer(|spell| spell.tx.beamed_outs = Some([(0, B32([1; 32]))].into()));
    assert_eq!(read(&tx), BridgeCharms::Other);
}

#[test]
fn zkbtc_beside_another_charm_is_not_zkbtc_alone() {
    let tx = transfer(|spell| {
        let other = charms_data::App {
            tag: 'z',
            identity: B32([1; 32]),
            vk: B32([2; 32]),
        };
        spell.app_public_inputs.insert(other.clone(), Data::empty());
        let index = spell.app_index(&other).unwrap();
        spell.tx.outs[0].insert(index, Data::from(&1));
    });
    assert_eq!(read(&tx), BridgeCharms::Other);
}

#[test]
fn an_amount_that_is_no_number_is_not_zkbtc() {
    let tx = transfer(|spell| {
        let index = *spell.tx.outs[0].keys().next().unwrap();
        spell.tx.outs[0].insert(index, Data::from(&"700"));
    });
    assert_eq!(read(&tx), BridgeCharms::Other);
}

#[test]
fn an_output_that_no_spell_speaks_of_carries_nothing() {
    let read = PrevTx::read_committed(&funding(1, &[1_000]), Some(mock_allowed()));
    assert_eq!(read.bridge_charms(0, &BRIDGE), BridgeCharms::Nothing);
}
