//! What a body of a new request may say, and what is refused.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, Amount, CompressedPublicKey, Network, WitnessProgram, WitnessVersion};
use common::{bridge, governance, key, params, roster, taproot_address};
use grail_api::{
    BODY_BYTES_MAX, CreatePegIn, CreatePegOut, IdempotencyKey, ParsedRequest, Problem, ProblemCode,
    bip21,
};
use grail_script::{InternalKey, VaultTree, nums_key};

fn peg_in() -> CreatePegIn {
    CreatePegIn {
        recipient_address: taproot_address(Network::Regtest),
        reclaim_public_key: key(60).to_string(),
        fee_cap_sat: 5_000,
        reclaim_delay: None,
        amount_sat: None,
        nonce: None,
    }
}

fn peg_out() -> CreatePegOut {
    CreatePegOut {
        payout_address: taproot_address(Network::Regtest),
        reclaim_public_key: key(60).to_string(),
        fee_cap_sat: 5_000,
        reclaim_delay: None,
        amount_sat: None,
        nonce: None,
    }
}

fn parse(change: impl FnOnce(&mut CreatePegIn)) -> Result<ParsedRequest, Problem> {
    let mut body = peg_in();
    change(&mut body);
    body.parse(&bridge(), &params(), &roster(), &governance())
}

fn code(change: impl FnOnce(&mut CreatePegIn)) -> ProblemCode {
    parse(change).unwrap_err().code
}

#[test]
fn a_peg_in_becomes_terms_with_the_shortest_delay() {
    let terms = parse(|_| ()).unwrap().into_terms([7; 16]);
    assert_eq!(terms.kind, grail_types::Kind::PegIn);
    assert_eq!(terms.reclaim_delay, params().reclaim_delay_min);
    assert_eq!(terms.epoch, roster().epoch());
    assert_eq!(terms.nonce, [7; 16]);
    assert_eq!(terms.fee_cap, Amount::from_sat(5_000));
}

#[test]
fn a_nonce_that_was_asked_for_is_the_terms_and_no_other_matches() {
    let asked = parse(|body| body.nonce = Some("0A".repeat(16))).unwrap();
    let terms = asked.clone().into_terms([7; 16]);
    assert_eq!(terms.nonce, [10; 16]);
    assert!(asked.matches(&terms));
    let other = parse(|_| ()).unwrap().into_terms([7; 16]);
    assert!(!asked.matches(&other));
    assert!(parse(|_| ()).unwrap().matches(&other));
    for wrong in ["", "0a", &"0a".repeat(17), &"0x".repeat(16)] {
        let refused = code(|body| body.nonce = Some(wrong.to_owned()));
        assert_eq!(refused, ProblemCode::MalformedBody, "{wrong}");
    }
}

#[test]
fn a_peg_out_pays_to_any_standard_address() {
    let p2pkh = Address::p2pkh(
        CompressedPublicKey::from_slice(
            &key(4)
                .public_key(bitcoin::secp256k1::Parity::Even)
                .serialize(),
        )
        .unwrap(),
        Network::Regtest,
    );
    let mut body = peg_out();
    body.payout_address = p2pkh.to_string();
    let terms = body
        .parse(&bridge(), &params(), &roster(), &governance())
        .unwrap()
        .into_terms([0; 16]);
    assert_eq!(terms.kind, grail_types::Kind::PegOut);
    // zkBTC's coin would be dust there.
    assert_eq!(
        code(|body| body.recipient_address = p2pkh.to_string()),
        ProblemCode::UnsupportedAddress
    );
}

#[test]
fn refuses_an_address_that_is_none_is_too_long_or_of_another_network() {
    assert_eq!(
        code(|body| body.recipient_address = "bcrt1nonsense".into()),
        ProblemCode::BadAddress
    );
    assert_eq!(
        code(|body| body.recipient_address = "b".repeat(91)),
        ProblemCode::BadAddress
    );
    for network in [Network::Bitcoin, Network::Signet, Network::Testnet4] {
        assert_eq!(
            code(|body| body.recipient_address = taproot_address(network)),
            ProblemCode::WrongNetworkAddress,
            "{network}"
        );
    }
}

#[test]
fn refuses_a_witness_version_to_come_and_the_vault_itself() {
    // BIP-350's example of version 16 (regtest prefix).
    let future = Address::from_script(
        bitcoin::Script::from_bytes(&[&[0x60, 0x20][..], &[7; 32]].concat()),
        Network::Regtest,
    )
    .unwrap();
    assert_eq!(
        code(|body| body.recipient_address = future.to_string()),
        ProblemCode::UnsupportedAddress
    );
    let vault = VaultTree::new(
        &Secp256k1::new(),
        InternalKey::Nums,
        &roster(),
        &governance(),
    )
    .script_pubkey;
    let vault = Address::from_script(&vault, Network::Regtest).unwrap();
    assert_eq!(
        code(|body| body.recipient_address = vault.to_string()),
        ProblemCode::UnsupportedAddress
    );
}

#[test]
fn refuses_addresses_that_nobody_can_spend_from() {
    for key in [[0xff; 32], nums_key().serialize()] {
        let program = WitnessProgram::new(WitnessVersion::V1, &key).unwrap();
        let nobodys = Address::from_witness_program(program, Network::Regtest).to_string();
        let mut pegged_out = peg_out();
        pegged_out.payout_address.clone_from(&nobodys);
        let refused = pegged_out.parse(&bridge(), &params(), &roster(), &governance());
        assert_eq!(refused.unwrap_err().code, ProblemCode::UnspendableAddress);
        assert_eq!(
            code(|body| body.recipient_address = nobodys),
            ProblemCode::UnspendableAddress
        );
    }
}

#[test]
fn amounts_are_held_against_the_limits_with_both_edges() {
    let (min, max) = (20_000, 100_000_000_000);
    let amount = |amount| move |body: &mut CreatePegIn| body.amount_sat = Some(amount);
    assert!(parse(amount(min)).is_ok());
    assert!(parse(amount(max)).is_ok());
    assert_eq!(code(amount(0)), ProblemCode::AmountZero);
    assert_eq!(code(amount(1)), ProblemCode::AmountBelowMinimum);
    assert_eq!(code(amount(min - 1)), ProblemCode::AmountBelowMinimum);
    assert_eq!(code(amount(max + 1)), ProblemCode::AmountAboveMaximum);
    assert_eq!(code(amount(u64::MAX)), ProblemCode::AmountAboveMaximum);
}

#[test]
fn fee_caps_leave_room_for_a_settlement_and_for_the_user() {
    let cap = |cap| move |body: &mut CreatePegIn| body.fee_cap_sat = cap;
    assert_eq!(code(cap(0)), ProblemCode::FeeCapTooLow);
    assert_eq!(code(cap(400)), ProblemCode::FeeCapTooLow);
    assert!(parse(cap(500)).is_ok());
    assert_eq!(code(cap(u64::MAX)), ProblemCode::FeeCapTooHigh);
    // Of 20,000 sat the carrier of 330 and one satoshi of zkBTC must be left.
    let with_amount = |cap| {
        move |body: &mut CreatePegIn| {
            body.fee_cap_sat = cap;
            body.amount_sat = Some(20_000);
        }
    };
    assert!(parse(with_amount(19_669)).is_ok());
    assert_eq!(code(with_amount(19_670)), ProblemCode::FeeCapTooHigh);
}

#[test]
fn reclaim_delays_are_within_the_parameters() {
    let delay = |delay| move |body: &mut CreatePegIn| body.reclaim_delay = Some(delay);
    assert!(parse(delay(24)).is_ok());
    assert!(parse(delay(8_064)).is_ok());
    for wrong in [0, 23, 8_065, u16::MAX] {
        assert_eq!(code(delay(wrong)), ProblemCode::ReclaimDelayOutOfRange);
    }
}

#[test]
fn refuses_a_key_that_is_not_on_the_curve_or_has_its_parity_byte() {
    for wrong in [
        String::new(),
        "ff".repeat(32),
        format!("02{}", key(60)),
        "zz".repeat(32),
    ] {
        assert_eq!(
            code(|body| body.reclaim_public_key = wrong),
            ProblemCode::BadPublicKey
        );
    }
}

#[test]
fn a_request_matches_its_own_terms_alone() {
    let parsed = parse(|_| ()).unwrap();
    let terms = parsed.clone().into_terms([1; 16]);
    assert!(parsed.matches(&terms));
    let changes: [fn(&mut grail_types::Terms); 7] = [
        |t| t.kind = grail_types::Kind::PegOut,
        |t| t.network = grail_types::Network::Signet,
        |t| t.bridge.vk[0] ^= 1,
        |t| t.fee_cap += Amount::ONE_SAT,
        |t| t.epoch.0 += 1,
        |t| t.reclaim_key = key(61),
        |t| t.reclaim_delay += 1,
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut other = terms.clone();
        change(&mut other);
        assert!(!parsed.matches(&other), "change {index}");
    }
}

#[test]
fn bodies_are_read_strictly() {
    let body = serde_json::to_vec(&peg_in()).unwrap();
    assert_eq!(CreatePegIn::from_json(&body), Ok(peg_in()));

    let code = |body: &[u8]| CreatePegIn::from_json(body).unwrap_err().code;
    let with = |field: &str, value: serde_json::Value| {
        let mut json = serde_json::to_value(peg_in()).unwrap();
        json[field] = value;
        json.to_string().into_bytes()
    };
    assert_eq!(code(&with("extra", 1.into())), ProblemCode::UnknownField);
    for malformed in [
        with("fee_cap_sat", (-1).into()),
        with("fee_cap_sat", "5000".into()),
        with("fee_cap_sat", 1.5.into()),
        with("reclaim_delay", 65_536.into()),
        b"{\"fee_cap_sat\":18446744073709551616}".to_vec(),
        b"{}".to_vec(),
        b"[]".to_vec(),
        b"".to_vec(),
        b"\xff\xfe".to_vec(),
        "[".repeat(BODY_BYTES_MAX).into_bytes(),
    ] {
        assert_eq!(code(&malformed), ProblemCode::MalformedBody);
    }
    assert_eq!(
        code(&vec![b' '; BODY_BYTES_MAX + 1]),
        ProblemCode::BodyTooLarge
    );
}

#[test]
fn idempotency_keys_are_short_and_plain() {
    assert_eq!(
        IdempotencyKey::parse(Some(b"a-B_9")).unwrap().as_str(),
        "a-B_9"
    );
    assert!(IdempotencyKey::parse(Some(&[b'x'; 64])).is_ok());
    assert_eq!(
        IdempotencyKey::parse(None).unwrap_err().code,
        ProblemCode::IdempotencyKeyMissing
    );
    for wrong in [&b""[..], &[b'x'; 65], b"a b", b"\xff", "é".as_bytes()] {
        assert_eq!(
            IdempotencyKey::parse(Some(wrong)).unwrap_err().code,
            ProblemCode::BadIdempotencyKey
        );
    }
}

#[test]
fn a_payment_uri_carries_the_amount_in_bitcoin() {
    assert_eq!(bip21("bcrt1q", None), "bitcoin:bcrt1q");
    assert_eq!(
        bip21("bcrt1q", Some(Amount::from_sat(20_000))),
        "bitcoin:bcrt1q?amount=0.0002"
    );
}
