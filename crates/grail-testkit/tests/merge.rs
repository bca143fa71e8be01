//! Donations on a whole cluster: they wait until somebody pays, then they are in the vault's coin,
//! and the chain's own books agree.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::{Amount, TxOut};
use grail_api::{Kind, RequestState};
use grail_testkit::{Audit, Cluster, ClusterConfig, User};

/// What each donation holds.
const GIVEN: Amount = Amount::from_sat(1_000);
/// How many there are: more than a sponsor of a rotation's step could pay for.
const DONATIONS: u64 = 50;
/// What the sponsor pays: some 22,000 vB at regtest's rate, twice over.
const SPONSORED: Amount = Amount::from_sat(60_000);

#[test]
fn fifty_donations_become_one_coin_when_somebody_pays() {
    let cluster = Cluster::start(&ClusterConfig::default());
    let (alice, payer) = (User::new("alice"), User::new("payer"));
    let (asked, _) = common::deposit(&cluster, &alice, 100_000);
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    let before = common::books(&cluster);

    let gift = TxOut {
        value: GIVEN,
        script_pubkey: before.state.vault_script.clone().into(),
    };
    let all = vec![gift; usize::try_from(DONATIONS).unwrap()];
    cluster.node.fund_many(&all);
    cluster.node.mine(1);
    let waiting = common::books(&cluster);
    assert_eq!(waiting.donations.len(), 50);
    assert_eq!(waiting.locked(), before.locked());

    let most = SPONSORED;
    let sponsor = payer.ask_sponsor(&cluster.api(), Kind::SponsorMerge, most);
    let sponsor = sponsor.unwrap();
    cluster.node.fund(&sponsor.deposit_script, most);
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorMerge, &sponsor.id)
        .unwrap();
    cluster.node.mine(cluster.params().settlement_confirmations);
    cluster
        .until_request(Kind::SponsorMerge, &sponsor.id, RequestState::Paid)
        .unwrap();
    let merged = books_after(&cluster);
    assert_eq!(merged.donations.len(), 0);
    assert_eq!(merged.vault.len(), 1);
    assert_eq!(merged.locked(), before.locked() + GIVEN * DONATIONS);
    assert_eq!(merged.state.supply, before.state.supply);
    let step = merged.steps.last().unwrap();
    assert_eq!(step.kind.name(), "merge");
    println!("{DONATIONS} donations: {step:?}");

    // Pegs go on from the larger coin.
    let (asked, _) = common::deposit(&cluster, &alice, 100_000);
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    let after = books_after(&cluster);
    let surplus = after.locked() - Amount::from_sat(after.state.supply);
    assert_eq!(surplus, GIVEN * DONATIONS);
    common::no_alarm(&cluster);
}

/// The books by the chain, in order, with the donations in the vault's coin.
fn books_after(cluster: &Cluster) -> Audit {
    let ledger = cluster.ledger().unwrap();
    let audit = ledger.audit(&cluster.deployment).unwrap();
    audit.check_with_merged(GIVEN * DONATIONS).unwrap();
    audit
}
