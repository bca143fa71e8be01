//! The state's encoding and validity.

use charms_data::Data;
use ciborium::Value;
use grail_bridge_contract::{MAX_SUPPLY_SAT, Next, RosterState, StateError};

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

/// At serial 8.
fn announcing(serial: u64, wait: u16) -> RosterState {
    let hash = [9; 32];
    RosterState {
        next: Some(Next { hash, serial, wait }),
        ..state(1)
    }
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
        governance: [0x66; 32],
        attempt: 24,
        next: Some(Next {
            hash: [0x55; 32],
            serial: 65_535,
            wait: 1_008,
        }),
        outflow: 255,
        spell_min: 15,
        spell_max: 256,
    };
    let expected = [
        "8e021901021a00010000".to_owned(),
        format!(
            "5880{}{}{}{}",
            "01".repeat(32),
            "02".repeat(32),
            "03".repeat(32),
            "04".repeat(32)
        ),
        format!("0358225120{}", "aa".repeat(32)),
        format!("1b000775f05a0740005820{}", "77".repeat(32)),
        format!("5820{}1818", "66".repeat(32)),
        format!("835820{}19ffff1903f0", "55".repeat(32)),
        "18ff0f190100".to_owned(),
    ]
    .concat();
    assert_eq!(hex::encode(state.to_data().bytes()), expected);
    let decoded = Data::try_from_bytes(&hex::decode(expected).unwrap()).unwrap();
    assert_eq!(RosterState::from_data(&decoded), Ok(state.clone()));
    // Nothing announced: an empty array, one byte.
    let silent = RosterState {
        next: None,
        ..state
    };
    let bytes = hex::encode(silent.to_data().bytes());
    assert!(bytes.contains(&format!("{}18188018ff0f", "66".repeat(32))));
}

#[test]
fn the_state_grows_by_less_than_120_bytes_over_format_1_whatever_it_counts() {
    // Sixteen administrators are a hash, like any number of them.
    let largest = RosterState {
        attempt: 65_535,
        outflow: MAX_SUPPLY_SAT,
        ..state(MAX_SUPPLY_SAT)
    };
    let waiting = RosterState {
        serial: u64::from(u32::MAX),
        next: Some(Next {
            hash: [9; 32],
            serial: u64::from(u32::MAX),
            wait: u16::MAX,
        }),
        ..largest.clone()
    };
    let grown = |state: &RosterState| {
        let mut format_1 = items(state);
        format_1.truncate(8);
        let before = Data::from(&Value::Array(format_1)).bytes().len();
        state.to_data().bytes().len() - before
    };
    let grown = [state(7), largest, waiting].map(|state| grown(&state));
    println!("bytes more than format 1: idle, at its largest, announced: {grown:?}");
    assert!(grown.iter().all(|bytes| *bytes < 120), "{grown:?}");
}

#[test]
fn the_hash_of_the_next_roster_is_of_these_bytes() {
    use sha2::{Digest, Sha256};
    let next = crate::spell::rotated(5_000);
    let tag = Sha256::digest(b"grail/next-roster/v1");
    let body = [
        &16_u64.to_be_bytes()[..],
        &next.signers.concat(),
        &12_u16.to_be_bytes(),
        &next.vault_script,
        &next.params_hash,
        &next.governance,
        &15_u32.to_be_bytes(),
        &16_u32.to_be_bytes(),
    ]
    .concat();
    let hash: [u8; 32] = Sha256::digest([&tag[..], &tag, &body].concat()).into();
    assert_eq!(next.next_hash(), hash);
}

#[test]
fn the_hash_of_the_next_roster_covers_what_a_rotation_changes_and_nothing_else() {
    let hash = |change: fn(&mut RosterState)| {
        let mut state = state(7);
        change(&mut state);
        state.next_hash()
    };
    let covered: [fn(&mut RosterState); 7] = [
        |it| it.signers[3][31] ^= 1,
        |it| it.threshold += 1,
        |it| it.vault_script[33] ^= 1,
        |it| it.params_hash[0] ^= 1,
        |it| it.governance[31] ^= 1,
        |it| it.spell_min += 1,
        |it| it.spell_max += 1,
    ];
    for change in covered {
        assert_ne!(hash(change), state(7).next_hash());
    }
    let beside: [fn(&mut RosterState); 6] = [
        |it| it.epoch += 1,
        |it| it.serial += 1,
        |it| it.supply += 1,
        |it| it.attempt += 1,
        |it| it.next = crate::spell::announced(it, it).next,
        |it| it.outflow += 1,
    ];
    for change in beside {
        assert_eq!(hash(change), state(7).next_hash());
    }
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
        RosterState {
            attempt: u64::MAX,
            outflow: MAX_SUPPLY_SAT,
            spell_max: u32::MAX,
            spell_min: u32::MAX,
            ..state(1)
        },
        announcing(1, 1),
        announcing(8, u16::MAX),
    ];
    for state in cases {
        assert_eq!(RosterState::from_data(&state.to_data()), Ok(state));
    }
}

#[test]
fn refuses_what_is_not_an_array_of_fourteen() {
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
    refused(&Data::from(&Value::Array(short)), &StateError::Length(13));
    let mut long = items(&state(7));
    long.push(Value::Null);
    refused(&Data::from(&Value::Array(long)), &StateError::Length(15));
    refused(&Data::from(&Value::Array(vec![])), &StateError::Length(0));
}

#[test]
fn refuses_a_tagged_array() {
    let tagged = Value::Tag(99, Box::new(Value::Array(items(&state(7)))));
    refused(&Data::from(&tagged), &StateError::NotAnArray);
}

#[test]
fn refuses_another_format() {
    for got in [0, 1, 3, u64::MAX] {
        refused(&with_item(0, got.into()), &StateError::Format(got));
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
        ("governance", bytes),
        ("attempt", integer),
        ("next", "an array of hash, serial and wait, or of nothing"),
        ("outflow", integer),
        ("spell_min", integer),
        ("spell_max", integer),
    ];
    for (index, (field, expected)) in expected.into_iter().enumerate() {
        let mut wrong = vec![
            Value::Null,
            Value::Bool(true),
            Value::Float(1.0),
            Value::Text("1".into()),
            Value::Array(vec![Value::Null]),
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
    let expected = "32 bytes";
    for (index, field) in [(7, "params_hash"), (8, "governance")] {
        for len in [0, 31, 33] {
            let data = with_item(index, Value::Bytes(vec![1; len]));
            refused(&data, &StateError::Field { field, expected });
        }
    }
}

#[test]
fn refuses_numbers_wider_than_their_fields() {
    let fields = [
        (4, "threshold", "16 bits", 65_536_u64 + 12),
        (12, "spell_min", "32 bits", (1 << 32) + 15),
        (13, "spell_max", "32 bits", (1 << 32) + 15),
    ];
    for (index, field, expected, number) in fields {
        let data = with_item(index, Value::from(number));
        refused(&data, &StateError::Field { field, expected });
    }
}

#[test]
fn refuses_an_announcement_that_none_can_be() {
    let hash = || Value::Bytes(vec![9; 32]);
    let field = |field, expected| StateError::Field { field, expected };
    let shape = field("next", "an array of hash, serial and wait, or of nothing");
    let integer = "an unsigned 64-bit integer";
    let cases = [
        (vec![hash()], shape.clone()),
        (vec![hash(), 5.into()], shape.clone()),
        (vec![hash(), 5.into(), 6.into(), 7.into()], shape),
        (
            vec![Value::Bytes(vec![9; 31]), 5.into(), 6.into()],
            field("next.hash", "32 bytes"),
        ),
        (
            vec![hash(), Value::Null, 6.into()],
            field("next.serial", integer),
        ),
        (
            vec![hash(), 5.into(), 65_536.into()],
            field("next.wait", "16 bits"),
        ),
        // At a serial that was not yet, or that the deployment has; waiting for nothing.
        (vec![hash(), 9.into(), 6.into()], StateError::Next(9, 6)),
        (vec![hash(), 0.into(), 6.into()], StateError::Next(0, 6)),
        (vec![hash(), 8.into(), 0.into()], StateError::Next(8, 0)),
    ];
    for (items, error) in cases {
        refused(&with_item(10, Value::Array(items)), &error);
    }
}

#[test]
fn refuses_more_outflow_than_bitcoin() {
    for outflow in [MAX_SUPPLY_SAT + 1, u64::MAX] {
        let state = RosterState {
            outflow,
            ..state(7)
        };
        invalid(&state, &StateError::Outflow(outflow));
    }
}

#[test]
fn refuses_spell_versions_from_before_the_bridge_and_none_at_all() {
    for (spell_min, spell_max) in [(14, 15), (0, 15), (14, 14), (16, 15), (u32::MAX, 15)] {
        let state = RosterState {
            spell_min,
            spell_max,
            ..state(7)
        };
        invalid(&state, &StateError::SpellVersions(spell_min, spell_max));
    }
}

#[test]
fn refuses_too_few_and_too_many_signers() {
    for got in [0_u8, 3, 101] {
        let state = RosterState {
            signers: signers(got),
            threshold: 3,
            ..state(7)
        };
        invalid(&state, &StateError::SignerCount(got.into()));
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
        invalid(&state(got), &StateError::Supply(got));
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
