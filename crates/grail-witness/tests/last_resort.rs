//! The administrators' way out of a vault.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::script as support;

use std::collections::BTreeMap;

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxOut, Weight,
    absolute::LockTime,
    consensus,
    secp256k1::{Keypair, Message, Secp256k1, schnorr::Signature},
    transaction::Version,
};
use grail_script::{DepositTree, InternalKey, LAST_RESORT_AGE};
use grail_types::Governance;
use grail_witness::{LastResort, LastResortError};
use proptest::prelude::*;
use support::{governance_with, p2wpkh, roster, tapscript, terms};

type Signatures = BTreeMap<usize, Signature>;

fn last_resort(governance: &Governance) -> LastResort<'_> {
    LastResort::new(
        &Secp256k1::new(),
        InternalKey::Nums,
        &roster().1,
        governance,
    )
}

/// A transaction that takes a coin at `script`, and that coin.
fn taking(resort: &LastResort<'_>, script: ScriptBuf) -> (Transaction, [TxOut; 1]) {
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![resort.input(OutPoint::null())],
        output: vec![TxOut {
            value: Amount::from_sat(90_000),
            script_pubkey: p2wpkh(1),
        }],
    };
    let coin = TxOut {
        value: Amount::from_sat(100_000),
        script_pubkey: script,
    };
    (transaction, [coin])
}

fn sign(
    keys: &[Keypair],
    positions: impl IntoIterator<Item = usize>,
    digest: &Message,
) -> Signatures {
    let secp = Secp256k1::new();
    positions
        .into_iter()
        .map(|at| (at, secp.sign_schnorr_no_aux_rand(digest, &keys[at])))
        .collect()
}

/// The coin taken by the administrators at these positions.
fn taken(
    keys: &[Keypair],
    governance: &Governance,
    positions: impl IntoIterator<Item = usize>,
) -> Result<(Transaction, [TxOut; 1]), LastResortError> {
    let secp = Secp256k1::new();
    let resort = last_resort(governance);
    let (mut transaction, coin) = taking(&resort, resort.vault().script_pubkey.clone());
    let digest = resort.digest(&transaction, &coin, 0)?;
    let signatures = sign(keys, positions, &digest);
    resort.complete(&secp, &mut transaction, &coin, 0, &signatures)?;
    Ok((transaction, coin))
}

#[test]
fn fourteen_of_sixteen_take_a_coin_whoever_is_absent() {
    let (keys, governance) = governance_with(16, 12);
    for absent in [[0, 1], [7, 9], [14, 15]] {
        let positions = (0..16).filter(|at| !absent.contains(at));
        let (transaction, coin) = taken(&keys, &governance, positions).unwrap();
        tapscript::verify_all(&transaction, &coin).unwrap();
    }
    let (all, coin) = taken(&keys, &governance, 0..16).unwrap();
    tapscript::verify_all(&all, &coin).unwrap();
}

#[test]
fn thirteen_of_sixteen_do_not_although_they_can_rotate() {
    let (keys, governance) = governance_with(16, 12);
    let error = LastResortError::TooFew {
        expected: 14,
        got: 13,
    };
    assert_eq!(taken(&keys, &governance, 0..13), Err(error));
}

#[test]
fn a_signature_that_is_not_an_administrators_is_named() {
    let (keys, governance) = governance_with(16, 12);
    let resort = last_resort(&governance);
    let script = resort.vault().script_pubkey.clone();
    let (transaction, coin) = taking(&resort, script);
    let digest = resort.digest(&transaction, &coin, 0).unwrap();
    let complete = |signatures: &Signatures| {
        let secp = Secp256k1::new();
        let mut transaction = transaction.clone();
        resort.complete(&secp, &mut transaction, &coin, 0, signatures)
    };
    let honest = sign(&keys, 0..14, &digest);
    assert_eq!(complete(&honest), Ok(()));
    let mut swapped = honest.clone();
    swapped.insert(3, honest[&4]);
    assert_eq!(complete(&swapped), Err(LastResortError::Invalid(3)));
    let mut stranger = honest.clone();
    stranger.insert(16, honest[&4]);
    let error = LastResortError::UnknownAdministrator(16);
    assert_eq!(complete(&stranger), Err(error));
    let other = sign(&keys, 0..14, &Message::from_digest([7; 32]));
    assert_eq!(complete(&other), Err(LastResortError::Invalid(0)));
}

#[test]
fn another_version_or_age_is_refused_before_anybody_signs() {
    let (_, governance) = governance_with(4, 3);
    let resort = last_resort(&governance);
    let (honest, coin) = taking(&resort, resort.vault().script_pubkey.clone());
    assert!(resort.digest(&honest, &coin, 0).is_ok());
    let exact = u32::from(LAST_RESORT_AGE);
    for (version, sequence) in [
        (1, exact),
        (3, exact),
        (2, exact - 1),
        (2, exact + 1),
        (2, Sequence::ENABLE_RBF_NO_LOCKTIME.0),
        // By time (bit 22), and no relative lock at all (bit 31).
        (2, exact | 1 << 22),
        (2, exact | 1 << 31),
    ] {
        let mut other = honest.clone();
        other.version = Version(version);
        other.input[0].sequence = Sequence(sequence);
        let error = LastResortError::Age { version, sequence };
        assert_eq!(resort.digest(&other, &coin, 0), Err(error));
    }
}

/// Deposits have their users' own leaf, which is earlier.
#[test]
fn a_deposit_or_another_vault_is_not_taken() {
    let secp = Secp256k1::new();
    let (_, governance) = governance_with(4, 3);
    let (_, others) = governance_with(5, 3);
    let resort = last_resort(&governance);
    let deposit = DepositTree::new(&secp, InternalKey::Nums, &terms(), &roster().1);
    let other = last_resort(&others).vault().script_pubkey.clone();
    for script in [deposit.script_pubkey, other] {
        let (transaction, coin) = taking(&resort, script);
        let refused = resort.digest(&transaction, &coin, 0);
        assert_eq!(refused, Err(LastResortError::NotVault(0)));
    }
    let (transaction, coin) = taking(&resort, resort.vault().script_pubkey.clone());
    let refused = resort.digest(&transaction, &coin, 1);
    assert_eq!(refused, Err(LastResortError::NotVault(1)));
}

/// The sequence says how old the coin must be, and a script that asks for more does not open.
#[test]
fn a_younger_sequence_does_not_open_the_leaf() {
    let (keys, governance) = governance_with(4, 3);
    let (honest, coin) = taken(&keys, &governance, 0..4).unwrap();
    tapscript::verify_all(&honest, &coin).unwrap();
    let mut young = honest;
    young.input[0].sequence = Sequence::from_height(LAST_RESORT_AGE - 1);
    assert!(tapscript::verify_all(&young, &coin).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_predicted_weight_is_the_witness_weight(
        (count, threshold) in (1_u16..=100).prop_flat_map(|n| (Just(n), n / 2 + 1..=n)),
        skip in 0_usize..100,
    ) {
        let (keys, governance) = governance_with(count, threshold);
        let needed = governance.last_resort();
        let absent = (usize::from(count) - needed).min(skip);
        let positions = (0..usize::from(count)).skip(absent).take(needed);
        let (transaction, coin) = taken(&keys, &governance, positions).unwrap();
        tapscript::verify_all(&transaction, &coin).unwrap();
        let real = consensus::serialize(&transaction.input[0].witness).len();
        let predicted = last_resort(&governance).vault().last_resort.witness_weight();
        prop_assert_eq!(predicted, Weight::from_witness_data_size(real as u64));
    }
}
