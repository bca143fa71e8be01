//! The roster's leaf, its witness and its weight.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::script as support;

use std::{collections::BTreeMap, str::FromStr};

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Weight, Witness,
    absolute::LockTime,
    secp256k1::{Keypair, Message, Secp256k1, schnorr::Signature},
    sighash::{Annex, Prevouts, SighashCache, TapSighashType},
    taproot::{LeafVersion, TAPROOT_ANNEX_PREFIX, TapLeafHash},
    transaction::Version,
};
use grail_script::{
    DepositTree, InternalKey, LeafSpend, Sighashes, Spend, VaultTree, nums_key, quorum_leaf,
};
use grail_types::SignerIndex;
use grail_witness::{WitnessError, leaf_witness};
use miniscript::{Descriptor, Miniscript, Tap};
use proptest::prelude::*;
use support::{governance, governance_with, p2wpkh, roster, roster_with, tapscript, terms};

type Signatures = BTreeMap<SignerIndex, Signature>;

/// A transaction that spends one output of `script`, and that output.
fn spending(script: &ScriptBuf) -> (Transaction, [TxOut; 1]) {
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(90_000),
            script_pubkey: p2wpkh(1),
        }],
    };
    let prevout = TxOut {
        value: Amount::from_sat(100_000),
        script_pubkey: script.clone(),
    };
    (transaction, [prevout])
}

fn sighash(transaction: &Transaction, prevouts: &[TxOut], spend: &LeafSpend) -> Message {
    Sighashes::new(transaction, prevouts)
        .of(0, &Spend::Leaf(spend.clone()))
        .unwrap()
}

/// Signatures of the signers at `positions`.
fn sign(
    keys: &[Keypair],
    positions: impl IntoIterator<Item = u16>,
    sighash: &Message,
) -> Signatures {
    let secp = Secp256k1::new();
    positions
        .into_iter()
        .map(|position| {
            let key = &keys[usize::from(position)];
            let signature = secp.sign_schnorr_no_aux_rand(sighash, key);
            (SignerIndex(position), signature)
        })
        .collect()
}

/// The spend, signed by the signers at `positions`.
fn signed(
    keys: &[Keypair],
    script: &ScriptBuf,
    spend: &LeafSpend,
    positions: impl IntoIterator<Item = u16>,
) -> (Transaction, [TxOut; 1]) {
    let (mut transaction, prevouts) = spending(script);
    let signatures = sign(keys, positions, &sighash(&transaction, &prevouts, spend));
    transaction.input[0].witness = leaf_witness(spend, &signatures).unwrap();
    (transaction, prevouts)
}

#[test]
fn the_leaf_is_the_multi_a_of_miniscript() {
    for (signers, threshold) in [(4, 3), (16, 12), (17, 16), (20, 17), (100, 67)] {
        let (_, roster) = roster_with(0, signers, threshold);
        let keys: Vec<_> = roster.signers().iter().map(ToString::to_string).collect();
        let text = format!("multi_a({threshold},{})", keys.join(","));
        let expected = Miniscript::<bitcoin::XOnlyPublicKey, Tap>::from_str(&text).unwrap();
        assert_eq!(
            quorum_leaf(&roster),
            expected.encode(),
            "{threshold} of {signers}"
        );
    }
}

#[test]
fn the_last_resort_is_a_years_age_and_the_multi_a_of_miniscript() {
    let (_, roster) = roster();
    for (count, threshold, needed) in [(16, 12, 14), (4, 3, 4), (1, 1, 1), (100, 67, 84)] {
        let (_, governance) = governance_with(count, threshold);
        let keys = governance.administrators().iter().map(ToString::to_string);
        let text = format!("multi_a({needed},{})", keys.collect::<Vec<_>>().join(","));
        let multi_a = Miniscript::<bitcoin::XOnlyPublicKey, Tap>::from_str(&text).unwrap();
        // 52,560 takes three bytes, since the highest bit of two is the sign; CSV, DROP.
        let age = [3, 0x50, 0xcd, 0x00, 0xb2, 0x75];
        let expected = [age.as_slice(), multi_a.encode().as_bytes()].concat();
        let vault = VaultTree::new(&Secp256k1::new(), InternalKey::Nums, &roster, &governance);
        let leaf = vault.last_resort.leaf();
        assert_eq!(leaf.script().to_bytes(), expected);
        assert_eq!(vault.last_resort.needed(), needed);
    }
}

#[test]
fn a_rosters_witness_is_within_miniscripts_bound() {
    let (_, roster) = roster();
    let keys: Vec<_> = roster.signers().iter().map(ToString::to_string).collect();
    let text = format!(
        "tr({0},{{multi_a(12,{1}),pk({0})}})",
        nums_key(),
        keys.join(",")
    );
    let descriptor = Descriptor::<bitcoin::XOnlyPublicKey>::from_str(&text).unwrap();
    let vault = VaultTree::new(&Secp256k1::new(), InternalKey::Nums, &roster, &governance());
    // Miniscript's own bound of a satisfaction, which allows a signature a 65th byte.
    let bound = descriptor.max_weight_to_satisfy().unwrap();
    let weight = vault.leaf.witness_weight();
    assert!(
        weight <= bound && bound <= weight + Weight::from_wu(20),
        "{weight} {bound}"
    );
}

#[test]
fn other_administrators_have_another_vault() {
    let secp = Secp256k1::new();
    let (_, roster) = roster();
    let script = |count, threshold| {
        let (_, governance) = governance_with(count, threshold);
        VaultTree::new(&secp, InternalKey::Nums, &roster, &governance).script_pubkey
    };
    assert_ne!(script(16, 12), script(15, 12));
    assert_ne!(script(16, 12), script(16, 15));
}

#[test]
fn twelve_of_sixteen_has_the_sizes_of_the_design() {
    let (keys, roster) = roster();
    let secp = Secp256k1::new();
    let vault = VaultTree::new(&secp, InternalKey::Nums, &roster, &governance());
    assert_eq!(vault.leaf.script().len(), 546);
    assert_eq!(vault.leaf.control_block().size(), 65);
    assert_eq!(vault.leaf.witness_weight().to_wu(), 1_400);
    // Fourteen signatures, and six bytes of age.
    assert_eq!(vault.last_resort.leaf().script().len(), 552);
    assert_eq!(vault.last_resort.witness_weight().to_wu(), 1_534);

    let (transaction, _) = signed(&keys, &vault.script_pubkey, &vault.leaf, 0..12);
    let input = transaction.input[0].segwit_weight().to_wu();
    assert_eq!((input, input.div_ceil(4)), (1_564, 391));

    let deposit = DepositTree::new(&secp, InternalKey::Nums, &terms(), &roster);
    assert_eq!(deposit.leaf.script().len(), 546 + 34);
    let (transaction, _) = signed(&keys, &deposit.script_pubkey, &deposit.leaf, 0..12);
    let input = transaction.input[0].segwit_weight().to_wu();
    assert_eq!((input, input.div_ceil(4)), (1_598, 400));
}

#[test]
fn any_quorum_spends_vault_and_deposit() {
    let (keys, roster) = roster();
    let secp = Secp256k1::new();
    let vault = VaultTree::new(&secp, InternalKey::Nums, &roster, &governance());
    let deposit = DepositTree::new(&secp, InternalKey::Nums, &terms(), &roster);
    let quorums: [Vec<u16>; 3] = [
        (0..12).collect(),
        (4..16).collect(),
        [0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 14, 15].into(),
    ];
    for quorum in quorums {
        for (script, spend) in [
            (&vault.script_pubkey, &vault.leaf),
            (&deposit.script_pubkey, &deposit.leaf),
        ] {
            let (transaction, prevouts) = signed(&keys, script, spend, quorum.iter().copied());
            tapscript::verify_all(&transaction, &prevouts).unwrap();
        }
    }
}

#[test]
fn surplus_signatures_are_left_out() {
    let (keys, roster) = roster();
    let vault = VaultTree::new(&Secp256k1::new(), InternalKey::Nums, &roster, &governance());
    let (all, prevouts) = signed(&keys, &vault.script_pubkey, &vault.leaf, 0..16);
    let (first, _) = signed(&keys, &vault.script_pubkey, &vault.leaf, 0..12);
    assert_eq!(all, first);
    tapscript::verify_all(&all, &prevouts).unwrap();
}

/// Whoever completes a witness may add an annex (BIP-341); no signer has signed one.
#[test]
fn signatures_made_without_an_annex_fail_with_one() {
    let (keys, roster) = roster();
    let secp = Secp256k1::new();
    let vault = VaultTree::new(&secp, InternalKey::Nums, &roster, &governance());
    let (transaction, prevouts) = spending(&vault.script_pubkey);
    let signed = sighash(&transaction, &prevouts, &vault.leaf);
    let leaf = TapLeafHash::from_script(vault.leaf.script(), LeafVersion::TapScript);
    let digest = |annex: Option<&[u8]>| {
        let annex = annex.map(|bytes| Annex::new(bytes).unwrap());
        let sighash = SighashCache::new(&transaction)
            .taproot_signature_hash(
                0,
                &Prevouts::All(&prevouts),
                annex,
                Some((leaf, u32::MAX)),
                TapSighashType::Default,
            )
            .unwrap();
        Message::from(sighash)
    };
    assert_eq!(digest(None), signed);
    let annexed = digest(Some(&[TAPROOT_ANNEX_PREFIX, 1]));
    for (signer, signature) in sign(&keys, 0..12, &signed) {
        let key = keys[usize::from(signer.0)].x_only_public_key().0;
        secp.verify_schnorr(&signature, &signed, &key).unwrap();
        assert!(secp.verify_schnorr(&signature, &annexed, &key).is_err());
    }
}

#[test]
fn eleven_signatures_make_no_witness() {
    let (keys, roster) = roster();
    let vault = VaultTree::new(&Secp256k1::new(), InternalKey::Nums, &roster, &governance());
    let (transaction, prevouts) = spending(&vault.script_pubkey);
    let sighash = sighash(&transaction, &prevouts, &vault.leaf);
    let signatures = sign(&keys, 0..11, &sighash);
    assert_eq!(
        leaf_witness(&vault.leaf, &signatures),
        Err(WitnessError::TooFew {
            expected: 12,
            got: 11
        })
    );
}

#[test]
fn a_signature_of_nobody_makes_no_witness() {
    let (keys, roster) = roster();
    let vault = VaultTree::new(&Secp256k1::new(), InternalKey::Nums, &roster, &governance());
    let (transaction, prevouts) = spending(&vault.script_pubkey);
    let sighash = sighash(&transaction, &prevouts, &vault.leaf);
    let mut signatures = sign(&keys, 0..11, &sighash);
    let surplus = *signatures.values().next().unwrap();
    signatures.insert(SignerIndex(16), surplus);
    assert_eq!(
        leaf_witness(&vault.leaf, &signatures),
        Err(WitnessError::UnknownSigner(SignerIndex(16)))
    );
}

#[test]
fn a_signature_in_anothers_place_does_not_spend() {
    let (keys, roster) = roster();
    let vault = VaultTree::new(&Secp256k1::new(), InternalKey::Nums, &roster, &governance());
    let (mut transaction, prevouts) = spending(&vault.script_pubkey);
    let sighash = sighash(&transaction, &prevouts, &vault.leaf);
    let mut signatures = sign(&keys, 0..12, &sighash);
    let of_first = signatures[&SignerIndex(0)];
    signatures.insert(SignerIndex(1), of_first);
    transaction.input[0].witness = leaf_witness(&vault.leaf, &signatures).unwrap();
    assert!(tapscript::verify_all(&transaction, &prevouts).is_err());
}

#[test]
fn a_quorum_of_another_roster_does_not_spend() {
    let (_, roster) = roster();
    let (others, other_roster) = roster_with(0, 17, 12);
    let secp = Secp256k1::new();
    let vault = VaultTree::new(&secp, InternalKey::Nums, &roster, &governance());
    let other = VaultTree::new(&secp, InternalKey::Nums, &other_roster, &governance());
    let (transaction, prevouts) = signed(&others, &vault.script_pubkey, &other.leaf, 0..12);
    assert_eq!(
        tapscript::verify_all(&transaction, &prevouts),
        Err("input 0: the leaf is not in the output's tree".to_owned())
    );
}

#[test]
fn the_epoch_is_not_in_the_vault_address_but_in_every_deposit_address() {
    let secp = Secp256k1::new();
    let (_, first) = roster_with(0, 16, 12);
    let (_, second) = roster_with(1, 16, 12);
    assert_eq!(
        VaultTree::new(&secp, InternalKey::Nums, &first, &governance()),
        VaultTree::new(&secp, InternalKey::Nums, &second, &governance())
    );
    let mut later = terms();
    later.epoch = second.epoch();
    assert_ne!(
        DepositTree::new(&secp, InternalKey::Nums, &terms(), &first).script_pubkey,
        DepositTree::new(&secp, InternalKey::Nums, &later, &second).script_pubkey
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn predicted_weight_is_the_weight_of_the_real_witness(
        (signers, threshold) in (4_u16..=100).prop_flat_map(|n| (Just(n), n / 2 + 1..=n)),
        of_deposit: bool,
        skip in 0_usize..100,
    ) {
        let (keys, roster) = roster_with(7, signers, threshold);
        let secp = Secp256k1::new();
        let (script, spend) = if of_deposit {
            let tree = DepositTree::new(&secp, InternalKey::Nums, &terms(), &roster);
            (tree.script_pubkey, tree.leaf)
        } else {
            let tree = VaultTree::new(&secp, InternalKey::Nums, &roster, &governance());
            (tree.script_pubkey, tree.leaf)
        };
        let absent = usize::from(signers - threshold).min(skip);
        let quorum = (0..signers).skip(absent).take(usize::from(threshold));
        let (transaction, prevouts) = signed(&keys, &script, &spend, quorum);
        let real = bitcoin::consensus::serialize(&transaction.input[0].witness).len();
        prop_assert_eq!(
            spend.witness_weight(),
            Weight::from_witness_data_size(real as u64)
        );
        tapscript::verify_all(&transaction, &prevouts).unwrap();
    }

    #[test]
    fn one_flipped_bit_in_a_witness_does_not_spend(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let (keys, roster) = roster_with(0, 4, 3);
        let vault = VaultTree::new(&Secp256k1::new(), InternalKey::Nums, &roster, &governance());
        let (mut transaction, prevouts) =
            signed(&keys, &vault.script_pubkey, &vault.leaf, 0..3);
        let mut elements = transaction.input[0].witness.to_vec();
        let bytes: usize = elements.iter().map(Vec::len).sum();
        let mut position = at.index(bytes);
        for element in &mut elements {
            match element.get_mut(position) {
                Some(byte) => {
                    *byte ^= 1 << bit;
                    break;
                }
                None => position -= element.len(),
            }
        }
        transaction.input[0].witness = Witness::from_slice(&elements);
        prop_assert!(tapscript::verify_all(&transaction, &prevouts).is_err());
    }
}
