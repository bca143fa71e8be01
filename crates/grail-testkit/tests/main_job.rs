//! The main job, end to end.
#![allow(clippy::unwrap_used)]

use bitcoin::Amount;
use grail_api::Kind;
use grail_testkit::{Cluster, ClusterConfig, User};

#[test]
fn bitcoin_is_locked_moved_as_zkbtc_and_paid_out() {
    let cluster = Cluster::start(&ClusterConfig::default());
    let api = cluster.api();
    let (alice, bob) = (User::new("alice"), User::new("bob"));

    // In.
    let asked = alice.ask_peg_in(&api).unwrap();
    cluster
        .node
        .fund(&asked.deposit_script, Amount::from_sat(1_000_000));
    cluster
        .node
        .fund(&alice.script(), Amount::from_sat(100_000));
    cluster.node.fund(&bob.script(), Amount::from_sat(100_000));
    cluster.node.mine(1);
    let paid = cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    let minted = paid[0].settlement.as_ref().unwrap().amount_out_sat;
    let ledger = cluster.ledger().unwrap();
    let audit = ledger.audit(&cluster.deployment).unwrap();
    audit.check().unwrap();
    assert_eq!(audit.state.supply, minted);
    let tokens = alice.tokens(&ledger, cluster.bridge()).unwrap();
    assert_eq!(tokens.values().sum::<u64>(), minted);

    // On.
    let transfer = alice
        .transfer(&ledger, cluster.protocol(), &[(bob.script(), 400_000)])
        .unwrap();
    cluster.node.send(&transfer);
    cluster.node.mine(1);

    // Out.
    let asked = bob.ask_peg_out(&api).unwrap();
    let ledger = cluster.ledger().unwrap();
    let deposit = bob
        .transfer(
            &ledger,
            cluster.protocol(),
            &[(asked.deposit_script.clone(), 300_000)],
        )
        .unwrap();
    cluster.node.send(&deposit);
    cluster.node.mine(1);
    let paid = cluster.settle(Kind::PegOut, &[asked.id]).unwrap();
    let settlement = paid[0].settlement.as_ref().unwrap();

    let ledger = cluster.ledger().unwrap();
    let audit = ledger.audit(&cluster.deployment).unwrap();
    audit.check().unwrap();
    assert_eq!(audit.state.supply, minted - 300_000);
    assert_eq!(audit.settlements().count(), 2);
    let payout = ledger.transaction(&settlement.txid).unwrap().output
        [settlement.output_index.unwrap() as usize]
        .clone();
    assert_eq!(payout.script_pubkey, bob.script());
    assert_eq!(payout.value.to_sat(), settlement.amount_out_sat);
    assert_eq!(
        settlement.amount_out_sat + settlement.fee_share_sat,
        300_000 + cluster.params().carrier.to_sat()
    );
    let reserves = api.reserves().unwrap();
    assert_eq!(
        (reserves.supply_sat, reserves.vault_sat),
        (audit.state.supply, audit.state.supply)
    );
}
