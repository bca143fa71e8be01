//! What a mnemonic finds again, how far it looks, and how to look further.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Chain1, User, sat};
use grail_cli::home::Home;
use grail_cli::progress::Quiet;
use grail_cli::report::Rescanned;
use grail_cli::{Session, arguments, commands};

/// Pays to the last of many fresh addresses.
fn paid_at(count: u32) -> (Chain1, User) {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    let mut session = user.open();
    // `init` has shown the first one.
    let last = (1..count)
        .map(|_| session.wallet.fresh_address().unwrap())
        .last()
        .unwrap();
    drop(session);
    chain.pay(&last.script_pubkey(), 100_000);
    (chain, user)
}

fn restored(chain: &Chain1, user: &User, look_ahead: Option<u32>) -> User {
    let init = arguments::Init {
        mnemonic_file: Some(user.created.mnemonic_file.clone().into()),
        look_ahead,
        ..arguments::Init::default()
    };
    User::with(&chain.node, None, &init)
}

fn rescan(user: &User, look_ahead: Option<u32>) -> Rescanned {
    let asked = arguments::Rescan {
        look_ahead,
        from_height: None,
    };
    commands::rescan(&user.settings, &asked, &mut Quiet).unwrap()
}

#[test]
fn a_restored_wallet_finds_far_addresses_and_says_how_far_it_looked() {
    let (chain, user) = paid_at(40);
    let again = restored(&chain, &user, None);
    assert_eq!(again.created.look_ahead, 200);
    assert!(again.created.to_string().contains("first 200 addresses"));
    assert_eq!(again.funds().0, 100_000);
}

#[test]
fn who_misses_something_can_look_further() {
    let (chain, user) = paid_at(40);
    let again = restored(&chain, &user, Some(10));
    assert_eq!(again.funds().0, 0);
    let report = rescan(&again, Some(20));
    assert_eq!((report.looked_for_count, report.btc_sat), (21, 0));
    let report = rescan(&again, Some(60));
    assert_eq!((report.address_count, report.btc_sat), (40, 100_000));
    assert_eq!(
        (report.from_height, report.height),
        (1, chain.node.height())
    );
    assert!(
        report.to_string().contains("first 100 addresses"),
        "{report}"
    );
    // It stays found, and the next address is a fresh one.
    assert_eq!(again.funds().0, 100_000);
    assert_eq!(again.open().wallet.addresses().receive, 40);
}

#[test]
fn without_the_log_every_address_that_was_handed_out_is_looked_for() {
    let (_chain, user) = paid_at(120);
    assert_eq!(user.funds().0, 100_000);
    // A wallet of before this file was: it is written by the first command.
    std::fs::remove_file(user.settings.home.join("addresses.json")).unwrap();
    drop(user.open());
    std::fs::remove_file(user.settings.home.join("wallet.jsonl")).unwrap();
    assert_eq!(user.funds().0, 100_000);
    assert_eq!(user.open().wallet.addresses().receive, 120);
}

#[test]
fn a_rescan_keeps_payments_and_needs_a_node() {
    let (chain, user) = paid_at(2);
    let sent = user.send(20_000, &user.address()).unwrap();
    let report = rescan(&user, None);
    assert_eq!(report.btc_sat, 80_000 - sent.fee_sat);
    assert_eq!(report.btc_pending_sat, 20_000);
    let mut offline = user.settings.clone();
    offline.node = Some("http://127.0.0.1:1".to_owned());
    let asked = arguments::Rescan::default();
    let failure = commands::rescan(&offline, &asked, &mut Quiet).unwrap_err();
    assert_eq!(failure.code, "node-unreachable");
    assert!(user.settings.home.join("wallet.jsonl").exists());
    drop(chain);
}

#[test]
fn reading_goes_on_beside_a_command_that_holds_the_folder() {
    let (_chain, user) = paid_at(2);
    assert_eq!(user.funds().0, 100_000);
    let log = user.settings.home.join("wallet.jsonl");
    let holding = user.open();
    // Another command is in the middle of a line.
    let mut torn = std::fs::read(&log).unwrap();
    torn.extend_from_slice(b"{\"half\":");
    std::fs::write(&log, &torn).unwrap();

    let mut reading = Session::open_to_read(user.settings.clone()).unwrap();
    assert_eq!(reading.wallet.balance().btc, sat(100_000));
    commands::receipts(&reading, &mut Quiet).unwrap();
    assert_eq!(
        std::fs::read(&log).unwrap(),
        torn,
        "who reads cuts nothing off"
    );
    assert_eq!(
        Session::open(user.settings.clone()).err().unwrap().code,
        "wallet-busy"
    );

    // Nor does who reads keep others out.
    drop(holding);
    Home::open(&user.settings.home, None).unwrap();
    assert!(user.open().wallet.fresh_address().is_ok());
}
