//! Where a spell is found, and what it resolves to.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use bitcoin::opcodes::all::{OP_CHECKSIG, OP_ENDIF, OP_IF};
use bitcoin::script::{PushBytesBuf, ScriptBuf};
use bitcoin::{OutPoint, Witness};
use charms_data::{B32, Charms, Data, NativeOutput, VersionedApp};
use common::{app, carrying, outpoint, output, spell, transaction};
use grail_charms::{PrevTx, charms_of, outpoint_from_utxo_id};
use grail_spell::{
    EnvelopeError, NormalizedSpell, OP_RETURN_PAYLOAD_MAX_BYTES, Place, SpellShapeError,
    decode_op_return, encode_op_return, find_spell, utxo_id_from_outpoint,
};

const PROOF: [u8; 3] = [1, 2, 3];

fn witness(leaf: &ScriptBuf, control_block: &[u8]) -> Witness {
    Witness::from_slice(&[&[0; 64], leaf.as_bytes(), control_block])
}

fn leaf(payload: &[u8]) -> ScriptBuf {
    let mut script = ScriptBuf::builder()
        .push_int(0)
        .push_opcode(OP_IF)
        .push_slice(b"spell");
    for chunk in payload.chunks(100) {
        script = script.push_slice(PushBytesBuf::try_from(chunk.to_vec()).unwrap());
    }
    script
        .push_opcode(OP_ENDIF)
        .push_slice([2; 32])
        .push_opcode(OP_CHECKSIG)
        .into_script()
}

fn payload(spell: &NormalizedSpell) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&(spell, PROOF.to_vec()), &mut bytes).unwrap();
    bytes
}

fn control_block(length: usize) -> Vec<u8> {
    let mut bytes = vec![3; length];
    bytes[0] = 0xc0;
    bytes
}

#[test]
fn finds_what_encode_wrote() {
    let tx = carrying(&spell(), &PROOF);
    let found = find_spell(&tx).unwrap().unwrap();
    assert_eq!(
        (&found.spell, found.proof.as_slice()),
        (&spell(), PROOF.as_slice())
    );
    assert_eq!(found.place, Place::OpReturn { output_index: 2 });
    assert_eq!(decode_op_return(&tx).unwrap(), Some(found));
}

#[test]
fn refuses_to_encode_more_than_relays() {
    // The header of an array this long takes four bytes more than that of `PROOF`; each zero takes
    // one.
    let overhead = payload(&spell()).len() - PROOF.len() + 4;
    let longest = OP_RETURN_PAYLOAD_MAX_BYTES - overhead;
    let script = encode_op_return(&spell(), &vec![0; longest]).unwrap();
    assert!(script.len() <= 100_000, "{}", script.len());
    assert_eq!(
        encode_op_return(&spell(), &vec![0; longest + 1]).unwrap_err(),
        EnvelopeError::PayloadTooLong {
            length: OP_RETURN_PAYLOAD_MAX_BYTES + 1
        }
    );
}

#[test]
fn finds_a_spell_in_the_last_witness_only() {
    let mut tx = transaction(&[outpoint(1, 0), outpoint(2, 0)], vec![output(1_000)]);
    assert_eq!(find_spell(&tx), Ok(None));
    tx.input[0].witness = witness(&leaf(&payload(&spell())), &control_block(33));
    assert_eq!(find_spell(&tx), Ok(None));
    tx.input.swap(0, 1);
    let found = find_spell(&tx).unwrap().unwrap();
    assert_eq!((found.spell, found.place), (spell(), Place::Witness));
}

#[test]
fn op_return_goes_before_the_witness_unless_unreadable() {
    let mut tx = carrying(&spell(), &PROOF);
    let other = NormalizedSpell {
        version: 8,
        ..spell()
    };
    tx.input[1].witness = witness(&leaf(&payload(&other)), &control_block(33));
    assert_eq!(find_spell(&tx).unwrap().unwrap().spell, spell());
    tx.output[2].script_pubkey.push_slice(b"more");
    assert_eq!(find_spell(&tx).unwrap().unwrap().spell, other);
    tx.input[1].witness.clear();
    assert_eq!(find_spell(&tx).unwrap_err(), EnvelopeError::Payload);
}

#[test]
fn names_what_is_wrong_with_an_envelope() {
    let mut tx = transaction(&[outpoint(1, 0)], vec![output(1_000)]);
    tx.input[0].witness = witness(&leaf(&payload(&spell())), &control_block(65));
    assert_eq!(find_spell(&tx).unwrap_err(), EnvelopeError::ControlBlock);

    let unended = ScriptBuf::builder()
        .push_int(0)
        .push_opcode(OP_IF)
        .push_slice(b"spell")
        .into_script();
    tx.input[0].witness = witness(&unended, &control_block(33));
    assert_eq!(find_spell(&tx).unwrap_err(), EnvelopeError::WitnessScript);

    tx.input[0].witness = witness(&leaf(&[0xff]), &control_block(33));
    assert!(matches!(
        find_spell(&tx).unwrap_err(),
        EnvelopeError::Cbor(_)
    ));
}

#[test]
fn spell_commits_to_inputs_and_coins_as_its_version_says() {
    let tx = transaction(
        &[outpoint(1, 0), outpoint(2, 3)],
        vec![output(1_000), output(2_000), output(3_000)],
    );
    for (version, inputs, coins) in [
        (7, 1, None),
        (8, 1, Some(2)),
        (9, 1, Some(2)),
        (10, 2, Some(2)),
        (15, 2, Some(2)),
    ] {
        let committed = NormalizedSpell { version, ..spell() }
            .committed_to(&tx)
            .unwrap();
        assert_eq!(
            committed.tx.ins.as_ref().unwrap().len(),
            inputs,
            "version {version}"
        );
        assert_eq!(
            committed.tx.coins.as_ref().map(Vec::len),
            coins,
            "version {version}"
        );
        assert_eq!(
            committed.tx.ins.as_ref().unwrap()[0],
            utxo_id_from_outpoint(outpoint(1, 0))
        );
        if let Some(coins) = &committed.tx.coins {
            let dest = tx.output[1].script_pubkey.to_bytes();
            assert_eq!(
                coins[1],
                NativeOutput {
                    amount: 2_000,
                    dest,
                    content: None
                }
            );
        }
        assert_eq!(committed.to_wire(), NormalizedSpell { version, ..spell() });
    }
}

#[test]
fn spell_that_does_not_fit_its_transaction_is_refused() {
    let tx = transaction(&[outpoint(1, 0)], vec![output(1_000)]);
    let too_many = SpellShapeError::TooManyOutputs {
        spell: 2,
        transaction: 1,
    };
    assert_eq!(spell().committed_to(&tx).unwrap_err(), too_many);
    let mut with_inputs = spell();
    with_inputs.tx.ins = Some(vec![]);
    assert_eq!(
        with_inputs.committed_to(&tx).unwrap_err(),
        SpellShapeError::InputsPresent
    );
}

#[test]
fn charms_are_resolved_by_position_of_the_app() {
    assert_eq!(
        spell().charms_at(0),
        Charms::from([(app('n', 1), Data::from(&"state"))])
    );
    assert_eq!(
        spell().charms_at(1),
        Charms::from([(app('t', 1), Data::from(&5_u64))])
    );
    assert_eq!(spell().charms_at(2), Charms::new());
    assert_eq!(spell().charms_at(u32::MAX), Charms::new());
    assert_eq!(
        (
            spell().app_index(&app('t', 1)),
            spell().app_index(&app('t', 2))
        ),
        (Some(1), None)
    );
}

#[test]
fn previous_transaction_with_a_false_spell_carries_no_charms() {
    let tx = carrying(&spell(), &PROOF);
    let prev = PrevTx::read(tx.clone(), None);
    assert_eq!(prev.txid(), tx.compute_txid());
    assert!(prev.spell().is_none());
    assert_eq!(prev.rejected().unwrap().code(), "spell-proof-invalid");
    assert_eq!(
        (prev.charms_at(1), charms_of(&tx, 1, None)),
        (Charms::new(), Charms::new())
    );
    assert_eq!(prev.output(1), tx.output.get(1));
    assert_eq!(prev.output(3), None);

    let plain = PrevTx::read(transaction(&[outpoint(1, 0)], vec![output(1)]), None);
    assert!(plain.spell().is_none() && plain.rejected().is_none());
}

#[test]
fn outpoints_convert_both_ways() {
    let OutPoint { txid, vout } = outpoint(9, 0x0102_0304);
    let utxo_id = utxo_id_from_outpoint(OutPoint { txid, vout });
    assert_eq!(utxo_id.to_string(), format!("{txid}:{vout}"));
    assert_eq!(outpoint_from_utxo_id(&utxo_id), OutPoint { txid, vout });
}

/// The bytes that proofs commit to: a change here breaks every spell.
#[test]
fn wire_form_is_pinned() {
    let mut full = spell();
    full.tx.ins = Some(vec![utxo_id_from_outpoint(outpoint(3, 4))]);
    full.tx.refs = Some(vec![]);
    full.tx.outs.truncate(1);
    full.tx.beamed_outs = Some([(0, B32([5; 32]))].into());
    full.tx.coins = Some(vec![NativeOutput {
        amount: 6,
        dest: vec![0x51],
        content: None,
    }]);
    full.tx.scrolls = Some([0].into());
    full.app_public_inputs = [(app('n', 1), Data::empty())].into();
    full.versioned_apps = [(
        B32([8; 32]),
        VersionedApp {
            version: 9,
            wasm_hash: B32([10; 32]),
        },
    )]
    .into();
    full.mock = true;
    let mut bytes = Vec::new();
    ciborium::into_writer(&full, &mut bytes).unwrap();
    let array = |byte: &str| format!("9820{}", byte.repeat(32));
    let expected = [
        "a5",
        "6776657273696f6e",
        "0f",
        "627478",
        "a6",
        "63696e73",
        &format!("815824{}04000000", "03".repeat(32)),
        "6472656673",
        "80",
        "646f757473",
        "81a100657374617465",
        "6b6265616d65645f6f757473",
        &format!("a100{}", array("05")),
        "65636f696e73",
        "81a266616d6f756e7406646465737481",
        "1851",
        "677363726f6c6c73",
        "8100",
        "716170705f7075626c69635f696e70757473",
        &format!("a183616e{}{}f6", array("01"), array("18ee")),
        "6e76657273696f6e65645f61707073",
        &format!(
            "a1{}a26776657273696f6e0969{}{}",
            array("08"),
            "7761736d5f68617368",
            array("0a")
        ),
        "646d6f636b",
        "f5",
    ]
    .concat();
    assert_eq!(hex::encode(&bytes), expected);
    assert_eq!(
        ciborium::from_reader::<NormalizedSpell, _>(bytes.as_slice()).unwrap(),
        full
    );
}
