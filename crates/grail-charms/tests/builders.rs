//! The bridge's spells, built.

#![allow(clippy::unwrap_used, missing_docs)]

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use charms_data::{App, B32, Charms, Data};
use grail_bridge_contract::RosterState;
use grail_charms::{
    BridgeCharmError, BuildError, SettlementItem, deployment_spell, roster_state, settlement_spell,
    token_amount, transfer_spell,
};
use grail_spell::{
    SpellShapeError, deployment_identity, nft_app, token_app, utxo_id_from_outpoint,
};
use grail_types::BridgeApp;

fn outpoint(byte: u8, vout: u32) -> OutPoint {
    OutPoint {
        txid: Txid::from_byte_array([byte; 32]),
        vout,
    }
}

fn output(sats: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(sats),
        script_pubkey: ScriptBuf::from_bytes([[0x51, 0x20].as_slice(), &[7; 32]].concat()),
    }
}

fn transaction(inputs: &[OutPoint], output: Vec<TxOut>) -> Transaction {
    let input = inputs
        .iter()
        .map(|&previous_output| TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        })
        .collect();
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input,
        output,
    }
}

fn bridge() -> BridgeApp {
    BridgeApp {
        identity: deployment_identity(outpoint(1, 0)),
        vk: [9; 32],
    }
}

fn state() -> RosterState {
    RosterState {
        epoch: 3,
        serial: 8,
        signers: (1..=4).map(|byte| [byte; 32]).collect(),
        threshold: 3,
        vault_script: output(0).script_pubkey.into_bytes(),
        supply: 70,
        params_hash: [7; 32],
        governance: [6; 32],
        attempt: 0,
        next: None,
        outflow: 0,
        spell_min: 15,
        spell_max: 15,
    }
}

fn tx(outputs: u64) -> Transaction {
    transaction(
        &[outpoint(1, 0), outpoint(2, 5)],
        (1..=outputs).map(|n| output(n * 1_000)).collect(),
    )
}

#[test]
fn deployment_puts_the_nft_first() {
    let spell = deployment_spell(&tx(2), &bridge(), &state()).unwrap();
    let nft = nft_app(&bridge());
    assert_eq!(
        spell.app_public_inputs,
        [(nft.clone(), Data::from(&"deploy"))].into()
    );
    assert_eq!(spell.tx.outs.len(), 1);
    assert_eq!(
        roster_state(&spell.charms_at(0), &nft).unwrap(),
        Some(state())
    );
    assert_eq!(spell.tx.coins.as_ref().unwrap().len(), 1);
    assert_eq!((spell.version, spell.mock), (15, false));
}

#[test]
fn settlement_lays_out_nft_then_items() {
    let items = [
        SettlementItem::Plain,
        SettlementItem::PegIn { amount: 70 },
        SettlementItem::Plain,
    ];
    let spell = settlement_spell(&tx(5), &bridge(), &state(), &items).unwrap();
    let (nft, token) = (nft_app(&bridge()), token_app(&bridge()));
    assert_eq!(
        spell.app_public_inputs,
        [
            (nft.clone(), Data::from(&"settle")),
            (token.clone(), Data::empty())
        ]
        .into()
    );
    let ins = [outpoint(1, 0), outpoint(2, 5)].map(utxo_id_from_outpoint);
    assert_eq!(spell.tx.ins.as_deref(), Some(ins.as_slice()));
    assert_eq!(
        roster_state(&spell.charms_at(0), &nft).unwrap(),
        Some(state())
    );
    let amounts: Vec<u64> = (0..4)
        .map(|vout| token_amount(&spell.charms_at(vout), &token).unwrap())
        .collect();
    assert_eq!(amounts, [0, 0, 70, 0]);
    assert!(spell.charms_at(1).is_empty() && spell.charms_at(3).is_empty());
    let coins: Vec<u64> = spell
        .tx
        .coins
        .unwrap()
        .iter()
        .map(|coin| coin.amount)
        .collect();
    assert_eq!(coins, [1_000, 2_000, 3_000, 4_000]);
}

#[test]
fn transfer_lists_the_token_alone() {
    let spell = transfer_spell(&tx(2), &bridge(), &[1, u64::MAX]).unwrap();
    let token = token_app(&bridge());
    assert_eq!(
        spell.app_public_inputs,
        [(token.clone(), Data::empty())].into()
    );
    assert_eq!(token_amount(&spell.charms_at(1), &token), Ok(u64::MAX));
}

#[test]
fn refuses_what_could_never_be_proven() {
    let items = [SettlementItem::Plain, SettlementItem::PegIn { amount: 0 }];
    assert_eq!(
        settlement_spell(&tx(5), &bridge(), &state(), &items),
        Err(BuildError::ZeroAmount { output_index: 2 })
    );
    assert_eq!(
        transfer_spell(&tx(2), &bridge(), &[1, 0]),
        Err(BuildError::ZeroAmount { output_index: 1 })
    );
    assert_eq!(
        transfer_spell(&tx(2), &bridge(), &[1, 1, 1]),
        Err(BuildError::Shape(SpellShapeError::TooManyOutputs {
            spell: 3,
            transaction: 2
        }))
    );
    let invalid = RosterState {
        threshold: 2,
        ..state()
    };
    assert!(matches!(
        deployment_spell(&tx(1), &bridge(), &invalid),
        Err(BuildError::State(_))
    ));
    assert!(matches!(
        settlement_spell(&tx(1), &bridge(), &invalid, &[]),
        Err(BuildError::State(_))
    ));
}

#[test]
fn charms_of_the_bridge_are_read_or_refused() {
    let (nft, token) = (nft_app(&bridge()), token_app(&bridge()));
    assert_eq!(token_amount(&Charms::new(), &token), Ok(0));
    assert_eq!(roster_state(&Charms::new(), &nft), Ok(None));
    for data in [
        Data::from(&"5"),
        Data::from(&-1),
        Data::from(&1.5),
        Data::empty(),
    ] {
        let charms = Charms::from([(token.clone(), data)]);
        assert_eq!(
            token_amount(&charms, &token),
            Err(BridgeCharmError::NotAnAmount { app: token.clone() })
        );
    }
    let charms = Charms::from([(nft.clone(), Data::from(&5))]);
    assert!(matches!(
        roster_state(&charms, &nft),
        Err(BridgeCharmError::State(_))
    ));
    // Another bridge's charms are no charms of this one.
    let other = App {
        identity: B32([0; 32]),
        ..token.clone()
    };
    assert_eq!(
        token_amount(&Charms::from([(other, Data::from(&5))]), &token),
        Ok(0)
    );
}
