use grail_attest::{CborError, EvidenceError, FUTURE_TOLERANCE_MS};
use grail_attest_dev::{DocumentPlan, sign_document};

use super::{
    AT, accepted, genuine, payload_of, refusal, with_document, with_entries, with_payload,
};

#[test]
fn accepts_an_outer_map_of_indefinite_length_as_some_hosts_write_it() {
    let document = with_payload(|payload| {
        assert_eq!(payload.first(), Some(&0xa9));
        *payload.first_mut().unwrap() = 0xbf;
        payload.push(0xff);
    });
    accepted(&document);
}

#[test]
fn refuses_an_indefinite_map_without_its_break() {
    let document = with_payload(|payload| *payload.first_mut().unwrap() = 0xbf);
    assert_eq!(
        refusal(&document),
        EvidenceError::Cbor {
            part: "payload",
            source: CborError::Truncated
        }
    );
}

#[test]
fn refuses_bytes_after_the_payload() {
    let document = with_payload(|payload| payload.push(0xf6));
    assert_eq!(
        refusal(&document),
        EvidenceError::Cbor {
            part: "payload",
            source: CborError::Trailing { count: 1 }
        }
    );
}

#[test]
fn refuses_eight_entries_and_ten() {
    let eight = with_entries(|entries| _ = entries.pop());
    assert_eq!(refusal(&eight), EvidenceError::EntryCount { got: 8 });
    let ten = with_entries(|entries| entries.push(("nonce", vec![0xf6])));
    assert_eq!(refusal(&ten), EvidenceError::EntryCount { got: 10 });
}

#[test]
fn refuses_each_key_when_it_is_absent() {
    for key in [
        "module_id",
        "digest",
        "timestamp",
        "pcrs",
        "certificate",
        "cabundle",
        "public_key",
        "user_data",
        "nonce",
    ] {
        // Only an indefinite map can lack an entry: a definite one would have a wrong count.
        let nine = with_entries(|entries| entries.retain(|entry| entry.0 != key));
        let mut payload = payload_of(&nine);
        *payload.first_mut().unwrap() = 0xbf;
        payload.push(0xff);
        let leaf_key = super::plans_at(AT).0.leaf.key;
        assert_eq!(
            refusal(&sign_document(&payload, &leaf_key)),
            EvidenceError::MissingKey { key }
        );
    }
}

#[test]
fn refuses_a_key_twice() {
    for index in 0..8 {
        // In the place of the nonce.
        let document = with_entries(|entries| {
            entries.pop();
            entries.push(entries.get(index).unwrap().clone());
        });
        let error = refusal(&document);
        assert_eq!(error.code(), "document-duplicate-key", "{error}");
    }
}

#[test]
fn refuses_an_unknown_key() {
    let document = with_entries(|entries| {
        entries.pop();
        entries.push(("nonces", vec![0xf6]));
    });
    assert_eq!(
        refusal(&document),
        EvidenceError::UnknownKey {
            key: "nonces".to_owned()
        }
    );
}

#[test]
fn refuses_values_of_another_type() {
    for (key, value) in [
        ("module_id", 0x40),
        ("digest", 0x40),
        ("timestamp", 0xf6),
        ("pcrs", 0x80),
        ("pcrs", 0xbf),
        ("certificate", 0xf6),
        ("cabundle", 0xa0),
        ("cabundle", 0x9f),
        ("public_key", 0xf7),
        ("user_data", 0x60),
        ("nonce", 0x80),
    ] {
        let document = with_entries(|entries| {
            entries.iter_mut().find(|entry| entry.0 == key).unwrap().1 = vec![value];
        });
        assert_eq!(
            refusal(&document).code(),
            "document-cbor",
            "{key} {value:#x}"
        );
    }
}

#[test]
fn refuses_a_digest_other_than_sha384() {
    let document = with_document(|document| document.digest = "SHA256".to_owned());
    assert_eq!(
        refusal(&document),
        EvidenceError::DigestAlgorithm {
            got: "SHA256".to_owned()
        }
    );
}

#[test]
fn takes_fields_up_to_their_limits_and_not_a_byte_more() {
    type Set = fn(&mut DocumentPlan, usize);
    let fields: [(&str, usize, Set); 4] = [
        ("user_data", 512, |document, length| {
            document.user_data = Some(vec![1; length]);
        }),
        ("nonce", 512, |document, length| {
            document.nonce = Some(vec![1; length]);
        }),
        ("public_key", 1024, |document, length| {
            document.public_key = Some(vec![1; length]);
        }),
        ("module_id", 128, |document, length| {
            document.module_id = "i".repeat(length);
        }),
    ];
    for (name, limit, set) in fields {
        accepted(&with_document(|document| set(document, limit)));
        let error = refusal(&with_document(|document| set(document, limit + 1)));
        assert!(
            matches!(error, EvidenceError::FieldLength { field, max, got, .. }
                if field == name && max == limit && got == limit + 1),
            "{error}"
        );
    }
    let nameless = with_document(|document| document.module_id.clear());
    assert_eq!(refusal(&nameless).code(), "document-field-length");
}

#[test]
fn tells_an_absent_field_from_an_empty_one() {
    let absent = with_document(|document| document.nonce = None);
    assert_eq!(accepted(&absent).nonce(), None);
    let empty = with_document(|document| document.nonce = Some(Vec::new()));
    assert_eq!(accepted(&empty).nonce(), Some(&[][..]));
}

#[test]
fn accepts_32_registers_and_shows_each() {
    let document = with_document(|document| {
        document
            .pcrs
            .extend((16..32).map(|index| (index, vec![9; 48])));
    });
    let verified = accepted(&document);
    assert_eq!(verified.pcr(0), Some(&[7; 48]));
    assert_eq!(verified.pcr(3), Some(&[0; 48]));
    assert_eq!(verified.pcr(31), Some(&[9; 48]));
    assert_eq!(verified.pcr(32), None);
}

#[test]
fn refuses_a_register_that_is_unknown_double_absent_or_of_another_length() {
    let push = |index, length| with_document(|plan| plan.pcrs.push((index, vec![9; length])));
    assert_eq!(
        refusal(&push(32, 48)),
        EvidenceError::PcrIndex { index: 32, max: 31 }
    );
    assert_eq!(refusal(&push(u64::MAX, 48)).code(), "pcr-index");
    assert_eq!(
        refusal(&push(0, 48)),
        EvidenceError::DuplicatePcr { index: 0 }
    );
    for got in [0, 32, 47, 49, 64] {
        assert_eq!(
            refusal(&push(16, got)),
            EvidenceError::PcrLength { index: 16, got }
        );
    }
    for index in [0, 2, 15] {
        let document = with_document(|document| _ = document.pcrs.remove(index));
        assert_eq!(refusal(&document), EvidenceError::MissingPcr { index });
    }
}

#[test]
fn refuses_debug_mode_which_zeroes_the_image_registers() {
    for index in 0..3 {
        let document = with_document(|document| {
            document.pcrs.get_mut(index).unwrap().1 = vec![0; 48];
        });
        assert_eq!(refusal(&document), EvidenceError::DebugMode { index });
    }
}

#[test]
fn takes_a_timestamp_five_minutes_ahead_and_not_a_millisecond_more() {
    let ahead = |millis| with_document(|document| document.timestamp = AT.later_by_millis(millis));
    accepted(&ahead(FUTURE_TOLERANCE_MS));
    assert_eq!(
        refusal(&ahead(FUTURE_TOLERANCE_MS + 1)),
        EvidenceError::FromTheFuture {
            timestamp: AT.later_by_millis(FUTURE_TOLERANCE_MS + 1),
            at: AT
        }
    );
    assert_eq!(refusal(&ahead(u64::MAX)).code(), "document-from-the-future");
}

#[test]
fn refuses_a_timestamp_before_its_leaf_certificate() {
    let start = super::plans_at(AT).0.leaf.not_before;
    let made_at = |timestamp| with_document(|document| document.timestamp = timestamp);
    accepted(&made_at(start));
    let timestamp = start.earlier_by_millis(1);
    assert_eq!(
        refusal(&made_at(timestamp)),
        EvidenceError::TimestampOutsideLeaf { timestamp }
    );
}

#[test]
fn refuses_any_field_changed_after_signing() {
    let document = genuine();
    let signature = document.last_chunk::<96>().unwrap();
    let changes: [fn(&mut DocumentPlan); 6] = [
        |document| document.module_id.push('x'),
        |document| document.timestamp = document.timestamp.later_by_millis(1),
        |document| document.pcrs.first_mut().unwrap().1 = vec![8; 48],
        |document| document.public_key = Some(b"another key".to_vec()),
        |document| document.user_data = None,
        |document| document.nonce = Some(b"a newer nonce".to_vec()),
    ];
    for change in changes {
        let mut changed = with_document(change);
        *changed.last_chunk_mut().unwrap() = *signature;
        assert_eq!(refusal(&changed), EvidenceError::DocumentSignature);
    }
}
