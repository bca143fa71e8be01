//! A vault's two leaves on a real node, with the real age of a year.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    absolute::LockTime,
    key::Keypair,
    secp256k1::{Message, Secp256k1},
    transaction::Version,
};
use grail_chain::{Chain, RejectReason, Verdict, View};
use grail_fixtures::script::{governance_with, p2wpkh, roster};
use grail_script::{InternalKey, LAST_RESORT_AGE, Sighashes, Spend};
use grail_testkit::Node;
use grail_types::SignerIndex;
use grail_witness::{LastResort, quorum_witness};

const COIN: Amount = Amount::from_sat(100_000);

fn transaction(input: TxIn) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![TxOut {
            value: COIN - Amount::from_sat(10_000),
            script_pubkey: p2wpkh(1),
        }],
    }
}

fn accepted(node: &Node, transaction: &Transaction) {
    let verdict = node.test_accept(transaction);
    assert!(matches!(verdict, Verdict::Accepted { .. }), "{verdict:?}");
}

fn refusal(node: &Node, transaction: &Transaction) -> RejectReason {
    match node.test_accept(transaction) {
        Verdict::Rejected { reason, .. } => reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The roster's spend of a coin at the vault, of no age in particular.
fn by_roster(
    resort: &LastResort<'_>,
    keys: &[Keypair],
    coin: OutPoint,
    was: &TxOut,
) -> Transaction {
    let secp = Secp256k1::new();
    let mut transaction = transaction(TxIn {
        previous_output: coin,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    });
    let spend = Spend::Leaf(resort.vault().leaf.clone());
    let spent = std::slice::from_ref(was);
    let digest = Sighashes::new(&transaction, spent).of(0, &spend).unwrap();
    let signatures = (0..12)
        .map(SignerIndex)
        .zip(keys)
        .map(|(signer, key)| (signer, secp.sign_schnorr_no_aux_rand(&digest, key)))
        .collect();
    transaction.input[0].witness = quorum_witness(&spend, &signatures).unwrap();
    transaction
}

/// Mines so many blocks to nobody's key: some 16 s for a year of them.
fn age(node: &Node, count: u32) {
    let clock = std::time::SystemTime::now();
    let clock = clock.duration_since(std::time::UNIX_EPOCH).unwrap();
    for part in 0..=count / BLOCKS_AT_ONCE {
        // A block is a second later than the median of eleven, so many would be hours ahead of the
        // clock, and invalid.
        let now = clock.as_secs() + u64::from(part) * 60 * 60;
        let _: serde_json::Value = node.rpc().call("setmocktime", &[now.into()]).unwrap();
        let left = count - part * BLOCKS_AT_ONCE;
        node.mine_to(left.min(BLOCKS_AT_ONCE), &p2wpkh(2));
    }
}

const BLOCKS_AT_ONCE: u32 = 10_000;

#[test]
fn administrators_take_a_coin_after_a_year_and_not_a_block_before() {
    let (secp, node) = (Secp256k1::new(), Node::start());
    let (signers, roster) = roster();
    let (administrators, governance) = governance_with(16, 12);
    let resort = LastResort::new(&secp, InternalKey::Nums, &roster, &governance);
    let was = TxOut {
        value: COIN,
        script_pubkey: resort.vault().script_pubkey.clone(),
    };
    let coins = node.fund_many(&[was.clone(), was.clone()]);
    node.mine(1);
    let spent = std::slice::from_ref(&was);

    // By the roster at once, while nobody else can.
    let by_roster = |coin| by_roster(&resort, &signers, coin, &was);
    accepted(&node, &by_roster(coins[0]));
    let signed = |sequence: u16| {
        let mut transaction = transaction(resort.input(coins[0]));
        transaction.input[0].sequence = Sequence::from_height(sequence);
        let leaf = resort.vault().last_resort.leaf();
        let digest: Message = Sighashes::new(&transaction, spent)
            .of_leaf(0, leaf)
            .unwrap();
        let keys = administrators.iter().enumerate().take(14);
        let signatures: BTreeMap<_, _> = keys
            .map(|(at, key)| (at, secp.sign_schnorr_no_aux_rand(&digest, key)))
            .collect();
        (transaction, signatures)
    };
    let (mut by_fourteen, signatures) = signed(LAST_RESORT_AGE);
    resort
        .complete(&secp, &mut by_fourteen, spent, 0, &signatures)
        .unwrap();
    assert_eq!(refusal(&node, &by_fourteen), RejectReason::NonFinal);
    // A sequence that the coin's age is enough for is not the one that the leaf asks for.
    let (mut younger, signatures) = signed(1);
    let places = administrators.iter().enumerate().rev();
    let places = places.map(|(at, _)| match signatures.get(&at) {
        Some(signature) => signature.as_ref().to_vec(),
        None => Vec::new(),
    });
    let behind = by_fourteen.input[0].witness.iter().skip(16);
    let items: Vec<_> = places.chain(behind.map(<[u8]>::to_vec)).collect();
    younger.input[0].witness = Witness::from_slice(&items);
    assert_eq!(refusal(&node, &younger), RejectReason::ScriptVerify);

    // One confirmation is there; one short of the age is still none.
    age(&node, u32::from(LAST_RESORT_AGE) - 2);
    assert_eq!(refusal(&node, &by_fourteen), RejectReason::NonFinal);
    node.mine_to(1, &p2wpkh(2));
    let status = node.chain().tx_out(&coins[0], View::Confirmed).unwrap();
    assert_eq!(status.unwrap().confirmations, u32::from(LAST_RESORT_AGE));
    accepted(&node, &by_fourteen);

    // Thirteen, who could rotate.
    let mut items = by_fourteen.input[0].witness.to_vec();
    items[15].clear();
    let mut by_thirteen = by_fourteen.clone();
    by_thirteen.input[0].witness = Witness::from_slice(&items);
    assert_eq!(refusal(&node, &by_thirteen), RejectReason::ScriptVerify);

    // The roster spends at any age; whoever comes first has it.
    accepted(&node, &by_roster(coins[0]));
    node.send(&by_roster(coins[1]));
    let txid = node.send(&by_fourteen);
    node.mine_to(1, &p2wpkh(2));
    let left = node
        .chain()
        .tx_out(&OutPoint::new(txid, 0), View::Confirmed);
    assert_eq!(left.unwrap().unwrap().confirmations, 1);
}
