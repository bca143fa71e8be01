//! The strict reading: the one form that Grail produces, and each way to leave it.
//!
//! The form is checked before the proof, so that a junk proof is what a form without fault is refused for. Strict
//! acceptance is tested where proofs can be made, in `grail-prover`.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::opcodes::OP_TRUE;
use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::PushBytesBuf;
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut};
use charms_data::{B32, VersionedApp};
use common::{carrier, carrying, output, spell};
use grail_spell::{
    EnvelopeError, NormalizedSpell, ProofError, SpellError, SpellShapeError, StrictError,
    encode_op_return, find_spell, read_compatible, read_strict,
};
use grail_types::{MockAllowed, Network};

const JUNK_PROOF: &[u8] = &[1, 2, 3];

fn refusal(tx: &Transaction) -> SpellError {
    read_strict(tx, MockAllowed::on(Network::Regtest)).unwrap_err()
}

fn payload(spell: &NormalizedSpell) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&(spell, JUNK_PROOF.to_vec()), &mut bytes).unwrap();
    bytes
}

fn op_return(payload: Vec<u8>) -> ScriptBuf {
    let payload = PushBytesBuf::try_from(payload).unwrap();
    ScriptBuf::builder()
        .push_opcode(OP_RETURN)
        .push_slice(b"spell")
        .push_slice(payload)
        .into_script()
}

/// The form is fine: only the proof is not.
fn assert_form_is_fine(tx: &Transaction) {
    assert_eq!(
        refusal(tx),
        SpellError::Proof(ProofError::Length {
            length: 3,
            version: 15
        })
    );
}

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

#[test]
fn refuses_every_version_but_the_current_one() {
    for version in [0, 9, 14, 16, u32::MAX] {
        let spell = NormalizedSpell { version, ..spell() };
        assert_eq!(
            refusal(&carrying(&spell, JUNK_PROOF)),
            SpellError::Strict(StrictError::Version { version })
        );
    }
}

#[test]
fn refuses_every_feature_that_grail_does_not_use() {
    type Change = fn(&mut NormalizedSpell);
    let changes: [(&str, Change); 6] = [
        ("tx.ins", |spell| spell.tx.ins = Some(vec![])),
        ("tx.refs", |spell| spell.tx.refs = Some(vec![])),
        ("tx.beamed_outs", |spell| {
            spell.tx.beamed_outs = Some(BTreeMap::new());
        }),
        ("tx.coins", |spell| spell.tx.coins = Some(vec![])),
        ("tx.scrolls", |spell| {
            spell.tx.scrolls = Some(BTreeSet::new());
        }),
        ("versioned_apps", |spell| {
            let app = VersionedApp {
                version: 1,
                wasm_hash: B32([1; 32]),
            };
            spell.versioned_apps.insert(B32([2; 32]), app);
        }),
    ];
    for (feature, change) in changes {
        let mut spell = spell();
        change(&mut spell);
        let expected = SpellError::Strict(StrictError::Feature { feature });
        assert_eq!(
            refusal(&carrying(&spell, JUNK_PROOF)),
            expected,
            "{feature}"
        );
    }
}

#[test]
fn refuses_encodings_that_charms_takes_but_nobody_writes() {
    let canonical = payload(&spell());
    let encoding = SpellError::Strict(StrictError::Encoding);

    let mut trailing = canonical.clone();
    trailing.push(0);
    assert_eq!(refusal(&carrier(op_return(trailing))), encoding);

    // 15 in two bytes: `18 0f` for `0f`.
    let version = canonical.iter().position(|&byte| byte == 0x0f).unwrap();
    let mut long_integer = canonical.clone();
    long_integer.splice(version..=version, [0x18, 0x0f]);
    assert_eq!(refusal(&carrier(op_return(long_integer))), encoding);

    // The pair as an array of indefinite length.
    let mut indefinite = canonical.clone();
    indefinite[0] = 0x9f;
    indefinite.push(0xff);
    assert_eq!(refusal(&carrier(op_return(indefinite))), encoding);

    // The proof as a byte string in place of an array.
    let proof = canonical.len() - 4;
    let mut byte_string = canonical.clone();
    byte_string[proof] = 0x43;
    assert_eq!(refusal(&carrier(op_return(byte_string))), encoding);

    // `mock: false` spelled out: a map of four for a map of three.
    let mut explicit_false = canonical.clone();
    assert_eq!(explicit_false[1], 0xa3);
    explicit_false[1] = 0xa4;
    explicit_false.splice(proof..proof, [b"\x64mock".as_slice(), &[0xf4]].concat());
    assert_eq!(refusal(&carrier(op_return(explicit_false))), encoding);
}

#[test]
fn refuses_scripts_that_charms_takes_but_nobody_writes() {
    let encoding = SpellError::Strict(StrictError::Encoding);
    let canonical = encode_op_return(&spell(), &JUNK_PROOF.to_vec())
        .unwrap()
        .into_bytes();

    // Not even OP_RETURN has to come first, for Charms: such an output could be spent.
    let mut spendable = canonical.clone();
    spendable[0] = OP_TRUE.to_u8();
    assert_eq!(
        refusal(&carrier(ScriptBuf::from_bytes(spendable))),
        encoding
    );

    let mut long_marker_push = canonical.clone();
    long_marker_push.splice(1..2, [0x4c, 5]);
    assert_eq!(
        refusal(&carrier(ScriptBuf::from_bytes(long_marker_push))),
        encoding
    );

    // OP_PUSHDATA4 for OP_PUSHDATA2.
    assert_eq!(canonical[7], 0x4d);
    let mut long_payload_push = canonical.clone();
    long_payload_push.splice(7..10, [0x4e, canonical[8], canonical[9], 0, 0]);
    let tx = carrier(ScriptBuf::from_bytes(long_payload_push));
    assert!(find_spell(&tx).unwrap().is_some());
    assert_eq!(refusal(&tx), encoding);
}

#[test]
fn refuses_a_second_instruction_or_a_second_spell() {
    let mut script = encode_op_return(&spell(), &JUNK_PROOF.to_vec())
        .unwrap()
        .into_bytes();
    script.push(0);
    assert_eq!(
        refusal(&carrier(ScriptBuf::from_bytes(script))),
        SpellError::Envelope(EnvelopeError::Payload)
    );

    let mut tx = carrying(&spell(), JUNK_PROOF);
    tx.output.insert(0, tx.output[2].clone());
    assert_eq!(
        refusal(&tx),
        SpellError::Envelope(EnvelopeError::SeveralOpReturns { count: 2 })
    );
}

#[test]
fn refuses_an_output_in_the_wrong_place() {
    let tx = carrying(&spell(), JUNK_PROOF);
    let spell_output = tx.output[2].clone();

    // Among the outputs that the spell speaks of.
    let mut among = tx.clone();
    among.output.swap(1, 2);
    let misplaced = |output_index, output_count| {
        SpellError::Strict(StrictError::Output {
            output_index,
            output_count,
            charm_outputs: 2,
        })
    };
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
    change.output.push(output(500));
    assert_eq!(refusal(&change), misplaced(2, 5));

    // Outputs before it that it does not speak of are the policy's business.
    let mut between = tx;
    between.output.insert(2, output(500));
    assert_form_is_fine(&between);
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
            SpellError::Envelope(EnvelopeError::Cbor(_))
        ));
        assert!(read_compatible(&tx, None).is_err());
    }
}
