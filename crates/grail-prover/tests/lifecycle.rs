//! Deployment, settlement and transfer, proven by the mock prover and read back strictly.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::paper as common;

use bitcoin::{Amount, TxOut};
use common::{BRIDGE, Bridge, at, enchanted, mock_allowed, output, prove, request, transaction};
use grail_charms::{
    SettlementItem, read_compatible, roster_state, settlement_spell, token_amount, transfer_spell,
};
use grail_prover::{CheckError, ProverError, ProverVerdict};
use grail_spell::{
    Place, ProofError, SpellError, StrictError, decode_op_return, nft_app, read_strict, token_app,
};
use grail_types::{MockAllowed, Network};

#[test]
fn every_spell_of_the_bridge_reads_back_strictly() {
    let bridge = Bridge::with_contract(BRIDGE);
    let (nft, token) = (nft_app(&bridge.app), token_app(&bridge.app));

    let deployed = read_strict(&bridge.deployment, Some(mock_allowed())).unwrap();
    assert_eq!(
        roster_state(&deployed.charms_at(0), &nft)
            .unwrap()
            .unwrap()
            .supply,
        0
    );

    let settled = read_strict(&bridge.settlement, Some(mock_allowed())).unwrap();
    assert!(settled.is_mock());
    assert_eq!(settled.place(), Place::OpReturn { output_index: 4 });
    assert_eq!(
        roster_state(&settled.charms_at(0), &nft).unwrap().unwrap(),
        bridge.state
    );
    let amounts: Vec<u64> = (0..5)
        .map(|vout| token_amount(&settled.charms_at(vout), &token).unwrap())
        .collect();
    assert_eq!(amounts, [0, 0, 60_000, 40_000, 0]);
    assert_eq!(settled.spell().tx.ins.as_ref().unwrap().len(), 2);
    assert_eq!(settled.spell().tx.coins.as_ref().unwrap().len(), 4);
}

#[test]
fn transfer_needs_the_contract() {
    let bridge = Bridge::with_contract(BRIDGE);
    let tx = bridge.transfer_tx();
    let spell = transfer_spell(&tx, &bridge.app, &[99_999, 1]).unwrap();
    let without = prove(&request(spell.clone(), &[&bridge.settlement], None));
    assert_eq!(without.unwrap_err().code(), "prove-not-a-transfer");
    let proven = prove(&request(spell, &[&bridge.settlement], Some(BRIDGE))).unwrap();
    assert!(proven.fuel > 0);
    read_strict(&enchanted(tx, &proven), Some(mock_allowed())).unwrap();
}

#[test]
fn payout_carries_no_charms() {
    let bridge = Bridge::with_contract(BRIDGE);
    let tx = transaction(
        &[
            at(&bridge.settlement, 0),
            at(&bridge.settlement, 1),
            at(&bridge.settlement, 2),
        ],
        vec![
            output(1_000, common::VAULT),
            output(40_000, common::VAULT),
            output(59_000, 9),
        ],
    );
    let spell = settlement_spell(
        &tx,
        &bridge.app,
        &common::roster(2, 40_000),
        &[SettlementItem::Plain, SettlementItem::Plain],
    )
    .unwrap();
    let proven = prove(&request(spell, &[&bridge.settlement], Some(BRIDGE))).unwrap();
    let settled = read_strict(&enchanted(tx, &proven), Some(mock_allowed())).unwrap();
    assert!(settled.charms_at(2).is_empty());
    assert!(settled.charms_at(1).is_empty());
}

#[test]
fn the_same_request_gives_the_same_proof() {
    let bridge = Bridge::with_contract(BRIDGE);
    let tx = bridge.transfer_tx();
    let spell = transfer_spell(&tx, &bridge.app, &[50_000, 50_000]).unwrap();
    let request = request(spell, &[&bridge.settlement], Some(BRIDGE));
    let proven = prove(&request).unwrap();
    assert_eq!(proven, prove(&request).unwrap());
    assert_eq!(proven.proof.len(), 192);
    assert!(proven.spell_wire.mock);
    assert_eq!(
        (&proven.spell_wire.tx.ins, &proven.spell_wire.tx.coins),
        (&None, &None)
    );
}

#[test]
fn mock_spell_is_refused_on_every_network_but_regtest() {
    let bridge = Bridge::with_contract(BRIDGE);
    for network in [Network::Signet, Network::Testnet4, Network::Mainnet] {
        let allowed = MockAllowed::on(network);
        let expected = SpellError::Proof(ProofError::MockRefused);
        assert_eq!(
            read_strict(&bridge.settlement, allowed).unwrap_err(),
            expected,
            "{network}"
        );
        assert_eq!(
            read_compatible(&bridge.settlement, allowed).unwrap_err(),
            expected,
            "{network}"
        );
    }
}

#[test]
fn mock_proof_binds_inputs_and_outputs() {
    let bridge = Bridge::with_contract(BRIDGE);
    let broken = SpellError::Proof(ProofError::MockFalse);
    let mut other_input = bridge.settlement.clone();
    other_input.input[1].previous_output.vout = 0;
    let mut other_amount = bridge.settlement.clone();
    other_amount.output[1].value = Amount::from_sat(99_999);
    let mut other_script = bridge.settlement.clone();
    other_script.output[2].script_pubkey = common::script(99);
    for tx in [other_input, other_amount, other_script] {
        assert_eq!(read_strict(&tx, Some(mock_allowed())).unwrap_err(), broken);
        assert_eq!(
            read_compatible(&tx, Some(mock_allowed())).unwrap_err(),
            broken
        );
    }
}

#[test]
fn mock_proof_of_another_spell_is_refused_though_charms_would_take_it() {
    let bridge = Bridge::with_contract(BRIDGE);
    let deployed = decode_op_return(&bridge.deployment).unwrap().unwrap();
    let settled = decode_op_return(&bridge.settlement).unwrap().unwrap();
    let mut tx = bridge.settlement.clone();
    tx.output[4].script_pubkey =
        grail_spell::encode_op_return(&settled.spell, &deployed.proof).unwrap();
    assert_eq!(
        read_compatible(&tx, Some(mock_allowed())).unwrap_err(),
        SpellError::Proof(ProofError::MockFalse)
    );
}

#[test]
fn strict_reading_allows_one_output_after_the_spell_and_no_more() {
    let bridge = Bridge::with_contract(BRIDGE);
    let mut tx = bridge.settlement.clone();
    tx.output.push(output(700, 8));
    read_strict(&tx, Some(mock_allowed())).unwrap();
    tx.output.push(output(700, 8));
    assert!(matches!(
        read_strict(&tx, Some(mock_allowed())).unwrap_err(),
        SpellError::Strict(StrictError::Output {
            output_index: 4,
            output_count: 7,
            charm_outputs: 4
        })
    ));
    // Charms itself does not mind.
    assert!(
        read_compatible(&tx, Some(mock_allowed()))
            .unwrap()
            .is_some()
    );
}

#[test]
fn strict_reading_refuses_a_spell_output_with_value() {
    let bridge = Bridge::with_contract(BRIDGE);
    let mut tx = bridge.settlement.clone();
    tx.output[4].value = Amount::from_sat(1);
    assert!(matches!(
        read_strict(&tx, Some(mock_allowed())).unwrap_err(),
        SpellError::Strict(StrictError::Output { .. })
    ));
}

#[test]
fn strict_reading_refuses_two_spells() {
    let bridge = Bridge::with_contract(BRIDGE);
    let mut tx = bridge.settlement.clone();
    tx.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: tx.output[4].script_pubkey.clone(),
    });
    assert_eq!(
        read_strict(&tx, Some(mock_allowed())).unwrap_err().code(),
        "spell-unreadable"
    );
}

#[test]
fn contract_that_refuses_makes_a_final_error() {
    let bridge = Bridge::with_contract(BRIDGE);
    let tx = transaction(
        &[at(&bridge.settlement, 0), at(&bridge.settlement, 1)],
        vec![output(1_000, common::VAULT), output(100_000, common::VAULT)],
    );
    for wasm in [common::REFUSES, common::LOOPS] {
        // An app whose contract agrees to nothing; its charms are not touched, yet its contract
        // must run.
        let mut spell =
            settlement_spell(&tx, &bridge.app, &bridge.state, &[SettlementItem::Plain]).unwrap();
        let other = charms_data::App {
            vk: charms_data::B32(common::vk_of(wasm)),
            tag: 'z',
            ..nft_app(&bridge.app)
        };
        spell
            .app_public_inputs
            .insert(other, charms_data::Data::empty());
        let mut request = request(spell, &[&bridge.settlement], Some(BRIDGE));
        request
            .app_binaries
            .insert(charms_data::B32(common::vk_of(wasm)), wasm.to_vec());
        let error = prove(&request).unwrap_err();
        assert!(
            matches!(error, ProverError::Rejected(CheckError::Contract { .. })),
            "{error}"
        );
        assert_eq!(error.verdict(), ProverVerdict::Ours);
    }
}
