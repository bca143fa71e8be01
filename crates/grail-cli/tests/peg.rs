//! Peg-in and peg-out against an API that may lie, and the way back out.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::OnceLock;

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{OutPoint, Transaction, TxOut};
use common::api::{Api, replace};
use common::{Chain1, Charm, User, evidence, params, public_key, roster, roster_state, sat, vault};
use grail_api::{RequestState, Reserves, VaultOutput};
use grail_chain::{BlockSource, Chain, Verdict};
use grail_cli::home::read_receipt;
use grail_cli::progress::Quiet;
use grail_cli::report::{Pegged, Reclaimed};
use grail_cli::{Failure, args, bridge, take_back};
use serde_json::Value;

/// A chain with the roster NFT, an API, and a user with BTC and zkBTC.
struct Scene {
    chain: Chain1,
    api: Api,
    user: User,
    nft: OutPoint,
}

impl Scene {
    fn new() -> Self {
        let chain = Chain1::start();
        let nft = deploy(&chain, 50_000);
        let api = Api::start(nft);
        let user = User::new(&chain.node, Some(&api.url()));
        chain.pay(&user.script(), 500_000);
        chain.mint(&user.script(), 50_000, 330);
        Self {
            chain,
            api,
            user,
            nft,
        }
    }

    fn peg_in(&self, amount: u64) -> Result<Pegged, Failure> {
        bridge::peg_in(&mut self.user.open(), &peg(amount), &mut Quiet)
    }

    fn peg_out(&self, amount: u64) -> Result<Pegged, Failure> {
        bridge::peg_out(&mut self.user.open(), &peg(amount), &mut Quiet)
    }

    fn reclaim(&self, reclaim: &args::Reclaim) -> Result<Reclaimed, Failure> {
        take_back::reclaim(&mut self.user.open(), reclaim, &mut Quiet)
    }

    fn in_mempool(&self, txid: &str) -> Transaction {
        let txid = txid.parse().unwrap();
        self.chain.node.chain().mempool_tx(&txid).unwrap().unwrap()
    }

    fn nothing_was_paid(&self) {
        assert!(self.chain.node.chain().mempool_txids().unwrap().is_empty());
        assert!(self.user.open().home.receipts().unwrap().is_empty());
    }
}

fn deploy(chain: &Chain1, supply: u64) -> OutPoint {
    let output = TxOut {
        value: params().nft_carrier,
        script_pubkey: vault(&roster(0)),
    };
    let state = roster_state(&roster(0), &params(), supply);
    let transaction = chain.conjure(&[(output, Charm::Nft(Box::new(state)))]);
    chain.node.mine(1);
    OutPoint::new(transaction.compute_txid(), 0)
}

fn peg(amount: u64) -> args::Peg {
    args::Peg {
        amount: sat(amount),
        to: None,
        fee_cap: None,
        reclaim_delay: None,
        fee_rate: None,
    }
}

fn reclaim(receipt: &str) -> args::Reclaim {
    args::Reclaim {
        receipt: receipt.to_owned(),
        outpoint: None,
        amount: None,
        deposit_tx: None,
        to: None,
        fee_rate: None,
        broadcast: false,
    }
}

/// The unused key of an enclave that runs another program.
fn stranger_evidence() -> &'static str {
    use base64::Engine;
    static EVIDENCE: OnceLock<String> = OnceLock::new();
    EVIDENCE.get_or_init(|| {
        let signer = roster(0).signers()[0];
        base64::engine::general_purpose::STANDARD.encode(evidence(
            b"another program",
            &params(),
            &signer,
        ))
    })
}

#[test]
fn a_peg_in_pays_the_deposit_after_saving_a_receipt_that_checks() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let receipt = read_receipt(pegged.receipt_file.as_ref()).unwrap();
    assert_eq!(receipt.request().to_string(), pegged.id);
    let outpoint: OutPoint = pegged.deposit_outpoint.parse().unwrap();
    let deposit = scene.in_mempool(&outpoint.txid.to_string());
    assert_eq!(deposit.output[0].value, sat(100_000));
    assert_eq!(deposit.output[0].script_pubkey, *receipt.script_pubkey());
    let mut session = scene.user.open();
    assert!(session.wallet.is_mine(receipt.terms().destination.script()));
    assert_eq!(
        session.wallet.balance().zkbtc,
        sat(50_000),
        "no zkBTC was touched"
    );
}

#[test]
fn a_peg_out_pays_zkbtc_to_the_deposit_address() {
    let scene = Scene::new();
    let pegged = scene.peg_out(30_000).unwrap();
    let receipt = read_receipt(pegged.receipt_file.as_ref()).unwrap();
    let outpoint: OutPoint = pegged.deposit_outpoint.parse().unwrap();
    let deposit = scene.in_mempool(&outpoint.txid.to_string());
    assert_eq!(deposit.output[0].script_pubkey, *receipt.script_pubkey());
    let mut session = scene.user.synced();
    assert_eq!(
        session.wallet.carried(&deposit, 0),
        grail_cli::charms::Carried::ZkBtc(sat(30_000))
    );
    assert_eq!(session.wallet.balance().zkbtc, sat(20_000));
}

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
fn an_api_that_changes_any_part_of_the_answer_is_refused_and_nothing_is_paid() {
    let scene = Scene::new();
    let stranger = public_key(99).to_string();
    let lies: Vec<(&str, &'static str, &'static str, Value)> = vec![
        // (code, path, pointer, value)
        (
            "answer-contradicts",
            "/v1/peg-ins",
            "/deposit_address",
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into(),
        ),
        (
            "receipt-address",
            "/v1/peg-ins",
            "/receipt/deposit_address",
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into(),
        ),
        (
            "receipt-address",
            "/v1/peg-ins",
            "/receipt/terms/fee_cap",
            49_000.into(),
        ),
        (
            "receipt-address",
            "/v1/peg-ins",
            "/receipt/terms/reclaim_key",
            stranger.clone().into(),
        ),
        (
            "receipt-address",
            "/v1/peg-ins",
            "/receipt/roster/threshold",
            4.into(),
        ),
        (
            "receipt-version",
            "/v1/peg-ins",
            "/receipt/version",
            2.into(),
        ),
        (
            "receipt-kind",
            "/v1/peg-ins",
            "/receipt/kind",
            "peg-out".into(),
        ),
        (
            "answer-contradicts",
            "/v1/peg-ins",
            "/kind",
            "peg-out".into(),
        ),
        (
            "answer-contradicts",
            "/v1/peg-ins",
            "/id",
            "00".repeat(32).into(),
        ),
        (
            "answer-contradicts",
            "/v1/peg-ins",
            "/terms/fee_cap",
            49_000.into(),
        ),
        ("params-hash", "/v1/params", "/params/carrier", 331.into()),
        (
            "params-hash",
            "/v1/params",
            "/params_hash",
            "00".repeat(32).into(),
        ),
        (
            "roster-address",
            "/v1/roster",
            "/address",
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into(),
        ),
        ("roster-address", "/v1/roster", "/threshold", 4.into()),
        ("roster-invalid", "/v1/roster", "/threshold", 2.into()),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/evidence",
            "AAAA".into(),
        ),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/evidence",
            "not base64".into(),
        ),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/evidence",
            stranger_evidence().into(),
        ),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/attested_at",
            1.into(),
        ),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/index",
            1.into(),
        ),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/nonce",
            "00".repeat(32).into(),
        ),
        (
            "evidence-invalid",
            "/v1/roster",
            "/signers/0/nonce",
            "no hex".into(),
        ),
        (
            "nft-spent",
            "/v1/roster",
            "/nft_outpoint",
            format!("{}:0", "ab".repeat(32)).into(),
        ),
        (
            "api-answer",
            "/v1/roster",
            "/signers",
            common::api::not_json(),
        ),
    ];
    for (code, path, pointer, value) in lies {
        let shown = format!("{path} {pointer}");
        scene.api.lie(move |at, answer| {
            if at == path {
                replace(answer, pointer, value.clone());
            }
        });
        let failure = scene.peg_in(100_000).unwrap_err();
        assert_eq!(failure.code, code, "{shown}: {failure}");
        scene.nothing_was_paid();
    }
    scene.api.be_honest();
    scene.peg_in(100_000).unwrap();
}

#[test]
fn a_consistent_receipt_for_other_terms_or_another_roster_is_refused() {
    use grail_api::{Receipt, Request};
    let scene = Scene::new();
    let forge = |change: fn(&mut Request)| {
        move |path: &str, answer: &mut Value| {
            if path == "/v1/peg-ins" {
                let mut request: Request = serde_json::from_value(answer.clone()).unwrap();
                change(&mut request);
                *answer = serde_json::to_value(&request).unwrap();
            }
        }
    };
    // To the API's own address, with everything else in order.
    scene.api.lie(forge(|request| {
        let mut terms = request.terms.clone();
        terms.destination = common::conjurer().try_into().unwrap();
        put(request, Receipt::new(terms, roster(0)));
    }));
    assert_eq!(scene.peg_in(100_000).unwrap_err().code, "terms-differ");
    // With a reclaim key of the API's own.
    scene.api.lie(forge(|request| {
        let mut terms = request.terms.clone();
        terms.reclaim_key = public_key(99);
        put(request, Receipt::new(terms, roster(0)));
    }));
    assert_eq!(scene.peg_in(100_000).unwrap_err().code, "terms-differ");
    // With a roster of the same epoch that nobody attested.
    scene.api.lie(forge(|request| {
        let mut signers: Vec<_> = (90..94).map(public_key).collect();
        signers.sort_by_key(bitcoin::XOnlyPublicKey::serialize);
        let other =
            grail_types::Roster::new(request.terms.epoch, signers, grail_types::Threshold(3))
                .unwrap();
        put(request, Receipt::new(request.terms.clone(), other));
    }));
    assert_eq!(scene.peg_in(100_000).unwrap_err().code, "roster-differs");
    scene.nothing_was_paid();
}

fn put(request: &mut grail_api::Request, receipt: grail_api::Receipt) {
    request.id = receipt.terms.id();
    request.terms = receipt.terms.clone();
    request.deposit_address.clone_from(&receipt.deposit_address);
    request.receipt = receipt;
}

#[test]
fn a_roster_that_the_nft_on_chain_contradicts_is_refused() {
    let scene = Scene::new();
    // The genuine NFT of another roster state: other params.
    let output = TxOut {
        value: params().nft_carrier,
        script_pubkey: vault(&roster(0)),
    };
    let mut state = roster_state(&roster(0), &params(), 0);
    state.params_hash = [9; 32];
    let other = scene
        .chain
        .conjure(&[(output.clone(), Charm::Nft(Box::new(state)))]);
    let plain = scene.chain.pay(&vault(&roster(0)), 1_000);
    for (outpoint, code) in [
        (OutPoint::new(other.compute_txid(), 0), "nft-differs"),
        (plain, "nft-missing"),
    ] {
        scene.api.lie(move |path, answer| {
            if path == "/v1/roster" {
                replace(answer, "/nft_outpoint", outpoint.to_string());
            }
        });
        assert_eq!(scene.peg_in(100_000).unwrap_err().code, code);
    }
    scene.nothing_was_paid();
}

#[test]
fn pinned_parameters_are_not_exchanged() {
    let scene = Scene::new();
    let mut other = params();
    other.deposit_min = sat(1_000);
    let answer = grail_api::ParamsAnswer {
        params_hash: other.hash(),
        params: other,
    };
    scene.api.serve("/v1/params", &answer);
    assert_eq!(scene.peg_in(100_000).unwrap_err().code, "params-changed");
    scene.nothing_was_paid();
}

#[test]
fn amounts_are_refused_before_the_api_is_asked() {
    let scene = Scene::new();
    for (amount, code) in [
        (19_999, "amount-below-minimum"),
        (600_000, "not-enough-btc"),
        (499_999, "not-enough-btc"),
    ] {
        assert_eq!(scene.peg_in(amount).unwrap_err().code, code, "{amount}");
    }
    assert_eq!(scene.peg_out(50_001).unwrap_err().code, "not-enough-zkbtc");
    let mut greedy = peg(30_000);
    greedy.fee_cap = Some(sat(29_670));
    let refused = bridge::peg_in(&mut scene.user.open(), &greedy, &mut Quiet).unwrap_err();
    assert_eq!(refused.code, "fee-cap-too-high");
    assert!(scene.api.bodies().is_empty(), "{:?}", scene.api.bodies());
}

#[test]
fn a_peg_in_deposit_is_taken_back_after_the_delay_and_not_before() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    scene.chain.node.mine(1);
    let mut wish = reclaim(&pegged.id);
    wish.broadcast = true;
    // The deposit has 1 confirmation: its reclaim may enter the block in which it would have 25.
    scene.chain.node.mine(22);
    assert_eq!(
        scene.reclaim(&wish).unwrap_err().code,
        "transaction-too-early"
    );
    scene.chain.node.mine(1);
    let reclaimed = scene.reclaim(&wish).unwrap();
    assert!(reclaimed.is_broadcast);
    scene.chain.node.mine(1);
    // All but what deposit and reclaim cost.
    let paid = 500_000 - pegged.fee_sat - (100_000 - reclaimed.amount_sat);
    assert_eq!(scene.user.funds(), (paid, 50_000));
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
    let init = args::Init {
        mnemonic_file: Some(words),
        ..args::Init::default()
    };
    grail_cli::commands::init(&settings, &init).unwrap();
    let mut session = grail_cli::Session::open(settings).unwrap();
    let mut wish = reclaim(receipt_file.to_str().unwrap());
    assert_eq!(
        take_back::reclaim(&mut session, &wish, &mut Quiet)
            .unwrap_err()
            .code,
        "no-deposit"
    );
    wish.outpoint = Some(pegged.deposit_outpoint.parse().unwrap());
    wish.amount = Some(sat(100_000));
    let reclaimed = take_back::reclaim(&mut session, &wish, &mut Quiet).unwrap();
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
    let mut wish = reclaim(&pegged.id);
    wish.broadcast = true;
    let reclaimed = scene.reclaim(&wish).unwrap();
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
    let mut wish = reclaim(&pegged.receipt_file);
    wish.deposit_tx = Some(file);
    let reclaimed = scene.reclaim(&wish).unwrap();
    let transaction: Transaction = deserialize_hex(&reclaimed.raw_transaction).unwrap();
    assert!(matches!(
        scene.chain.node.test_accept(&transaction),
        Verdict::Accepted { .. }
    ));
    let mut session = scene.user.open();
    assert_eq!(
        session.wallet.carried(&transaction, 0),
        grail_cli::charms::Carried::ZkBtc(sat(30_000))
    );
}

#[test]
fn zkbtc_is_not_lost_for_want_of_the_deposits_transaction() {
    let scene = Scene::new();
    let pegged = scene.peg_out(30_000).unwrap();
    // A wallet of the same mnemonic that has never seen a block.
    let words = scene.user.folder.path().join("words");
    std::fs::copy(&scene.user.created.mnemonic_file, &words).unwrap();
    let init = args::Init {
        mnemonic_file: Some(words),
        ..args::Init::default()
    };
    let blind = User::with(&scene.chain.node, None, &init);
    let mut wish = reclaim(&pegged.receipt_file);
    wish.outpoint = Some(pegged.deposit_outpoint.parse().unwrap());
    wish.amount = Some(params().carrier);
    let refused = take_back::reclaim(&mut blind.open(), &wish, &mut Quiet).unwrap_err();
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
    let mut wish = reclaim(&pegged.id);
    wish.outpoint = Some(*mistake);
    wish.broadcast = true;
    assert_eq!(scene.reclaim(&wish).unwrap().token_sat, Some(50_000));
    scene.chain.node.mine(1);
    assert_eq!(scene.user.funds().1, 50_000);
}

#[test]
fn another_wallet_cannot_take_a_deposit_back() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let thief = User::new(&scene.chain.node, None);
    let mut wish = reclaim(&pegged.receipt_file);
    wish.outpoint = Some(pegged.deposit_outpoint.parse().unwrap());
    wish.amount = Some(sat(100_000));
    let refused = take_back::reclaim(&mut thief.open(), &wish, &mut Quiet).unwrap_err();
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

#[test]
fn the_roster_report_names_the_signer_whose_evidence_is_false() {
    let scene = Scene::new();
    let report = bridge::roster(&mut scene.user.open()).unwrap();
    assert_eq!(report.nft, "verified");
    assert_eq!(report.trust_anchor, "development-root");
    assert!(report.signers.iter().all(|signer| signer.is_attested));

    scene.api.lie(|path, answer| {
        if path == "/v1/roster" {
            replace(answer, "/signers/0/evidence", stranger_evidence());
            replace(answer, "/signers/1/name", "\u{1b}[31moperator");
        }
    });
    let report = bridge::roster(&mut scene.user.open()).unwrap();
    let attested: Vec<bool> = report
        .signers
        .iter()
        .map(|signer| signer.is_attested)
        .collect();
    assert_eq!(attested, [false, true, true, true]);
    assert_eq!(report.signers[1].name, "[31moperator");
    assert!(report.to_string().contains("NOT ATTESTED"));
}

#[test]
fn reserves_are_recomputed_from_the_chain_with_donations_apart() {
    let scene = Scene::new();
    let vault_script = vault(&roster(0));
    let locked = scene.chain.pay(&vault_script, 50_000);
    let donated = scene.chain.pay(&vault_script, 1_234);
    // A coin of the NFT's size is not taken for the NFT.
    let decoy = scene
        .chain
        .pay(&vault_script, params().nft_carrier.to_sat());
    let tip = scene.chain.node.chain().tip().unwrap();
    let honest = Reserves {
        vault_sat: 50_000,
        supply_sat: 50_000,
        donations_sat: 2_234,
        nft_outpoint: scene.nft,
        outpoints: [(locked, 50_000), (donated, 1_234), (decoy, 1_000)]
            .map(|(outpoint, amount_sat)| VaultOutput {
                outpoint,
                amount_sat,
            })
            .to_vec(),
        height: tip.height,
        block_hash: tip.hash,
    };
    scene.api.serve_reserves(&honest);
    let report = bridge::reserves(&mut scene.user.open(), &mut Quiet).unwrap();
    assert_eq!((report.is_backed, report.agrees), (Some(true), Some(true)));
    let chain = report.chain.unwrap();
    assert_eq!(
        (chain.vault_sat, chain.supply_sat, chain.donations_sat),
        (50_000, 50_000, 2_234)
    );

    let mut false_supply = honest.clone();
    false_supply.supply_sat -= 1;
    scene.api.serve_reserves(&false_supply);
    let report = bridge::reserves(&mut scene.user.open(), &mut Quiet).unwrap();
    assert_eq!(report.agrees, Some(false));
}

#[test]
fn reserves_below_the_supply_are_called_so() {
    let scene = Scene::new();
    let locked = scene.chain.pay(&vault(&roster(0)), 49_999);
    let tip = scene.chain.node.chain().tip().unwrap();
    scene.api.serve_reserves(&Reserves {
        vault_sat: 50_000,
        supply_sat: 50_000,
        donations_sat: 0,
        nft_outpoint: scene.nft,
        outpoints: vec![VaultOutput {
            outpoint: locked,
            amount_sat: 50_000,
        }],
        height: tip.height,
        block_hash: tip.hash,
    });
    let report = bridge::reserves(&mut scene.user.open(), &mut Quiet).unwrap();
    assert_eq!(
        (report.is_backed, report.agrees),
        (Some(false), Some(false))
    );
    assert!(report.to_string().contains("NOT BACKED"));
}

#[test]
fn a_status_is_asked_for_by_kind_and_watched_to_its_end() {
    let scene = Scene::new();
    let pegged = scene.peg_in(100_000).unwrap();
    let session = scene.user.open();
    let id = pegged.id.parse().unwrap();
    assert_eq!(
        bridge::status(&session, &id).err().unwrap().code,
        "not-found"
    );

    let receipt = session.home.receipt(&id).unwrap().receipt;
    let status = grail_api::RequestStatus {
        id,
        kind: grail_api::Kind::PegIn,
        state: RequestState::Paid,
        code: None,
        deposit_address: receipt.deposit_address.clone(),
        deadline_height: 1_000,
        deposit: None,
        other_deposits: Vec::new(),
        settlement: None,
        refusals: Vec::new(),
        reclaim: None,
        receipt,
        created_at: 1,
        updated_at: 2,
    };
    scene.api.serve(&format!("/v1/peg-ins/{id}"), &status);
    assert_eq!(bridge::status(&session, &id).unwrap().0, status);
    let mut seen = Vec::new();
    bridge::watch(&session, &id, |report| seen.push(report.0.state)).unwrap();
    assert_eq!(seen, [RequestState::Paid]);
}
