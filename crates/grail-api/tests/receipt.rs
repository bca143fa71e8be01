//! A receipt is believed only if its address follows from its terms and roster.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::Amount;
use common::{key, roster, terms};
use grail_api::{Kind, RECEIPT_BYTES_MAX, Receipt, ReceiptError};
use grail_types::{Epoch, Roster, Threshold};

fn receipt() -> Receipt {
    Receipt::new(terms(), roster())
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
