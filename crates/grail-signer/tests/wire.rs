//! Messages as bytes: what goes in comes out, and what does not belong is refused.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "../../grail-policy/tests/support/mod.rs"]
mod support;

use bitcoin::secp256k1::schnorr::Signature;
use common::{Script, boot, decide, signer_with};
use grail_policy::{Proposal, RefusalRecord};
use grail_signer::{
    Answer, Born, Fault, Identity, MESSAGE_MAX_BYTES, ProposalId, Request, Response,
    SettlementSignatures, Verdict, WireError, decode_answer, decode_proposal, decode_request,
    decode_response, encode_answer, encode_proposal, encode_request, encode_response, proposal_id,
};
use proptest::prelude::*;
use support::{public, world};

fn proposal() -> Proposal {
    world().usual().draft.propose(world())
}

fn requests() -> Vec<Request> {
    vec![
        boot(&world().bridge, &world().params, None),
        boot(&world().bridge, &world().params, Some(vec![7; 73])),
        Request::Identify,
        Request::Attest { nonce: [9; 32] },
        Request::Decide {
            proposal: vec![1, 2, 3],
        },
    ]
}

fn refused() -> Answer {
    let signature = Signature::from_slice(&[0x77; 64]).unwrap();
    Answer {
        proposal: ProposalId([1; 32]),
        signer: public(&world().keys[0]),
        verdict: Verdict::Refused(RefusalRecord {
            code: "vault-missing".to_owned(),
            details: "the vault output is missing".to_owned(),
        }),
        authentication: signature,
    }
}

fn signed() -> Answer {
    let signature = Signature::from_slice(&[0x66; 64]).unwrap();
    Answer {
        verdict: Verdict::Signed(SettlementSignatures(vec![signature; 200])),
        ..refused()
    }
}

fn responses() -> Vec<Response> {
    let key = public(&world().keys[0]);
    vec![
        Response::Booted(Born {
            public_key: key,
            sealed: None,
        }),
        Response::Booted(Born {
            public_key: key,
            sealed: Some(vec![5; 73].into()),
        }),
        Response::Identity(Identity {
            public_key: key,
            params_hash: world().params_hash(),
        }),
        Response::Evidence(vec![3; 5_000]),
        Response::Decided(refused()),
        Response::Decided(signed()),
        Response::Failed(Fault::new("entropy-broken", "no draw gave a valid key")),
    ]
}

#[test]
fn every_message_comes_back_as_it_went() {
    for request in requests() {
        assert_eq!(
            decode_request(&encode_request(&request).unwrap()),
            Ok(request)
        );
    }
    for response in responses() {
        assert_eq!(
            decode_response(&encode_response(&response).unwrap()),
            Ok(response)
        );
    }
    for answer in [refused(), signed()] {
        assert_eq!(decode_answer(&encode_answer(&answer).unwrap()), Ok(answer));
    }
    let proposal = proposal();
    assert_eq!(
        decode_proposal(&encode_proposal(&proposal).unwrap()),
        Ok(proposal)
    );
}

#[test]
fn encodings_are_stable() {
    // Snapshots: hosts and enclaves of two versions talk to each other in these bytes.
    let proposal = vec![1, 2, 3];
    let encoded = [
        encode_request(&Request::Identify),
        encode_request(&Request::Attest { nonce: [9; 32] }),
        encode_request(&Request::Decide { proposal }),
        encode_response(&Response::Evidence(vec![4, 5])),
        encode_response(&Response::Failed(Fault::new("a", "b"))),
        encode_answer(&refused()),
    ]
    .map(|bytes| hex::encode(bytes.unwrap()));
    assert_eq!(
        encoded,
        [
            "684964656e74696679",
            concat!(
                "a166417474657374a1656e6f6e6365582009090909090909090909090909090909090909090909090909090909",
                "09090909"
            ),
            "a166446563696465a16870726f706f73616c43010203",
            "a16845766964656e6365420405",
            "a1664661696c6564a264636f646561616764657461696c736162",
            concat!(
                "a46870726f706f73616c5820010101010101010101010101010101010101010101010101010101010101010166",
                "7369676e657298200b183c15183d187718c01618781826184318d018d41865186618c118bc1889188218a518d7",
                "18cc18b3188218a718591887186018ff183518af18ce056776657264696374a16752656675736564a264636f64",
                "656d7661756c742d6d697373696e676764657461696c73781b746865207661756c74206f757470757420697320",
                "6d697373696e676e61757468656e7469636174696f6e5840777777777777777777777777777777777777777777",
                "77777777777777777777777777777777777777777777777777777777777777777777777777777777777777"
            )
        ]
    );
}

#[test]
fn a_proposals_name_is_stable_and_follows_every_byte() {
    let name = proposal_id(&[1, 2, 3]);
    assert_eq!(
        hex::encode(name.0),
        "878f42227b1d978410bf7f12c325aaaed0526323e5a7687edb2cd1edb2db029b"
    );
    assert_ne!(name, proposal_id(&[1, 2, 4]));
    assert_ne!(name, proposal_id(&[1, 2, 3, 0]));
    assert_ne!(proposal_id(&[]), proposal_id(&[0]));
}

type Decoder = fn(&[u8]) -> Option<WireError>;

/// Every decoder, by what it makes of bytes.
fn decoders() -> [(&'static str, Decoder); 4] {
    [
        ("request", |bytes| decode_request(bytes).err()),
        ("response", |bytes| decode_response(bytes).err()),
        ("answer", |bytes| decode_answer(bytes).err()),
        ("proposal", |bytes| decode_proposal(bytes).err()),
    ]
}

/// A sound message for each decoder.
fn sound() -> [Vec<u8>; 4] {
    [
        encode_request(&boot(&world().bridge, &world().params, Some(vec![7; 73]))).unwrap(),
        encode_response(&responses()[2]).unwrap(),
        encode_answer(&refused()).unwrap(),
        encode_proposal(&proposal()).unwrap(),
    ]
}

#[test]
fn bytes_behind_a_message_are_refused() {
    for ((name, decode), mut bytes) in decoders().into_iter().zip(sound()) {
        assert_eq!(decode(&bytes), None, "{name}");
        bytes.push(0);
        assert_eq!(decode(&bytes), Some(WireError::Trailing(1)), "{name}");
        bytes.extend([0xf6; 20]);
        assert_eq!(decode(&bytes), Some(WireError::Trailing(21)), "{name}");
    }
}

#[test]
fn a_message_cut_anywhere_is_refused() {
    for ((name, decode), bytes) in decoders().into_iter().zip(sound()) {
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_some(), "{name} {length}");
        }
    }
}

#[test]
fn a_message_above_the_limit_is_refused_before_it_is_read() {
    let large = vec![0xf6; MESSAGE_MAX_BYTES + 1];
    for (name, decode) in decoders() {
        assert_eq!(
            decode(&large),
            Some(WireError::TooLarge(MESSAGE_MAX_BYTES + 1)),
            "{name}"
        );
    }
    let request = Request::Decide {
        proposal: vec![0; MESSAGE_MAX_BYTES],
    };
    assert!(matches!(
        encode_request(&request),
        Err(WireError::TooLarge(_))
    ));
}

#[test]
fn the_largest_proposal_that_the_policy_reads_fits_into_a_message() {
    let mut proposal = proposal();
    let filler = bitcoin::ScriptBuf::from_bytes(vec![0x6a; 3_000_000]);
    let paid = vec![support::output(0, filler); 4];
    proposal.previous[0].output.extend(paid);
    let total: usize = proposal
        .previous
        .iter()
        .map(bitcoin::Transaction::total_size)
        .sum();
    assert!(total > 11 * 1024 * 1024);
    let encoded = encode_proposal(&proposal).unwrap();
    let request = Request::Decide { proposal: encoded };
    let bytes = encode_request(&request).unwrap();
    assert_eq!(decode_request(&bytes), Ok(request));
}

/// The message with one more entry in one of its innermost maps.
fn with_unknown_field(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut value: ciborium::Value = ciborium::from_reader(bytes).unwrap();
    let mut maps = Vec::new();
    collect(&mut value, &mut maps);
    maps[at].push((ciborium::Value::from("unknown"), ciborium::Value::from(1)));
    let mut changed = Vec::new();
    ciborium::into_writer(&value, &mut changed).unwrap();
    changed
}

type Map = Vec<(ciborium::Value, ciborium::Value)>;

/// Collects the maps that hold no further map or list.
fn collect<'a>(value: &'a mut ciborium::Value, maps: &mut Vec<&'a mut Map>) {
    match value {
        ciborium::Value::Array(items) => {
            for item in items {
                collect(item, maps);
            }
        }
        ciborium::Value::Map(entries) => {
            let inner = |value: &ciborium::Value| value.is_map() || value.is_array();
            if entries.iter().any(|(_, value)| inner(value)) {
                for (_, value) in entries {
                    collect(value, maps);
                }
            } else {
                maps.push(entries);
            }
        }
        _ => {}
    }
}

#[test]
fn an_unknown_field_is_refused_in_every_innermost_map() {
    for ((name, decode), bytes) in decoders().into_iter().zip(sound()) {
        let mut value: ciborium::Value = ciborium::from_reader(bytes.as_slice()).unwrap();
        let mut maps = Vec::new();
        collect(&mut value, &mut maps);
        let count = maps.len();
        assert!(count > 0, "{name}");
        for at in 0..count {
            let error = decode(&with_unknown_field(&bytes, at));
            assert!(
                matches!(error, Some(WireError::Malformed(_))),
                "{name} {at}"
            );
        }
    }
}

#[test]
fn an_unknown_field_is_refused_in_the_outermost_map() {
    for (index, bytes) in sound().into_iter().enumerate() {
        let mut value: ciborium::Value = ciborium::from_reader(bytes.as_slice()).unwrap();
        let entries = value.as_map_mut().unwrap();
        entries.push((ciborium::Value::from("unknown"), ciborium::Value::Null));
        let mut changed = Vec::new();
        ciborium::into_writer(&value, &mut changed).unwrap();
        assert!(decoders()[index].1(&changed).is_some());
    }
}

#[test]
fn a_field_given_twice_is_refused() {
    for ((name, decode), bytes) in decoders().into_iter().zip(sound()) {
        let mut value: ciborium::Value = ciborium::from_reader(bytes.as_slice()).unwrap();
        let entries = value.as_map_mut().unwrap();
        let first = entries[0].clone();
        entries.push(first);
        let mut changed = Vec::new();
        ciborium::into_writer(&value, &mut changed).unwrap();
        assert!(decode(&changed).is_some(), "{name}");
    }
}

#[test]
fn a_request_that_is_not_in_the_list_is_refused() {
    for name in ["Sign", "SignRaw", "Export", "identify", ""] {
        let mut bytes = Vec::new();
        ciborium::into_writer(name, &mut bytes).unwrap();
        assert!(
            matches!(decode_request(&bytes), Err(WireError::Malformed(_))),
            "{name}"
        );
        let mut bytes = Vec::new();
        let value = ciborium::Value::Map(vec![(name.into(), vec![7_u8; 32].into())]);
        ciborium::into_writer(&value, &mut bytes).unwrap();
        assert!(
            matches!(decode_request(&bytes), Err(WireError::Malformed(_))),
            "{name}"
        );
    }
}

#[test]
fn deep_nesting_is_refused_without_a_deep_stack() {
    for opening in [0x81, 0xa1, 0xc1, 0x9f, 0xbf, 0x5f, 0x7f, 0xd8] {
        let bytes = vec![opening; 1_000_000];
        for (name, decode) in decoders() {
            assert!(decode(&bytes).is_some(), "{name} {opening:x}");
        }
    }
}

#[test]
fn a_length_that_nothing_follows_reserves_nothing() {
    // Arrays, maps, byte and text strings that promise 2^62 items.
    for major in [0x9b, 0xbb, 0x5b, 0x7b] {
        let promise = [[major].as_slice(), &(1_u64 << 62).to_be_bytes()].concat();
        for (name, decode) in decoders() {
            assert!(decode(&promise).is_some(), "{name}");
        }
        // And inside of a request, where a byte string belongs.
        let mut bytes = encode_request(&Request::Decide { proposal: vec![] }).unwrap();
        bytes.pop();
        bytes.extend(&promise);
        assert!(decode_request(&bytes).is_err());
    }
}

#[test]
fn a_fault_stays_short_whatever_it_is_about() {
    let mut bytes = Vec::new();
    let name = "x".repeat(1_000_000);
    let value = ciborium::Value::Map(vec![(name.into(), 1.into())]);
    ciborium::into_writer(&value, &mut bytes).unwrap();
    let (mut signer, _) = signer_with(&world().bridge, &world().params, &world().keys[0]);
    let Response::Failed(fault) = decide(&mut signer, &bytes, &mut Script::counting(0)) else {
        panic!("decided");
    };
    assert_eq!(fault.code, "proposal-malformed");
    assert!(fault.details.len() < 5_000, "{}", fault.details.len());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for (_, decode) in decoders() {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn changed_bytes_never_panic(
        which in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        static SOUND: std::sync::OnceLock<[Vec<u8>; 4]> = std::sync::OnceLock::new();
        let mut bytes = SOUND.get_or_init(sound)[which].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for (_, decode) in decoders() {
            let _ = decode(&bytes);
        }
    }
}
