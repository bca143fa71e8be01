//! The strict reading: the one form that Grail produces, and each way to leave it. The payload's
//! own form is in `form.rs`.
//!
//! The form is checked before the proof, so that a junk proof is what a form without fault is
//! refused for. Strict acceptance is tested where proofs can be made, in `grail-prover`.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use bitcoin::opcodes::OP_TRUE;
use bitcoin::opcodes::all::{OP_ENDIF, OP_IF};
use bitcoin::script::PushBytesBuf;
use bitcoin::{Amount, ScriptBuf, TxOut, Witness};
use common::{
    JUNK_PROOF, assert_form_is_fine, carrier, carrying, op_return, output, payload, refusal, spell,
};
use grail_charms::{FormFault, ScriptByte, StrictFault, read_compatible, strict_fault};
use grail_spell::{
    EnvelopeError, OP_RETURN_PAYLOAD_MAX_BYTES, SpellError, SpellShapeError, StrictError,
    encode_op_return, find_spell,
};

#[test]
fn canonical_form_goes_on_to_the_proof() {
    assert_form_is_fine(&carrying(&spell(), JUNK_PROOF));
    assert_form_is_fine(&carrier(op_return(payload(&spell()))));
}

#[test]
fn refuses_a_transaction_without_a_spell_output() {
    let tx = common::transaction(&[common::outpoint(1, 0)], vec![output(1_000)]);
    assert_eq!(refusal(&tx), SpellError::Strict(StrictError::Absent));
    assert_eq!(read_compatible(&tx, None), Ok(None));
}

/// The spell output's script changed, and where that is noticed.
fn script_refusal(change: impl FnOnce(&mut Vec<u8>)) -> (usize, &'static str, ScriptByte) {
    let mut script = encode_op_return(&spell(), &JUNK_PROOF.to_vec())
        .unwrap()
        .into_bytes();
    change(&mut script);
    let tx = carrier(ScriptBuf::from_bytes(script));
    assert_eq!(refusal(&tx).code(), "spell-not-canonical");
    match strict_fault(&tx) {
        Some(StrictFault::Script {
            output_index: 2,
            offset,
            expected,
            got,
        }) => (offset, expected, got),
        other => panic!("{other:?}"),
    }
}

const PUSH: &str = "the payload pushed in the shortest way";

#[test]
fn refuses_a_script_that_begins_with_anything_but_op_return() {
    // Charms takes any first instruction: such an output could be spent.
    assert_eq!(
        script_refusal(|script| script[0] = OP_TRUE.to_u8()),
        (0, "OP_RETURN", ScriptByte::Byte(0x51))
    );
}

#[test]
fn refuses_a_marker_pushed_the_long_way() {
    let (offset, expected, got) = script_refusal(|script| {
        script.splice(1..2, [0x4c, 5]);
    });
    assert_eq!((offset, got), (1, ScriptByte::Byte(0x4c)));
    assert!(expected.contains("0x05"), "{expected}");
}

#[test]
fn refuses_a_payload_pushed_the_long_way() {
    // OP_PUSHDATA4 for OP_PUSHDATA2.
    let change = |script: &mut Vec<u8>| {
        assert_eq!(script[7], 0x4d);
        script[7] = 0x4e;
        script.splice(10..10, [0, 0]);
    };
    assert_eq!(script_refusal(change), (7, PUSH, ScriptByte::Byte(0x4e)));
    let mut script = encode_op_return(&spell(), &JUNK_PROOF.to_vec())
        .unwrap()
        .into_bytes();
    change(&mut script);
    let found = find_spell(&carrier(ScriptBuf::from_bytes(script))).unwrap();
    assert!(found.is_some(), "Charms does not mind");
}

/// Pushes of each size class, one byte below its least and at it; only the push is looked at: what
/// it holds is no spell.
#[test]
fn each_push_opcode_is_for_lengths_that_need_it() {
    let script = |opcode: u8, length: usize| {
        let width = [1, 2, 4][usize::from(opcode - 0x4c)];
        let length_bytes = &u32::try_from(length).unwrap().to_le_bytes()[..width];
        [
            b"\x6a\x05spell".as_slice(),
            &[opcode],
            length_bytes,
            &vec![0; length],
        ]
        .concat()
    };
    for (opcode, least) in [(0x4c, 76), (0x4d, 256), (0x4e, 65_536)] {
        let (short, enough) = (script(opcode, least - 1), script(opcode, least));
        assert_eq!(
            script_refusal(|bytes| *bytes = short),
            (7, PUSH, ScriptByte::Byte(opcode))
        );
        assert!(matches!(
            refusal(&carrier(ScriptBuf::from_bytes(enough))),
            SpellError::Strict(StrictError::Payload(_))
        ));
    }
    // OP_0 and the numbers are pushes to the interpreter, but hold no payload; there may also be
    // none.
    for opcode in [0x00, 0x4f, 0x50, 0x51, 0x60, 0xff] {
        assert_eq!(
            script_refusal(|bytes| {
                bytes.truncate(7);
                bytes.push(opcode);
            }),
            (7, PUSH, ScriptByte::Byte(opcode))
        );
    }
    assert_eq!(
        script_refusal(|bytes| bytes.truncate(7)),
        (7, PUSH, ScriptByte::End)
    );
}

#[test]
fn refuses_a_script_that_ends_early_or_goes_on() {
    let full = encode_op_return(&spell(), &JUNK_PROOF.to_vec())
        .unwrap()
        .len();
    assert_eq!(
        script_refusal(|script| script.truncate(full - 1)),
        (full - 1, "all bytes of the payload's push", ScriptByte::End)
    );
    assert_eq!(
        script_refusal(|script| script.push(0)),
        (full, "the end of the script", ScriptByte::Byte(0))
    );
}

#[test]
fn refuses_a_payload_longer_than_relays_before_reading_it() {
    let length = OP_RETURN_PAYLOAD_MAX_BYTES + 1;
    assert_eq!(
        refusal(&carrier(op_return(vec![0; length]))),
        SpellError::Envelope(EnvelopeError::PayloadTooLong { length })
    );
    assert!(matches!(
        refusal(&carrier(op_return(vec![0; length - 1]))),
        SpellError::Strict(StrictError::Payload(_))
    ));
}

#[test]
fn refuses_a_second_spell_output() {
    let mut tx = carrying(&spell(), JUNK_PROOF);
    tx.output.insert(0, tx.output[2].clone());
    assert_eq!(
        refusal(&tx),
        SpellError::Envelope(EnvelopeError::SeveralOpReturns { count: 2 })
    );
    // The marker alone makes it one.
    tx.output[0].script_pubkey = ScriptBuf::from_bytes(b"\x51\x05spell".to_vec());
    assert_eq!(
        refusal(&tx),
        SpellError::Envelope(EnvelopeError::SeveralOpReturns { count: 2 })
    );
    tx.output[0].script_pubkey = ScriptBuf::from_bytes(b"\x51\x05spelt".to_vec());
    assert!(matches!(
        refusal(&tx),
        SpellError::Strict(StrictError::Output { .. }) | SpellError::Proof(_)
    ));
}

#[test]
fn refuses_a_spell_in_any_witness_beside_the_output() {
    let leaf = |marker: &[u8; 5]| {
        ScriptBuf::builder()
            .push_int(0)
            .push_opcode(OP_IF)
            .push_slice(marker)
            .push_slice(PushBytesBuf::try_from(payload(&spell())[..70].to_vec()).unwrap())
            .push_opcode(OP_ENDIF)
            .into_script()
    };
    let witness = |leaf: &ScriptBuf, control_block: usize| {
        let mut control = vec![3; control_block];
        control[0] = 0xc0;
        Witness::from_slice(&[leaf.as_bytes(), &control])
    };
    for input_index in [0, 1] {
        // Also of a deeper tree, which Charms refuses to read.
        for control_block in [33, 65] {
            let mut tx = carrying(&spell(), JUNK_PROOF);
            tx.input[input_index].witness = witness(&leaf(b"spell"), control_block);
            assert_eq!(
                refusal(&tx),
                SpellError::Strict(StrictError::WitnessEnvelope { input_index })
            );
            tx.input[input_index].witness = witness(&leaf(b"spelt"), control_block);
            assert_form_is_fine(&tx);
        }
    }
    // An envelope in a witness only is no spell for this reading.
    let mut tx = common::transaction(&[common::outpoint(1, 0)], vec![output(1_000)]);
    tx.input[0].witness = witness(&leaf(b"spell"), 33);
    assert_eq!(refusal(&tx), SpellError::Strict(StrictError::Absent));
}

#[test]
fn refuses_an_output_in_the_wrong_place() {
    let tx = carrying(&spell(), JUNK_PROOF);
    let spell_output = tx.output[2].clone();
    let misplaced = |output_index, output_count| {
        SpellError::Strict(StrictError::Output {
            output_index,
            output_count,
            charm_outputs: 2,
        })
    };

    // Among the outputs that the spell speaks of.
    let mut among = tx.clone();
    among.output.swap(1, 2);
    assert_eq!(refusal(&among), misplaced(1, 3));

    let mut with_value = tx.clone();
    with_value.output[2] = TxOut {
        value: Amount::from_sat(1),
        ..spell_output
    };
    assert_eq!(refusal(&with_value), misplaced(2, 3));

    let mut change = tx.clone();
    change.output.push(output(500));
    assert_form_is_fine(&change);
    let mut fee = change.clone();
    change.output.push(output(500));
    assert_eq!(refusal(&change), misplaced(2, 5));

    // One output before it that it does not speak of: a prover's fee. Whether there may be one is
    // the policy's business.
    fee.output.insert(2, output(500));
    assert_form_is_fine(&fee);
    fee.output.insert(2, output(500));
    assert_eq!(refusal(&fee), misplaced(4, 6));
}

#[test]
fn refuses_charms_of_unlisted_apps() {
    let mut spell = spell();
    spell.tx.outs[1].insert(2, charms_data::Data::empty());
    let expected = SpellShapeError::AppIndex {
        output_index: 1,
        app_index: 2,
        app_count: 2,
    };
    let tx = carrying(&spell, JUNK_PROOF);
    assert_eq!(refusal(&tx), SpellError::Shape(expected.clone()));
    assert_eq!(read_compatible(&tx, None), Err(SpellError::Shape(expected)));
}

#[test]
fn refuses_apps_out_of_order() {
    let mut bytes = payload(&spell());
    let tags: Vec<usize> = (0..bytes.len() - 1)
        .filter(|&i| bytes[i..].starts_with(&[0x83, 0x61]))
        .collect();
    assert_eq!(tags.len(), 2);
    // The NFT's tag to the token's: equal keys. Then beyond it: descending keys.
    for tag in [b't', b'z'] {
        bytes[tags[0] + 2] = tag;
        let tx = carrier(op_return(bytes.clone()));
        assert!(matches!(
            refusal(&tx),
            SpellError::Strict(StrictError::Payload(EnvelopeError::Cbor(_)))
        ));
        let Some(StrictFault::Payload(error)) = strict_fault(&tx) else {
            panic!("{:?}", refusal(&tx));
        };
        assert_eq!(
            (error.offset, error.path.as_str(), error.fault),
            (tags[1], "[0].app_public_inputs.key(1)", FormFault::KeyOrder)
        );
        assert!(matches!(
            read_compatible(&tx, None),
            Err(SpellError::Envelope(EnvelopeError::Cbor(_)))
        ));
    }
}
