//! The wallet's own payments: what was sent, or may have been, is never forgotten nor denied.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use bitcoin::{Transaction, Txid};
use common::between::{Between, forbids, refuses};
use common::scene::{Scene, peg, reclaim};
use common::{Chain1, User, sat, send_args};
use grail_chain::Chain;
use grail_cli::progress::{Notes, Quiet};
use grail_cli::report::BalanceReport;
use grail_cli::{Session, commands};

/// The node forgets every unconfirmed transaction.
fn forget(chain: &mut Chain1) {
    chain.node.restart();
    assert!(chain.node.chain().mempool_txids().unwrap().is_empty());
}

fn balance(user: &User) -> BalanceReport {
    commands::balance(&mut user.open(), &mut Quiet).unwrap()
}

fn kept(user: &User) -> Vec<PathBuf> {
    std::fs::read_dir(user.settings.home.join("sent"))
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default()
}

fn transaction(chain: &Chain1, txid: &str) -> Transaction {
    let txid: Txid = txid.parse().unwrap();
    chain.node.chain().mempool_tx(&txid).unwrap().unwrap()
}

#[test]
fn a_payment_outlives_a_node_that_forgets_its_mempool() {
    let mut chain = Chain1::start();
    let (user, shop) = (User::new(&chain.node, None), User::new(&chain.node, None));
    chain.pay(&user.script(), 100_000);
    chain.pay(&user.script(), 90_000);
    let first = user.send(20_000, &shop.address()).unwrap();
    let transaction = transaction(&chain, &first.txid);
    forget(&mut chain);

    // It lives on elsewhere, and counts here: pending, its coin spent, its change known.
    let report = balance(&user);
    assert_eq!(report.btc_sat, 190_000 - 20_000 - first.fee_sat);
    assert!(
        chain
            .node
            .chain()
            .mempool_tx(&transaction.compute_txid())
            .unwrap()
            .is_some()
    );

    // The next payment builds on it or leaves it alone, and never pays in its place.
    let second = user.send(20_000, &shop.address()).unwrap();
    chain.node.mine(1);
    assert_eq!(shop.funds().0, 40_000);
    assert_eq!(
        user.funds().0,
        190_000 - 40_000 - first.fee_sat - second.fee_sat
    );
}

#[test]
fn nor_is_it_forgotten_with_the_log_or_with_what_it_builds_on() {
    let mut chain = Chain1::start();
    let (user, shop) = (User::new(&chain.node, None), User::new(&chain.node, None));
    chain.pay(&user.script(), 100_000);
    let address = shop.address();
    let fees: u64 = (0..3)
        .map(|_| user.send(10_000, &address).unwrap().fee_sat)
        .sum();
    forget(&mut chain);
    // As the error of a malformed log advises.
    std::fs::remove_file(user.settings.home.join("wallet.jsonl")).unwrap();

    assert_eq!(balance(&user).btc_sat, 70_000 - fees);
    assert_eq!(chain.node.chain().mempool_txids().unwrap().len(), 3);
    chain.node.mine(1);
    assert_eq!(shop.funds().0, 30_000);
    // A reorg may undo a block; after a hundred the payments are on their own.
    assert_eq!(
        (balance(&user).btc_sat, kept(&user).len()),
        (70_000 - fees, 3)
    );
    chain.node.mine(99);
    assert_eq!(
        (balance(&user).btc_sat, kept(&user).len()),
        (70_000 - fees, 0)
    );
}

#[test]
fn zkbtc_and_deposits_and_reclaims_are_payments_too() {
    let mut scene = Scene::new();
    let (pegged_in, pegged_out) = (
        scene.peg_in(100_000).unwrap(),
        scene.peg_out(30_000).unwrap(),
    );
    forget(&mut scene.chain);
    assert_eq!(balance(&scene.user).zkbtc_sat, 20_000);
    assert_eq!(scene.chain.node.chain().mempool_txids().unwrap().len(), 2);
    scene.chain.node.mine(24);
    for id in [&pegged_in.id, &pegged_out.id] {
        let mut asked = reclaim(id);
        asked.broadcast = true;
        let reclaimed = scene.reclaim(&asked).unwrap();
        forget(&mut scene.chain);
        balance(&scene.user);
        scene.in_mempool(&reclaimed.txid);
        scene.chain.node.mine(1);
    }
    assert_eq!(balance(&scene.user).zkbtc_sat, 50_000);
}

#[test]
fn a_payment_is_on_disk_before_the_node_has_it() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let folder = user.settings.home.join("sent");
    let between = Between::start(&chain.node, move |method, hand_on| {
        if method == "sendrawtransaction" {
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        }
        hand_on()
    });
    let asked = send_args(20_000, &user.address());
    commands::send(&mut between.open(&user), &asked, &mut Quiet).unwrap();
}

#[test]
fn what_the_node_refuses_was_not_sent_and_leaves_no_trace() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let asked = send_args(20_000, &user.address());
    for (answer, code) in [
        (
            refuses(-26, "min relay fee not met, 0 < 11"),
            "transaction-fee-too-low",
        ),
        (
            refuses(-25, "bad-txns-inputs-missingorspent"),
            "transaction-missing-inputs",
        ),
        (forbids(), "node-not-allowed"),
    ] {
        let between = Between::start(&chain.node, move |method, hand_on| match method {
            "sendrawtransaction" => answer.clone(),
            _ => hand_on(),
        });
        let failure = commands::send(&mut between.open(&user), &asked, &mut Quiet).unwrap_err();
        assert_eq!((failure.code, failure.txid), (code, None));
        assert!(failure.message.ends_with("nothing was sent"), "{failure}");
        assert_eq!((balance(&user).btc_sat, kept(&user).len()), (100_000, 0));
    }
}

#[test]
fn what_may_have_been_sent_is_named_counted_and_not_denied() {
    let scene = Scene::new();
    // The node takes it, and its answer never comes.
    let between = Between::start(&scene.chain.node, |method, hand_on| {
        let answer = hand_on();
        if method == "sendrawtransaction" {
            Vec::new()
        } else {
            answer
        }
    });
    let failure =
        commands::peg_in(&mut between.open(&scene.user), &peg(100_000), &mut Quiet).unwrap_err();
    assert_eq!(failure.code, "perhaps-sent");
    let txid = failure.txid.unwrap();
    assert!(failure.message.contains(&txid.to_string()), "{failure}");

    let session = Session::open_to_read(scene.user.settings.clone()).unwrap();
    let receipts = commands::receipts(&session, &mut Quiet).unwrap();
    assert_eq!(receipts.receipts[0].deposits, [format!("{txid}:0")]);
    assert!(
        failure.message.contains(&receipts.receipts[0].id),
        "{failure}"
    );
    assert!(!receipts.to_string().contains("not paid"));
    assert!(balance(&scene.user).btc_sat < 400_000);
}

#[test]
fn what_never_arrived_is_handed_over_by_the_next_command() {
    let chain = Chain1::start();
    let (user, shop) = (User::new(&chain.node, None), User::new(&chain.node, None));
    chain.pay(&user.script(), 100_000);
    let between = Between::start(&chain.node, |method, hand_on| match method {
        "sendrawtransaction" => Vec::new(),
        _ => hand_on(),
    });
    let asked = send_args(20_000, &shop.address());
    let failure = commands::send(&mut between.open(&user), &asked, &mut Quiet).unwrap_err();
    assert_eq!(failure.code, "perhaps-sent");
    assert!(balance(&user).btc_sat < 80_000);
    transaction(&chain, &failure.txid.unwrap().to_string());
}

#[test]
fn a_command_given_again_after_one_that_never_ended_pays_once() {
    let chain = Chain1::start();
    let (user, shop) = (User::new(&chain.node, None), User::new(&chain.node, None));
    chain.pay(&user.script(), 100_000);
    let asked = send_args(20_000, &shop.address());
    for is_taken in [true, false] {
        let between = Between::start(&chain.node, move |method, hand_on| match method {
            "sendrawtransaction" if is_taken => {
                hand_on();
                Vec::new()
            }
            "sendrawtransaction" => Vec::new(),
            _ => hand_on(),
        });
        let first = commands::send(&mut between.open(&user), &asked, &mut Quiet).unwrap_err();
        // Whoever is not there to read the error gives the command again.
        let again = commands::send(&mut user.open(), &asked, &mut Quiet).unwrap_err();
        assert_eq!((again.code, again.txid), ("payment-was-open", first.txid));
        assert!(again.message.contains(&asked.address), "{again}");
        chain.node.mine(1);
    }
    assert_eq!(shop.funds().0, 40_000);
    // Told once, and then a payment is a payment.
    commands::send(&mut user.open(), &asked, &mut Quiet).unwrap();
    chain.node.mine(1);
    assert_eq!(shop.funds().0, 60_000);
}

#[test]
fn looking_tells_of_such_a_payment_too() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let between = Between::start(&chain.node, |method, hand_on| match method {
        "sendrawtransaction" => Vec::new(),
        _ => hand_on(),
    });
    let asked = send_args(20_000, &user.address());
    let failure = commands::send(&mut between.open(&user), &asked, &mut Quiet).unwrap_err();
    let mut notes = Notes::default();
    commands::balance(&mut user.open(), &mut notes).unwrap();
    assert_eq!(notes.0.len(), 1);
    assert_eq!(notes.0[0].code, "payment-was-open");
    assert!(
        notes.0[0]
            .message
            .contains(&failure.txid.unwrap().to_string())
    );
    user.send(1_000, &asked.address).unwrap();
}

#[test]
fn a_log_that_cannot_be_written_after_sending_loses_nothing() {
    let scene = Scene::new();
    let log = scene.user.settings.home.join("wallet.jsonl");
    let (path, aside) = (log.clone(), scene.user.folder.path().join("aside"));
    let moved = aside.clone();
    let between = Between::start(&scene.chain.node, move |method, hand_on| {
        if method == "sendrawtransaction" {
            std::fs::rename(&path, &moved).unwrap();
            std::fs::create_dir(&path).unwrap();
        }
        hand_on()
    });
    let mut notes = Notes::default();
    let pegged =
        commands::peg_in(&mut between.open(&scene.user), &peg(100_000), &mut notes).unwrap();
    assert_eq!(notes.0[0].code, "file-failed");
    std::fs::remove_dir(&log).unwrap();
    std::fs::rename(&aside, &log).unwrap();

    let session = Session::open_to_read(scene.user.settings.clone()).unwrap();
    let receipts = commands::receipts(&session, &mut Quiet).unwrap();
    assert_eq!(receipts.receipts[0].deposits, [pegged.deposit_outpoint]);
}

#[test]
fn a_folder_that_cannot_be_written_stops_a_payment_before_it_is_sent() {
    let scene = Scene::new();
    let sent = scene.user.settings.home.join("sent");
    std::os::unix::fs::symlink("nowhere", sent).unwrap();
    let failure = scene.peg_in(100_000).unwrap_err();
    assert_eq!(failure.code, "file-failed");
    assert!(failure.message.contains("nothing was sent"), "{failure}");
    assert!(failure.message.contains("request"), "{failure}");
    assert!(scene.chain.node.chain().mempool_txids().unwrap().is_empty());
}

#[test]
fn a_payment_that_the_node_takes_no_more_stays_reserved_and_is_told() {
    let mut chain = Chain1::start();
    let (user, shop) = (User::new(&chain.node, None), User::new(&chain.node, None));
    chain.pay(&user.script(), 100_000);
    let sent = user.send(20_000, &shop.address()).unwrap();
    forget(&mut chain);
    let between = Between::start(&chain.node, |method, hand_on| match method {
        "sendrawtransaction" => refuses(-26, "mempool min fee not met, 1 < 2"),
        _ => hand_on(),
    });
    let mut notes = Notes::default();
    let report = commands::balance(&mut between.open(&user), &mut notes).unwrap();
    assert_eq!(report.btc_sat, 80_000 - sent.fee_sat);
    assert_eq!(notes.0[0].code, "payment-not-relayed");
    assert!(notes.0[0].message.contains(&sent.txid));
}

#[test]
fn a_payment_that_lost_to_another_of_its_coin_is_given_up() {
    let mut chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let first = user.send(20_000, &user.address()).unwrap();
    let lost = transaction(&chain, &first.txid);
    // A copy of the wallet pays with the same coin, and a block takes that.
    forget(&mut chain);
    let copy = User::with(
        &chain.node,
        None,
        &grail_cli::arguments::Init {
            mnemonic_file: Some(user.created.mnemonic_file.clone().into()),
            ..grail_cli::arguments::Init::default()
        },
    );
    let rival = copy.send(30_000, &copy.address()).unwrap();
    chain.node.mine(1);
    assert_eq!(balance(&user).btc_sat, 100_000 - rival.fee_sat);
    assert!(
        chain
            .node
            .chain()
            .mempool_tx(&lost.compute_txid())
            .unwrap()
            .is_none()
    );
    chain.node.mine(99);
    balance(&user);
    assert!(kept(&user).is_empty());
}

#[test]
fn too_many_payments_without_a_block_are_told_so() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 1_000_000);
    let address = user.address();
    let failure = (0..100)
        .find_map(|_| user.send(1_000, &address).err())
        .unwrap();
    assert_eq!(failure.code, "too-many-unconfirmed");
    assert!(failure.message.contains("wait for a block"), "{failure}");
    chain.node.mine(1);
    user.send(1_000, &address).unwrap();
    assert_eq!(user.synced().wallet.balance().btc_pending, sat(1_000));
}
