//! Every setting of Bitcoin Core that changes what a wallet can ask or send: it works, or is named
//! with what to do. The table is in `docs/users/node.md`.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::FeeRate;
use common::between::{Between, changed, refuses};
use common::scene::{Scene, reclaim};
use common::{Chain1, User, send_args};
use grail_api::Reserves;
use grail_cli::arguments::{self, Init};
use grail_cli::progress::{Notes, Quiet};
use grail_cli::{Failure, Session, Settings, commands};
use grail_testkit::{Node, NodeOptions};

const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// All that the wallet ever asks, as the manual says it.
const CALLS: &str = "estimatesmartfee,getblock,getblockchaininfo,getblockhash,getblockheader,getmempoolinfo,\
                     getnetworkinfo,getrawmempool,getrawtransaction,gettxout,scantxoutset,sendrawtransaction,\
                     testmempoolaccept";

fn node_with(arguments: &[&str]) -> Chain1 {
    Chain1 {
        node: Node::start_with(NodeOptions {
            extra_args: arguments
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
            ..NodeOptions::default()
        }),
    }
}

/// BTC and zkBTC received and sent, a fee raised, and all of it in blocks.
fn lives_on(chain: &Chain1) {
    let (user, shop) = (User::new(&chain.node, None), User::new(&chain.node, None));
    chain.pay(&user.script(), 100_000);
    chain.mint(&user.script(), 50_000, 330);
    let sent = user.send(20_000, &shop.address()).unwrap();
    let asked = arguments::Bump {
        txid: sent.txid.parse().unwrap(),
        fee_rate: None,
    };
    commands::bump(&mut user.open(), &asked, &mut Quiet).unwrap();
    user.send_zkbtc(20_000, &shop.address()).unwrap();
    chain.node.mine(1);
    assert_eq!(shop.funds(), (20_000, 20_000));
    assert_eq!(user.funds().1, 30_000);
}

fn code<T>(result: Result<T, Failure>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(failure) => failure.code,
    }
}

#[test]
fn indexes_pools_and_lines_of_a_node_change_nothing() {
    lives_on(&node_with(&[
        "-txindex=1",
        "-blockfilterindex=1",
        "-coinstatsindex=1",
        "-peerblockfilters=1",
        "-rest=1",
        "-rpcthreads=1",
        "-rpcworkqueue=4",
        "-permitbaremultisig=0",
        "-persistmempool=0",
        "-maxmempool=5",
        "-maxconnections=0",
        "-v2transport=0",
        "-disablewallet",
    ]));
}

#[test]
fn strict_relay_takes_all_that_the_wallet_makes() {
    lives_on(&node_with(&["-acceptnonstdtxn=0"]));
    lives_on(&node_with(&["-acceptnonstdtxn=1", "-blocksonly=1"]));
}

#[test]
fn a_node_with_a_higher_floor_and_step_is_paid_them() {
    // 4 sat/vB each.
    let chain = node_with(&["-minrelaytxfee=0.00004", "-incrementalrelayfee=0.00004"]);
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let to = user.address();
    let mut below = send_args(20_000, &to);
    below.fee_rate = Some(FeeRate::BROADCAST_MIN);
    let refused = commands::send(&mut user.open(), &below, &mut Quiet).unwrap_err();
    assert_eq!(refused.code, "transaction-fee-too-low");
    assert!(refused.message.contains("nothing was sent"), "{refused}");
    let sent = user.send(20_000, &to).unwrap();
    assert!(sent.fee_sat > 400, "{sent:?}");
    let asked = arguments::Bump {
        txid: sent.txid.parse().unwrap(),
        fee_rate: None,
    };
    let bumped = commands::bump(&mut user.open(), &asked, &mut Quiet).unwrap();
    assert!(bumped.fee_sat >= 2 * sent.fee_sat, "{bumped:?}");
}

#[test]
fn a_mempool_that_is_full_is_paid_its_floor() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let between = Between::start(&chain.node, |method, hand_on| match method {
        "getmempoolinfo" => changed(&hand_on(), |info| info["mempoolminfee"] = 0.0002.into()),
        _ => hand_on(),
    });
    let asked = send_args(20_000, &user.address());
    let sent = commands::send(&mut between.open(&user), &asked, &mut Quiet).unwrap();
    assert!(sent.fee_sat > 2_000, "{sent:?}");
}

#[test]
fn a_node_that_calls_more_dust_is_named() {
    // Ten times Bitcoin Core's own: 3,300 sat for a taproot output.
    let chain = node_with(&["-acceptnonstdtxn=0", "-dustrelayfee=0.0003"]);
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let refused = user.send_zkbtc(1_000, &user.address()).unwrap_err();
    assert_eq!(refused.code, "node-refuses-dust");
    assert!(refused.message.contains("-dustrelayfee"), "{refused}");
    // Its change is an output as well.
    let refused = user.send(98_500, &user.address()).unwrap_err();
    assert_eq!(refused.code, "node-refuses-dust");
    assert!(refused.message.contains("nothing was sent"), "{refused}");
    user.send(50_000, &user.address()).unwrap();
}

#[test]
fn a_node_without_data_carriers_moves_no_zkbtc_and_says_so() {
    let chain = node_with(&["-acceptnonstdtxn=0", "-datacarrier=0"]);
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let refused = user.send_zkbtc(1_000, &user.address()).unwrap_err();
    assert_eq!(refused.code, "node-refuses-spells");
    user.send(50_000, &user.address()).unwrap();
}

#[test]
fn few_relatives_in_a_mempool_are_named() {
    let chain = node_with(&["-limitclustercount=2"]);
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let to = user.address();
    let codes = [(); 3].map(|()| code(user.send(10_000, &to)));
    assert_eq!(codes, ["done", "done", "too-many-unconfirmed"]);
    chain.node.mine(1);
    assert_eq!(code(user.send(10_000, &to)), "done");
}

#[test]
fn a_node_that_is_off_the_network_is_told_of() {
    let chain = node_with(&["-networkactive=0"]);
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let mut notes = Notes::default();
    let asked = send_args(20_000, &user.address());
    commands::send(&mut user.open(), &asked, &mut notes).unwrap();
    let codes: Vec<&str> = notes.0.iter().map(|note| note.code).collect();
    assert_eq!(codes, ["node-alone"]);
    // One that does not say is believed to have company.
    let between = Between::start(&chain.node, |method, hand_on| match method {
        "getnetworkinfo" => refuses(-32601, "Method not found"),
        _ => hand_on(),
    });
    let mut notes = Notes::default();
    commands::send(&mut between.open(&user), &asked, &mut notes).unwrap();
    assert_eq!(notes.0, []);
}

#[test]
fn a_node_that_pruned_what_must_be_read_is_named() {
    let chain = node_with(&["-prune=1", "-fastprune=1"]);
    let new = User::new(&chain.node, None);
    chain.node.mine(600);
    let height = chain.node.height() - 300;
    let pruned: u32 = chain
        .node
        .rpc()
        .call("pruneblockchain", &[height.into()])
        .unwrap();
    assert!(pruned > 0);
    let words = new.folder.path().join("words");
    std::fs::write(&words, WORDS).unwrap();
    let restored = |birthday_height: u32| {
        let init = Init {
            mnemonic_file: Some(words.clone()),
            birthday_height: Some(birthday_height),
            ..Init::default()
        };
        User::with(&chain.node, None, &init)
    };
    let old = restored(1);
    let refused = commands::balance(&mut old.open(), &mut Quiet).unwrap_err();
    assert_eq!(refused.code, "node-data-unavailable");
    assert!(refused.message.contains("keeps every block"), "{refused}");
    // What is kept suffices for what is younger.
    let young = restored(chain.node.height() - 10);
    chain.pay(&young.script(), 30_000);
    assert_eq!(young.funds().0, 30_000);
}

#[test]
fn a_node_that_still_fetches_what_is_older_is_named() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    chain.node.mine(1);
    let between = Between::start(&chain.node, |method, hand_on| match method {
        "getblock" => refuses(-1, "Block not available (not fully downloaded)"),
        _ => hand_on(),
    });
    let refused = commands::balance(&mut between.open(&user), &mut Quiet).unwrap_err();
    assert_eq!(refused.code, "node-data-unavailable");
    assert!(refused.message.contains("snapshot"), "{refused}");
}

#[test]
fn the_calls_that_the_manual_names_suffice() {
    // `rpcauth` of alice, whose password is "secret of alice".
    let auth = "-rpcauth=alice:5a17c0de5a17c0de5a17c0de5a17c0de$\
                441dfbfc237575e596da57a6b8e7e31cb657fc204a08c61c6e433f33ac14da62";
    let whitelist = format!("-rpcwhitelist=alice:{CALLS}");
    let chain = node_with(&[auth, &whitelist, "-rpcwhitelistdefault=0"]);
    let manual = include_str!("../../../docs/users/node.md");
    assert!(manual.replace('\n', "").contains(CALLS), "{CALLS}");
    let scene = Scene::on(chain);
    let password = scene.user.folder.path().join("password");
    let settings = |text: &str| {
        std::fs::write(&password, text).unwrap();
        Settings {
            node_cookie: None,
            node_user: Some("alice".to_owned()),
            node_password_file: Some(password.clone()),
            ..scene.user.settings.clone()
        }
    };
    let wrong = settings("another");
    let refused = commands::balance(&mut Session::open(wrong).unwrap(), &mut Quiet);
    assert_eq!(code(refused), "node-credentials");

    let right = settings("secret of alice\n");
    let open = || Session::open(right.clone()).unwrap();
    let to = scene.user.address();
    let sent = commands::send(&mut open(), &send_args(20_000, &to), &mut Quiet).unwrap();
    let asked = arguments::Bump {
        txid: sent.txid.parse().unwrap(),
        fee_rate: None,
    };
    commands::bump(&mut open(), &asked, &mut Quiet).unwrap();
    commands::send_zkbtc(&mut open(), &send_args(10_000, &to), &mut Quiet).unwrap();
    scene.chain.node.mine(1);
    let pegged = commands::peg_in(&mut open(), &common::scene::peg(100_000), &mut Quiet).unwrap();
    scene.chain.node.mine(24);
    let mut back = reclaim(&pegged.id);
    back.broadcast = true;
    commands::reclaim(&mut open(), &back, &mut Quiet).unwrap();
    assert_eq!(
        commands::roster(&mut open(), &mut Quiet).unwrap().nft,
        "verified"
    );
    scene.api.serve_reserves(&Reserves {
        vault_sat: 0,
        supply_sat: 50_000,
        donations_sat: 0,
        former_sat: 0,
        since_height: 0,
        nft_outpoint: scene.nft,
        outpoints: Vec::new(),
        height: 1,
        block_hash: scene.chain.node.tip().hash,
    });
    commands::reserves(&mut open(), &mut Quiet).unwrap();
    let explained = commands::explain(&mut open(), scene.nft, &mut Quiet);
    explained.unwrap();
}
