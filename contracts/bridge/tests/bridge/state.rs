//! The state's encoding and validity.

use charms_data::Data;
use ciborium::Value;
use grail_bridge_contract::{MAX_SUPPLY_SAT, RosterState, StateError};

use crate::spell::state;

fn items(state: &RosterState) -> Vec<Value> {
    match state.to_data().value::<Value>().unwrap() {
        Value::Array(items) => items,
        other => panic!("{other:?}"),
    }
}

fn with_item(index: usize, item: Value) -> Data {
    let mut items = items(&state(7));
    items[index] = item;
    Data::from(&Value::Array(items))
}

fn signers(count: u8) -> Vec<[u8; 32]> {
    (0..count).map(|seed| [seed; 32]).collect()
}

fn refused(data: &Data, error: &StateError) {
    assert_eq!(RosterState::from_data(data).as_ref(), Err(error));
}

fn invalid(state: &RosterState, error: &StateError) {
    assert_eq!(state.validate().as_ref(), Err(error));
    refused(&state.to_data(), error);
}

#[test]
fn encodes_to_these_bytes() {
    let state = RosterState {
        epoch: 258,
        serial: 65_536,
        signers: (1..=4).map(|seed| [seed; 32]).collect(),
        threshold: 3,
        vault_script: [&[0x51, 0x20][..], &[0xaa; 32]].concat(),
        supply: MAX_SUPPLY_SAT,
        params_hash: [0x77; 32],
    };
    let expected = [
        "88011901021a00010000".to_owned(),
        format!(
            "5880{}{}{}{}",
            "01".repeat(32),
            "02".repeat(32),
            "03".repeat(32),
            "04".repeat(32)
        ),
        format!("0358225120{}", "aa".repeat(32)),
        format!("1b000775f05a0740005820{}", "77".repeat(32)),
    ]
    .concat();
    assert_eq!(hex::encode(state.to_data().bytes()), expected);
    let decoded = Data::try_from_bytes(&hex::decode(expected).unwrap()).unwrap();
    assert_eq!(RosterState::from_data(&decoded), Ok(state));
}

#[test]
fn decodes_what_it_encodes_at_the_limits() {
    let cases = [
        state(0),
        state(MAX_SUPPLY_SAT),
        RosterState {
            epoch: u64::MAX,
            ..state(1)
        },
        RosterState {
            serial: 0,
            ..state(1)
        },
        RosterState {
            serial: u64::MAX,
            ..state(1)
        },
        RosterState {
            signers: signers(4),
            threshold: 3,
            ..state(1)
        },
        RosterState {
            signers: signers(100),
            threshold: 51,
            ..state(1)
        },
        RosterState {
            signers: signers(100),
            threshold: 100,
            ..state(1)
        },
    ];
    for state in cases {
        assert_eq!(RosterState::from_data(&state.to_data()), Ok(state));
    }
}

#[test]
fn refuses_what_is_not_an_array_of_eight() {
    for data in [
        Data::empty(),
        Data::from(&7),
        Data::from(&"x"),
        Data::from(&Value::Map(vec![])),
    ] {
        refused(&data, &StateError::NotAnArray);
    }
    let mut short = items(&state(7));
    short.pop();
    refused(
        &Data::from(&Value::Array(short)),
        &StateError::Length { got: 7 },
    );
    let mut long = items(&state(7));
    long.push(Value::Null);
    refused(
        &Data::from(&Value::Array(long)),
        &StateError::Length { got: 9 },
    );
    refused(
        &Data::from(&Value::Array(vec![])),
        &StateError::Length { got: 0 },
    );
}

#[test]
fn refuses_a_tagged_array() {
    let tagged = Value::Tag(99, Box::new(Value::Array(items(&state(7)))));
    refused(&Data::from(&tagged), &StateError::NotAnArray);
}

#[test]
fn refuses_another_format() {
    for got in [0, 2, u64::MAX] {
        refused(&with_item(0, got.into()), &StateError::Format { got });
    }
}

#[test]
fn refuses_items_of_another_type() {
    let integer = "an unsigned 64-bit integer";
    let bytes = "a byte string";
    let expected = [
        ("format", integer),
        ("epoch", integer),
        ("serial", integer),
        ("signers", bytes),
        ("threshold", integer),
        ("vault_script", bytes),
        ("supply", integer),
        ("params_hash", bytes),
    ];
    for (index, (field, expected)) in expected.into_iter().enumerate() {
        let mut wrong = vec![
            Value::Null,
            Value::Bool(true),
            Value::Float(1.0),
            Value::Text("1".into()),
            Value::Array(vec![]),
            Value::Tag(2, Box::new(Value::Bytes(vec![1]))),
            Value::from(-1),
        ];
        wrong.push(if expected == bytes {
            Value::from(1)
        } else {
            Value::Bytes(vec![1])
        });
        for item in wrong {
            refused(
                &with_item(index, item),
                &StateError::Field { field, expected },
            );
        }
    }
}

#[test]
fn refuses_byte_strings_of_another_length() {
    let field = "signers";
    let expected = "a whole number of 32-byte keys";
    for len in [1, 31, 33, 511] {
        let data = with_item(3, Value::Bytes(vec![1; len]));
        refused(&data, &StateError::Field { field, expected });
    }
    for len in [0, 31, 33] {
        let data = with_item(7, Value::Bytes(vec![1; len]));
        refused(
            &data,
            &StateError::Field {
                field: "params_hash",
                expected: "32 bytes",
            },
        );
    }
}

#[test]
fn refuses_a_threshold_over_16_bits() {
    let data = with_item(4, Value::from(65_536 + 12));
    refused(
        &data,
        &StateError::Field {
            field: "threshold",
            expected: "16 bits",
        },
    );
}

#[test]
fn refuses_too_few_and_too_many_signers() {
    for got in [0_u8, 3, 101] {
        let state = RosterState {
            signers: signers(got),
            threshold: 3,
            ..state(7)
        };
        invalid(&state, &StateError::SignerCount { got: got.into() });
    }
}

#[test]
fn refuses_signers_repeated_or_unordered() {
    let mut twice = state(7);
    twice.signers[5] = twice.signers[4];
    invalid(&twice, &StateError::SignersNotAscending);
    let mut unordered = state(7);
    unordered.signers.swap(4, 5);
    invalid(&unordered, &StateError::SignersNotAscending);
}

#[test]
fn accepts_thresholds_above_half_up_to_all() {
    for (count, least) in [(4_u8, 3_u16), (5, 3), (16, 9)] {
        let with = |threshold| RosterState {
            signers: signers(count),
            threshold,
            ..state(7)
        };
        assert_eq!(with(least).validate(), Ok(()));
        assert_eq!(with(count.into()).validate(), Ok(()));
        for threshold in [0, least - 1, u16::from(count) + 1, u16::MAX] {
            let error = StateError::Threshold {
                threshold,
                signers: count.into(),
            };
            invalid(&with(threshold), &error);
        }
    }
}

#[test]
fn refuses_vault_scripts_that_are_not_taproot() {
    let script = |prefix: &[u8], len: usize| [prefix, &vec![1; len]].concat();
    let scripts = [
        vec![],
        script(&[0x51, 0x20], 31),
        script(&[0x51, 0x20], 33),
        script(&[0x00, 0x20], 32),
        script(&[0x51, 0x21], 32),
        script(&[0x52, 0x20], 32),
    ];
    for vault_script in scripts {
        invalid(
            &RosterState {
                vault_script,
                ..state(7)
            },
            &StateError::VaultScript,
        );
    }
}

#[test]
fn refuses_a_supply_above_all_bitcoin() {
    for got in [MAX_SUPPLY_SAT + 1, u64::MAX] {
        invalid(&state(got), &StateError::Supply { got });
    }
}

#[test]
fn no_tampered_byte_panics_or_decodes_to_a_state_of_another_encoding() {
    let bytes = state(7).to_data().bytes();
    for index in 0..bytes.len() {
        for value in [
            0x00, 0x01, 0x1f, 0x40, 0x5f, 0x7f, 0x80, 0x9f, 0xc2, 0xf6, 0xfb, 0xff,
        ] {
            let mut tampered = bytes.clone();
            tampered[index] = value;
            let Ok(data) = Data::try_from_bytes(&tampered) else {
                continue;
            };
            if let Ok(state) = RosterState::from_data(&data) {
                assert_eq!(state.to_data(), data);
            }
        }
    }
}
