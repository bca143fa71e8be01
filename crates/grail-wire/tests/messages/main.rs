//! Each message as bytes: read back, bounded, and written down.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use bitcoin::hex::DisplayHex as _;
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, WPubkeyHash, Witness,
    XOnlyPublicKey,
    absolute::LockTime,
    hashes::Hash,
    secp256k1::{Keypair, Message, Secp256k1, schnorr::Signature},
    transaction::Version,
};
use grail_ask::{
    AnswerMessage, Ask, Challenge, Evidence, FaultMessage, Hello, Reply, VerifiedAnswer,
};
use grail_types::{
    BoundedBytes, BoundedVec, Bridge, BridgeApp, Epoch, Governance, ImagesHash, Kind as TermsKind,
    Network, Params, Roster, Terms, Threshold,
};
use grail_wire::{
    Action, Adopt, Adopted, Announcement, Answer, AskerId, Attempt, Boot, Booted, Cancellation,
    ConsentSignature, Contribution, Contributions, Execution, Fault, FaultCode, Identity, Kind,
    Merge, PreviousTx, PreviousTxError, Proposal, ProposalId, RefusalCode, RefusalRecord, Request,
    Response, SettlementRequest, ShownRoster, Succession, Text, VERSION, Verdict, WireError,
    WireMessage, decode, decode_proposal, encode, encode_proposal,
};

mod clearing;

fn pair() -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[7; 32]).unwrap()
}

fn key() -> XOnlyPublicKey {
    pair().x_only_public_key().0
}

fn signature() -> Signature {
    Secp256k1::new().sign_schnorr_no_aux_rand(&Message::from_digest([9; 32]), &pair())
}

fn bridge() -> Bridge {
    Bridge {
        network: Network::Regtest,
        app: BridgeApp {
            identity: [1; 32],
            vk: [2; 32],
        },
    }
}

fn adopted() -> Adopted {
    Adopted {
        genesis: Txid::from_byte_array([11; 32]),
        epoch: Epoch(7),
        txid: Txid::from_byte_array([12; 32]),
        params_hash: grail_types::ParamsHash([13; 32]),
    }
}

fn attempt() -> Attempt {
    Attempt {
        asker: AskerId([8; 16]),
        number: 3,
    }
}

fn bytes<const MAX: usize>(length: usize) -> BoundedBytes<MAX> {
    BoundedBytes::new(vec![5; length]).unwrap()
}

fn answer(verdict: Verdict) -> Answer {
    Answer {
        proposal: ProposalId([4; 32]),
        attempt: attempt(),
        signer: key(),
        verdict,
        authentication: signature(),
    }
}

fn contributions(inputs: &[u16]) -> Vec<Contribution> {
    let contribution = |input_index: &u16| Contribution::Signature {
        input_index: *input_index,
        signature: signature(),
    };
    inputs.iter().map(contribution).collect()
}

fn yes() -> Verdict {
    Verdict::Contributed(Contributions::new(contributions(&[0, 2])).unwrap())
}

fn no() -> Verdict {
    Verdict::Refused(RefusalRecord {
        code: RefusalCode::FeeAboveCap,
        details: Text::cut("expected less"),
    })
}

fn fault() -> Fault {
    Fault::new(FaultCode::NotBooted, "expected a boot request first")
}

fn terms(nonce: u8) -> Terms {
    Terms {
        kind: TermsKind::PegIn,
        network: Network::Regtest,
        bridge: bridge().app,
        destination: ScriptBuf::new_p2wpkh(&WPubkeyHash::all_zeros())
            .try_into()
            .unwrap(),
        fee_cap: Amount::from_sat(5_000),
        epoch: Epoch(0),
        reclaim_key: key(),
        reclaim_delay: 1_008,
        nonce: [nonce; 16],
    }
}

fn transaction(seed: u8) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array([seed; 32]), 1),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(1_000),
            script_pubkey: ScriptBuf::from_bytes(vec![0x51]),
        }],
    }
}

fn proposal() -> Proposal {
    let previous = [transaction(1), transaction(2), transaction(3)];
    let action = Action::Settlement(SettlementRequest {
        requests: BoundedVec::new(vec![terms(1), terms(2)]).unwrap(),
        former: None,
    });
    let params = Params::preset(Network::Regtest, ImagesHash([6; 32]));
    let governance = governance();
    let transaction = transaction(9);
    Proposal::new(Epoch(7), params, governance, transaction, &previous, action).unwrap()
}

fn governance() -> Governance {
    Governance::new(vec![key()], 1).unwrap()
}

fn succession() -> Succession {
    let secp = Secp256k1::new();
    let mut keys: Vec<_> = (1..=4)
        .map(|seed| Keypair::from_seckey_slice(&secp, &[seed; 32]).unwrap())
        .map(|pair| pair.x_only_public_key().0)
        .collect();
    keys.sort_by_key(bitcoin::XOnlyPublicKey::serialize);
    Succession {
        roster: Roster::new(Epoch(8), keys, Threshold(3)).unwrap(),
        governance: governance(),
        params: Params::preset(Network::Regtest, ImagesHash([6; 32])),
        spell_min: 15,
        spell_max: 16,
    }
}

/// A settlement whose deposits are of this roster.
fn of_former(roster: &Roster) -> Vec<u8> {
    let mut proposal = proposal();
    let Action::Settlement(request) = &mut proposal.action else {
        panic!("a settlement");
    };
    request.former = Some(ShownRoster(roster.clone()));
    encode_proposal(&proposal).unwrap()
}

#[test]
fn a_roster_that_is_shown_is_a_roster_in_one_form() {
    let roster = succession().roster;
    let bytes = of_former(&roster);
    let at = |part: &[u8]| {
        let mut windows = bytes.windows(part.len());
        windows.position(|window| window == part).unwrap()
    };
    // Keys that are none, in no order, or cut off; a threshold of half.
    let keys: Vec<u8> = roster
        .signers()
        .iter()
        .flat_map(XOnlyPublicKey::serialize)
        .collect();
    let first = at(&keys);
    let mut no_key = bytes.clone();
    no_key[first + 32..first + 64].fill(0xff);
    let mut repeated = bytes.clone();
    repeated.copy_within(first..first + 32, first + 32);
    let threshold = at(b"\x69threshold\x03") + 10;
    let mut half = bytes.clone();
    half[threshold] = 2;
    let mut short = bytes.clone();
    assert_eq!(short[first - 2..first], [0x58, 128]);
    short[first - 1] = 127;
    short.remove(first + 127);
    for (spoilt, expected) in [
        (no_key, "each on the curve"),
        (repeated, "strictly ascending"),
        (half, "threshold above half"),
        (short, "whole number of 32-byte keys"),
    ] {
        let refused = decode_proposal(&spoilt).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
    // What is absent has one form too.
    let without = encode_proposal(&proposal()).unwrap();
    let null = b"\x66former\xf6";
    let place = without
        .windows(null.len())
        .position(|window| window == null)
        .unwrap();
    let mut left_out = without.clone();
    left_out.drain(place..place + null.len());
    let map = without
        .windows(10)
        .position(|window| window == b"\xa2\x68requests")
        .unwrap();
    left_out[map] = 0xa1;
    assert_eq!(decode_proposal(&left_out), Err(WireError::NotCanonical));
}

/// A proposal of each step of a rotation, and of a merge.
fn steps() -> [(&'static str, Proposal); 4] {
    let consents = || {
        let signed = ConsentSignature {
            administrator: 0,
            signature: signature(),
        };
        BoundedVec::new(vec![signed]).unwrap()
    };
    let sponsor = |kind| {
        let terms = Terms { kind, ..terms(1) };
        BoundedVec::new(vec![terms]).unwrap()
    };
    let announcement = Announcement {
        succession: succession(),
        evidence: [5; 32],
        consents: consents(),
        newcomers: BoundedVec::new(vec![]).unwrap(),
        sponsors: sponsor(TermsKind::SponsorAnnounce),
    };
    let cancellation = Cancellation {
        consents: consents(),
        sponsors: sponsor(TermsKind::SponsorCancel),
    };
    let execution = Execution {
        succession: succession(),
        sponsors: sponsor(TermsKind::SponsorExecute),
    };
    let of = |action| Proposal {
        action,
        ..proposal()
    };
    [
        (
            "proposal announcement",
            of(Action::Announcement(Box::new(announcement))),
        ),
        (
            "proposal cancellation",
            of(Action::Cancellation(cancellation)),
        ),
        (
            "proposal execution",
            of(Action::Execution(Box::new(execution))),
        ),
        (
            "proposal merge",
            of(Action::Merge(Merge {
                sponsors: sponsor(TermsKind::SponsorMerge),
            })),
        ),
    ]
}

fn step_encoded(index: usize) -> (&'static str, Vec<u8>) {
    let (name, proposal) = &steps()[index];
    (name, encode_proposal(proposal).unwrap())
}

#[test]
fn what_sponsors_pay_for_reads_back() {
    for (name, proposal) in steps() {
        let bytes = encode_proposal(&proposal).unwrap();
        assert_eq!(decode_proposal(&bytes), Ok(proposal), "{name}");
    }
}

/// Every message once, by name, as bytes.
fn all() -> Vec<(&'static str, Vec<u8>)> {
    let host = |request: Request| encode(Epoch(0), &request).unwrap();
    let enclave = |response: Response| encode(Epoch(7), &response).unwrap();
    vec![
        (
            "request boot new",
            host(Request::Boot(Boot {
                bridge: bridge(),
                sealed: None,
            })),
        ),
        (
            "request boot sealed",
            host(Request::Boot(Boot {
                bridge: bridge(),
                sealed: Some(bytes(3)),
            })),
        ),
        (
            "request adopt",
            host(Request::Adopt(Adopt {
                genesis: Txid::from_byte_array([11; 32]),
                deployment: Some(bytes(2)),
                handovers: BoundedVec::new(vec![bytes(3), bytes(1)]).unwrap(),
            })),
        ),
        ("request identify", host(Request::Identify)),
        ("request attest", host(Request::Attest { nonce: [3; 32] })),
        (
            "request decide",
            host(Request::Decide {
                attempt: attempt(),
                proposal: bytes(4),
            }),
        ),
        (
            "response booted",
            enclave(Response::Booted(Booted {
                public_key: key(),
                sealed: Some(bytes(3)),
            })),
        ),
        (
            "response identity",
            enclave(Response::Identity(Identity {
                public_key: key(),
                bridge: bridge(),
                adopted: None,
            })),
        ),
        (
            "response identity adopted",
            enclave(Response::Identity(Identity {
                public_key: key(),
                bridge: bridge(),
                adopted: Some(adopted()),
            })),
        ),
        ("response adopted", enclave(Response::Adopted(adopted()))),
        ("response evidence", enclave(Response::Evidence(bytes(5)))),
        ("response decided", enclave(Response::Decided(answer(no())))),
        ("response failed", enclave(Response::Failed(fault()))),
        (
            "ask",
            encode(
                Epoch(7),
                &Ask {
                    attempt: attempt(),
                    proposal: bytes(4),
                },
            )
            .unwrap(),
        ),
        (
            "reply answer",
            encode(Epoch(7), &Reply::Answer(AnswerMessage { answer: bytes(6) })).unwrap(),
        ),
        (
            "reply fault",
            encode(
                Epoch(7),
                &Reply::Fault(FaultMessage {
                    proposal: ProposalId([4; 32]),
                    attempt: attempt(),
                    public_key: key(),
                    code: FaultCode::EnclaveLost,
                    details: Text::cut("gone"),
                }),
            )
            .unwrap(),
        ),
        (
            "challenge",
            encode(Epoch(0), &Challenge { nonce: [3; 32] }).unwrap(),
        ),
        (
            "evidence",
            encode(
                Epoch(0),
                &Evidence {
                    name: "operator 7".parse().unwrap(),
                    nonce: [3; 32],
                    public_key: key(),
                    bridge: bridge(),
                    document: bytes(5),
                },
            )
            .unwrap(),
        ),
        (
            "hello",
            encode(
                Epoch(0),
                &Hello {
                    name: "operator 7".parse().unwrap(),
                    public_key: key(),
                    bridge: bridge(),
                },
            )
            .unwrap(),
        ),
        ("proposal settlement", encode_proposal(&proposal()).unwrap()),
        (
            "proposal of a former roster",
            of_former(&succession().roster),
        ),
        step_encoded(0),
        step_encoded(1),
        step_encoded(2),
        step_encoded(3),
        (
            "proposal clearing",
            encode_proposal(&clearing::proposal()).unwrap(),
        ),
        (
            "answer contributed",
            encode(Epoch(7), &answer(yes())).unwrap(),
        ),
        ("answer refused", encode(Epoch(7), &answer(no())).unwrap()),
    ]
}

/// A response that cannot be encoded would be a fault that nobody can be told of: the longest of
/// each kind fits.
#[test]
fn the_longest_response_of_each_kind_can_be_encoded() {
    let signatures = (0..u16::try_from(grail_wire::INPUTS_MAX).unwrap())
        .map(|input_index| Contribution::Signature {
            input_index,
            signature: signature(),
        })
        .collect();
    let signed = Verdict::Contributed(Contributions::new(signatures).unwrap());
    let long = Text::cut(&"\u{7fff}".repeat(grail_wire::DETAILS_MAX_BYTES));
    let refused = Verdict::Refused(RefusalRecord {
        code: RefusalCode::from("a".repeat(200).as_str()),
        details: long.clone(),
    });
    for response in [
        Response::Booted(Booted {
            public_key: key(),
            sealed: Some(bytes(grail_wire::SEALED_MAX_BYTES)),
        }),
        Response::Identity(Identity {
            public_key: key(),
            bridge: bridge(),
            adopted: Some(adopted()),
        }),
        Response::Evidence(bytes(grail_wire::DOCUMENT_MAX_BYTES)),
        Response::Decided(answer(signed)),
        Response::Decided(answer(refused)),
        Response::Adopted(adopted()),
        Response::Failed(Fault {
            code: FaultCode::from("a".repeat(200).as_str()),
            details: long,
        }),
    ] {
        let encoded = encode(Epoch(u64::MAX), &response).unwrap();
        let decoded = decode::<Response>(&encoded).unwrap();
        assert_eq!(decoded.message, response);
    }
}

/// One transaction, spelt otherwise: the proposal would have a second name.
#[test]
fn another_encoding_of_the_transaction_is_no_proposal() {
    let encoded = encode_proposal(&proposal()).unwrap();
    let honest = bitcoin::consensus::serialize(&proposal().transaction);
    let respelt = |bytes: Vec<u8>| {
        let position = encoded
            .windows(honest.len())
            .position(|window| window == honest)
            .unwrap();
        // A CBOR byte string of 24 to 255 bytes: two bytes of head.
        assert_eq!(encoded[position - 2], 0x58);
        let head = [0x58, u8::try_from(bytes.len()).unwrap()];
        let (before, after) = (
            &encoded[..position - 2],
            &encoded[position + honest.len()..],
        );
        [before, &head, &bytes, after].concat()
    };
    assert_eq!(respelt(honest.clone()), encoded);
    let trailing = [honest.as_slice(), &[0]].concat();
    let (version, rest) = honest.split_at(4);
    // The marker and flag of BIP-144, without a witness; a count in three bytes instead of one.
    let marked = [version, &[0, 1], rest].concat();
    let wide = [version, &[0xfd, rest[0], 0], &rest[1..]].concat();
    let without_inputs = [version, &[0, 0], &[0; 4]].concat();
    for bytes in [
        trailing,
        marked,
        wide,
        [without_inputs, vec![0; 20]].concat(),
    ] {
        let refused = decode_proposal(&respelt(bytes)).unwrap_err();
        assert!(
            matches!(refused, WireError::Malformed(_) | WireError::NotCanonical),
            "{refused:?}"
        );
    }
}

/// The bytes of every message, as they are on the wire today. `GRAIL_BLESS=1` writes the file anew:
/// a changed line is a changed protocol.
#[test]
fn the_bytes_of_every_message_are_written_down() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots.txt");
    let mut lines = String::new();
    for (name, bytes) in all() {
        writeln!(lines, "{name}: {}", bytes.as_hex()).unwrap();
    }
    if std::env::var_os("GRAIL_BLESS").is_some() {
        std::fs::write(path, &lines).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), lines);
}

fn reads_back<M: WireMessage + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let envelope = decode::<M>(bytes).unwrap();
    assert_eq!(encode(envelope.epoch, &envelope.message).unwrap(), bytes);
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert_eq!(decode::<M>(&longer), Err(WireError::Trailing(1)));
    for end in 0..bytes.len() {
        decode::<M>(&bytes[..end]).unwrap_err();
    }
    for version in [0, 1, VERSION - 1, VERSION + 1, 255] {
        let mut other = bytes.to_vec();
        other[0] = version;
        assert_eq!(decode::<M>(&other), Err(WireError::Version(version)));
    }
    let mut other = bytes.to_vec();
    other[1] = 99;
    assert_eq!(
        decode::<M>(&other),
        Err(WireError::Kind {
            expected: M::KIND,
            got: 99
        })
    );
}

#[test]
fn reads_back_and_nothing_shorter_longer_or_of_another_kind_does() {
    for (name, bytes) in all() {
        match bytes[1] {
            kind if kind == Kind::EnclaveRequest as u8 => reads_back::<Request>(&bytes),
            kind if kind == Kind::EnclaveResponse as u8 => reads_back::<Response>(&bytes),
            kind if kind == Kind::Ask as u8 => reads_back::<Ask>(&bytes),
            kind if kind == Kind::Reply as u8 => reads_back::<Reply>(&bytes),
            kind if kind == Kind::Challenge as u8 => reads_back::<Challenge>(&bytes),
            kind if kind == Kind::Evidence as u8 => reads_back::<Evidence>(&bytes),
            kind if kind == Kind::Hello as u8 => reads_back::<Hello>(&bytes),
            kind if kind == Kind::Answer as u8 => reads_back::<Answer>(&bytes),
            kind if kind == Kind::Proposal as u8 => {
                let read = decode_proposal(&bytes).unwrap();
                assert_eq!(encode_proposal(&read).unwrap(), bytes);
            }
            kind => panic!("{name}: nobody reads kind {kind}"),
        }
    }
}

#[test]
fn unknown_fields_and_deep_nesting_are_refused() {
    let header = |kind: Kind| {
        let mut bytes = vec![VERSION, kind as u8];
        bytes.extend([0; 8]);
        bytes
    };
    let mut unknown = header(Kind::Challenge);
    unknown.extend(b"\xa2\x65other\x01\x65nonce\x58\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    let error = decode::<Challenge>(&unknown).unwrap_err();
    assert!(error.to_string().contains("unknown field"), "{error}");
    let mut deep = header(Kind::Challenge);
    deep.extend([0x81; 100]);
    assert!(matches!(
        decode::<Challenge>(&deep),
        Err(WireError::Malformed(_))
    ));
}

#[test]
fn every_message_has_a_largest_size() {
    let too_large = vec![0; Hello::ENCODED_MAX_BYTES + 1];
    assert!(matches!(
        decode::<Hello>(&too_large),
        Err(WireError::TooLarge { .. })
    ));
    let signatures = contributions(&(0..200).collect::<Vec<_>>());
    let largest = answer(Verdict::Contributed(
        Contributions::new(signatures).unwrap(),
    ));
    assert!(encode(Epoch(u64::MAX), &largest).is_ok());
}

#[test]
fn contributions_ascend_by_input_and_are_at_most_200() {
    for inputs in [&[1, 1][..], &[2, 1], &[0, 1, 1]] {
        assert!(Contributions::new(contributions(inputs)).is_err());
    }
    let many: Vec<u16> = (0..201).collect();
    assert!(Contributions::new(contributions(&many)).is_err());
    // Nor can they be read: a repeated input is written by hand into a good answer.
    let bytes = encode(Epoch(0), &answer(yes())).unwrap();
    let index = b"\x6binput_index\x02";
    let at = bytes
        .windows(index.len())
        .position(|window| window == index)
        .unwrap();
    let mut repeated = bytes;
    repeated[at + index.len() - 1] = 0;
    assert!(decode::<Answer>(&repeated).is_err());
}

#[test]
fn an_answer_counts_for_its_proposal_attempt_and_signer_alone() {
    let secp = Secp256k1::new();
    for verdict in [yes(), no()] {
        let mut good = answer(verdict.clone());
        let digest = Answer::digest(&good.proposal, good.attempt, &good.signer, &good.verdict);
        good.authentication = secp.sign_schnorr_no_aux_rand(&digest, &pair());
        assert!(VerifiedAnswer::new(&secp, good.clone()).is_ok());
        let changes: [fn(&mut Answer); 5] = [
            |answer| answer.proposal.0[0] ^= 1,
            |answer| answer.attempt.number += 1,
            |answer| answer.attempt.asker.0[0] ^= 1,
            |answer| {
                answer.signer = Keypair::from_seckey_slice(&Secp256k1::new(), &[8; 32])
                    .unwrap()
                    .x_only_public_key()
                    .0;
            },
            |answer| {
                answer.verdict = match answer.verdict {
                    Verdict::Contributed(_) => no(),
                    Verdict::Refused(_) => yes(),
                }
            },
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut other = good.clone();
            change(&mut other);
            assert!(VerifiedAnswer::new(&secp, other).is_err(), "{index}");
        }
    }
}

#[test]
fn a_proposal_has_one_encoding_and_so_one_name() {
    let bytes = encode_proposal(&proposal()).unwrap();
    assert_eq!(decode_proposal(&bytes), Ok(proposal()));
    // The order in which previous transactions are handed in changes nothing, nor does handing one
    // in twice.
    let other_order = [
        transaction(3),
        transaction(1),
        transaction(2),
        transaction(1),
    ];
    let made_of_it = Proposal::new(
        Epoch(7),
        proposal().params,
        proposal().governance,
        transaction(9),
        &other_order,
        proposal().action,
    )
    .unwrap();
    assert_eq!(encode_proposal(&made_of_it).unwrap(), bytes);
    // The same CBOR in a longer form: the map's head with an explicit length.
    assert_eq!(bytes[10], 0xa5);
    let mut longer = bytes.clone();
    longer.splice(10..11, [0xb8, 5]);
    assert_eq!(decode_proposal(&longer), Err(WireError::NotCanonical));
    // Epoch, params, terms: whatever is in it is in its name.
    let mut other_epoch = bytes.clone();
    other_epoch[9] ^= 1;
    assert!(decode_proposal(&other_epoch).is_ok());
    assert_ne!(ProposalId::of(&other_epoch), ProposalId::of(&bytes));
}

#[test]
fn a_previous_transaction_is_shown_without_its_witness() {
    let mut signed = transaction(1);
    signed.input[0].witness.push([1; 64]);
    assert_eq!(
        PreviousTx::new(&signed).unwrap().decode(),
        Ok(transaction(1))
    );
    let mut proposal = encode_proposal(&proposal()).unwrap();
    let stripped = bitcoin::consensus::serialize(&transaction(1));
    let at = proposal
        .windows(stripped.len())
        .position(|window| window == stripped)
        .unwrap();
    // Its length is a byte before it: 0x58 and one byte.
    let witnessed = bitcoin::consensus::serialize(&signed);
    proposal.splice(at..at + stripped.len(), witnessed.iter().copied());
    proposal[at - 1] = u8::try_from(witnessed.len()).unwrap();
    let shown = decode_proposal(&proposal).unwrap();
    assert!(
        shown
            .previous
            .iter()
            .any(|previous| matches!(previous.decode(), Err(PreviousTxError::Witness(_))))
    );
}

/// A list of nothing: sixteen million empty byte strings fit in a message, and cost 400 MB if they
/// are read before they are counted.
#[test]
fn a_list_too_long_is_refused_at_its_first_item_too_many() {
    let good = encode_proposal(&proposal()).unwrap();
    let key = b"\x68previous\x83";
    let at = good
        .windows(key.len())
        .position(|window| window == key)
        .unwrap();
    let mut bytes = good[..at + key.len() - 1].to_vec();
    bytes.push(0x9a);
    bytes.extend(10_000_000_u32.to_be_bytes());
    bytes.resize(bytes.len() + 10_000_000, 0x40);
    let error = decode_proposal(&bytes).unwrap_err();
    assert!(error.to_string().contains("200"), "{error}");
}
