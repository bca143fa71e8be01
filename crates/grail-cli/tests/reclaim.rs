//! The way out: deposits come back with the user's key alone.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{OutPoint, Transaction};
use common::api::replace;
use common::between::{Between, refuses};
use common::scene::{Scene, reclaim};
use common::{User, params, public_key, sat};
use grail_api::Receipt;
use grail_chain::Verdict;
use grail_cli::home::read_receipt;
use grail_cli::progress::Quiet;
use grail_cli::{arguments, commands};
use grail_script::InternalKey;
use serde_json::Value;

#[test]
fn every_request_has_its_own_reclaim_key() {
    let scene = Scene::new();
    let keys: Vec<_> = (0..3)
        .map(|_| {
            let pegged = scene.peg_in(30_000).unwrap();
            scene.chain.node.mine(1);
            let receipt = read_receipt(pegged.receipt_file.as_ref()).unwrap();
            receipt.terms().reclaim_key
        })
        .collect();
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
}

#[test]
fn a_peg_in_deposit_is_taken_back_after_the_delay_and_not_before() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(1);
    let mut asked = reclaim(&pegged.id);
    asked.broadcast = true;
    // The deposit has 1 confirmation: its reclaim may enter the block in which it would have 25.
    scene.chain.node.mine(22);
    assert_eq!(
        scene.reclaim(&asked).unwrap_err().code,
        "transaction-too-early"
    );
    scene.chain.node.mine(1);
    let reclaimed = scene.reclaim(&asked).unwrap();
    assert!(reclaimed.is_broadcast);
    scene.chain.node.mine(1);
    // All but what deposit and reclaim cost.
    let paid = 500_000 - pegged.fee_sat - (100_000 - reclaimed.amount_sat);
    assert_eq!(scene.user.funds(), (paid, 50_000));
}

#[test]
fn a_pin_of_an_earlier_release_does_not_stand_in_the_way_of_a_reclaim() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(24);
    let home = &scene.user.settings.home;
    std::fs::rename(home.join("protocol.json"), home.join("params.json")).unwrap();
    let mut asked = reclaim(&pegged.id);
    asked.broadcast = true;
    assert!(scene.reclaim(&asked).unwrap().is_broadcast);
}

#[test]
fn a_reclaim_needs_neither_server_nor_node_nor_the_wallets_state() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(24);
    let receipt_file = scene.user.folder.path().join("receipt-copy.json");
    std::fs::copy(&pegged.receipt_file, &receipt_file).unwrap();
    let words = scene.user.folder.path().join("words");
    std::fs::copy(&scene.user.created.mnemonic_file, &words).unwrap();

    // Another machine: mnemonic and receipt, nothing else.
    let folder = tempfile::TempDir::new().unwrap();
    let settings = grail_cli::Settings {
        home: folder.path().join("wallet"),
        network: Some(grail_types::Network::Regtest),
        ..grail_cli::Settings::default()
    };
    let init = arguments::Init {
        mnemonic_file: Some(words),
        ..arguments::Init::default()
    };
    grail_cli::commands::init(&settings, &init).unwrap();
    let mut session = grail_cli::Session::open(settings).unwrap();
    let mut asked = reclaim(receipt_file.to_str().unwrap());
    assert_eq!(
        commands::reclaim(&mut session, &asked, &mut Quiet)
            .unwrap_err()
            .code,
        "no-deposit"
    );
    asked.outpoint = Some(pegged.deposit_outpoint.parse().unwrap());
    asked.amount = Some(sat(100_000));
    let reclaimed = commands::reclaim(&mut session, &asked, &mut Quiet).unwrap();
    let transaction: Transaction = deserialize_hex(&reclaimed.raw_transaction).unwrap();
    assert!(matches!(
        scene.chain.node.test_accept(&transaction),
        Verdict::Accepted { .. }
    ));
}

#[test]
fn a_peg_out_deposit_comes_back_with_its_zkbtc() {
    let scene = Scene::new();
    let pegged = scene.peg_out(30_000).unwrap();
    scene.chain.node.mine(24);
    assert_eq!(scene.user.funds().1, 20_000);
    let mut asked = reclaim(&pegged.id);
    asked.broadcast = true;
    let reclaimed = scene.reclaim(&asked).unwrap();
    assert_eq!(reclaimed.token_sat, Some(30_000));
    scene.chain.node.mine(1);
    assert_eq!(scene.user.funds().1, 50_000);
}

#[test]
fn a_peg_out_deposit_is_taken_back_offline_from_its_transaction() {
    let scene = Scene::new();
    let pegged = scene.peg_out(30_000).unwrap();
    let outpoint: OutPoint = pegged.deposit_outpoint.parse().unwrap();
    let deposit = scene.in_mempool(&outpoint.txid.to_string());
    scene.chain.node.mine(24);
    scene.user.synced();

    let file = scene.user.folder.path().join("deposit.hex");
    std::fs::write(&file, serialize_hex(&deposit)).unwrap();
    let mut asked = reclaim(&pegged.receipt_file);
    asked.deposit_tx = Some(file);
    let reclaimed = scene.reclaim(&asked).unwrap();
    let transaction: Transaction = deserialize_hex(&reclaimed.raw_transaction).unwrap();
    assert!(matches!(
        scene.chain.node.test_accept(&transaction),
        Verdict::Accepted { .. }
    ));
    let mut session = scene.user.open();
    assert_eq!(
        session.wallet.carried(&transaction, 0).zkbtc(),
        Some(sat(30_000))
    );
}

#[test]
fn zkbtc_is_not_lost_for_want_of_the_deposits_transaction() {
    let scene = Scene::new();
    let pegged = scene.peg_out(30_000).unwrap();
    // A wallet of the same mnemonic that has never seen a block.
    let words = scene.user.folder.path().join("words");
    std::fs::copy(&scene.user.created.mnemonic_file, &words).unwrap();
    let init = arguments::Init {
        mnemonic_file: Some(words),
        ..arguments::Init::default()
    };
    let blind = User::with(&scene.chain.node, None, &init);
    let mut asked = reclaim(&pegged.receipt_file);
    asked.outpoint = Some(pegged.deposit_outpoint.parse().unwrap());
    asked.amount = Some(params().carrier);
    let refused = commands::reclaim(&mut blind.open(), &asked, &mut Quiet).unwrap_err();
    assert_eq!(refused.code, "needs-deposit-tx");
}

#[test]
fn zkbtc_sent_to_a_peg_in_address_by_mistake_comes_back_as_zkbtc() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let receipt = read_receipt(pegged.receipt_file.as_ref()).unwrap();
    scene
        .user
        .send_zkbtc(50_000, &pegged.deposit_address)
        .unwrap();
    scene.chain.node.mine(24);
    scene.user.synced();
    // Two deposits: the wallet asks which.
    assert_eq!(
        scene.reclaim(&reclaim(&pegged.id)).unwrap_err().code,
        "several-deposits"
    );
    let deposits = scene.user.open().wallet.outputs_at(receipt.script_pubkey());
    let (mistake, _) = deposits
        .iter()
        .find(|(outpoint, _)| outpoint.to_string() != pegged.deposit_outpoint)
        .unwrap();
    let mut asked = reclaim(&pegged.id);
    asked.outpoint = Some(*mistake);
    asked.broadcast = true;
    assert_eq!(scene.reclaim(&asked).unwrap().token_sat, Some(50_000));
    scene.chain.node.mine(1);
    assert_eq!(scene.user.funds().1, 50_000);
}

#[test]
fn zkbtc_that_a_stranger_sent_there_is_seen_where_a_node_can_be_asked() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let receipt = read_receipt(pegged.receipt_file.as_ref()).unwrap();
    let mistake = scene.chain.mint(receipt.script_pubkey(), 40_000, 330);
    scene.chain.node.mine(24);
    let mut asked = reclaim(&pegged.id);
    asked.outpoint = Some(mistake);
    asked.amount = Some(sat(330));
    asked.broadcast = true;
    assert_eq!(scene.reclaim(&asked).unwrap().token_sat, Some(40_000));
    scene.chain.node.mine(1);
    assert_eq!(scene.user.funds().1, 90_000);
}

#[test]
fn a_reclaim_given_again_is_the_same_payment() {
    let mut scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(24);
    let mut asked = reclaim(&pegged.id);
    asked.broadcast = true;
    asked.to = Some(scene.user.address());
    let first = scene.reclaim(&asked).unwrap();
    assert_eq!(scene.reclaim(&asked).unwrap().txid, first.txid);
    // A refusal of the same transaction does not make it unsent.
    let between = Between::start(&scene.chain.node, |method, hand_on| match method {
        "sendrawtransaction" => refuses(-26, "mempool min fee not met, 1 < 2"),
        _ => hand_on(),
    });
    let mut session = between.open(&scene.user);
    let refused = commands::reclaim(&mut session, &asked, &mut Quiet).unwrap_err();
    assert!(!refused.message.contains("nothing was sent"), "{refused}");
    drop((session, between));
    scene.chain.node.restart();
    scene.user.synced();
    scene.in_mempool(&first.txid);
}

#[test]
fn deposits_under_a_group_key_come_back_with_and_without_zkbtc() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(1);
    // A receipt of this wallet's, as a bridge with a group key would have given it.
    let given = read_receipt(pegged.receipt_file.as_ref()).unwrap();
    let internal_key = InternalKey::Group(public_key(98).try_into().unwrap());
    let receipt = Receipt::new(internal_key, given.terms().clone(), given.roster().clone());
    assert_ne!(receipt.deposit_address, pegged.deposit_address);
    let file = scene.user.folder.path().join("group-key.json");
    std::fs::write(&file, serde_json::to_vec(&receipt).unwrap()).unwrap();

    let plain = scene.user.send(40_000, &receipt.deposit_address).unwrap();
    let plain = scene.in_mempool(&plain.txid);
    scene.chain.node.mine(1);
    let tokens = scene
        .user
        .send_zkbtc(20_000, &receipt.deposit_address)
        .unwrap();
    let tokens = scene.in_mempool(&tokens.txid);
    scene.chain.node.mine(24);
    for (deposit, token) in [(plain, None), (tokens, Some(20_000))] {
        scene.user.synced();
        let hex = scene.user.folder.path().join("deposit.hex");
        std::fs::write(&hex, serialize_hex(&deposit)).unwrap();
        let mut asked = reclaim(file.to_str().unwrap());
        asked.deposit_tx = Some(hex);
        let reclaimed = scene.reclaim(&asked).unwrap();
        assert_eq!(reclaimed.token_sat, token);
        let transaction: Transaction = deserialize_hex(&reclaimed.raw_transaction).unwrap();
        assert!(matches!(
            scene.chain.node.test_accept(&transaction),
            Verdict::Accepted { .. }
        ));
    }
}

#[test]
fn another_wallet_cannot_take_a_deposit_back() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let thief = User::new(&scene.chain.node, None);
    let mut asked = reclaim(&pegged.receipt_file);
    asked.outpoint = Some(pegged.deposit_outpoint.parse().unwrap());
    asked.amount = Some(sat(100_000));
    let refused = commands::reclaim(&mut thief.open(), &asked, &mut Quiet).unwrap_err();
    assert_eq!(refused.code, "no-reclaim-key");
}

#[test]
fn a_tampered_receipt_is_refused() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let text = std::fs::read_to_string(&pegged.receipt_file).unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    replace(&mut json, "/receipt/terms/reclaim_delay", 25);
    let file = scene.user.folder.path().join("tampered.json");
    std::fs::write(&file, json.to_string()).unwrap();
    let refused = scene.reclaim(&reclaim(file.to_str().unwrap())).unwrap_err();
    assert_eq!(refused.code, "receipt-address");
    std::fs::write(&file, "{}").unwrap();
    let refused = scene.reclaim(&reclaim(file.to_str().unwrap())).unwrap_err();
    assert_eq!(refused.code, "receipt-malformed");
}
