//! The way out on paper: which deposit, with which key, and what must not be lost.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::hashes::Hash as _;
use bitcoin::script::PushBytesBuf;
use bitcoin::secp256k1::{All, Message, Secp256k1, schnorr};
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::taproot::{LeafVersion, TapLeafHash};
use bitcoin::{FeeRate, OutPoint, ScriptBuf, Sequence, TapSighashType, Transaction, TxOut, Txid};
use common::{Charm, bridge, conjure, conjurer, funding, params, protocol, reader, roster, sat};
use grail_api::{CheckedReceipt, CreatePegIn, CreatePegOut, Receipt};
use grail_script::{DepositTree, InternalKey};
use grail_types::Network;
use grail_wallet::charms::Carried;
use grail_wallet::holdings::{Coin, Holding, PlainCoin, classify};
use grail_wallet::reclaim::{Deposit, Keys, ReclaimFailure, reclaim_plain, reclaim_tokens};
use grail_wallet::seed::{Branch, Seed};
use grail_wallet::transfer::{ProveFailure, SpellProver, TokenPayment, Unproven};

const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
const RATE: FeeRate = FeeRate::from_sat_per_vb_u32(2);

fn seed() -> Seed {
    Seed::parse(WORDS, Network::Regtest).unwrap()
}

fn reclaim_public_key() -> String {
    let key = seed().reclaim_key(&Secp256k1::new(), 3);
    key.x_only_public_key().0.to_string()
}

fn peg_in() -> CheckedReceipt {
    let create = CreatePegIn {
        recipient_address: "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into(),
        reclaim_public_key: reclaim_public_key(),
        fee_cap_sat: 50_000,
        reclaim_delay: None,
        amount_sat: None,
        nonce: None,
    };
    let asked = create
        .parse(&bridge(), &params(), &roster(0), protocol().governance())
        .unwrap();
    let receipt = Receipt::new(InternalKey::Nums, asked.into_terms([7; 16]), roster(0));
    receipt.check().unwrap()
}

fn peg_out() -> CheckedReceipt {
    let create = CreatePegOut {
        payout_address: "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into(),
        reclaim_public_key: reclaim_public_key(),
        fee_cap_sat: 50_000,
        reclaim_delay: None,
        amount_sat: None,
        nonce: None,
    };
    let asked = create
        .parse(&bridge(), &params(), &roster(0), protocol().governance())
        .unwrap();
    let receipt = Receipt::new(InternalKey::Nums, asked.into_terms([7; 16]), roster(0));
    receipt.check().unwrap()
}

fn paid(receipt: &CheckedReceipt, amounts: &[u64]) -> Transaction {
    let mut transaction = funding(1_000);
    transaction
        .output
        .extend(amounts.iter().map(|amount| TxOut {
            value: sat(*amount),
            script_pubkey: receipt.script_pubkey().clone(),
        }));
    transaction
}

fn deposit(receipt: &CheckedReceipt, transaction: &Transaction, vout: u32) -> Deposit {
    let carried = reader().carried(transaction, vout);
    Deposit::from_transaction(receipt, transaction, vout, carried).unwrap()
}

#[test]
fn a_block_reward_needs_a_hundred_confirmations_whatever_its_delay() {
    let receipt = peg_in();
    let delay = receipt.terms().reclaim_delay;
    assert!(delay < 100);
    let payment = paid(&receipt, &[60_000]);
    let mut reward = payment.clone();
    reward.input = vec![bitcoin::TxIn::default()];
    assert!(reward.is_coinbase());
    for (transaction, expected) in [(&payment, delay), (&reward, 100)] {
        let needed = deposit(&receipt, transaction, 1).confirmations_needed(&receipt);
        assert_eq!(needed, expected);
    }
}

#[test]
fn the_deposit_is_found_in_its_transaction() {
    let receipt = peg_in();
    let one = paid(&receipt, &[60_000]);
    assert_eq!(Deposit::vout_in(&receipt, &one, None).unwrap(), 1);
    let code = |result: Result<u32, ReclaimFailure>| result.unwrap_err().code();
    let none = Deposit::vout_in(&receipt, &funding(60_000), None);
    assert_eq!(code(none), "no-deposit");
    let two = paid(&receipt, &[60_000, 61_000]);
    assert_eq!(
        code(Deposit::vout_in(&receipt, &two, None)),
        "several-deposits"
    );
    let second = OutPoint::new(two.compute_txid(), 2);
    assert_eq!(
        Deposit::vout_in(&receipt, &two, Some(second)).unwrap(),
        2,
        "named"
    );
    let other = Deposit::vout_in(&receipt, &one, Some(second));
    assert_eq!(code(other), "not-the-deposit");
}

#[test]
fn an_output_elsewhere_is_not_the_deposit() {
    let (receipt, transaction) = (peg_in(), paid(&peg_in(), &[60_000]));
    for vout in [0, 2, u32::MAX] {
        let carried = reader().carried(&transaction, vout);
        let refused = Deposit::from_transaction(&receipt, &transaction, vout, carried);
        assert_eq!(refused.unwrap_err().code(), "not-the-deposit", "{vout}");
    }
}

fn assert_signed(transaction: &Transaction, receipt: &CheckedReceipt, prevouts: &[TxOut]) {
    let secp: Secp256k1<All> = Secp256k1::new();
    let tree = DepositTree::new(
        &secp,
        receipt.internal_key(),
        receipt.terms(),
        receipt.roster(),
    );
    let leaf = TapLeafHash::from_script(tree.reclaim.script(), LeafVersion::TapScript);
    let sighash = SighashCache::new(transaction)
        .taproot_script_spend_signature_hash(
            0,
            &Prevouts::All(prevouts),
            leaf,
            TapSighashType::Default,
        )
        .unwrap();
    let witness = &transaction.input[0].witness;
    assert_eq!(witness.len(), 3);
    let signature = schnorr::Signature::from_slice(&witness[0]).unwrap();
    assert_eq!(&witness[1], tree.reclaim.script().as_bytes());
    let message = Message::from_digest(sighash.to_byte_array());
    let key = receipt.terms().reclaim_key;
    secp.verify_schnorr(&signature, &message, &key).unwrap();
}

#[test]
fn a_plain_deposit_pays_its_own_way_out() {
    let (secp, receipt) = (Secp256k1::new(), peg_in());
    let transaction = paid(&receipt, &[60_000]);
    let deposit = deposit(&receipt, &transaction, 1);
    let key = seed()
        .find_reclaim_key(&secp, &receipt.terms().reclaim_key)
        .unwrap();
    let signed = reclaim_plain(&secp, &receipt, &deposit, conjurer(), RATE, &key).unwrap();
    assert_signed(&signed, &receipt, std::slice::from_ref(&deposit.output));
    assert_eq!(
        signed.input[0].sequence,
        Sequence::from_height(receipt.terms().reclaim_delay)
    );
    let fee = deposit.output.value - signed.output[0].value;
    assert_eq!(Some(fee), RATE.fee_wu(signed.weight()), "its exact weight");
    let thief = seed().reclaim_key(&secp, 4);
    let refused = reclaim_plain(&secp, &receipt, &deposit, conjurer(), RATE, &thief);
    assert_eq!(refused.unwrap_err().code(), "no-reclaim-key");
}

#[test]
fn charms_are_not_spent_as_a_plain_deposit() {
    let (secp, receipt) = (Secp256k1::new(), peg_in());
    let key = seed().reclaim_key(&secp, 3);
    let at_deposit = |value| TxOut {
        value: sat(value),
        script_pubkey: receipt.script_pubkey().clone(),
    };
    let outputs = [
        (at_deposit(60_000), Charm::Token(5)),
        (at_deposit(60_000), Charm::OtherToken(5)),
    ];
    let transaction = conjure(&funding(200_000), 0, &outputs);
    let mut unread = paid(&receipt, &[60_000]);
    unread.output.push(TxOut {
        value: sat(0),
        script_pubkey: ScriptBuf::builder()
            .push_opcode(bitcoin::opcodes::all::OP_RETURN)
            .push_slice(b"spell")
            .push_slice([0xff])
            .into_script(),
    });
    for (transaction, vout) in [(&transaction, 0), (&transaction, 1), (&unread, 1)] {
        let deposit = deposit(&receipt, transaction, vout);
        let refused = reclaim_plain(&secp, &receipt, &deposit, conjurer(), RATE, &key);
        assert_eq!(refused.unwrap_err().code(), "other-charms", "{vout}");
    }
}

#[test]
fn only_a_peg_in_is_taken_for_plain_unread() {
    let outpoint = OutPoint::null();
    let plain = Deposit::plain(&peg_in(), outpoint, sat(60_000)).unwrap();
    assert_eq!(plain.carried.code(), "transaction-not-read");
    let refused = Deposit::plain(&peg_out(), outpoint, sat(330)).unwrap_err();
    assert_eq!(refused.code(), "needs-deposit-tx");
}

/// Proves nothing, in 500 bytes.
struct Stamp;

impl SpellProver for Stamp {
    fn prove(&self, _: Unproven<'_>) -> Result<ScriptBuf, ProveFailure> {
        let payload = PushBytesBuf::try_from(vec![1; 500]).unwrap();
        Ok(ScriptBuf::new_op_return(payload))
    }
}

/// A plain coin of the wallet's, and the transaction that makes it.
fn own_coin(value: u64) -> (PlainCoin, Transaction) {
    let secp = Secp256k1::new();
    let key = seed().output_key(&secp, Branch::Receive, 0);
    let mut transaction = funding(value);
    transaction.output[0].script_pubkey =
        ScriptBuf::new_p2tr_tweaked(bitcoin::key::TweakedPublicKey::from_keypair(key));
    let coin = Coin {
        outpoint: OutPoint::new(transaction.compute_txid(), 0),
        output: transaction.output[0].clone(),
        branch: Branch::Receive,
        index: 0,
        confirmations: 1,
        is_coinbase: false,
    };
    match classify(&mut reader(), coin, &transaction) {
        Holding::Plain(plain) => (plain, transaction),
        other => panic!("{other:?}"),
    }
}

fn take_back(
    receipt: &CheckedReceipt,
    deposit: &Deposit,
    source: &Transaction,
    seed: &Seed,
) -> Result<Transaction, ReclaimFailure> {
    let (plain, funding) = own_coin(20_000);
    let previous = |txid: &Txid| {
        [source, &funding]
            .into_iter()
            .find(|known| known.compute_txid() == *txid)
            .cloned()
    };
    let payment = TokenPayment {
        bridge: &receipt.terms().bridge,
        carrier: sat(330),
        outputs: Vec::new(),
        inputs: Vec::new(),
        foreign: None,
        plain: std::slice::from_ref(&plain),
        fee_rate: RATE,
        change_script: conjurer(),
        contract: b"",
        previous: &previous,
    };
    let secp = Secp256k1::new();
    let key = seed.find_reclaim_key(&secp, &receipt.terms().reclaim_key)?;
    let keys = Keys {
        seed,
        reclaim: &key,
    };
    reclaim_tokens(&secp, receipt, deposit, conjurer(), keys, payment, &Stamp)
}

fn token_deposit(receipt: &CheckedReceipt) -> (Deposit, Transaction) {
    let output = TxOut {
        value: sat(330),
        script_pubkey: receipt.script_pubkey().clone(),
    };
    let source = conjure(&funding(10_000), 0, &[(output, Charm::Token(700))]);
    (deposit(receipt, &source, 0), source)
}

#[test]
fn a_deposit_with_zkbtc_is_paid_for_by_plain_coins() {
    let receipt = peg_out();
    let (deposit, source) = token_deposit(&receipt);
    let signed = take_back(&receipt, &deposit, &source, &seed()).unwrap();
    let (plain, _) = own_coin(20_000);
    let prevouts = [deposit.output.clone(), plain.coin().output.clone()];
    assert_signed(&signed, &receipt, &prevouts);
    assert_eq!(signed.input[1].witness.len(), 1, "by key");
    assert_eq!(signed.output[0].value, sat(330));
    assert!(signed.output[1].script_pubkey.is_op_return());
    let spent: u64 = prevouts.iter().map(|output| output.value.to_sat()).sum();
    let out = signed.output.iter().map(|output| output.value.to_sat());
    let fee = sat(spent - out.sum::<u64>());
    assert_eq!(Some(fee), RATE.fee_wu(signed.weight()), "its exact weight");
}

#[test]
fn another_mnemonic_takes_no_zkbtc_back() {
    let receipt = peg_out();
    let (deposit, source) = token_deposit(&receipt);
    let stranger = Seed::parse(
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong",
        Network::Regtest,
    )
    .unwrap();
    let refused = take_back(&receipt, &deposit, &source, &stranger).unwrap_err();
    assert_eq!(refused.code(), "no-reclaim-key");
}

#[test]
fn a_deposit_without_zkbtc_is_not_taken_back_as_one() {
    let receipt = peg_in();
    let source = paid(&receipt, &[60_000]);
    let deposit = deposit(&receipt, &source, 1);
    assert!(matches!(deposit.carried, Carried::Nothing(_)));
    let refused = take_back(&receipt, &deposit, &source, &seed()).unwrap_err();
    assert_eq!(refused.code(), "other-charms");
}
