//! Rotations, end to end: proposed, approved, paid for, announced, waited for, executed; taken
//! back; and refused without consent.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use bitcoin::{Amount, XOnlyPublicKey};
use grail_api::{HoldingRoster, Kind, ProblemCode, RequestState, RotationStage, SignerOutcome};
use grail_testkit::cluster::BackendConfig;
use grail_testkit::hostile::{HandOver, HostileBackend, OwnSponsors};
use grail_testkit::{Administrators, Cluster, ClusterConfig, RotationFile, User};
use serde_json::json;

/// What a sponsor pays: several times the fee of a step at regtest's rate.
const SPONSORED: Amount = Amount::from_sat(20_000);

/// Writes a proposal: all of today's roster but the first signers, and whoever came.
fn propose(cluster: &Cluster, name: &str, leaving: usize) -> RotationFile {
    propose_with(cluster, name, leaving, &[])
}

fn propose_with(cluster: &Cluster, name: &str, leaving: usize, more: &[&str]) -> RotationFile {
    let today = cluster.api().rotations().unwrap().basis.roster;
    let administrators = Administrators::of(cluster);
    let leaving = &today.signers()[..leaving];
    let proposal = administrators
        .propose(name, leaving, today.threshold(), more)
        .unwrap();
    assert_eq!(proposal.told["approvals_missing"], 4);
    proposal
}

fn sponsor(cluster: &Cluster, user: &User, kind: Kind) -> grail_testkit::Asked {
    let asked = user.ask_sponsor(&cluster.api(), kind, SPONSORED).unwrap();
    cluster.node.fund(&asked.deposit_script, SPONSORED);
    asked
}

/// A peg-in, to its end.
fn peg_in(cluster: &Cluster, user: &User) {
    let (asked, _) = common::deposit(cluster, user, 100_000);
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
}

#[test]
fn a_roster_hands_over_and_pegs_go_on_all_the_while() {
    let mut cluster = Cluster::start(&ClusterConfig::default());
    let (alice, payer) = (User::new("alice"), User::new("payer"));
    peg_in(&cluster, &alice);
    let added = cluster.add_operator().unwrap();
    let administrators = Administrators::of(&cluster);
    administrators.until_candidates(&[added]).unwrap();

    // Without a quorum's consent nothing is taken, from the tool or from anybody.
    let proposal = propose(&cluster, "first", 1);
    let two = administrators.approve(&proposal, 0..2).unwrap();
    assert_eq!(
        administrators.send_refused(&two).unwrap(),
        "consent-too-few"
    );
    let refused = administrators.api_refuses(&two).unwrap();
    assert_eq!(refused.code, ProblemCode::NotConsented);
    // New keys are not signed for without their evidence.
    let blind = RotationFile {
        roster: None,
        ..two.clone()
    };
    assert_eq!(
        administrators.approve_refused(&blind, 2).unwrap(),
        "evidence-missing"
    );

    let four = administrators.approve(&two, 2..4).unwrap();
    let sent = administrators.send(&four).unwrap();
    assert_eq!(sent["standing"]["stage"], "consented");
    let paid = sponsor(&cluster, &payer, Kind::SponsorAnnounce);
    cluster.node.mine(1);
    let told = administrators
        .until_stage(RotationStage::Announcing)
        .unwrap();
    assert_eq!((told.new_keys, told.approvals), (1, 4));
    cluster
        .until_published(Kind::SponsorAnnounce, &paid.id)
        .unwrap();
    cluster.node.mine(1);
    let told = administrators
        .until_stage(RotationStage::Announced)
        .unwrap();
    let wait = told.blocks_left.unwrap();
    assert!(wait > 0);

    // An address of the roster of now, to be paid to later.
    let late = alice.ask_peg_in(&cluster.api()).unwrap();
    let before = cluster.api().roster().unwrap();

    // Pegs go on meanwhile.
    let execute = sponsor(&cluster, &payer, Kind::SponsorExecute);
    peg_in(&cluster, &alice);
    cluster
        .until_request(Kind::SponsorAnnounce, &paid.id, RequestState::Paid)
        .unwrap();
    let told = administrators.newest().unwrap();
    assert_eq!(told.stage, RotationStage::Announced);
    let left = told.blocks_left.unwrap();
    assert!(left > 0 && left < wait);
    cluster.node.mine(left - 1);
    let told = administrators
        .until_stage(RotationStage::Announced)
        .unwrap();
    assert_eq!(told.blocks_left, Some(1));
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorExecute, &execute.id)
        .unwrap();
    cluster.node.mine(cluster.params().settlement_confirmations);
    administrators.until_stage(RotationStage::Executed).unwrap();
    cluster
        .until_request(Kind::SponsorExecute, &execute.id, RequestState::Paid)
        .unwrap();

    // The new roster serves, with the newcomer in it.
    let keys = |cluster: &Cluster| -> Vec<XOnlyPublicKey> {
        let roster = cluster.api().roster().unwrap();
        assert_eq!(roster.epoch.0, 1);
        roster.signers.iter().map(|it| it.public_key).collect()
    };
    assert!(keys(&cluster).contains(&added));
    peg_in(&cluster, &alice);

    // So does the former one what it holds: paid now, and with one of both rosters away it takes
    // the signature of who was replaced.
    let mut former = before.signers.iter().map(|it| it.public_key);
    let away = former.find(|key| keys(&cluster).contains(key)).unwrap();
    cluster.operator_of(&away).unwrap().stop();
    let amount = Amount::from_sat(100_000);
    cluster.node.fund(&late.deposit_script, amount);
    cluster.node.mine(1);
    let told = cluster
        .until("the former roster to be asked", || {
            let told = cluster.request(Kind::PegIn, &late.id)?;
            let is_asked = told.holding_roster == Some(HoldingRoster::Former);
            Ok(is_asked.then_some(told))
        })
        .unwrap();
    assert_ne!(told.state, RequestState::Paid);
    let settled = cluster.until_published(Kind::PegIn, &late.id).unwrap();
    let epochs = (settled.epoch.0, settled.former_epoch.map(|epoch| epoch.0));
    assert_eq!(epochs, (1, Some(0)));
    // Four of today's, and behind them the one who was replaced.
    let outcomes: Vec<_> = settled.signers.iter().map(|it| it.outcome).collect();
    assert_eq!((outcomes.len(), outcomes[4]), (5, SignerOutcome::Signed));
    cluster.settle(Kind::PegIn, &[late.id]).unwrap();
    common::books(&cluster);
    common::no_alarm(&cluster);
}

#[test]
fn an_announcement_is_taken_back_and_its_signatures_are_worth_nothing() {
    let mut cluster = Cluster::start(&ClusterConfig::default());
    let (alice, payer) = (User::new("alice"), User::new("payer"));
    peg_in(&cluster, &alice);
    // The same signers again: what changes is a parameter of none, so no evidence is needed.
    let administrators = Administrators::of(&cluster);
    let proposal = propose(&cluster, "again", 0);
    let signed = administrators.approve(&proposal, 0..4).unwrap();
    administrators.send(&signed).unwrap();
    let announce = sponsor(&cluster, &payer, Kind::SponsorAnnounce);
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorAnnounce, &announce.id)
        .unwrap();
    cluster.node.mine(1);
    administrators
        .until_stage(RotationStage::Announced)
        .unwrap();

    // Where all must agree to announce, one is enough to take it back.
    let cancel = administrators.cancel("cancel").unwrap();
    assert_eq!(cancel.told["approvals_missing"], 1);
    let cancel = administrators.approve(&cancel, [2]).unwrap();
    administrators.send(&cancel).unwrap();
    let paid = sponsor(&cluster, &payer, Kind::SponsorCancel);
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorCancel, &paid.id)
        .unwrap();
    cluster.node.mine(1);
    administrators
        .until_stage(RotationStage::Cancelled)
        .unwrap();

    // What was signed for the first attempt is not good for another.
    for worthless in [&signed, &cancel] {
        let refused = administrators.api_refuses(worthless).unwrap();
        assert_eq!(refused.code, ProblemCode::ForeignRotation);
    }
    // Nor do operators take it whom a hostile backend asks; nor less consent, nor a hand-over from
    // a state that nobody signed.
    let short = propose(&cluster, "short", 0);
    let short = administrators.approve(&short, 0..3).unwrap();
    cluster.backend.stop().unwrap();
    let thief = User::new("thief");
    let sponsors = OwnSponsors::fund(&cluster.node, &cluster.deployment, &thief).unwrap();
    cluster.node.mine(1);
    let hostile = HostileBackend::listen(cluster.backend.broker(), 4).unwrap();
    let ledger = cluster.ledger().unwrap();
    let audit = ledger.audit(&cluster.deployment).unwrap();
    let hand_over = HandOver {
        ledger: &ledger,
        audit: &audit,
        deployment: &cluster.deployment,
        sponsors: &sponsors,
        short: short.read().unwrap(),
        stale: signed.read().unwrap(),
    };
    for attack in hand_over.attacks().unwrap() {
        // The contract sees neither consent nor whether anybody signed.
        assert_eq!(attack.contract_code, None, "{}", attack.what);
        hostile
            .attempt(&attack, &cluster.deployment.roster, 4)
            .unwrap();
    }
    assert_eq!(hand_over.adoption_refuses().unwrap(), "witness-length");
    drop(hostile);
    cluster.start_backend(&BackendConfig::default()).unwrap();

    peg_in(&cluster, &alice);
    assert_eq!(cluster.api().roster().unwrap().epoch.0, 0);
    common::no_alarm(&cluster);
}

#[test]
fn a_rotation_brings_other_parameters_and_a_restart_takes_them() {
    let mut cluster = Cluster::start(&ClusterConfig::default());
    let (alice, payer) = (User::new("alice"), User::new("payer"));
    let administrators = Administrators::of(&cluster);
    let changed = cluster.folder().join("changed.json");
    fs::write(&changed, json!({ "notice": 7 }).to_string()).unwrap();
    let changes = ["--params", changed.to_str().unwrap()];
    let proposal = propose_with(&cluster, "other", 0, &changes);
    let signed = administrators.approve(&proposal, 0..4).unwrap();
    administrators.send(&signed).unwrap();
    let announce = sponsor(&cluster, &payer, Kind::SponsorAnnounce);
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorAnnounce, &announce.id)
        .unwrap();
    cluster.node.mine(1);
    let left = administrators
        .until_stage(RotationStage::Announced)
        .unwrap()
        .blocks_left;
    let execute = sponsor(&cluster, &payer, Kind::SponsorExecute);
    // Who does not come in time is told.
    let (late, _) = common::deposit(&cluster, &alice, 100_000);
    let told = cluster.request(Kind::PegIn, &late.id).unwrap();
    assert_eq!(told.holding_roster, Some(HoldingRoster::Leaving));
    cluster.node.mine(left.unwrap());
    cluster
        .until_published(Kind::SponsorExecute, &execute.id)
        .unwrap();
    cluster.node.mine(cluster.params().settlement_confirmations);
    cluster
        .until("the backend to end", || {
            Ok((!cluster.backend.is_running()).then_some(()))
        })
        .unwrap();
    // Not as one that was asked to end: whoever watches it starts it again.
    assert!(cluster.backend.stop().is_err());
    cluster.start_backend(&BackendConfig::default()).unwrap();
    Administrators::of(&cluster)
        .until_stage(RotationStage::Executed)
        .unwrap();
    assert_eq!(cluster.api().params().unwrap().params.notice, 7);
    peg_in(&cluster, &alice);
    let told = cluster.request(Kind::SponsorExecute, &execute.id).unwrap();
    assert_eq!(told.holding_roster, Some(HoldingRoster::Gone));
    common::no_alarm(&cluster);
}
