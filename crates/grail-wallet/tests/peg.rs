//! Belief in an answer: each part that an API may change, refused before anything is paid.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    bridge, conjurer, images, images_of, params, protocol, public_key, roster, roster_of, sat,
};
use grail_api::{
    CheckedReceipt, CreatePegIn, Kind, ParamsAnswer, ParsedRequest, Receipt, Request, RequestState,
};
use grail_attest::Images;
use grail_script::InternalKey;
use grail_types::{Params, Terms};
use grail_wallet::peg::{PegError, check_answer, checked_protocol};
use grail_wallet::receipt::{StoredReceipt, next_reclaim_key_index, read_receipt};

const ELSEWHERE: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

fn asked() -> ParsedRequest {
    let create = CreatePegIn {
        recipient_address: ELSEWHERE.into(),
        reclaim_public_key: public_key(50).to_string(),
        fee_cap_sat: 50_000,
        reclaim_delay: None,
        amount_sat: Some(100_000),
        nonce: None,
    };
    create
        .parse(&bridge(), &params(), &roster(0), protocol().governance())
        .unwrap()
}

fn honest() -> Request {
    let terms = asked().into_terms([7; 16]);
    let receipt = Receipt::new(InternalKey::Nums, terms.clone(), roster(0));
    let params = params();
    Request {
        id: terms.id(),
        kind: Kind::PegIn,
        state: RequestState::AwaitingDeposit,
        code: None,
        deposit_address: receipt.deposit_address.clone(),
        bip21: None,
        terms,
        receipt,
        deadline_height: 1_000,
        deposit_min_sat: params.deposit_min.to_sat(),
        deposit_max_sat: params.deposit_max.to_sat(),
        carrier_sat: params.carrier.to_sat(),
        estimated_fee_share_sat: 3_000,
        estimated_surcharge_sat: 0,
        warnings: Vec::new(),
        created_at: 1,
    }
}

fn checked(lie: impl FnOnce(&mut Request)) -> Result<CheckedReceipt, PegError> {
    let mut answer = honest();
    lie(&mut answer);
    check_answer(&asked(), &roster(0), &answer)
}

#[test]
fn an_honest_answer_is_believed_whatever_its_nonce() {
    let receipt = checked(|_| ()).unwrap();
    assert_eq!(receipt.request(), honest().id);
    assert_eq!(receipt.terms().nonce, [7; 16]);
}

#[test]
fn an_answer_that_contradicts_its_receipt_is_refused() {
    type Lie = fn(&mut Request);
    let lies: [(&str, Lie); 4] = [
        ("id", |answer| answer.id = "00".repeat(32).parse().unwrap()),
        ("kind", |answer| answer.kind = Kind::PegOut),
        ("terms", |answer| answer.terms.fee_cap = sat(49_000)),
        ("deposit address", |answer| {
            answer.deposit_address = ELSEWHERE.into();
        }),
    ];
    for (part, lie) in lies {
        let refused = checked(lie).unwrap_err();
        assert_eq!(refused, PegError::Contradiction { what: part });
    }
}

#[test]
fn a_receipt_that_contradicts_itself_is_refused() {
    type Lie = fn(&mut Receipt);
    let lies: [(&str, Lie); 10] = [
        ("receipt-version", |receipt| receipt.version = 2),
        ("receipt-kind", |receipt| receipt.kind = Kind::PegOut),
        ("receipt-epoch", |receipt| receipt.roster = roster(1)),
        ("receipt-epoch", |receipt| receipt.terms.epoch.0 = 1),
        ("receipt-address", |receipt| {
            receipt.deposit_address = ELSEWHERE.into();
        }),
        ("receipt-address", |receipt| {
            receipt.terms.fee_cap = sat(49_000);
        }),
        ("receipt-address", |receipt| {
            receipt.terms.reclaim_delay += 1;
        }),
        ("receipt-address", |receipt| {
            receipt.terms.reclaim_key = public_key(99);
        }),
        ("receipt-address", |receipt| {
            receipt.terms.destination = conjurer().try_into().unwrap();
        }),
        ("receipt-address", |receipt| {
            receipt.roster = roster_of(0, 1..=5);
        }),
    ];
    for (code, lie) in lies {
        let refused = checked(|answer| lie(&mut answer.receipt)).unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
}

/// With everything else in order: id, address and receipt follow from the terms.
fn forged(terms: Terms, roster: grail_types::Roster) -> Result<CheckedReceipt, PegError> {
    forged_under(InternalKey::Nums, terms, roster)
}

fn forged_under(
    internal_key: InternalKey,
    terms: Terms,
    roster: grail_types::Roster,
) -> Result<CheckedReceipt, PegError> {
    checked(|answer| {
        let receipt = Receipt::new(internal_key, terms, roster);
        answer.id = receipt.terms.id();
        answer.terms = receipt.terms.clone();
        answer.deposit_address.clone_from(&receipt.deposit_address);
        answer.receipt = receipt;
    })
}

#[test]
fn a_sound_receipt_for_other_terms_is_refused() {
    type Lie = fn(&mut Terms);
    let lies: [Lie; 4] = [
        |terms| terms.destination = conjurer().try_into().unwrap(),
        |terms| terms.reclaim_key = public_key(99),
        |terms| terms.fee_cap = sat(50_001),
        |terms| terms.reclaim_delay += 1,
    ];
    for lie in lies {
        let mut terms = honest().terms;
        lie(&mut terms);
        assert_eq!(forged(terms, roster(0)), Err(PegError::Terms));
    }
    assert!(forged(honest().terms, roster(0)).is_ok());
}

#[test]
fn a_sound_receipt_with_another_roster_is_refused() {
    let other = roster_of(0, 90..=93);
    assert_eq!(forged(honest().terms, other), Err(PegError::Roster));
}

/// Whoever has the group key could spend the deposit.
#[test]
fn a_sound_receipt_under_a_group_key_is_refused() {
    let group = InternalKey::Group(public_key(98).try_into().unwrap());
    let refused = forged_under(group, honest().terms, roster(0)).unwrap_err();
    assert_eq!(refused, PegError::GroupKey);
    assert_eq!(refused.code(), "group-key-unproven");
}

fn served(images: Images) -> ParamsAnswer {
    ParamsAnswer {
        bridge: bridge(),
        params: params(),
        images,
        governance: grail_fixtures::world::governance(),
        params_hash: protocol().hash(),
    }
}

#[test]
fn bridge_and_parameters_must_hash_to_what_the_api_says() {
    type Lie = fn(&mut ParamsAnswer);
    assert_eq!(checked_protocol(served(images())).unwrap(), protocol());
    let lies: [Lie; 3] = [
        |answer| answer.params = other_params(),
        |answer| answer.bridge.app = common::bridge_app(2),
        |answer| answer.params_hash.0[0] ^= 1,
    ];
    for lie in lies {
        let mut answer = served(images());
        lie(&mut answer);
        let refused = checked_protocol(answer).unwrap_err();
        assert_eq!(refused.code(), "params-hash");
    }
}

#[test]
fn images_that_the_parameters_do_not_name_are_refused() {
    let refused = checked_protocol(served(images_of(b"another program"))).unwrap_err();
    assert_eq!(refused.code(), "images-not-pinned");
}

fn other_params() -> Params {
    params().with(|values| values.carrier = sat(331)).unwrap()
}

fn stored(index: u32) -> StoredReceipt {
    StoredReceipt {
        receipt: honest().receipt,
        slot: None,
        reclaim_key_index: Some(index),
        stored_at: 5,
    }
}

#[test]
fn receipts_are_read_bare_and_as_they_are_kept() {
    let bare = serde_json::to_string(&honest().receipt).unwrap();
    let kept = serde_json::to_string_pretty(&stored(3)).unwrap();
    for text in [&bare, &kept] {
        assert_eq!(read_receipt(text).unwrap().request(), honest().id);
    }
    let lie = kept.replace("\"reclaim_delay\": ", "\"reclaim_delay\": 1");
    assert_eq!(read_receipt(&lie).unwrap_err().code(), "receipt-address");
    for text in ["", "{}", "[]", &bare[1..]] {
        let refused = read_receipt(text).unwrap_err();
        assert_eq!(refused.code(), "receipt-malformed", "{text}");
    }
    let padded = format!("{kept}{}", " ".repeat(64 * 1024));
    assert_eq!(
        read_receipt(&padded).unwrap_err().code(),
        "receipt-too-long"
    );
}

#[test]
fn no_reclaim_key_is_used_twice() {
    assert_eq!(next_reclaim_key_index(&[]), 0);
    assert_eq!(next_reclaim_key_index(&[stored(4), stored(1)]), 5);
    assert_eq!(next_reclaim_key_index(&[stored(u32::MAX)]), u32::MAX);
}
