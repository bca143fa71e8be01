//! A payment that waits for a block, paid again with more fee: never twice.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{FeeRate, Transaction};
use common::between::{Between, refuses};
use common::scene::{Scene, reclaim};
use common::{Chain1, User, sat};
use grail_chain::Chain;
use grail_cli::progress::Quiet;
use grail_cli::report::BumpedPayment;
use grail_cli::{Failure, arguments, commands};

fn asked(txid: &str, fee_rate: Option<u64>) -> arguments::Bump {
    arguments::Bump {
        txid: txid.parse().unwrap(),
        fee_rate: fee_rate.and_then(FeeRate::from_sat_per_vb),
    }
}

fn bump(user: &User, txid: &str, fee_rate: Option<u64>) -> Result<BumpedPayment, Failure> {
    commands::bump(&mut user.open(), &asked(txid, fee_rate), &mut Quiet)
}

fn in_mempool(chain: &Chain1, txid: &str) -> Option<Transaction> {
    chain
        .node
        .chain()
        .mempool_tx(&txid.parse().unwrap())
        .unwrap()
}

#[test]
fn a_bump_pays_from_change_and_shares_every_input() {
    let chain = Chain1::start();
    let (user, shop) = (User::new(&chain.node, None), User::new(&chain.node, None));
    chain.pay(&user.script(), 100_000);
    let sent = user.send(20_000, &shop.address()).unwrap();
    let old = in_mempool(&chain, &sent.txid).unwrap();
    let bumped = bump(&user, &sent.txid, Some(10)).unwrap();
    let new = in_mempool(&chain, &bumped.txid).unwrap();
    assert!(in_mempool(&chain, &sent.txid).is_none());
    let spent = |transaction: &Transaction| -> Vec<_> {
        transaction
            .input
            .iter()
            .map(|input| input.previous_output)
            .collect()
    };
    assert_eq!(spent(&new), spent(&old));
    assert_eq!(new.output[0], old.output[0]);
    assert_eq!(bumped.fee_sat, (new.weight().to_wu() * 10).div_ceil(4));
    // Counted once, before and after.
    let left = 80_000 - bumped.fee_sat;
    assert_eq!(user.funds().0, left);
    chain.node.mine(1);
    assert_eq!((user.funds().0, shop.funds().0), (left, 20_000));
}

#[test]
fn without_a_rate_a_bump_pays_the_least_that_nodes_take() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let sent = user.send(20_000, &user.address()).unwrap();
    let once = bump(&user, &sent.txid, None).unwrap();
    assert!(once.fee_sat > sent.fee_sat);
    let twice = bump(&user, &once.txid, None).unwrap();
    assert!(twice.fee_sat > once.fee_sat);
    let code = |txid: &str| bump(&user, txid, None).unwrap_err().code;
    assert_eq!(code(&once.txid), "bump-unknown");
    chain.node.mine(1);
    assert_eq!(code(&twice.txid), "bump-confirmed");
}

#[test]
fn a_bumped_transfer_of_zkbtc_keeps_its_spell() {
    let chain = Chain1::start();
    let (alice, bob) = (User::new(&chain.node, None), User::new(&chain.node, None));
    chain.pay(&alice.script(), 20_000);
    chain.mint(&alice.script(), 50_000, 330);
    let sent = alice.send_zkbtc(20_000, &bob.address()).unwrap();
    bump(&alice, &sent.txid, Some(5)).unwrap();
    chain.node.mine(1);
    assert_eq!((alice.funds().1, bob.funds().1), (30_000, 20_000));
}

#[test]
fn a_bumped_deposit_is_still_the_requests() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let (txid, _) = pegged.deposit_outpoint.split_once(':').unwrap();
    let bumped = bump(&scene.user, txid, Some(5)).unwrap();
    let receipts = commands::receipts(&scene.user.open(), &mut Quiet).unwrap();
    assert_eq!(
        receipts.receipts[0].deposits,
        [format!("{}:0", bumped.txid)]
    );
    scene.chain.node.mine(24);
    scene.user.synced();
    assert!(
        !scene
            .reclaim(&reclaim(&pegged.id))
            .unwrap()
            .raw_transaction
            .is_empty()
    );
}

#[test]
fn what_others_build_on_is_not_taken_away() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let address = user.address();
    let first = user.send(10_000, &address).unwrap();
    let second = user.send(10_000, &address).unwrap();
    let refused = bump(&user, &first.txid, Some(5)).unwrap_err();
    assert_eq!(refused.code, "bump-built-upon");
    assert!(refused.message.contains(&second.txid), "{refused}");
    bump(&user, &second.txid, Some(5)).unwrap();
}

#[test]
fn a_bump_needs_change_that_suffices() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    // No change at all: 111 vB at 1 sat/vB are left over.
    let all = user.send(99_889, &user.address()).unwrap();
    assert_eq!(in_mempool(&chain, &all.txid).unwrap().output.len(), 1);
    assert_eq!(
        bump(&user, &all.txid, None).unwrap_err().code,
        "bump-no-change"
    );
    chain.node.mine(1);
    let most = user.send(98_000, &user.address()).unwrap();
    let refused = bump(&user, &most.txid, Some(100)).unwrap_err();
    assert_eq!(refused.code, "bump-change-too-small");
    // All of the change is fee where an output is not worth its place.
    let bumped = bump(&user, &most.txid, Some(13)).unwrap();
    assert_eq!(in_mempool(&chain, &bumped.txid).unwrap().output.len(), 1);
    let unknown = "00".repeat(32);
    assert_eq!(
        bump(&user, &unknown, None).unwrap_err().code,
        "bump-unknown"
    );
}

#[test]
fn a_reclaim_is_not_bumped_but_made_anew() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(24);
    let mut asked = reclaim(&pegged.id);
    asked.broadcast = true;
    let reclaimed = scene.reclaim(&asked).unwrap();
    let refused = bump(&scene.user, &reclaimed.txid, Some(5)).unwrap_err();
    assert_eq!(refused.code, "bump-foreign-input");
    asked.fee_rate = FeeRate::from_sat_per_vb(20);
    let again = scene.reclaim(&asked).unwrap();
    assert!(again.amount_sat < reclaimed.amount_sat);
    scene.chain.node.mine(1);
    let left = 500_000 - pegged.fee_sat - (100_000 - again.amount_sat);
    assert_eq!(scene.user.funds().0, left);
}

#[test]
fn a_refused_bump_leaves_the_payment_as_it_was() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let sent = user.send(20_000, &user.address()).unwrap();
    let between = Between::start(&chain.node, |method, hand_on| match method {
        "sendrawtransaction" => refuses(-26, "insufficient fee, rejecting replacement"),
        _ => hand_on(),
    });
    let asked = asked(&sent.txid, Some(5));
    let refused = commands::bump(&mut between.open(&user), &asked, &mut Quiet).unwrap_err();
    assert_eq!(refused.code, "transaction-conflict");
    let balance = user.synced().wallet.balance();
    assert_eq!(
        (balance.btc, balance.btc_pending),
        (sat(80_000 - sent.fee_sat), sat(20_000))
    );
}
