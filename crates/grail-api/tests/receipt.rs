//! A receipt is believed only if its address follows from its terms and roster.
#![allow(clippy::unwrap_used)]

mod common;

use grail_fixtures::script::tapscript;

use bitcoin::{
    Amount, FeeRate, OutPoint, ScriptBuf, TxOut, Weight,
    secp256k1::{Keypair, Secp256k1},
};
use common::{bridge, governance, key, params, roster, terms};
use grail_api::{Kind, ProblemCode, RECEIPT_BYTES_MAX, Receipt, ReceiptError};
use grail_script::{GroupKey, InternalKey, nums_key};
use grail_types::{Epoch, Roster, Terms, Threshold};
use grail_witness::Reclaim;
use serde_json::Value;

fn receipt() -> Receipt {
    Receipt::new(InternalKey::Nums, terms(), roster())
}

fn group_key() -> GroupKey {
    key(90).try_into().unwrap()
}

fn receipt_under_group_key() -> Receipt {
    Receipt::new(InternalKey::Group(group_key()), terms(), roster())
}

/// A receipt as it was given before receipts could name a group key. Never to be changed.
const OLD_RECEIPT: &str = include_str!("old-receipt.json");

#[test]
fn a_receipt_without_a_group_key_is_read_for_ever() {
    let old = Receipt::from_json(OLD_RECEIPT.as_bytes()).unwrap();
    assert_eq!(old.group_key, None);
    let checked = old.check().unwrap();
    assert_eq!(checked.internal_key(), InternalKey::Nums);
    assert_eq!(checked.receipt().deposit_address, old.deposit_address);
    // And written as it was.
    let written: Value = serde_json::to_value(&old).unwrap();
    assert_eq!(written, serde_json::from_str::<Value>(OLD_RECEIPT).unwrap());
}

#[test]
fn a_group_key_that_is_null_is_none() {
    let mut json: Value = serde_json::from_str(OLD_RECEIPT).unwrap();
    json["group_key"] = Value::Null;
    let read = Receipt::from_json(json.to_string().as_bytes()).unwrap();
    assert_eq!(Ok(read), Receipt::from_json(OLD_RECEIPT.as_bytes()));
}

#[test]
fn a_group_key_gives_another_address_and_survives_storage() {
    let receipt = receipt_under_group_key();
    assert_ne!(receipt.deposit_address, self::receipt().deposit_address);
    let stored = serde_json::to_vec(&receipt).unwrap();
    let read = Receipt::from_json(&stored).unwrap();
    assert_eq!(read, receipt);
    let internal_key = InternalKey::Group(group_key());
    assert_eq!(read.check().unwrap().internal_key(), internal_key);
}

#[test]
fn a_group_key_added_changed_or_dropped_is_noticed() {
    let mut added = receipt();
    added.group_key = Some(group_key());
    let mut dropped = receipt_under_group_key();
    dropped.group_key = None;
    let mut changed = receipt_under_group_key();
    changed.group_key = Some(key(91).try_into().unwrap());
    for receipt in [added, dropped, changed] {
        assert!(matches!(receipt.check(), Err(ReceiptError::Address { .. })));
    }
}

#[test]
fn the_nums_point_and_nonsense_are_no_group_keys() {
    let mut json = serde_json::to_value(receipt()).unwrap();
    for key in [nums_key().to_string(), "02".repeat(33), String::new()] {
        json["group_key"] = key.into();
        assert!(matches!(
            Receipt::from_json(json.to_string().as_bytes()),
            Err(ReceiptError::Malformed(_))
        ));
    }
}

#[test]
fn a_deposit_under_a_group_key_is_reclaimed_from_its_receipt() {
    let stored = serde_json::to_vec(&receipt_under_group_key()).unwrap();
    let checked = Receipt::from_json(&stored).unwrap().check().unwrap();
    let reclaim = Reclaim {
        internal_key: checked.internal_key(),
        terms: checked.terms(),
        roster: checked.roster(),
        outpoint: OutPoint::null(),
        output: TxOut {
            value: Amount::from_sat(100_000),
            script_pubkey: checked.script_pubkey().clone(),
        },
    };
    let secp = Secp256k1::new();
    let (to, rate) = (
        ScriptBuf::new_p2tr(&secp, key(50), None),
        FeeRate::BROADCAST_MIN,
    );
    let unsigned = reclaim.unsigned(&secp, to, rate, Weight::ZERO).unwrap();
    let owner = Keypair::from_seckey_slice(&secp, &[60; 32]).unwrap();
    let signed = reclaim.sign(&secp, unsigned, &owner).unwrap();
    tapscript::verify_all(&signed, std::slice::from_ref(&reclaim.output)).unwrap();
}

#[test]
fn a_receipt_survives_storage_and_checks() {
    let stored = serde_json::to_vec(&receipt()).unwrap();
    let checked = Receipt::from_json(&stored).unwrap().check().unwrap();
    assert_eq!(checked.request(), terms().id());
    assert!(checked.script_pubkey().is_p2tr());
    assert_eq!(checked.receipt(), &receipt());
}

#[test]
fn every_change_of_the_terms_is_noticed() {
    let changes: [fn(&mut grail_types::Terms); 6] = [
        |t| t.fee_cap += Amount::ONE_SAT,
        |t| t.reclaim_key = key(61),
        |t| t.reclaim_delay += 1,
        |t| t.nonce[0] ^= 1,
        |t| t.bridge.identity[0] ^= 1,
        |t| t.network = grail_types::Network::Signet,
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut other = receipt();
        change(&mut other.terms);
        assert!(
            matches!(other.check(), Err(ReceiptError::Address { .. })),
            "change {index}"
        );
    }
}

#[test]
fn another_roster_of_the_same_epoch_is_noticed() {
    let mut other = receipt();
    other.roster = Roster::new(Epoch(3), roster().signers().to_vec(), Threshold(13)).unwrap();
    assert!(matches!(other.check(), Err(ReceiptError::Address { .. })));
}

#[test]
fn another_address_is_noticed() {
    let mut other = receipt();
    other.deposit_address = common::taproot_address(bitcoin::Network::Regtest);
    assert!(matches!(other.check(), Err(ReceiptError::Address { .. })));
}

#[test]
fn refuses_another_version_kind_or_epoch() {
    let mut other = receipt();
    other.version = 2;
    assert_eq!(other.check(), Err(ReceiptError::Version(2)));

    let mut other = receipt();
    other.kind = Kind::PegOut;
    assert!(matches!(other.check(), Err(ReceiptError::Kind { .. })));

    let mut other = receipt();
    other.roster = Roster::new(Epoch(4), roster().signers().to_vec(), Threshold(12)).unwrap();
    assert!(matches!(other.check(), Err(ReceiptError::Epoch { .. })));
}

/// What was agreed to before is kept: requests to that key were taken once.
#[test]
fn a_receipt_that_pays_the_key_that_nobody_has_is_still_taken() {
    let to = |key: [u8; 32]| {
        let script = ScriptBuf::from_bytes([&[0x51, 0x20][..], &key].concat());
        let terms = Terms {
            destination: script.try_into().unwrap(),
            ..terms()
        };
        Receipt::new(InternalKey::Nums, terms, roster())
    };
    let taken = |receipt: &Receipt| {
        receipt.check_for(&bridge(), &params(), Some((&roster(), &governance())))
    };
    assert!(taken(&to(nums_key().serialize())).is_ok());
    let off_curve = taken(&to([0xff; 32])).unwrap_err();
    assert_eq!(off_curve.code, ProblemCode::UnspendableAddress);
}

#[test]
fn refuses_unknown_fields_nonsense_and_length() {
    for place in ["", "/terms", "/roster"] {
        let mut json = serde_json::to_value(receipt()).unwrap();
        json.pointer_mut(place).unwrap()["extra"] = 1.into();
        assert!(matches!(
            Receipt::from_json(json.to_string().as_bytes()),
            Err(ReceiptError::Malformed(_))
        ));
    }
    assert!(matches!(
        Receipt::from_json(b"\xff"),
        Err(ReceiptError::Malformed(_))
    ));
    assert_eq!(
        Receipt::from_json(&vec![b' '; RECEIPT_BYTES_MAX + 1]),
        Err(ReceiptError::TooLong(RECEIPT_BYTES_MAX + 1))
    );
}
