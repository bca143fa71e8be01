//! Published vectors: BIP-340 through the crate's own verification, BIP-341 against the reference
//! that judges the crate's trees and sighashes.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::script as support;

use bitcoin::{
    Amount, ScriptBuf, Transaction, TxOut, XOnlyPublicKey,
    consensus::encode::deserialize_hex,
    hex::FromHex,
    secp256k1::{Keypair, Message, Secp256k1, schnorr::Signature},
};
use grail_script::{DepositTree, InternalKey, Sighashes, VaultTree, nums_key};
use grail_types::{Epoch, Roster, SignerIndex, Threshold};
use grail_witness::{WitnessError, verify_signature};
use serde_json::Value;
use support::{
    governance, keypair, public,
    reference::{Spend, branch_hash, leaf_hash, output_key, p2tr, root_of},
    roster, terms,
};

const BIP340: &str = include_str!("vectors/bip340.csv");
const BIP341: &str = include_str!("vectors/bip341.json");

/// A roster in which `key` is one of four.
fn roster_holding(key: XOnlyPublicKey) -> (Roster, SignerIndex) {
    let mut signers: Vec<_> = (1..=3).map(|seed| public(&keypair(seed))).collect();
    signers.push(key);
    signers.sort_by_key(XOnlyPublicKey::serialize);
    let roster = Roster::new(Epoch(0), signers, Threshold(3)).unwrap();
    let index = roster.position(&key).unwrap();
    (roster, index)
}

#[test]
fn bip340_vectors_get_their_verdicts() {
    let secp = Secp256k1::new();
    let mut verdicts = [0, 0];
    for row in BIP340.lines().skip(1) {
        let columns: Vec<_> = row.split(',').collect();
        let [index, _, key, _, message, signature, expected] = columns.as_slice() else {
            panic!("row {row}");
        };
        let expected = *expected == "TRUE";
        verdicts[usize::from(expected)] += 1;
        let key: Result<XOnlyPublicKey, _> = key.to_lowercase().parse();
        assert_eq!(key.is_err(), ["5", "14"].contains(index), "row {index}");
        // A key that is no point can be in no roster.
        let Ok(key) = key else { continue };
        let (roster, signer) = roster_holding(key);
        let message = Message::from_digest(FromHex::from_hex(message).unwrap());
        let signature: Signature = signature.to_lowercase().parse().unwrap();
        let verdict = verify_signature(&secp, &roster, signer, &message, &signature);
        let wanted = if expected {
            Ok(())
        } else {
            Err(WitnessError::Invalid(signer))
        };
        assert_eq!(verdict, wanted, "row {index}");
        let stranger = SignerIndex(4);
        assert_eq!(
            verify_signature(&secp, &roster, stranger, &message, &signature),
            Err(WitnessError::UnknownSigner(stranger)),
            "row {index}"
        );
    }
    assert_eq!(verdicts, [10, 5]);
}

#[test]
fn bip340_vectors_are_signed_alike() {
    let secp = Secp256k1::new();
    let mut signed = 0;
    for row in BIP340.lines().skip(1) {
        let columns: Vec<_> = row.split(',').collect();
        let [_, secret, _, aux, message, signature, _] = columns.as_slice() else {
            panic!("row {row}");
        };
        if secret.is_empty() {
            continue;
        }
        let key = Keypair::from_seckey_str(&secp, secret).unwrap();
        let message = Message::from_digest(FromHex::from_hex(message).unwrap());
        let aux: [u8; 32] = FromHex::from_hex(aux).unwrap();
        let got = secp.sign_schnorr_with_aux_rand(&message, &key, &aux);
        assert_eq!(got.to_string(), signature.to_lowercase());
        signed += 1;
    }
    assert_eq!(signed, 4);
}

fn hex32(value: &Value) -> [u8; 32] {
    FromHex::from_hex(value.as_str().unwrap()).unwrap()
}

/// Hash of a tree, and its leaves' hashes from left to right.
fn tree(value: &Value, leaves: &mut Vec<[u8; 32]>) -> [u8; 32] {
    match value {
        Value::Array(sides) => {
            let [left, right] = sides.as_slice() else {
                panic!("a branch has two sides");
            };
            let left = tree(left, leaves);
            branch_hash(left, tree(right, leaves))
        }
        leaf => {
            let script = ScriptBuf::from_hex(leaf["script"].as_str().unwrap()).unwrap();
            let version = u8::try_from(leaf["leafVersion"].as_u64().unwrap()).unwrap();
            leaves.push(leaf_hash(version, &script));
            *leaves.last().unwrap()
        }
    }
}

#[test]
fn bip341_trees_come_out_of_the_reference() {
    let vectors: Value = serde_json::from_str(BIP341).unwrap();
    let cases = vectors["scriptPubKey"].as_array().unwrap();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let internal = hex32(&case["given"]["internalPubkey"]);
        let mut leaves = Vec::new();
        let given = &case["given"]["scriptTree"];
        let root = (!given.is_null()).then(|| tree(given, &mut leaves));
        let expected = &case["expected"];
        let (key, _) = output_key(&internal, root).unwrap();
        assert_eq!(
            p2tr(&key).to_hex_string(),
            expected["scriptPubKey"].as_str().unwrap()
        );
        let Some(root) = root else { continue };
        assert_eq!(root, hex32(&case["intermediary"]["merkleRoot"]));
        let blocks = expected["scriptPathControlBlocks"].as_array().unwrap();
        assert_eq!(blocks.len(), leaves.len());
        for (block, leaf) in blocks.iter().zip(leaves) {
            let block = Vec::<u8>::from_hex(block.as_str().unwrap()).unwrap();
            assert_eq!(root_of(&block, leaf), Some(root));
        }
    }
}

/// The transaction of the signing vectors and what it spends.
fn spending_case() -> (Transaction, Vec<TxOut>, Value) {
    let vectors: Value = serde_json::from_str(BIP341).unwrap();
    let case = vectors["keyPathSpending"][0].clone();
    let transaction = deserialize_hex(case["given"]["rawUnsignedTx"].as_str().unwrap()).unwrap();
    let prevouts = case["given"]["utxosSpent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|utxo| TxOut {
            value: Amount::from_sat(utxo["amountSats"].as_u64().unwrap()),
            script_pubkey: ScriptBuf::from_hex(utxo["scriptPubKey"].as_str().unwrap()).unwrap(),
        })
        .collect();
    (transaction, prevouts, case)
}

#[test]
fn bip341_sighashes_come_out_of_the_reference() {
    let (transaction, prevouts, case) = spending_case();
    let inputs = case["inputSpending"].as_array().unwrap();
    assert_eq!(inputs.len(), 7);
    for input in inputs {
        let given = &input["given"];
        let spend = Spend {
            transaction: &transaction,
            prevouts: &prevouts,
            input_index: usize::try_from(given["txinIndex"].as_u64().unwrap()).unwrap(),
            hash_type: u8::try_from(given["hashType"].as_u64().unwrap()).unwrap(),
            leaf: None,
        };
        let message = Vec::<u8>::from_hex(input["intermediary"]["sigMsg"].as_str().unwrap());
        // The vector's message includes the epoch byte.
        assert_eq!([vec![0], spend.message()].concat(), message.unwrap());
        assert_eq!(spend.sighash(), hex32(&input["intermediary"]["sigHash"]));
    }
}

#[test]
fn sighashes_of_script_paths_equal_the_reference() {
    let (transaction, prevouts, _) = spending_case();
    let (_, roster) = roster();
    let secp = Secp256k1::new();
    let leaves = [
        VaultTree::new(&secp, InternalKey::Nums, &roster, &governance()).leaf,
        DepositTree::new(&secp, InternalKey::Nums, &terms(), &roster).leaf,
    ];
    let mut sighashes = Sighashes::new(&transaction, &prevouts);
    for spend in leaves {
        let leaf = leaf_hash(0xc0, spend.script());
        let spend = grail_script::Spend::Leaf(spend);
        for input_index in 0..transaction.input.len() {
            let expected = Spend {
                transaction: &transaction,
                prevouts: &prevouts,
                input_index,
                hash_type: 0,
                leaf: Some(leaf),
            }
            .sighash();
            let got = sighashes.of(input_index, &spend).unwrap();
            assert_eq!(got, Message::from_digest(expected));
        }
    }
}

/// The group's spend of a vault.
fn key_spend() -> grail_script::Spend {
    let (_, roster) = roster();
    let group_key = public(&keypair(0x6666)).try_into().unwrap();
    let vault = VaultTree::new(
        &Secp256k1::new(),
        InternalKey::Group(group_key),
        &roster,
        &governance(),
    );
    vault.key.unwrap().into()
}

#[test]
fn sighashes_of_key_paths_equal_the_published_ones() {
    let (transaction, prevouts, case) = spending_case();
    let mut sighashes = Sighashes::new(&transaction, &prevouts);
    let inputs = case["inputSpending"].as_array().unwrap();
    let default = inputs
        .iter()
        .filter(|input| input["given"]["hashType"] == 0);
    let mut compared = 0;
    for input in default {
        let index = usize::try_from(input["given"]["txinIndex"].as_u64().unwrap()).unwrap();
        let expected = Message::from_digest(hex32(&input["intermediary"]["sigHash"]));
        assert_eq!(sighashes.of(index, &key_spend()), Ok(expected));
        compared += 1;
    }
    assert_eq!(compared, 1);
    for input_index in 0..transaction.input.len() {
        let expected = Spend {
            transaction: &transaction,
            prevouts: &prevouts,
            input_index,
            hash_type: 0,
            leaf: None,
        }
        .sighash();
        let expected = Message::from_digest(expected);
        assert_eq!(sighashes.of(input_index, &key_spend()), Ok(expected));
    }
}

#[test]
fn an_input_out_of_range_and_missing_prevouts_have_no_sighash() {
    let (transaction, prevouts, _) = spending_case();
    let (_, roster) = roster();
    let vault = VaultTree::new(&Secp256k1::new(), InternalKey::Nums, &roster, &governance());
    let inputs = transaction.input.len();
    for spend in [vault.leaf.into(), key_spend()] {
        let error = Sighashes::new(&transaction, &prevouts)
            .of(inputs, &spend)
            .unwrap_err();
        assert_eq!(error.input_index, inputs);
        assert!(
            Sighashes::new(&transaction, &prevouts[1..])
                .of(0, &spend)
                .is_err()
        );
    }
}

#[test]
fn the_internal_key_is_the_point_that_bip341_derives() {
    // lift_x(SHA-256 of the uncompressed generator), as the BIP describes it.
    let generator = concat!(
        "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
    );
    let generator = Vec::<u8>::from_hex(generator).unwrap();
    let derived = support::reference::sha256(&generator);
    assert_eq!(nums_key().serialize(), derived);
}

#[test]
fn the_trees_equal_the_reference() {
    let secp = Secp256k1::new();
    let (_, roster) = roster();
    let group_key = public(&keypair(0x6666));
    let keys = [
        (InternalKey::Nums, nums_key()),
        (InternalKey::Group(group_key.try_into().unwrap()), group_key),
    ];
    for (internal_key, point) in keys {
        let point = point.serialize();
        let vault = VaultTree::new(&secp, internal_key, &roster, &governance());
        let (leaf, resort) = (vault.leaf.leaf(), vault.last_resort.leaf());
        let hashes = [leaf, resort].map(|leaf| leaf_hash(0xc0, leaf.script()));
        let root = branch_hash(hashes[0], hashes[1]);
        for (leaf, hash) in [leaf, resort].into_iter().zip(hashes) {
            assert_eq!(leaf.control_block().internal_key.serialize(), point);
            assert_eq!(root_of(&leaf.control_block().serialize(), hash), Some(root));
        }
        let (key, _) = output_key(&point, Some(root)).unwrap();
        assert_eq!(vault.script_pubkey, p2tr(&key));

        let deposit = DepositTree::new(&secp, internal_key, &terms(), &roster);
        let leaf = leaf_hash(0xc0, deposit.leaf.script());
        let reclaim = leaf_hash(0xc0, deposit.reclaim.script());
        let root = branch_hash(leaf, reclaim);
        let (key, _) = output_key(&point, Some(root)).unwrap();
        assert_eq!(deposit.script_pubkey, p2tr(&key));
        let blocks = [
            (deposit.leaf.control_block(), leaf),
            (deposit.reclaim.control_block(), reclaim),
        ];
        for (block, leaf) in blocks {
            assert_eq!(block.internal_key.serialize(), point);
            assert_eq!(root_of(&block.serialize(), leaf), Some(root));
        }
    }
}
