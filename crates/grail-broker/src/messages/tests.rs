#![allow(clippy::unwrap_used)]

use super::*;

fn key() -> XOnlyPublicKey {
    // The x coordinate of the generator.
    "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        .parse()
        .unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn evidence() -> Evidence {
    Evidence {
        name: name("operator 7"),
        nonce: [3; 32],
        public_key: key(),
        params_hash: ParamsHash([4; 32]),
        document: vec![5; 100],
    }
}

fn hello() -> Hello {
    Hello {
        name: name("a"),
        public_key: key(),
        params_hash: ParamsHash([4; 32]),
    }
}

fn answer(length: usize) -> Reply {
    Reply::Answer(AnswerMessage {
        settlement: i64::MIN,
        answer: vec![9; length],
    })
}

fn reads_back<M: BrokerMessage + PartialEq + std::fmt::Debug>(message: &M) {
    let bytes = encode(message).unwrap();
    assert_eq!(&decode::<M>(&bytes).unwrap(), message);
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(matches!(
        decode::<M>(&longer),
        Err(MessageError::Trailing(1) | MessageError::TooLarge { .. })
    ));
    for end in 0..bytes.len().min(200) {
        decode::<M>(&bytes[..end]).unwrap_err();
    }
    let mut other_version = bytes.to_vec();
    other_version[0] = 2;
    assert_eq!(
        decode::<M>(&other_version),
        Err(MessageError::Version(Some(2)))
    );
}

#[test]
fn every_message_reads_back_and_none_cut_longer_or_of_another_version() {
    reads_back(&Ask {
        settlement: 12,
        proposal: vec![1; 1000],
    });
    reads_back(&answer(300));
    reads_back(&Reply::Fault(FaultMessage::new(
        1,
        key(),
        "code",
        "details",
    )));
    reads_back(&Challenge { nonce: [1; 32] });
    reads_back(&evidence());
    reads_back(&hello());
}

#[test]
fn the_encoding_of_a_challenge_is_fixed() {
    let bytes = encode(&Challenge { nonce: [7; 32] }).unwrap();
    let mut expected = b"\x01\xa1\x65nonce\x58\x20".to_vec();
    expected.extend([7; 32]);
    assert_eq!(bytes, expected);
}

#[test]
fn the_encoding_of_a_fault_is_fixed() {
    let fault = Reply::Fault(FaultMessage::new(-1, key(), "c", "d"));
    let bytes = encode(&fault).unwrap();
    let mut expected = b"\x01\xa1\x65Fault\xa4\x6asettlement\x20\x6apublic_key\x98\x20".to_vec();
    for byte in key().serialize() {
        if byte > 23 {
            expected.push(0x18);
        }
        expected.push(byte);
    }
    expected.extend(b"\x64code\x61c\x67details\x61d");
    assert_eq!(bytes, expected);
}

#[test]
fn unknown_fields_are_refused() {
    let bytes = b"\x01\xa2\x65other\x01\x65nonce\x58\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let error = decode::<Challenge>(bytes).unwrap_err();
    assert!(error.to_string().contains("unknown field"), "{error}");
}

#[test]
fn deep_nesting_is_refused_without_a_deep_stack() {
    let mut bytes = vec![VERSION];
    bytes.extend(vec![0x81; 200]);
    assert!(matches!(
        decode::<Challenge>(&bytes),
        Err(MessageError::Malformed(_))
    ));
}

#[test]
fn the_largest_proposal_fits_in_an_ask() {
    let largest = Ask {
        settlement: i64::MAX,
        proposal: vec![0; 16 * 1024 * 1024],
    };
    let bytes = encode(&largest).unwrap();
    assert_eq!(decode::<Ask>(&bytes).unwrap(), largest);
}

#[test]
fn what_is_too_large_is_neither_encoded_nor_decoded() {
    encode(&answer(ANSWER_MAX_BYTES)).unwrap();
    encode(&answer(ANSWER_MAX_BYTES + 1)).unwrap_err();
    let document = Evidence {
        document: vec![0; DOCUMENT_MAX_BYTES + 1],
        ..evidence()
    };
    encode(&document).unwrap_err();
    let bytes = vec![VERSION; Challenge::ENCODED_MAX_BYTES + 1];
    assert!(matches!(
        decode::<Challenge>(&bytes),
        Err(MessageError::TooLarge { .. })
    ));
}

#[test]
fn the_texts_of_a_fault_are_cut_between_characters() {
    let fault = FaultMessage::new(1, key(), &"c".repeat(100), &"é".repeat(1000));
    assert_eq!(fault.code.len(), FAULT_CODE_MAX_BYTES);
    assert_eq!(fault.details.len(), FAULT_DETAILS_MAX_BYTES);
    let odd = FaultMessage::new(1, key(), "c", &format!("x{}", "é".repeat(1000)));
    assert_eq!(odd.details.len(), FAULT_DETAILS_MAX_BYTES - 1);
    encode(&Reply::Fault(odd)).unwrap();
    let uncut = FaultMessage {
        details: "d".repeat(FAULT_DETAILS_MAX_BYTES + 1),
        ..fault
    };
    encode(&Reply::Fault(uncut)).unwrap_err();
}

#[test]
fn names_are_bounded_and_plain() {
    let longest = "n".repeat(NAME_MAX_BYTES);
    for text in ["a", "Operator 7", "x._-", longest.as_str()] {
        assert_eq!(name(text).as_str(), text);
    }
    let too_long = "n".repeat(NAME_MAX_BYTES + 1);
    for text in ["", "a\n", "é", "<b>", "\u{1b}[0m", too_long.as_str()] {
        assert_eq!(text.parse::<Name>(), Err(NameError), "{text:?}");
    }
    // Not by the wire either.
    let mut bytes = encode(&hello()).unwrap().to_vec();
    let at = bytes.windows(2).position(|two| two == b"\x61a").unwrap() + 1;
    bytes[at] = b'\n';
    decode::<Hello>(&bytes).unwrap_err();
}

#[test]
fn no_two_messages_share_a_subject() {
    let all = [
        Ask::subject(),
        Reply::subject(),
        Challenge::subject(),
        Evidence::subject(),
        Hello::subject(),
    ];
    for (index, subject) in all.iter().enumerate() {
        assert!(!all[..index].contains(subject), "{subject}");
    }
}
