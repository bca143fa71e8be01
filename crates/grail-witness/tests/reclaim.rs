//! The user's way out.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::script as support;

use bitcoin::{
    Amount, FeeRate, OutPoint, ScriptBuf, Sequence, Transaction, TxOut, Txid, Weight, hashes::Hash,
    secp256k1::Secp256k1,
};
use grail_script::{DepositTree, InternalKey};
use grail_types::{Roster, Terms};
use grail_witness::{Reclaim, ReclaimError};
use proptest::prelude::*;
use support::{keypair, p2wpkh, public, roster, roster_with, tapscript, terms, user};

fn address(terms: &Terms, roster: &Roster) -> ScriptBuf {
    DepositTree::new(&Secp256k1::new(), InternalKey::Nums, terms, roster).script_pubkey
}

fn outpoint() -> OutPoint {
    OutPoint {
        txid: Txid::from_byte_array([5; 32]),
        vout: 1,
    }
}

fn reclaim<'a>(terms: &'a Terms, roster: &'a Roster, value: u64) -> Reclaim<'a> {
    Reclaim {
        internal_key: InternalKey::Nums,
        terms,
        roster,
        outpoint: outpoint(),
        output: TxOut {
            value: Amount::from_sat(value),
            script_pubkey: address(terms, roster),
        },
    }
}

/// What most tests pay, satoshis per 1,000 weight units.
const RATE: u64 = 500;

fn planned(
    reclaim: &Reclaim<'_>,
    rate: u64,
    reserved: Weight,
) -> Result<Transaction, ReclaimError> {
    let rate = FeeRate::from_sat_per_kwu(rate);
    reclaim.unsigned(&Secp256k1::new(), p2wpkh(1), rate, reserved)
}

fn reclaimed(reclaim: &Reclaim<'_>, rate: u64) -> Result<Transaction, ReclaimError> {
    let unsigned = planned(reclaim, rate, Weight::ZERO)?;
    reclaim.sign(&Secp256k1::new(), unsigned, &user())
}

#[test]
fn the_user_alone_takes_a_deposit_back() {
    let (_, roster) = roster();
    let terms = terms();
    let taken = reclaim(&terms, &roster, 100_000);
    let transaction = reclaimed(&taken, RATE).unwrap();
    let [input] = transaction.input.as_slice() else {
        panic!("one input");
    };
    assert_eq!(input.previous_output, outpoint());
    assert_eq!(input.sequence, Sequence::from_height(1_008));
    tapscript::verify_all(&transaction, std::slice::from_ref(&taken.output)).unwrap();
}

#[test]
fn reclaiming_before_the_delay_is_not_valid() {
    let (_, roster) = roster();
    let terms = terms();
    let taken = reclaim(&terms, &roster, 100_000);
    let secp = Secp256k1::new();
    for sequence in [Sequence::from_height(1_007), Sequence::MAX] {
        let mut unsigned = planned(&taken, RATE, Weight::ZERO).unwrap();
        unsigned.input[0].sequence = sequence;
        let signed = taken.sign(&secp, unsigned, &user()).unwrap();
        assert_eq!(
            tapscript::verify_all(&signed, std::slice::from_ref(&taken.output)),
            Err("input 0: spent before 1008 blocks".to_owned())
        );
    }
}

#[test]
fn the_signature_binds_what_the_caller_added() {
    let (_, roster) = roster();
    let terms = terms();
    let taken = reclaim(&terms, &roster, 100_000);
    let secp = Secp256k1::new();
    let reserved = Weight::from_wu(4_000);
    let mut unsigned = planned(&taken, RATE, reserved).unwrap();
    let without = planned(&taken, RATE, Weight::ZERO).unwrap();
    // 4,000 weight units at 500 sat/kwu.
    assert_eq!(
        without.output[0].value - unsigned.output[0].value,
        Amount::from_sat(2_000)
    );
    unsigned.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::new_op_return([7; 40]),
    });
    let signed = taken.sign(&secp, unsigned, &user()).unwrap();
    let prevouts = std::slice::from_ref(&taken.output);
    tapscript::verify_all(&signed, prevouts).unwrap();
    let mut changed = signed;
    changed.output.pop();
    assert!(tapscript::verify_all(&changed, prevouts).is_err());
}

#[test]
fn another_key_is_refused() {
    let (_, roster) = roster();
    let terms = terms();
    let taken = reclaim(&terms, &roster, 100_000);
    let secp = Secp256k1::new();
    let unsigned = planned(&taken, RATE, Weight::ZERO).unwrap();
    assert_eq!(
        taken.sign(&secp, unsigned, &keypair(1)),
        Err(ReclaimError::WrongKey)
    );
}

#[test]
fn an_output_at_another_address_is_refused() {
    let (_, roster) = roster();
    let terms = terms();
    let mut other = terms.clone();
    other.nonce[0] ^= 1;
    let mut taken = reclaim(&terms, &roster, 100_000);
    let secp = Secp256k1::new();
    let unsigned = planned(&taken, RATE, Weight::ZERO).unwrap();
    taken.output.script_pubkey = address(&other, &roster);
    assert_eq!(
        planned(&taken, RATE, Weight::ZERO),
        Err(ReclaimError::WrongOutput)
    );
    assert_eq!(
        taken.sign(&secp, unsigned, &user()),
        Err(ReclaimError::WrongOutput)
    );
}

#[test]
fn a_transaction_that_does_not_spend_the_deposit_is_not_signed() {
    let (_, roster) = roster();
    let terms = terms();
    let taken = reclaim(&terms, &roster, 100_000);
    let secp = Secp256k1::new();
    let not_spent = Err(ReclaimError::NotSpent(outpoint()));
    let mut elsewhere = planned(&taken, RATE, Weight::ZERO).unwrap();
    elsewhere.input[0].previous_output.vout += 1;
    assert_eq!(taken.sign(&secp, elsewhere, &user()), not_spent);
    // The right outpoint, said to be another output.
    let mut transaction = planned(&taken, RATE, Weight::ZERO).unwrap();
    let mut other = taken.output.clone();
    other.value += Amount::ONE_SAT;
    assert_eq!(
        taken.sign_input(&secp, &mut transaction, &[other], &user()),
        Err(ReclaimError::NotSpent(outpoint()))
    );
    assert!(transaction.input[0].witness.is_empty());
}

#[test]
fn a_deposit_is_reclaimed_beside_inputs_that_pay_for_it() {
    let (_, roster) = roster();
    let terms = terms();
    let taken = reclaim(&terms, &roster, 1_000);
    let mut transaction = planned(&taken, 0, Weight::ZERO).unwrap();
    let mut paying = taken.input();
    paying.previous_output.vout += 1;
    transaction.input.insert(0, paying);
    let prevouts = [
        TxOut {
            value: Amount::from_sat(50_000),
            script_pubkey: p2wpkh(2),
        },
        taken.output.clone(),
    ];
    let secp = Secp256k1::new();
    taken
        .sign_input(&secp, &mut transaction, &prevouts, &user())
        .unwrap();
    tapscript::verify(&transaction, &prevouts, 1).unwrap();
    // The payer's input is left to the payer.
    assert!(transaction.input[0].witness.is_empty());
    let weight = taken.witness_weight(&secp).unwrap();
    assert_eq!(weight.to_wu(), transaction.input[1].witness.size() as u64);
}

#[test]
fn a_deposit_under_a_group_key_is_reclaimed_by_the_user_alone() {
    let (_, roster) = roster();
    let terms = terms();
    let internal_key = InternalKey::Group(public(&keypair(0x6666)).try_into().unwrap());
    let tree = DepositTree::new(&Secp256k1::new(), internal_key, &terms, &roster);
    let mut taken = reclaim(&terms, &roster, 100_000);
    assert_ne!(tree.script_pubkey, taken.output.script_pubkey);
    taken.output.script_pubkey = tree.script_pubkey;
    assert_eq!(reclaimed(&taken, RATE), Err(ReclaimError::WrongOutput));

    taken.internal_key = internal_key;
    let transaction = reclaimed(&taken, RATE).unwrap();
    tapscript::verify_all(&transaction, std::slice::from_ref(&taken.output)).unwrap();
}

#[test]
fn a_transaction_with_a_second_input_is_not_signed() {
    let (_, roster) = roster();
    let terms = terms();
    let taken = reclaim(&terms, &roster, 100_000);
    let secp = Secp256k1::new();
    let mut unsigned = planned(&taken, RATE, Weight::ZERO).unwrap();
    unsigned.input.push(unsigned.input[0].clone());
    assert!(matches!(
        taken.sign(&secp, unsigned, &user()),
        Err(ReclaimError::Sighash(_))
    ));
}

#[test]
fn a_deposit_that_leaves_dust_is_refused_and_one_satoshi_more_is_not() {
    let (_, roster) = roster();
    let terms = terms();
    let large = reclaim(&terms, &roster, 100_000);
    let rest = reclaimed(&large, RATE).unwrap().output[0].value;
    let fee = large.output.value - rest;
    let dust = p2wpkh(1).minimal_non_dust();
    let least = fee + dust;

    let transaction = reclaimed(&reclaim(&terms, &roster, least.to_sat()), RATE).unwrap();
    assert_eq!(transaction.output[0].value, dust);
    for value in [least.to_sat() - 1, fee.to_sat() - 1, 0] {
        assert_eq!(
            reclaimed(&reclaim(&terms, &roster, value), RATE),
            Err(ReclaimError::TooSmall {
                deposit: Amount::from_sat(value),
                fee
            })
        );
    }
}

#[test]
fn an_absurd_rate_is_refused_without_overflow() {
    let (_, roster) = roster();
    let terms = terms();
    assert!(matches!(
        reclaimed(&reclaim(&terms, &roster, 100_000), u64::MAX),
        Err(ReclaimError::TooSmall { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_reclaim_pays_its_rate_by_its_signed_weight(
        delay in 24_u16..=8_064,
        rate in 25_u64..=100_000,
        value in 1_000_000_u64..=100_000_000_000,
    ) {
        let (_, roster) = roster_with(0, 4, 3);
        let terms = Terms { reclaim_delay: delay, ..terms() };
        let taken = reclaim(&terms, &roster, value);
        let transaction = reclaimed(&taken, rate).unwrap();
        tapscript::verify_all(&transaction, std::slice::from_ref(&taken.output)).unwrap();
        let fee = taken.output.value - transaction.output[0].value;
        let rate = FeeRate::from_sat_per_kwu(rate);
        prop_assert_eq!(fee, rate.fee_wu(transaction.weight()).unwrap());
    }
}
