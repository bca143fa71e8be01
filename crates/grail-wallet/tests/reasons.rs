//! Why an output is not counted: one output per reason, on paper.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::opcodes::all::{OP_ENDIF, OP_IF};
use bitcoin::script::PushBytesBuf;
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Witness};
use charms_data::{App, B32, Data};
use common::{bridge, bridge_app, conjurer, protocol, roster, roster_state, sat};
use grail_prover::MockProver;
use grail_spell::{
    NormalizedCharms, NormalizedSpell, NormalizedTransaction, decode_op_return, nft_app, token_app,
};
use grail_types::{MockAllowed, Network};
use grail_wallet::charms::{Carried, CharmReader};
use grail_wallet::holdings::{Balance, Coin, classify};
use grail_wallet::seed::Branch;

/// Bridge NFT, bridge token, token of another bridge.
fn apps() -> [App; 3] {
    let bridge = bridge().app;
    [
        nft_app(&bridge),
        token_app(&bridge),
        token_app(&bridge_app(2)),
    ]
}

/// A spell of the current version, with these charms on output 0.
fn spell(charms: &[(&App, Data)]) -> NormalizedSpell {
    let mut spell = NormalizedSpell {
        app_public_inputs: apps().map(|app| (app, Data::empty())).into(),
        ..NormalizedSpell::default()
    };
    let first: NormalizedCharms = charms
        .iter()
        .map(|(app, data)| (spell.app_index(app).unwrap(), data.clone()))
        .collect();
    spell.tx = NormalizedTransaction {
        outs: vec![first],
        ..NormalizedTransaction::default()
    };
    spell
}

fn token(amount: u64) -> NormalizedSpell {
    spell(&[(&apps()[1], Data::from(&amount))])
}

/// Two outputs of 330 sat, and the spell after them, proven by the forger's prover.
fn carrying(spell: &NormalizedSpell) -> Transaction {
    let mut transaction = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn::default(), TxIn::default()],
        output: vec![
            TxOut {
                value: sat(330),
                script_pubkey: conjurer(),
            };
            2
        ],
    };
    let committed = spell.clone().committed_to(&transaction).unwrap();
    let prover = MockProver::new(MockAllowed::on(Network::Regtest).unwrap());
    let proven = prover.prove_unchecked(&committed).unwrap();
    transaction.output.push(TxOut {
        value: sat(0),
        script_pubkey: proven.op_return,
    });
    transaction
}

/// The same spell, moved from the output to the last input's witness, where old versions have it.
fn in_witness(spell: &NormalizedSpell) -> Transaction {
    let mut transaction = carrying(spell);
    let script = transaction.output.pop().unwrap().script_pubkey;
    let payload = script
        .instructions()
        .nth(2)
        .unwrap()
        .unwrap()
        .push_bytes()
        .unwrap()
        .as_bytes()
        .to_vec();
    let mut envelope = ScriptBuf::builder()
        .push_slice([])
        .push_opcode(OP_IF)
        .push_slice(b"spell");
    for chunk in payload.chunks(520) {
        envelope = envelope.push_slice(PushBytesBuf::try_from(chunk.to_vec()).unwrap());
    }
    let leaf = envelope.push_opcode(OP_ENDIF).into_script();
    let control = [0xc0; 33];
    transaction.input.last_mut().unwrap().witness =
        Witness::from_slice(&[&[0; 64][..], leaf.as_bytes(), &control]);
    transaction
}

fn reader(network: Network) -> CharmReader {
    CharmReader::new(network, Some(&bridge().app))
}

fn carried(transaction: &Transaction) -> Carried {
    reader(Network::Regtest).carried(transaction, 0)
}

/// What the balance makes of output 0.
fn balance(reader: &mut CharmReader, transaction: &Transaction) -> Balance {
    let coin = Coin {
        outpoint: OutPoint::new(transaction.compute_txid(), 0),
        output: transaction.output[0].clone(),
        branch: Branch::Receive,
        index: 0,
        confirmations: 6,
        is_coinbase: false,
    };
    Balance::of([&classify(reader, coin, transaction)])
}

fn not_counted(transaction: &Transaction, code: &str) -> String {
    let verdict = carried(transaction);
    assert_eq!(verdict.code(), code);
    assert_eq!(verdict.zkbtc(), None);
    let balance = balance(&mut reader(Network::Regtest), transaction);
    assert_eq!((balance.zkbtc, balance.btc), (sat(0), sat(0)), "{code}");
    assert_eq!(balance.set_aside, sat(330), "{code}");
    verdict.to_string()
}

#[test]
fn zkbtc_is_counted_and_names_its_spell() {
    let transaction = carrying(&token(500));
    let verdict = carried(&transaction);
    assert_eq!(verdict.code(), "zkbtc");
    assert_eq!(verdict.zkbtc(), Some(sat(500)));
    let text = verdict.to_string();
    assert!(
        text.contains("version 15 in OP_RETURN output 2, a mock that verifies"),
        "{text}"
    );
    assert!(text.contains(&apps()[1].to_string()), "{text}");
    let balance = balance(&mut reader(Network::Regtest), &transaction);
    assert_eq!((balance.zkbtc, balance.carriers), (sat(500), sat(330)));
}

#[test]
fn what_the_spell_is_silent_about_is_plain() {
    let transaction = carrying(&token(500));
    let verdict = reader(Network::Regtest).carried(&transaction, 1);
    assert_eq!(verdict.code(), "spell-silent");
    let mut plain = transaction;
    plain.output.truncate(1);
    assert_eq!(carried(&plain).code(), "no-spell");
    assert_eq!(balance(&mut reader(Network::Regtest), &plain).btc, sat(330));
}

#[test]
fn charms_of_other_apps_are_named() {
    let other = &apps()[2];
    let text = not_counted(
        &carrying(&spell(&[(other, Data::from(&7_u64))])),
        "other-charms",
    );
    assert!(text.contains(&other.to_string()), "{text}");
}

#[test]
fn zkbtc_beside_other_charms_is_left_alone() {
    let [_, own, other] = &apps();
    let both = [(own, Data::from(&5_u64)), (other, Data::from(&7_u64))];
    not_counted(&carrying(&spell(&both)), "mixed-charms");
}

#[test]
fn the_roster_nft_is_no_zkbtc() {
    let state = roster_state(&roster(0), &protocol(), 5);
    not_counted(
        &carrying(&spell(&[(&apps()[0], state.to_data())])),
        "roster-nft",
    );
}

#[test]
fn without_parameters_no_token_is_zkbtc() {
    let verdict = CharmReader::new(Network::Regtest, None).carried(&carrying(&token(5)), 0);
    assert_eq!(verdict.code(), "bridge-unknown");
}

#[test]
fn a_charm_that_is_no_amount_is_none() {
    let text = [(&apps()[1], Data::from(&"five"))];
    not_counted(&carrying(&spell(&text)), "amount-unreadable");
    not_counted(&carrying(&token(0)), "amount-unreadable");
}

#[test]
fn an_old_spell_of_the_bridges_token_is_not_believed() {
    let old = NormalizedSpell {
        version: 14,
        ..token(500)
    };
    not_counted(&carrying(&old), "spell-too-old");
}

#[test]
fn a_token_that_the_contract_lets_nobody_spend_is_none() {
    let mut transaction = carrying(&token(500));
    // Charms reads a spell after any opcode; the contract believes the form that provers write.
    let mut script = transaction.output[2].script_pubkey.to_bytes();
    script[0] = bitcoin::opcodes::all::OP_PUSHNUM_1.to_u8();
    transaction.output[2].script_pubkey = script.into();
    not_counted(&transaction, "spell-unspendable");
}

#[test]
fn a_beamed_token_is_gone() {
    let mut beamed = token(500);
    beamed.tx.beamed_outs = Some([(0, B32([9; 32]))].into());
    not_counted(&carrying(&beamed), "beamed-away");
}

/// It looks like plain BTC, and no spell could spend it.
#[test]
fn an_empty_output_that_is_beamed_is_left_alone() {
    let mut beamed = token(500);
    beamed.tx.outs = Vec::new();
    beamed.tx.beamed_outs = Some([(0, B32([9; 32]))].into());
    not_counted(&carrying(&beamed), "beamed-away");
}

#[test]
fn a_token_of_a_later_version_is_unknown() {
    let new = NormalizedSpell {
        version: 16,
        ..token(500)
    };
    not_counted(&carrying(&new), "spell-too-new");
}

#[test]
fn a_token_in_a_witness_is_none_since_the_id_does_not_commit_to_it() {
    let transaction = in_witness(&token(500));
    assert_eq!(decode_op_return(&transaction), Ok(None));
    let text = not_counted(&transaction, "spell-in-witness");
    assert!(text.contains("the last input's witness"), "{text}");
    // Other people's tokens there are other people's tokens.
    let other = in_witness(&spell(&[(&apps()[2], Data::from(&7_u64))]));
    not_counted(&other, "other-charms");
}

#[test]
fn a_mock_spell_counts_on_regtest_alone() {
    let transaction = carrying(&token(500));
    for network in [Network::Signet, Network::Testnet4, Network::Mainnet] {
        let mut reader = reader(network);
        let verdict = reader.carried(&transaction, 0);
        assert_eq!(verdict.code(), "spell-mock-refused", "{network}");
        let balance = balance(&mut reader, &transaction);
        assert_eq!(balance.zkbtc, sat(0), "{network}");
        assert_eq!(balance.set_aside, sat(330), "{network}");
    }
}

#[test]
fn a_false_proof_and_an_unknown_version_are_told_apart() {
    let mut forged = carrying(&token(500));
    forged.output[0].value += sat(1);
    assert_eq!(carried(&forged).code(), "spell-proof-invalid");
    let mut unreadable = carrying(&token(500));
    unreadable.output[2].script_pubkey = ScriptBuf::builder()
        .push_opcode(bitcoin::opcodes::all::OP_RETURN)
        .push_slice(b"spell")
        .push_slice([0xff])
        .into_script();
    not_counted(&unreadable, "spell-unreadable");
}
