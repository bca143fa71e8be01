//! The form of a payload: each rule broken alone, by bytes, with the place where that is noticed.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use charms_data::{B32, Data, VersionedApp};
use ciborium::Value;
use common::{assert_form_is_fine, carrier, op_return, payload, refusal, spell};
use grail_charms::{
    FormError, FormFault, StrictFault, explain_strict, read_compatible, strict_fault,
};
use grail_spell::{ContentError, DEPTH_MAX, NormalizedSpell, SpellError, StrictError};
use grail_types::{MockAllowed, Network};
use proptest::prelude::*;

/// Where and why a payload, which the strict reading refuses too, leaves its form.
fn fault(payload: &[u8]) -> (usize, String, FormFault) {
    let tx = carrier(op_return(payload.to_vec()));
    let refusal = refusal(&tx);
    assert!(is_for_form(&refusal), "{refusal:?}");
    match strict_fault(&tx) {
        Some(StrictFault::Payload(FormError {
            offset,
            path,
            fault,
        })) => (offset, path, fault),
        other => panic!("{other:?}"),
    }
}

/// Whether the strict reading refuses the output's bytes, or what they say.
fn is_for_form(refusal: &SpellError) -> bool {
    matches!(
        refusal,
        SpellError::Strict(
            StrictError::Script { .. }
                | StrictError::Payload(_)
                | StrictError::Content(_)
                | StrictError::Encoding
        )
    )
}

fn assert_fault(payload: &[u8], offset: usize, path: &str, expected: FormFault) {
    assert_eq!(fault(payload), (offset, path.to_owned(), expected));
}

fn canonical() -> Vec<u8> {
    payload(&spell())
}

/// Offset of the one place where `part` is in the canonical payload.
fn find(part: &[u8]) -> usize {
    let payload = canonical();
    let mut places = (0..payload.len()).filter(|&at| payload[at..].starts_with(part));
    let place = places.next().unwrap();
    assert_eq!(places.next(), None, "{part:?} twice");
    place
}

/// The canonical payload with the bytes at `range` replaced.
fn replaced(range: std::ops::Range<usize>, by: &[u8]) -> Vec<u8> {
    let mut payload = canonical();
    payload.splice(range, by.iter().copied());
    payload
}

/// The spell with `data` in place of the token's amount.
fn with_data(data: &Value) -> Vec<u8> {
    let mut spell = spell();
    spell.tx.outs[1].insert(1, Data::from(data));
    payload(&spell)
}

/// The payload with `bytes` in place of the token's amount, `05`, and the offset of that.
fn with_data_bytes(bytes: &[u8]) -> (usize, Vec<u8>) {
    let amount = find(&[0xa1, 0x01, 0x05]) + 2;
    (amount, replaced(amount..amount + 1, bytes))
}

const DATA: &str = "[0].tx.outs[1][1]";

/// The canonical payload is `82 a3 "version" 0f "tx" a1 "outs" 82 ... "app_public_inputs" a2 ... 83
/// 01 02 03`.
fn field(name: &str) -> usize {
    let mut encoded = vec![0x60 + u8::try_from(name.len()).unwrap()];
    encoded.extend(name.as_bytes());
    find(&encoded)
}

#[test]
fn names_byte_and_path_in_its_message() {
    let (at, bytes) = with_data_bytes(&[0xfb, 0, 0, 0, 0, 0, 0, 0, 0]);
    let tx = carrier(op_return(bytes));
    assert_eq!(
        strict_fault(&tx).unwrap().to_string(),
        format!(
            "payload byte {at}, at [0].tx.outs[1][1]: expected no floating-point numbers, got one"
        )
    );
    let error = refusal(&tx);
    assert_eq!(
        error.to_string(),
        "the data of an app holds a floating-point number"
    );
    assert_eq!(error.code(), "spell-not-canonical");
    assert!(explain_strict(&tx, &error).starts_with("payload byte"));
    let elsewhere = SpellError::Strict(StrictError::Absent);
    assert_eq!(explain_strict(&tx, &elsewhere), elsewhere.to_string());
}

/// The strict reading's own word for what `spell` holds.
fn assert_content(spell: &NormalizedSpell, expected: ContentError) {
    let refusal = refusal(&carrier(op_return(payload(spell))));
    assert_eq!(refusal, SpellError::Strict(StrictError::Content(expected)));
}

#[test]
fn refuses_every_version_but_the_current_one() {
    for version in [0, 9, 14, 16, u32::MAX] {
        let spell = NormalizedSpell { version, ..spell() };
        let (offset, path, fault) = fault(&payload(&spell));
        assert_eq!((offset, path.as_str()), (10, "[0].version"));
        let got = version.into();
        assert_eq!(fault, FormFault::Version { got });
        assert_content(&spell, ContentError::Version { got: version });
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
        let (_, _, fault) = fault(&payload(&spell));
        assert_eq!(fault, FormFault::Feature { feature });
        assert_content(&spell, ContentError::Feature { feature });
    }
}

#[test]
fn refuses_bytes_after_the_payload() {
    let payload = canonical();
    let end = payload.len();
    assert_fault(
        &replaced(end..end, &[0]),
        end,
        "the payload",
        FormFault::Trailing { count: 1 },
    );
}

#[test]
fn refuses_a_payload_cut_anywhere() {
    let payload = canonical();
    // An empty push is no payload at all.
    for length in 1..payload.len() {
        let (offset, _, fault) = fault(&payload[..length]);
        assert!(offset <= length, "{length}");
        assert!(
            matches!(fault, FormFault::Truncated { missing } if missing > 0),
            "{length}: {fault:?}"
        );
    }
}

#[test]
fn refuses_integers_and_lengths_that_are_not_in_their_shortest_form() {
    // 15 in two bytes: `18 0f` for `0f`.
    assert_fault(
        &replaced(10..11, &[0x18, 0x0f]),
        10,
        "[0].version",
        FormFault::NotMinimal {
            value: 15,
            got_bytes: 1,
        },
    );
    // The greatest value of each shorter form.
    for (bytes, value, got_bytes) in [
        (vec![0x18, 23], 23, 1),
        (vec![0x19, 0, 255], 255, 2),
        (vec![0x1a, 0, 0, 255, 255], 65_535, 4),
        (vec![0x1b, 0, 0, 0, 0, 255, 255, 255, 255], 4_294_967_295, 8),
        (vec![0x38, 23], 23, 1),
        (vec![0x58, 1, 0], 1, 1),
        (vec![0x78, 1, b'a'], 1, 1),
        (vec![0x98, 1, 0], 1, 1),
        (vec![0xb8, 1, 0, 0], 1, 1),
    ] {
        let (at, bytes) = with_data_bytes(&bytes);
        assert_fault(&bytes, at, DATA, FormFault::NotMinimal { value, got_bytes });
    }
    // And one more is fine in the longer.
    for bytes in [
        vec![0x18, 24],
        vec![0x19, 1, 0],
        vec![0x1a, 0, 1, 0, 0],
        vec![0x1b, 0, 0, 0, 1, 0, 0, 0, 0],
        vec![0x1b, 255, 255, 255, 255, 255, 255, 255, 255],
        vec![0x3b, 255, 255, 255, 255, 255, 255, 255, 255],
    ] {
        assert_form_is_fine(&carrier(op_return(with_data_bytes(&bytes).1)));
    }
}

#[test]
fn refuses_values_of_indefinite_length() {
    let mut pair = replaced(0..1, &[0x9f]);
    pair.push(0xff);
    assert_fault(&pair, 0, "the payload", FormFault::Indefinite);
    for bytes in [
        [0x5f, 0x41, 0, 0xff],
        [0x7f, 0x61, b'a', 0xff],
        [0x9f, 0, 0, 0xff],
        [0xbf, 0, 0, 0xff],
    ] {
        let (at, bytes) = with_data_bytes(&bytes);
        assert_fault(&bytes, at, DATA, FormFault::Indefinite);
    }
}

#[test]
fn refuses_tags_floats_and_simple_values() {
    let cases: [(&[u8], FormFault); 13] = [
        (&[0xc2, 0x41, 1], FormFault::Tag { tag: 2 }),
        // Numbers that fit in no integer, so that the decoder leaves them tagged.
        (
            &[0xc2, 0x49, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            FormFault::Tag { tag: 2 },
        ),
        (
            &[0xc3, 0x49, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            FormFault::Tag { tag: 3 },
        ),
        (&[0xd9, 1, 0, 0x80], FormFault::Tag { tag: 256 }),
        (&[0xd9, 0xd9, 0xf7, 0], FormFault::Tag { tag: 55_799 }),
        (&[0xf9, 0, 0], FormFault::Float),
        (&[0xfa, 0, 0, 0, 0], FormFault::Float),
        (&[0xfb, 0, 0, 0, 0, 0, 0, 0, 0], FormFault::Float),
        (&[0xf7], FormFault::Simple { initial: 0xf7 }),
        (&[0xf8, 32], FormFault::Simple { initial: 0xf8 }),
        (&[0xe0], FormFault::Simple { initial: 0xe0 }),
        (&[0xff], FormFault::Simple { initial: 0xff }),
        (&[0x1c], FormFault::Simple { initial: 0x1c }),
    ];
    for (bytes, expected) in cases {
        let (at, bytes) = with_data_bytes(bytes);
        assert_fault(&bytes, at, DATA, expected);
    }
    for bytes in [0xf4, 0xf5, 0xf6] {
        assert_form_is_fine(&carrier(op_return(with_data_bytes(&[bytes]).1)));
    }
}

#[test]
fn refuses_text_that_is_not_utf8() {
    let (at, bytes) = with_data_bytes(&[0x63, b'a', 0xc3, 0x28]);
    assert_fault(&bytes, at + 2, DATA, FormFault::Utf8);
}

#[test]
fn refuses_a_key_twice_in_data() {
    let cases: [&[u8]; 5] = [
        &[0xa2, 0x00, 0x01, 0x00, 0x02],
        &[0xa2, 0x61, b'a', 0x01, 0x61, b'a', 0x02],
        &[0xa2, 0xf6, 0x01, 0xf6, 0x02],
        &[0xa2, 0x81, 0x01, 0x01, 0x81, 0x01, 0x02],
        &[0xa2, 0xa1, 0x01, 0x01, 0x01, 0xa1, 0x01, 0x01, 0x02],
    ];
    for case in cases {
        let (at, bytes) = with_data_bytes(case);
        let repeated = at + 1 + (case.len() - 1) / 2;
        assert_fault(
            &bytes,
            repeated,
            "[0].tx.outs[1][1].key(1)",
            FormFault::RepeatedKey { first: at + 1 },
        );
    }
    // The same key in two maps is no repetition, nor is its text an equal byte string.
    for fine in [
        [0xa2, 0x00, 0xa1, 0x00, 0x00, 0x01, 0x02].as_slice(),
        &[0xa2, 0x61, b'a', 0x01, 0x41, b'a', 0x02],
    ] {
        assert_form_is_fine(&carrier(op_return(with_data_bytes(fine).1)));
    }
}

#[test]
fn refuses_charms_twice_and_out_of_order() {
    let charms = find(&[0xa1, 0x01, 0x05]);
    for keys in [[1, 1], [1, 0]] {
        let bytes = replaced(charms..charms + 3, &[0xa2, keys[0], 0x05, keys[1], 0x06]);
        assert_fault(
            &bytes,
            charms + 3,
            "[0].tx.outs[1].key(1)",
            FormFault::KeyOrder,
        );
    }
    assert_form_is_fine(&carrier(op_return(replaced(
        charms..charms + 3,
        &[0xa2, 0x00, 0x05, 0x01, 0x06],
    ))));
}

#[test]
fn refuses_unknown_missing_repeated_and_reordered_fields() {
    // `tx` under another name; names are cut when shown.
    let tx = field("tx");
    let unknown = |name: &str, shown: &str| {
        let mut encoded = vec![0x78, u8::try_from(name.len()).unwrap()];
        encoded.extend(name.as_bytes());
        let bytes = replaced(tx..tx + 3, &encoded);
        let got = shown.to_owned();
        assert_fault(&bytes, tx, "[0].key(1)", FormFault::UnknownField { got });
    };
    unknown(&"x".repeat(40), &"x".repeat(24));
    unknown("spell of more than 23 bytes", "spell of more than 23 by");

    // Without `version`, and with it alone.
    let mut without = replaced(2..11, &[]);
    without[1] = 0xa2;
    assert_fault(
        &without,
        2,
        "[0].key(0)",
        FormFault::FieldOrder {
            expected: "version",
            got: "tx",
        },
    );
    let apps = field("app_public_inputs");
    let proof = canonical().len() - 4;
    let mut without = replaced(apps..proof, &[]);
    without[1] = 0xa2;
    assert_fault(
        &without,
        1,
        "[0]",
        FormFault::MissingField {
            expected: "app_public_inputs",
        },
    );
    let mut empty = replaced(2..proof, &[]);
    empty[1] = 0xa0;
    assert_fault(
        &empty,
        1,
        "[0]",
        FormFault::MissingField {
            expected: "version",
        },
    );

    let mut twice = replaced(11..11, b"\x67version\x0f");
    twice[1] = 0xa4;
    assert_fault(
        &twice,
        11,
        "[0].key(1)",
        FormFault::RepeatedField { got: "version" },
    );
    let mut late = replaced(proof..proof, b"\x67version\x0f");
    late[1] = 0xa4;
    assert_fault(
        &late,
        proof,
        "[0].key(3)",
        FormFault::RepeatedField { got: "version" },
    );

    // A field of the transaction is none of the spell's.
    let outs = field("outs");
    let mut inner = replaced(outs + 1..outs + 5, b"mock");
    inner[outs] = 0x64;
    let got = "mock".to_owned();
    assert_fault(
        &inner,
        outs,
        "[0].tx.key(0)",
        FormFault::UnknownField { got },
    );
}

#[test]
fn refuses_a_mock_flag_that_is_not_true() {
    let proof = canonical().len() - 4;
    for (value, got) in [(0xf4, "false"), (0xf6, "null")] {
        let mut flagged = replaced(proof..proof, &[b"\x64mock".as_slice(), &[value]].concat());
        flagged[1] = 0xa4;
        assert_fault(
            &flagged,
            proof + 5,
            "[0].mock",
            FormFault::Kind {
                expected: "true or no such field",
                got,
            },
        );
    }
    let mut mock = replaced(proof..proof, b"\x64mock\xf5");
    mock[1] = 0xa4;
    assert!(matches!(
        refusal(&carrier(op_return(mock))),
        SpellError::Proof(_)
    ));
}

#[test]
fn refuses_values_of_another_kind_count_or_range() {
    let proof = canonical().len() - 4;
    let kind = |expected, got| FormFault::Kind { expected, got };
    // The proof as a byte string in place of an array.
    assert_fault(
        &replaced(proof..proof + 1, &[0x43]),
        proof,
        "[1]",
        kind("an array", "a byte string"),
    );
    assert_fault(
        &replaced(proof + 1..proof + 2, &[0x19, 1, 0]),
        proof + 1,
        "[1][0]",
        FormFault::Range { max: 255, got: 256 },
    );
    assert_fault(
        &replaced(proof + 1..proof + 2, &[0x20]),
        proof + 1,
        "[1][0]",
        kind("an unsigned integer", "a negative integer"),
    );
    // A pair of three.
    let end = canonical().len();
    let mut three = replaced(end..end, &[0]);
    three[0] = 0x83;
    let count = |expected, got| FormFault::Count { expected, got };
    assert_fault(&three, 0, "the payload", count(2, 3));
    assert_fault(
        &replaced(10..11, &[0x1b, 0, 0, 0, 1, 0, 0, 0, 15]),
        10,
        "[0].version",
        FormFault::Range {
            max: u32::MAX.into(),
            got: (1 << 32) + 15,
        },
    );
    assert_fault(
        &replaced(1..2, &[0x83]),
        1,
        "[0]",
        kind("a map", "an array"),
    );
    assert_fault(
        &replaced(2..3, &[0x47]),
        2,
        "[0].key(0)",
        kind("a text", "a byte string"),
    );
    let outs = field("outs") + 5;
    assert_fault(
        &replaced(outs..outs + 1, &[0xa1]),
        outs,
        "[0].tx.outs",
        kind("an array", "a map"),
    );
    // An app: its tag of no character and of two, its identity one byte longer, its shape.
    let app = field("app_public_inputs") + 19;
    let path = "[0].app_public_inputs.key(0)";
    assert_eq!(&canonical()[app..app + 5], &[0x83, 0x61, b'n', 0x98, 32]);
    for tag in [&[0x60_u8] as &[u8], b"\x62no"] {
        assert_fault(
            &replaced(app + 1..app + 3, tag),
            app + 1,
            &format!("{path}[0]"),
            kind("a text of one character", "a text"),
        );
    }
    assert_fault(
        &replaced(app + 3..app + 5, &[0x98, 33, 0]),
        app + 3,
        &format!("{path}[1]"),
        count(32, 33),
    );
    assert_fault(
        &replaced(app + 5..app + 6, &[0x19, 1, 1]),
        app + 5,
        &format!("{path}[1][0]"),
        FormFault::Range { max: 255, got: 257 },
    );
    assert_fault(&replaced(app..app + 1, &[0x84]), app, path, count(3, 4));
}

/// Arrays within each other, `depth` of them around an integer.
fn nested(depth: usize, by: fn(Value) -> Value) -> Value {
    (0..depth).fold(Value::from(1), |inner, _| by(inner))
}

#[test]
fn refuses_nesting_beyond_the_limit() {
    // Pair, spell, tx, outs and charms are five levels.
    let room = DEPTH_MAX - 5;
    let ways: [fn(Value) -> Value; 3] = [
        |inner| Value::Array(vec![inner]),
        |inner| Value::Map(vec![(Value::from(0), inner)]),
        |inner| Value::Map(vec![(inner, Value::from(0))]),
    ];
    for way in ways {
        let fine = with_data(&nested(room, way));
        assert_form_is_fine(&carrier(op_return(fine)));
        let (at, _) = with_data_bytes(&[]);
        let (offset, _, got) = fault(&with_data(&nested(room + 1, way)));
        assert_eq!(got, FormFault::TooDeep);
        assert!((at..at + 4 * DEPTH_MAX).contains(&offset));
    }
    // Pair, spell and inputs are three.
    for (levels, is_fine) in [(DEPTH_MAX - 3, true), (DEPTH_MAX - 2, false)] {
        let mut spell = spell();
        let input = Data::from(&nested(levels, ways[0]));
        spell.app_public_inputs.insert(common::app('x', 1), input);
        let tx = carrier(op_return(payload(&spell)));
        assert_eq!(strict_fault(&tx).is_none(), is_fine, "{levels}");
        assert_eq!(!is_for_form(&refusal(&tx)), is_fine, "{levels}");
    }
    // An empty array is no level to enter.
    let empty = nested(room, ways[0]);
    assert_form_is_fine(&carrier(op_return(with_data(&empty))));
    for opening in [0x81_u8, 0xa1, 0x9a, 0xba] {
        let _ = fault(&[canonical()[..1].to_vec(), vec![opening; 90_000]].concat());
    }
}

#[test]
fn huge_announced_lengths_end_at_the_last_byte() {
    for head in [0x9b_u8, 0xbb, 0x5b, 0x7b] {
        let (_, bytes) = with_data_bytes(&[head, 255, 255, 255, 255, 255, 255, 255, 255]);
        // Whatever follows is read as its content, until that fails or ends.
        let (offset, path, _) = fault(&bytes);
        assert!(offset <= bytes.len() && path.starts_with(DATA), "{path}");
    }
}

#[test]
fn path_shows_text_keys_cut_and_escaped() {
    let key = format!("a\n{}", "b".repeat(40));
    let data = Value::Map(vec![(
        Value::from(key.as_str()),
        Value::Array(vec![Value::from(1), Value::from(1.5)]),
    )]);
    let (_, path, fault) = fault(&with_data(&data));
    assert_eq!(fault, FormFault::Float);
    let shown = format!("[0].tx.outs[1][1][\"a\\n{}\"][1]", "b".repeat(22));
    assert_eq!(path, shown);
}

/// Data of apps as strict spells may have it, a few levels deep.
fn any_data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u64..300).prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        ".{0,30}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((inner.clone(), inner), 0..6).prop_map(|entries| {
                let mut distinct: Vec<(Value, Value)> = Vec::new();
                for (key, value) in entries {
                    if distinct.iter().all(|(other, _)| *other != key) {
                        distinct.push((key, value));
                    }
                }
                Value::Map(distinct)
            }),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_the_builder_encodes_has_the_form(data in any_data(), input in any_data(), apps in 1_u8..5) {
        let mut spell = spell();
        for byte in 2..apps {
            spell.app_public_inputs.insert(common::app('é', byte), Data::from(&input));
        }
        spell.tx.outs[1].insert(1, Data::from(&data));
        assert_form_is_fine(&common::carrying(&spell, common::JUNK_PROOF));
    }

    /// What the grammar lets pass, and nothing else, has content that is signed and encodes to the
    /// same bytes again.
    #[test]
    fn the_grammar_and_the_strict_reading_refuse_the_same_bytes(
        data in any_data(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..4),
    ) {
        let mut bytes = with_data(&data);
        for (index, byte, way) in changes {
            let at = index.index(bytes.len());
            match way {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        let tx = carrier(op_return(bytes));
        let refusal = refusal(&tx);
        let fault = strict_fault(&tx);
        prop_assert_eq!(is_for_form(&refusal), fault.is_some(), "{:?}: {:?}", refusal, fault);
        prop_assert!(!matches!(refusal, SpellError::Envelope(_)), "{refusal:?}");
        let _ = read_compatible(&tx, MockAllowed::on(Network::Regtest));
    }
}
