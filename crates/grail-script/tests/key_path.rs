//! The group key's spend, with a plain Schnorr key in the group's place.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::script as support;

use std::collections::BTreeMap;

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, XOnlyPublicKey,
    absolute::LockTime,
    key::TapTweak,
    secp256k1::{Keypair, Message, Secp256k1},
    transaction::Version,
};
use grail_script::{
    DepositTree, GroupKey, InternalKey, KeySpend, NumsAsGroupKey, Sighashes, Spend, VaultTree,
    nums_key, weight,
};
use grail_witness::{WitnessError, group_witness, quorum_witness};
use support::{governance, keypair, p2wpkh, public, roster, tapscript, terms};

fn group() -> Keypair {
    keypair(0x6666)
}

fn internal_key() -> InternalKey {
    InternalKey::Group(public(&group()).try_into().unwrap())
}

/// Outputs of vault and deposit with their spends by key.
fn outputs() -> [(ScriptBuf, KeySpend); 2] {
    let secp = Secp256k1::new();
    let (_, roster) = roster();
    let vault = VaultTree::new(&secp, internal_key(), &roster, &governance());
    let deposit = DepositTree::new(&secp, internal_key(), &terms(), &roster);
    [
        (vault.script_pubkey, vault.key.unwrap()),
        (deposit.script_pubkey, deposit.key.unwrap()),
    ]
}

/// A transaction that spends vault and deposit, and what it spends.
fn spending() -> (Transaction, Vec<TxOut>) {
    let input = |vout| TxIn {
        previous_output: OutPoint {
            vout,
            ..OutPoint::null()
        },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    };
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input(0), input(1)],
        output: vec![TxOut {
            value: Amount::from_sat(190_000),
            script_pubkey: p2wpkh(1),
        }],
    };
    let prevouts = outputs().map(|(script_pubkey, _)| TxOut {
        value: Amount::from_sat(100_000),
        script_pubkey,
    });
    (transaction, prevouts.to_vec())
}

fn sighash(
    transaction: &Transaction,
    prevouts: &[TxOut],
    index: usize,
    spend: KeySpend,
) -> Message {
    Sighashes::new(transaction, prevouts)
        .of(index, &Spend::Key(spend))
        .unwrap()
}

/// The holder of the whole key adds the tweak that the spend names.
fn tweaked(spend: KeySpend) -> Keypair {
    let secp = Secp256k1::new();
    group().add_xonly_tweak(&secp, &spend.tweak()).unwrap()
}

#[test]
fn the_group_key_spends_vault_and_deposit() {
    let secp = Secp256k1::new();
    let (mut transaction, prevouts) = spending();
    let unsigned = transaction.clone();
    for (index, (_, spend)) in outputs().into_iter().enumerate() {
        let sighash = sighash(&transaction, &prevouts, index, spend);
        let signature = secp.sign_schnorr_no_aux_rand(&sighash, &tweaked(spend));
        transaction.input[index].witness =
            group_witness(&secp, &spend, &sighash, &signature).unwrap();
    }
    tapscript::verify_all(&transaction, &prevouts).unwrap();
    let weights = outputs().map(|(_, spend)| Spend::Key(spend).witness_weight());
    assert_eq!(weight::signed(&unsigned, weights), Ok(transaction.weight()));
}

#[test]
fn the_tweak_is_the_one_of_bip341() {
    let secp = Secp256k1::new();
    let (_, roster) = roster();
    let vault = VaultTree::new(&secp, internal_key(), &roster, &governance());
    let spend = vault.key.unwrap();
    let leaves = [vault.leaf.leaf(), vault.last_resort.leaf()];
    let [leaf, resort] = leaves.map(|leaf| support::reference::leaf_hash(0xc0, leaf.script()));
    let root = support::reference::branch_hash(leaf, resort);
    let (expected, _) =
        support::reference::output_key(&public(&group()).serialize(), Some(root)).unwrap();
    assert_eq!(spend.output_key(), expected);
    assert_eq!(public(&tweaked(spend)), expected);
}

#[test]
fn an_input_by_key_has_the_size_of_the_design() {
    let [(_, spend), _] = outputs();
    let input = weight::INPUT + spend.witness_weight();
    // 57.5 vB.
    assert_eq!((spend.witness_weight().to_wu(), input.to_wu()), (66, 230));
}

#[test]
fn without_a_group_key_there_is_no_key_path() {
    let secp = Secp256k1::new();
    let (_, roster) = roster();
    let vault = VaultTree::new(&secp, InternalKey::Nums, &roster, &governance());
    let deposit = DepositTree::new(&secp, InternalKey::Nums, &terms(), &roster);
    assert_eq!((vault.key, deposit.key), (None, None));
}

#[test]
fn the_nums_point_is_no_group_key() {
    assert_eq!(GroupKey::try_from(nums_key()), Err(NumsAsGroupKey));
    let text = format!("\"{}\"", nums_key());
    assert!(serde_json::from_str::<GroupKey>(&text).is_err());
    let key = public(&group());
    let read: GroupKey = serde_json::from_str(&format!("\"{key}\"")).unwrap();
    assert_eq!(XOnlyPublicKey::from(read), key);
}

#[test]
fn a_signature_by_another_key_or_for_another_input_makes_no_witness() {
    let secp = Secp256k1::new();
    let (transaction, prevouts) = spending();
    let [(_, vault), (_, deposit)] = outputs();
    let message = sighash(&transaction, &prevouts, 0, vault);
    let untweaked = group();
    let tweaked_without_tree = group().tap_tweak(&secp, None).to_keypair();
    for key in [untweaked, tweaked_without_tree, tweaked(deposit)] {
        let signature = secp.sign_schnorr_no_aux_rand(&message, &key);
        assert_eq!(
            group_witness(&secp, &vault, &message, &signature),
            Err(WitnessError::InvalidGroupSignature)
        );
    }
    let of_other = sighash(&transaction, &prevouts, 1, deposit);
    let signature = secp.sign_schnorr_no_aux_rand(&of_other, &tweaked(vault));
    assert_eq!(
        group_witness(&secp, &vault, &message, &signature),
        Err(WitnessError::InvalidGroupSignature)
    );
}

#[test]
fn signatures_of_single_signers_do_not_complete_a_spend_by_key() {
    let [(_, spend), _] = outputs();
    assert_eq!(
        quorum_witness(&Spend::Key(spend), &BTreeMap::new()),
        Err(WitnessError::NeedsGroupSignature)
    );
}

#[test]
fn a_quorum_spends_by_its_leaf_under_a_group_key_too() {
    let secp = Secp256k1::new();
    let (keys, roster) = roster();
    let vault = VaultTree::new(&secp, internal_key(), &roster, &governance());
    let (mut transaction, mut prevouts) = spending();
    transaction.input.truncate(1);
    prevouts.truncate(1);
    let spend = Spend::Leaf(vault.leaf);
    let sighash = Sighashes::new(&transaction, &prevouts)
        .of(0, &spend)
        .unwrap();
    let signatures = (0..12)
        .zip(&keys)
        .map(|(index, key)| {
            let signature = secp.sign_schnorr_no_aux_rand(&sighash, key);
            (grail_types::SignerIndex(index), signature)
        })
        .collect();
    transaction.input[0].witness = quorum_witness(&spend, &signatures).unwrap();
    tapscript::verify_all(&transaction, &prevouts).unwrap();
}
