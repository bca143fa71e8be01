//! A roster that changes on a real Bitcoin Core: mined under consensus rules, adopted by the
//! backend, followed by the command line and by the auditor, each from its own evidence.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::Ipv4Addr;
use std::sync::Arc;

use bitcoin::Txid;
use bitcoin::hashes::Hash;
use common::api::replace;
use common::houses::{World, prover};
use grail_audit::{Anchor, Auditor, StepKind, Watch};
use grail_backend::backend::{Backend, Config, Parts};
use grail_backend::deployment::Deployment;
use grail_backend::roles::scan::Scanner;
use grail_broker::EmbeddedBroker;
use grail_chain::{
    Auth, BitcoinCore, BlockSource as _, CALL_TIMEOUT, Chain as _, RejectReason, Verdict,
};
use grail_cli::arguments::Rosters;
use grail_cli::commands;
use grail_cli::progress::Quiet;
use grail_fixtures::world::{BRIDGE, keypair, public};
use grail_policy::adoption::{Genesis, Handover, adopt_genesis, adopt_next};
use grail_store::Store;

/// A backend that has read the chain, and the address of its API.
async fn serve(w: &World, url: &str) -> (Arc<Backend>, String) {
    let core = BitcoinCore::new(
        &w.node.rpc_url(),
        Auth::Cookie(w.node.cookie_path()),
        CALL_TIMEOUT,
    );
    let broker = EmbeddedBroker::listen((Ipv4Addr::LOCALHOST, 0).into());
    let deployment = Deployment::new(
        w.protocol.clone(),
        w.houses[0].roster.clone(),
        Vec::new(),
        &w.deployment,
        0,
    );
    let backend = Backend::new(Parts {
        deployment,
        store: Store::open(url).await.unwrap(),
        node: grail_backend::node::Node::from_chain(Arc::new(core.unwrap())),
        broker: Arc::new(broker.await.unwrap()),
        prover: Arc::new(prover()),
        wasm: BRIDGE.to_vec(),
        config: Config {
            batch_seconds: 0,
            ask_seconds: 60,
            lease_seconds: 60,
            prove_workers: 1,
        },
    });
    let backend = backend.await.unwrap();
    scan(&backend).await;
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = listener.await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let limits = grail_backend::api::Limits::default();
    tokio::spawn(grail_backend::api::serve(
        Arc::clone(&backend),
        listener,
        limits,
    ));
    (backend, address)
}

async fn scan(backend: &Backend) {
    let mut scanner = Scanner::new(backend);
    while scanner.take_block().await.unwrap() {}
}

#[test]
fn a_rotation_under_consensus_is_followed_by_backend_wallet_and_auditor() {
    let w = World::new();
    let first = w.rotation(&w.deployment, 0, 3);
    // A quorum is what the chain itself asks for.
    let short = w.rotation(&w.deployment, 0, 2).announcement;
    let Verdict::Rejected { reason, .. } = w.node.test_accept(&short) else {
        panic!("two of three signed");
    };
    assert_eq!(reason, RejectReason::ScriptVerify);
    w.node.send(&first.announcement);
    w.node.send(&first.transaction);
    let block = w.node.mine(1)[0];
    let second = w.rotation(&first.transaction, 1, 3);
    w.node.send(&second.announcement);
    w.node.send(&second.transaction);
    w.node.mine(6);

    // The node tells what a rotation spends, which its block does not hold.
    let txid = first.transaction.compute_txid();
    let chain = w.node.chain();
    let spent = chain.spent_in_block(&txid, &block).unwrap().unwrap();
    for ((spent, output), input) in spent.iter().zip(&first.spent).zip(&first.transaction.input) {
        assert_eq!(spent.output, *output);
        // And in which block it was made: there the node finds its transaction.
        let made_in = chain.block_hash(spent.height).unwrap().unwrap();
        let made = chain.tx_in_block(&input.previous_output.txid, &made_in);
        assert!(made.unwrap().is_some());
    }
    assert_eq!(spent.len(), first.spent.len());
    let coinbase = w.node.block(&block).txdata[0].compute_txid();
    let nothing = chain.spent_in_block(&coinbase, &block).unwrap();
    assert_eq!(nothing, Some(Vec::new()));
    let nobody = Txid::from_byte_array([7; 32]);
    assert_eq!(chain.spent_in_block(&nobody, &block).unwrap(), None);
    let bridge = w.protocol.bridge();
    let pin = Genesis(w.deployment.compute_txid());
    let deployed = Handover {
        transaction: w.deployment.clone(),
        spent: Vec::new(),
        governance: w.protocol.governance().clone(),
    };
    let genesis = adopt_genesis(&w.secp, bridge, &pin, &deployed).unwrap();
    let adopted = adopt_next(&w.secp, bridge, &genesis, &first).unwrap();
    assert_eq!(adopted.roster(), &w.houses[1].roster);

    // The backend adopts both, and shows them.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("grail.db").display());
    let (backend, api) = runtime.block_on(serve(&w, &url));
    let rosters = runtime.block_on(async {
        let mut reader = backend.store.read().await.unwrap();
        assert_eq!(reader.open_alarms().await.unwrap().stop, 0);
        backend.rosters(&mut reader).await.unwrap()
    });
    assert_eq!(rosters.count(), 3);
    assert_eq!(rosters.newest().roster(), &w.houses[2].roster);

    // The command line follows them from the API's evidence and asks its own node for the blocks.
    let user = w.user(&api);
    let report = commands::rosters(&mut user.open(), &Rosters::default(), &mut Quiet).unwrap();
    let rows: Vec<_> = report
        .epochs
        .iter()
        .map(|it| (it.epoch, it.new_key_count, it.block.as_str()))
        .collect();
    let expected = [(0, 4, "mined"), (1, 3, "mined"), (2, 3, "mined")];
    assert_eq!(rows, expected);
    assert!(report.to_string().contains(&txid.to_string()));

    // The auditor, from blocks alone.
    let mut auditor = Auditor::new(Watch {
        network: bridge.network,
        anchor: Anchor::Bridge(bridge.app),
        params: vec![w.protocol.params().clone()],
        governances: vec![w.protocol.governance().clone()],
        vault_scripts: w
            .houses
            .iter()
            .map(|it| it.vault.script_pubkey.clone())
            .collect(),
    });
    let mut rotations = 0;
    for height in 0..=w.node.height() {
        let hash = grail_chain::BlockSource::block_hash(chain, height);
        let block = w.node.block(&hash.unwrap().unwrap());
        let steps = auditor.connect_block(height, &block).unwrap();
        let is_rotation = |step: &&grail_audit::Step| matches!(step.kind, StepKind::Rotation(_));
        rotations += steps.iter().filter(is_rotation).count();
    }
    assert_eq!(rotations, 2);
    assert_eq!(auditor.verdict().findings, []);
    assert_eq!(auditor.verdict().alarm_count, 0);
    assert_eq!(auditor.books().unwrap().state.epoch, 2);
}

/// An API that changes one thing of what it shows: each lie ends in its code.
#[test]
fn each_lie_about_the_history_of_rosters_has_a_code() {
    let w = World::new();
    let first = w.rotation(&w.deployment, 0, 3);
    w.node.send(&first.announcement);
    w.node.send(&first.transaction);
    w.node.mine(3);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("grail.db").display());
    let (_backend, api) = runtime.block_on(serve(&w, &url));
    let client = grail_api::client::Client::new(&api);
    let honest = common::api::Api::start(bitcoin::OutPoint::null());
    honest.serve("/v1/params", &client.params().unwrap());
    let newest = grail_api::PageQuery {
        after: None,
        limit: Some(1),
    };
    honest.serve("/v1/rosters?limit=1", &client.rosters(&newest).unwrap());
    for epoch in [0, 1] {
        let record = client.roster_of(grail_types::Epoch(epoch)).unwrap();
        honest.serve(&format!("/v1/rosters/{epoch}"), &record);
    }
    let user = w.user(&honest.url());
    let told = |path: &'static str, pointer: &'static str, value: serde_json::Value| {
        honest.lie(move |asked, answer| {
            if asked == path {
                replace(answer, pointer, value.clone());
            }
        });
        let code = match commands::rosters(&mut user.open(), &Rosters::default(), &mut Quiet) {
            Ok(report) => return format!("{} epochs", report.epochs.len()),
            Err(failure) => failure.code,
        };
        code.to_owned()
    };
    let key = public(&keypair(99)).to_string();
    let other = "11".repeat(32);
    let one = "/v1/rosters/1";
    let zero = "/v1/rosters/0";
    let list = "/v1/rosters?limit=1";
    for (path, pointer, value, code) in [
        (one, "/epoch", 1.into(), "2 epochs"),
        (one, "/epoch", 2.into(), "history-gap"),
        (list, "/items/0/epoch", 8_760.into(), "history-gap"),
        (list, "/items/0/epoch", 2.into(), "not-found"),
        (one, "/threshold", 4.into(), "history-differs"),
        (one, "/public_keys/0", key.into(), "history-differs"),
        (one, "/txid", other.clone().into(), "history-differs"),
        (
            zero,
            "/params_hash",
            other.clone().into(),
            "history-differs",
        ),
        (one, "/transaction", "00".into(), "history-malformed"),
        (one, "/spent/0/script", "zz".into(), "history-malformed"),
        (one, "/spent/0/amount_sat", 1.into(), "signature-invalid"),
        (one, "/spent", serde_json::json!([]), "spent-count"),
        (one, "/block_hash", other.into(), "history-not-mined"),
    ] {
        assert_eq!(told(path, pointer, value), code, "{path} {pointer}");
    }
    // The deployment in the place of a rotation.
    let deployment = bitcoin::consensus::encode::serialize_hex(&w.deployment);
    assert_eq!(told(one, "/transaction", deployment.into()), "spent-count");
}
