//! `grail auditor` against a whole cluster: every kind of step, and a forgery that the chain takes
//! and the auditor does not.
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;

use bitcoin::absolute::LockTime;
use bitcoin::key::TapTweak;
use bitcoin::secp256k1::{Keypair, Secp256k1};
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use grail_api::Kind;
use grail_charms::transfer_spell;
use grail_prover::MockProver;
use grail_script::{InternalKey, VaultTree};
use grail_testkit::{CliWallet, Cluster, ClusterConfig, User, sign_key_spend};
use grail_types::{MockAllowed, Network};
use serde_json::Value;

/// Runs the auditor with nothing but a node and what names the bridge: no wallet, no API. Exit code
/// and answer.
fn audit(cluster: &Cluster, arguments: &[&str]) -> (Option<i32>, Value) {
    let ended = Command::new(cluster.programs.cli())
        .env_clear()
        .args(["--json", "auditor", "--node", &cluster.node.rpc_url()])
        .arg("--node-cookie")
        .arg(cluster.node.cookie_path())
        .args(arguments)
        .output()
        .unwrap();
    let text = if ended.stdout.is_empty() {
        &ended.stderr
    } else {
        &ended.stdout
    };
    (ended.status.code(), serde_json::from_slice(text).unwrap())
}

fn kinds(report: &Value) -> Vec<&str> {
    report["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["kind"].as_str().unwrap())
        .collect()
}

/// zkBTC of the cluster's bridge out of nothing: on regtest the mock's key is public.
fn forge(cluster: &Cluster, sat: u64) -> Transaction {
    let secp = Secp256k1::new();
    let keypair = Keypair::from_seckey_slice(&secp, &[0x66; 32]).unwrap();
    let script = ScriptBuf::new_p2tr(&secp, keypair.x_only_public_key().0, None);
    let funding = cluster.node.fund(&script, Amount::from_sat(10_000));
    cluster.node.mine(1);
    let mut transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: funding,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(330),
            script_pubkey: script.clone(),
        }],
    };
    let bridge = &cluster.bridge().app;
    let spell = transfer_spell(&transaction, bridge, &[sat]).unwrap();
    let prover = MockProver::new(MockAllowed::on(Network::Regtest).unwrap());
    let proven = prover.prove_unchecked(&spell).unwrap();
    transaction.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: proven.op_return,
    });
    let previous = TxOut {
        value: Amount::from_sat(10_000),
        script_pubkey: script,
    };
    let tweaked = keypair.tap_tweak(&secp, None);
    sign_key_spend(&mut transaction, 0, &[previous], &tweaked);
    transaction
}

#[test]
fn the_auditor_tells_every_step_and_finds_a_forgery() {
    let mut cluster = Cluster::start(&ClusterConfig::default());
    let alice = CliWallet::init(&cluster, "alice").unwrap();
    cluster
        .node
        .fund(&alice.script().unwrap(), Amount::from_sat(5_000_000));
    cluster.node.mine(1);
    let protocol = cluster.folder().join("protocol.json");
    let protocol = protocol.to_str().unwrap().to_owned();

    let pegged = alice.peg_in(Amount::from_sat(1_000_000)).unwrap();
    cluster.node.mine(1);
    let paid = cluster.settle(Kind::PegIn, &[pegged.id]).unwrap();
    let minted = common::amount_out(&paid[0]);
    alice
        .send_zkbtc(Amount::from_sat(400_000), &User::new("bob").address())
        .unwrap();
    cluster.node.mine(1);
    let pegged = alice.peg_out(Amount::from_sat(300_000)).unwrap();
    cluster.node.mine(1);
    cluster.settle(Kind::PegOut, &[pegged.id]).unwrap();
    // A gift to the vault, and a deposit that is taken back.
    let vault = VaultTree::new(
        &Secp256k1::new(),
        InternalKey::Nums,
        &cluster.deployment.roster,
        cluster.deployment.protocol.governance(),
    )
    .script_pubkey;
    cluster.node.fund(&vault, Amount::from_sat(12_345));
    let bob = User::new("bob");
    let asked = bob.ask_peg_in(&cluster.api()).unwrap();
    cluster.backend.stop().unwrap();
    let value = Amount::from_sat(500_000);
    let deposit = cluster.node.fund(&asked.deposit_script, value);
    cluster
        .node
        .mine(u32::from(cluster.params().reclaim_delay_min));
    cluster
        .node
        .send(&bob.reclaim(&asked, deposit, value).unwrap());
    cluster.node.mine(1);

    let (code, report) = audit(&cluster, &["--protocol", &protocol, "--all"]);
    assert_eq!(
        (code, &report["alarm_count"]),
        (Some(0), &0.into()),
        "{report}"
    );
    assert_eq!(
        kinds(&report),
        [
            "deployment",
            "settlement",
            "transfer",
            // The deposit of a peg-out.
            "transfer",
            "settlement",
            "donation",
            "reclaim"
        ],
        "{report}"
    );
    let books = &report["books"];
    let supply = minted - 300_000;
    for side in ["supply_sat", "vault_sat", "circulating_sat"] {
        assert_eq!(books[side], supply, "{side}");
    }
    assert_eq!(books["donations_sat"], 12_345);
    assert_eq!(books["serial"], 2);
    let deployment = cluster.deployment.nft_outpoint().txid.to_string();
    assert_eq!(books["deployment_txid"], deployment);
    let first = &report["steps"][1];
    let settlement = &first["settlement"];
    assert_eq!(settlement["supply_after_sat"], minted);
    assert_eq!(settlement["peg_ins"]["count"], 1);
    assert_eq!(first["fee_sat"], 1_000_000 - 330 - minted);
    for input in settlement["signed"].as_array().unwrap() {
        assert_eq!(input["threshold"], 3);
        assert_eq!(input["signers"].as_array().unwrap().len(), 3);
    }
    // What left on balance; who was not told the parameters cannot say how much may.
    let second = &report["steps"][4]["settlement"];
    assert_eq!(second["outflow_before_sat"], 0);
    assert_eq!(second["outflow_after_sat"], 300_000);
    assert_eq!(report["findings"], serde_json::json!([]));
    let roles: Vec<&Value> = settlement["signed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|input| &input["role"])
        .collect();
    assert_eq!(roles, ["vault", "deposit"]);
    assert_eq!(books["nft_outpoint"], {
        let audit = cluster
            .ledger()
            .unwrap()
            .audit(&cluster.deployment)
            .unwrap();
        audit.check().unwrap();
        audit.nft.to_string()
    });

    // By its deployment, and by a wallet's pinned parameters, it is the same bridge; users' steps
    // are counted.
    let (code, by_deployment) = audit(
        &cluster,
        &["--network", "regtest", "--deployment", &deployment],
    );
    assert_eq!(code, Some(0), "{by_deployment}");
    assert_eq!(by_deployment["books"], report["books"]);
    assert_eq!(kinds(&by_deployment).len(), 4);
    let unknown = &by_deployment["findings"][0];
    assert_eq!(unknown["code"], "audit-limits-unknown");
    assert_eq!(unknown["severity"], "note");
    assert_eq!(by_deployment["tally"]["transfers"], 2);
    let by_wallet: Value = alice.run(&["auditor"]).unwrap();
    assert_eq!(by_wallet["books"], report["books"]);

    // Wrong requests.
    let (code, failure) = audit(&cluster, &["--network", "regtest"]);
    assert_eq!(
        (code, &failure["error"]["code"]),
        (Some(1), &"audit-no-bridge".into())
    );
    let (code, late) = audit(&cluster, &["--protocol", &protocol, "--from-height", "200"]);
    assert_eq!(code, Some(1));
    assert_eq!(late["findings"][0]["code"], "audit-not-deployed");

    // The chain takes a forgery; a wallet would, on regtest; the auditor does not.
    let forged = forge(&cluster, 1_000);
    let txid = cluster.node.send(&forged);
    cluster.node.mine(1);
    let (code, report) = audit(&cluster, &["--protocol", &protocol]);
    assert_eq!(
        (code, &report["alarm_count"]),
        (Some(1), &2.into()),
        "{report}"
    );
    let last = report["steps"].as_array().unwrap().last().unwrap();
    assert_eq!(last["txid"], txid.to_string());
    assert_eq!(last["findings"][0]["code"], "audit-tokens-forged");
    assert_eq!(
        report["findings"][0]["code"],
        "audit-supply-not-circulating"
    );
    let error = cluster
        .ledger()
        .unwrap()
        .audit(&cluster.deployment)
        .unwrap_err();
    assert!(error.to_string().contains("audit-tokens-forged"), "{error}");
}
