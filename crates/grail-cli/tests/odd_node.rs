//! Nodes that are set up otherwise, still reading, or busy: each said in its own words, and none in
//! the way of the way out.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::between::{Between, changed, forbids, refuses, says};
use common::scene::{Scene, peg, reclaim};
use common::{Chain1, User, conjurer, sat, send_args};
use grail_chain::Chain;
use grail_cli::progress::Quiet;
use grail_cli::{Failure, Session, arguments, commands};
use grail_testkit::{Node, NodeOptions};
use serde_json::json;

fn node_with(argument: &str) -> Chain1 {
    Chain1 {
        node: Node::start_with(NodeOptions {
            extra_args: vec![argument.to_owned()],
            ..NodeOptions::default()
        }),
    }
}

fn downloading(node: &Node) -> Between {
    Between::start(node, |method, hand_on| match method {
        "getblockchaininfo" => changed(&hand_on(), |state| {
            state["initialblockdownload"] = true.into();
        }),
        _ => hand_on(),
    })
}

#[test]
fn a_node_without_estimates_leaves_its_floor_to_pay() {
    let chain = node_with("-blocksonly=1");
    assert_eq!(chain.node.chain().estimate_fee_rate(6).unwrap(), None);
    let (user, shop) = (User::new(&chain.node, None), User::new(&chain.node, None));
    chain.pay(&user.script(), 100_000);
    let sent = user.send(20_000, &shop.address()).unwrap();
    assert!(sent.fee_sat < 200, "{sent:?}");
    chain.node.mine(1);
    assert_eq!(shop.funds().0, 20_000);
}

#[test]
fn a_refused_estimate_stops_neither_a_payment_nor_a_reclaim() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(24);
    for answer in [
        refuses(-32603, "Fee estimation disabled"),
        refuses(-32601, "Method not found"),
        forbids(),
    ] {
        let between = Between::start(&scene.chain.node, move |method, hand_on| match method {
            "estimatesmartfee" => answer.clone(),
            _ => hand_on(),
        });
        let asked = send_args(1_000, &scene.user.address());
        commands::send(&mut between.open(&scene.user), &asked, &mut Quiet).unwrap();
    }
    // The way out does without any word on fees.
    let between = Between::start(&scene.chain.node, |method, hand_on| match method {
        "estimatesmartfee" | "getmempoolinfo" => says(503, &json!("busy")),
        _ => hand_on(),
    });
    let mut asked = reclaim(&pegged.id);
    asked.broadcast = true;
    let mut session = between.open(&scene.user);
    assert!(
        commands::reclaim(&mut session, &asked, &mut Quiet)
            .unwrap()
            .is_broadcast
    );
}

#[test]
fn a_node_that_still_reads_the_chain_gives_no_verdict() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let between = downloading(&scene.chain.node);
    let open = || between.open(&scene.user);
    let code = |failure: Option<Failure>| failure.unwrap().code;
    let to = scene.user.address();
    assert_eq!(
        code(commands::balance(&mut open(), &mut Quiet).err()),
        "node-behind"
    );
    assert_eq!(
        code(commands::list(&mut open(), &mut Quiet).err()),
        "node-behind"
    );
    let asked = send_args(1_000, &to);
    assert_eq!(
        code(commands::send(&mut open(), &asked, &mut Quiet).err()),
        "node-behind"
    );
    assert_eq!(
        code(commands::peg_in(&mut open(), &peg(50_000), &mut Quiet).err()),
        "node-behind"
    );
    let mut asked = reclaim(&pegged.id);
    asked.broadcast = true;
    assert_eq!(
        code(commands::reclaim(&mut open(), &asked, &mut Quiet).err()),
        "node-behind"
    );
    assert_eq!(
        commands::roster(&mut open(), &mut Quiet).unwrap().nft,
        "node-behind"
    );
    let audit = arguments::Audit {
        protocol: None,
        history: None,
        deployment: Some(scene.nft.txid),
        from_height: 1,
        all: false,
    };
    let failure = commands::audit(&between.settings(&scene.user), &audit, &mut Quiet).err();
    assert_eq!(code(failure), "node-behind");
    // What needs no node goes on.
    commands::receipts(&open(), &mut Quiet).unwrap();
    let asked = reclaim(&pegged.id);
    commands::reclaim(&mut open(), &asked, &mut Quiet).unwrap();
}

#[test]
fn a_node_that_scans_already_is_told_so() {
    let scene = Scene::new();
    scene.api.serve_reserves(&grail_api::Reserves {
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
    for (answer, code) in [
        (
            refuses(
                -8,
                "Scan already in progress, use action \"abort\" or \"status\"",
            ),
            "node-scan-running",
        ),
        (refuses(-8, "other words"), "node-refused-call"),
    ] {
        let between = Between::start(&scene.chain.node, move |method, hand_on| match method {
            "scantxoutset" => answer.clone(),
            _ => hand_on(),
        });
        let failure = commands::reserves(&mut between.open(&scene.user), &mut Quiet).unwrap_err();
        assert_eq!(failure.code, code);
    }
}

#[test]
fn a_call_that_the_whitelist_lacks_is_named() {
    let chain = node_with("-rpcwhitelistdefault=0");
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let between = Between::start(&chain.node, |method, hand_on| match method {
        "sendrawtransaction" => forbids(),
        _ => hand_on(),
    });
    let asked = send_args(20_000, &user.address());
    let failure = commands::send(&mut between.open(&user), &asked, &mut Quiet).unwrap_err();
    assert_eq!(failure.code, "node-not-allowed");
    assert!(
        failure
            .message
            .contains("does not allow sendrawtransaction"),
        "{failure}"
    );
    assert!(!failure.message.contains("credentials"), "{failure}");
}

#[test]
fn bitcoin_cores_own_whitelist_forbids_what_it_lacks() {
    let node = Node::start_with(NodeOptions {
        // The user of the cookie file.
        extra_args: vec![
            "-rpcwhitelist=__cookie__:getblockchaininfo,getblockhash,getblock,getblockheader,\
             generatetodescriptor,getrawmempool,stop"
                .to_owned(),
        ],
        ..NodeOptions::default()
    });
    let error = node.chain().mempool_min_fee_rate().unwrap_err();
    assert_eq!(error.code(), "node-not-allowed");
    assert!(error.to_string().contains("getmempoolinfo"), "{error}");
}

#[test]
fn a_node_that_relays_no_spells_is_found_out_before_anything_is_paid() {
    let chain = node_with("-datacarriersize=83");
    let user = User::new(&chain.node, None);
    chain.pay(&user.script(), 100_000);
    let failure = user.send_zkbtc(1_000, &user.address()).unwrap_err();
    assert_eq!(failure.code, "node-refuses-spells");
    assert!(failure.message.contains("-datacarriersize"), "{failure}");

    let scene = Scene::new();
    let between = Between::start(&scene.chain.node, |method, hand_on| match method {
        "testmempoolaccept" => changed(&hand_on(), |answers| {
            answers[0]["reject-reason"] = "datacarrier".into();
        }),
        _ => hand_on(),
    });
    let mut asked = peg(100_000);
    let failure = commands::peg_in(&mut between.open(&scene.user), &asked, &mut Quiet);
    assert_eq!(failure.unwrap_err().code, "node-refuses-spells");
    scene.nothing_was_paid();
    assert!(scene.api.bodies().is_empty());
    // Whoever knows may go one way.
    asked.one_way = true;
    commands::peg_in(&mut between.open(&scene.user), &asked, &mut Quiet).unwrap();
}

#[test]
fn the_mempool_is_looked_at_once() {
    let chain = Chain1::start();
    let user = User::new(&chain.node, None);
    let others = 30;
    for _ in 0..others {
        chain.node.fund(&conjurer(), sat(1_000));
    }
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let between = Between::start(&chain.node, move |method, hand_on| {
        if method == "getrawtransaction" {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        hand_on()
    });
    let pending = |session: &mut Session| {
        commands::balance(session, &mut Quiet)
            .unwrap()
            .btc_pending_sat
    };
    assert_eq!(pending(&mut between.open(&user)), 0);
    assert_eq!(looks.swap(0, Ordering::Relaxed), others);
    // What comes later is looked at, and nothing twice.
    chain.node.fund(&user.script(), sat(7_000));
    chain.node.fund(&conjurer(), sat(1_000));
    pending(&mut between.open(&user));
    looks.store(0, Ordering::Relaxed);
    assert_eq!(pending(&mut between.open(&user)), 7_000);
    assert_eq!(looks.load(Ordering::Relaxed), 0);
}
