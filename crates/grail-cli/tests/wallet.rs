//! The wallet on a real node: what it sees, sends and keeps.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{OutPoint, TxOut};
use common::{Chain1, Charm, User, bridge_app, params, sat};
use grail_chain::{Chain, View};
use grail_cli::home::{Home, HomeError};
use grail_cli::progress::Quiet;
use grail_cli::{Session, arguments, commands};

#[test]
fn shows_btc_and_zkbtc_apart_confirmed_and_pending() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    chain.mint(&user.script(), 50_000, 330);
    chain.node.fund(&user.script(), sat(7_000));
    let output = TxOut {
        value: sat(330),
        script_pubkey: user.script(),
    };
    chain.conjure(&[(output, Charm::Token(9_000))]);

    let report = commands::balance(&mut user.open(), &mut Quiet).unwrap();
    assert_eq!(
        (
            report.btc_sat,
            report.btc_pending_sat,
            report.zkbtc_sat,
            report.zkbtc_pending_sat
        ),
        (100_000, 7_000, 50_000, 9_000)
    );
    assert_eq!(report.carriers_sat, 660);
    assert_eq!(report.height, chain.node.height());

    // Without a node: as of the last time.
    let mut offline = user.settings.clone();
    offline.node = None;
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(offline.home.join("config.json")).unwrap()).unwrap();
    config.as_object_mut().unwrap().remove("node");
    std::fs::write(offline.home.join("config.json"), config.to_string()).unwrap();
    let again = commands::balance(&mut Session::open(offline).unwrap(), &mut Quiet).unwrap();
    assert_eq!((again.btc_sat, again.zkbtc_sat), (100_000, 50_000));
}

#[test]
fn lists_every_output_with_what_it_carries() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    let script = user.script();
    let output = |value| TxOut {
        value: sat(value),
        script_pubkey: script.clone(),
    };
    chain.conjure(&[
        (output(330), Charm::Token(50_000)),
        (output(331), Charm::OtherToken(5)),
        (output(4_000), Charm::Nothing),
    ]);
    chain.node.mine(1);
    let listing = commands::list(&mut user.open(), &mut Quiet).unwrap();
    let mut lines: Vec<_> = listing
        .outputs
        .iter()
        .map(|output| (output.amount_sat, output.carries, output.token_sat))
        .collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            (330, "zkbtc", Some(50_000)),
            (331, "other-charms", None),
            (4_000, "nothing", None),
        ]
    );
}

#[test]
fn sending_btc_never_spends_charms_not_even_on_the_only_large_coin() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    let script = user.script();
    let token = chain.mint(&script, 50_000, 5_000_000);
    let output = TxOut {
        value: sat(6_000_000),
        script_pubkey: script.clone(),
    };
    let other = OutPoint::new(
        chain
            .conjure(&[(output, Charm::OtherToken(1))])
            .compute_txid(),
        0,
    );
    chain.pay(&script, 20_000);

    let to = User::new(&chain.node, None);
    let refused = user.send(1_000_000, &to.address()).unwrap_err();
    assert_eq!(refused.code, "not-enough-btc");

    user.send(15_000, &to.address()).unwrap();
    chain.node.mine(1);
    for untouched in [token, other] {
        let status = chain
            .node
            .chain()
            .tx_out(&untouched, View::WithMempool)
            .unwrap();
        assert!(status.is_some(), "{untouched}");
    }
    assert_eq!(to.funds(), (15_000, 0));
    assert_eq!(user.funds().1, 50_000);
}

#[test]
fn zkbtc_goes_from_wallet_to_wallet_and_change_comes_back() {
    let chain = Chain1::start();
    let (alice, bob) = (User::new(&chain.node, None), User::new(&chain.node, None));
    chain.pay(&alice.script(), 20_000);
    chain.mint(&alice.script(), 30_000, 330);
    chain.mint(&alice.script(), 25_000, 330);

    // More than one coin holds; the change is spendable before a block comes.
    let sent = alice.send_zkbtc(40_000, &bob.address()).unwrap();
    assert_eq!(alice.funds().1, 15_000);
    assert_eq!(bob.funds(), (0, 0), "not in a block yet");
    chain.node.mine(1);
    assert_eq!(bob.funds(), (0, 40_000));
    assert_eq!(alice.funds().1, 15_000);
    assert!(sent.fee_sat >= 400, "{sent:?}");

    // All of it, without change; Bob has no BTC for the fee.
    assert_eq!(
        bob.send_zkbtc(40_000, &alice.address()).unwrap_err().code,
        "not-enough-btc"
    );
    chain.pay(&bob.script(), 5_000);
    bob.send_zkbtc(40_000, &alice.address()).unwrap();
    chain.node.mine(1);
    assert_eq!(bob.funds().1, 0);
    assert_eq!(alice.funds().1, 55_000);
    assert_eq!(
        alice.send_zkbtc(55_001, &bob.address()).unwrap_err().code,
        "not-enough-zkbtc"
    );
}

#[test]
fn the_spell_of_a_transfer_says_what_was_meant() {
    let chain = Chain1::start();
    let (alice, bob) = (User::new(&chain.node, None), User::new(&chain.node, None));
    chain.pay(&alice.script(), 20_000);
    chain.mint(&alice.script(), 50_000, 330);
    let sent = alice.send_zkbtc(20_000, &bob.address()).unwrap();
    let transaction = chain
        .node
        .chain()
        .mempool_tx(&sent.txid.parse().unwrap())
        .unwrap()
        .unwrap();
    let mut session = alice.open();
    assert_eq!(
        session.wallet.carried(&transaction, 0).zkbtc(),
        Some(sat(20_000))
    );
    assert_eq!(
        session.wallet.carried(&transaction, 1).zkbtc(),
        Some(sat(30_000))
    );
    assert!(transaction.output[2].script_pubkey.is_op_return());
    let change = session.wallet.carried(&transaction, 3);
    assert_eq!(change.code(), "spell-silent");
    for output in &transaction.output[..2] {
        assert_eq!(output.value, params().carrier);
    }
}

#[test]
fn zkbtc_moves_only_under_the_contract_that_the_bridge_names() {
    let chain = Chain1::start();
    let (alice, bob) = (User::new(&chain.node, None), User::new(&chain.node, None));
    chain.pay(&alice.script(), 20_000);
    chain.mint(&alice.script(), 30_000, 330);
    let contracts = alice.settings.home.join("contracts");
    let entry = std::fs::read_dir(&contracts).unwrap().next().unwrap();
    let file = entry.unwrap().path();
    let contract = std::fs::read(&file).unwrap();
    let code = || alice.send_zkbtc(1_000, &bob.address()).unwrap_err().code;

    std::fs::write(&file, grail_prover::BRIDGE_WASM).unwrap();
    assert_eq!(code(), "contract-hash-mismatch");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(code(), "contract-unknown");
    assert_eq!(alice.funds().1, 30_000);

    std::fs::write(&file, contract).unwrap();
    alice.send_zkbtc(1_000, &bob.address()).unwrap();
}

#[test]
fn zkbtc_is_not_sent_where_its_coin_would_be_dust() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 20_000);
    chain.mint(&user.script(), 50_000, 330);
    // A P2PKH output needs 546 sat.
    let p2pkh = "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn";
    assert_eq!(
        user.send_zkbtc(20_000, p2pkh).unwrap_err().code,
        "amount-dust"
    );
    assert_eq!(
        user.send(10_000, "nonsense").unwrap_err().code,
        "bad-address"
    );
    let signet = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
    assert_eq!(user.send(10_000, signet).unwrap_err().code, "bad-address");
}

#[test]
fn a_reorg_takes_payments_back_and_may_bring_others() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    let script = user.script();
    let before = chain.node.tip();
    chain.pay(&script, 40_000);
    assert_eq!(user.funds().0, 40_000);

    // Another branch without the payment: it is pending again.
    let lost = chain.node.tip();
    chain.node.invalidate(&lost.hash);
    assert_eq!(chain.node.tip(), before);
    chain.node.mine_empty();
    chain.node.mine_empty();
    let balance = user.synced().wallet.balance();
    assert_eq!((balance.btc, balance.btc_pending), (sat(0), sat(40_000)));

    chain.node.mine(1);
    assert_eq!(user.funds().0, 40_000);
}

#[test]
fn an_unconfirmed_payment_that_vanishes_is_forgotten() {
    let mut chain = Chain1::start();
    let user = User::new(&chain.node, None);
    let outpoint = chain.node.fund(&user.script(), sat(40_000));
    assert_eq!(user.synced().wallet.balance().btc_pending, sat(40_000));
    // A node that lost its mempool.
    chain.node.restart();
    let is_gone = chain
        .node
        .chain()
        .mempool_tx(&outpoint.txid)
        .unwrap()
        .is_none();
    let pending = user.synced().wallet.balance().btc_pending;
    assert_eq!(pending, if is_gone { sat(0) } else { sat(40_000) });
    assert!(is_gone, "the node was meant to forget it");
}

#[test]
fn the_same_mnemonic_finds_everything_again() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    chain.mint(&user.script(), 50_000, 330);
    let words = user.folder.path().join("words");
    std::fs::copy(&user.created.mnemonic_file, &words).unwrap();
    let again = User::with(
        &chain.node,
        None,
        &arguments::Init {
            mnemonic_file: Some(words),
            ..arguments::Init::default()
        },
    );
    assert_eq!(again.created.birthday_height, 1);
    assert_eq!(again.funds(), (100_000, 50_000));

    // The state on disk can go too: the chain has it all.
    let state = again.settings.home.join("wallet.jsonl");
    std::fs::remove_file(&state).unwrap();
    assert_eq!(again.funds(), (100_000, 50_000));
    // A torn last line, as a power cut leaves it.
    let mut torn = std::fs::read(&state).unwrap();
    torn.extend_from_slice(b"{\"half\":");
    std::fs::write(&state, torn).unwrap();
    assert_eq!(again.funds(), (100_000, 50_000));
}

#[test]
fn secrets_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    let mnemonic = std::path::PathBuf::from(&user.created.mnemonic_file);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&mnemonic), 0o600);
    chain.pay(&user.script(), 20_000);

    std::fs::set_permissions(&mnemonic, std::fs::Permissions::from_mode(0o640)).unwrap();
    let address = user.address();
    assert_eq!(
        user.send(10_000, &address).unwrap_err().code,
        "secret-readable"
    );
    let words = std::fs::read_to_string(&mnemonic).unwrap();
    for entry in std::fs::read_dir(&user.settings.home).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path != mnemonic {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(
                !text.contains(words.trim()) && !text.contains("tprv"),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn a_folder_is_for_one_wallet_one_network_and_one_command_at_a_time() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    let again = commands::init(&user.settings, &arguments::Init::default()).unwrap_err();
    assert_eq!(again.code, "wallet-exists");

    let session = user.open();
    let busy = Home::open(&user.settings.home, None).unwrap_err();
    assert!(matches!(busy, HomeError::Busy(_)));
    drop(session);

    let mut other = user.settings.clone();
    other.network = Some(grail_types::Network::Signet);
    assert_eq!(Session::open(other).err().unwrap().code, "wrong-network");
    let mut missing = user.settings.clone();
    missing.home.push("nowhere");
    assert_eq!(Session::open(missing).err().unwrap().code, "no-wallet");
}

#[test]
fn a_signet_wallet_refuses_a_regtest_node() {
    let chain = Chain1::start();
    let folder = tempfile::TempDir::new().unwrap();
    let settings = grail_cli::Settings {
        home: folder.path().join("wallet"),
        network: Some(grail_types::Network::Signet),
        node: Some(chain.node.rpc_url()),
        node_cookie: Some(chain.node.cookie_path()),
        ..grail_cli::Settings::default()
    };
    let refused = commands::init(&settings, &arguments::Init::default()).unwrap_err();
    assert_eq!(refused.code, "wrong-network");
    assert!(!settings.home.exists(), "nothing is left half made");
}

#[test]
fn zkbtc_of_another_bridge_is_not_counted() {
    assert_ne!(bridge_app(1), bridge_app(2));
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    let output = TxOut {
        value: sat(330),
        script_pubkey: user.script(),
    };
    chain.conjure(&[(output, Charm::OtherToken(50_000))]);
    chain.node.mine(1);
    let balance = user.synced().wallet.balance();
    assert_eq!((balance.zkbtc, balance.set_aside), (sat(0), sat(330)));
}
