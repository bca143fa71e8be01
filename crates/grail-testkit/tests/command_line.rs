//! The command line against a whole cluster.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::Amount;
use grail_api::{Kind, RequestState};
use grail_testkit::{CliWallet, Cluster, ClusterConfig};
use serde_json::Value;

/// A wallet with some BTC.
fn funded(cluster: &Cluster, name: &str) -> CliWallet {
    let wallet = CliWallet::init(cluster, name).unwrap();
    let script = wallet.script().unwrap();
    cluster.node.fund(&script, Amount::from_sat(5_000_000));
    cluster.node.mine(1);
    wallet
}

#[test]
fn the_main_job_by_the_command_line() {
    let cluster = Cluster::start(&ClusterConfig::default());
    let (alice, bob) = (funded(&cluster, "alice"), funded(&cluster, "bob"));

    let roster: Value = alice.run(&["roster"]).unwrap();
    assert_eq!(roster["nft"], "verified");
    let signers = roster["signers"].as_array().unwrap();
    assert_eq!(signers.len(), 4);
    assert!(signers.iter().all(|signer| signer["is_attested"] == true));

    let pegged = alice.peg_in(Amount::from_sat(1_000_000)).unwrap();
    cluster.node.mine(1);
    let paid = cluster.settle(Kind::PegIn, &[pegged.id]).unwrap();
    let minted = common::amount_out(&paid[0]);
    assert_eq!(alice.balance().unwrap().zkbtc, minted);
    let status: Value = alice.run(&["status", &pegged.id.to_string()]).unwrap();
    assert_eq!(status["state"], "paid");

    let to = bob.address().unwrap();
    alice.send_zkbtc(Amount::from_sat(400_000), &to).unwrap();
    cluster.node.mine(1);
    assert_eq!(alice.balance().unwrap().zkbtc, minted - 400_000);
    let before = bob.balance().unwrap();
    assert_eq!(before.zkbtc, 400_000);

    let pegged = bob.peg_out(Amount::from_sat(400_000)).unwrap();
    cluster.node.mine(1);
    let paid = cluster.settle(Kind::PegOut, &[pegged.id]).unwrap();
    let after = bob.balance().unwrap();
    assert_eq!(after.zkbtc, 0);
    assert!(after.btc > before.btc);
    assert!(common::amount_out(&paid[0]) < 400_000);

    let reserves: Value = bob.run(&["reserves"]).unwrap();
    assert_eq!(
        (&reserves["is_backed"], &reserves["agrees"]),
        (&true.into(), &true.into())
    );
    let audit = common::books(&cluster);
    assert_eq!(reserves["chain"]["supply_sat"], audit.state.supply);
    common::no_alarm(&cluster);
}

#[test]
fn a_deposit_is_taken_back_with_the_receipt_alone() {
    let mut cluster = Cluster::start(&ClusterConfig::default());
    let alice = funded(&cluster, "alice");
    let pegged = alice.peg_in(Amount::from_sat(1_000_000)).unwrap();
    cluster.backend.stop().unwrap();
    for operator in &mut cluster.operators {
        operator.kill();
    }
    cluster.node.mine(1);
    // A wallet that has the receipt's file and the words, and no memory of the request.
    let raw = alice.reclaim(&pegged.id).unwrap();
    assert_eq!(raw.input[0].previous_output, pegged.deposit_outpoint);
    let delay = u32::from(cluster.params().reclaim_delay_min);
    cluster.node.mine(delay - 2);
    assert!(matches!(
        cluster.node.test_accept(&raw),
        grail_chain::Verdict::Rejected { .. }
    ));
    cluster.node.mine(1);
    cluster.node.send(&raw);
    cluster.node.mine(1);
    assert!(alice.balance().unwrap().btc > 4_900_000);

    cluster
        .start_backend(&grail_testkit::cluster::BackendConfig::default())
        .unwrap();
    cluster
        .until_request(Kind::PegIn, &pegged.id, RequestState::Reclaimed)
        .unwrap();
    assert_eq!(common::books(&cluster).state.supply, 0);
    assert_eq!(cluster.rows().unwrap().alarms().unwrap(), []);
}

#[test]
fn bad_requests_fail_with_a_code_and_cost_nothing() {
    let cluster = Cluster::start(&ClusterConfig::default());
    let alice = funded(&cluster, "alice");
    let before = alice.balance().unwrap();
    let mainnet = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
    let cases: [(&[&str], &str); 7] = [
        (&["peg-in", "19999sat"], "amount-below-minimum"),
        (
            &["peg-in", "100000sat", "--fee-cap", "1sat"],
            "fee-cap-too-low",
        ),
        (
            &["peg-in", "100000sat", "--fee-cap", "99999sat"],
            "fee-cap-too-high",
        ),
        (
            &["peg-in", "100000sat", "--reclaim-delay", "1"],
            "reclaim-delay-out-of-range",
        ),
        (&["peg-out", "100000sat"], "not-enough-zkbtc"),
        (&["send-zkbtc", "1000sat", mainnet], "bad-address"),
        (&["status", &"ab".repeat(32)], "not-found"),
    ];
    for (arguments, code) in cases {
        assert_eq!(alice.fail(arguments).unwrap(), code, "{arguments:?}");
    }
    assert_eq!(alice.balance().unwrap(), before);
    assert_eq!(cluster.rows().unwrap().request_count().unwrap(), 0);
}
