//! Rotations, end to end: proposed, approved, paid for, announced, waited for, executed; taken
//! back; and refused without consent.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use bitcoin::{Amount, XOnlyPublicKey};
use grail_api::{
    HoldingRoster, Kind, ProblemCode, RequestState, RotationDocument, RotationStage,
    RotationStatus, Rotations, SignerOutcome, client::ClientError,
};
use grail_testkit::cluster::BackendConfig;
use grail_testkit::{ADMINISTRATOR_SECRETS, Cluster, ClusterConfig, User};
use serde_json::{Value, json};

/// What a sponsor pays: several times the fee of a step at regtest's rate.
const SPONSORED: Amount = Amount::from_sat(20_000);

/// What the tool of the administrators answers.
fn grail(cluster: &Cluster, arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(cluster.programs.cli())
        .args(["--json", "--api", &cluster.backend.url(), "operator"])
        .args(arguments)
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    Err(error["error"]["code"].as_str().unwrap().to_owned())
}

fn path(cluster: &Cluster, name: &str) -> PathBuf {
    cluster.folder().join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The key file of an administrator of the development bridge.
fn key(cluster: &Cluster, number: usize) -> PathBuf {
    let file = path(cluster, &format!("administrator-{number}.key"));
    fs::write(&file, hex::encode(ADMINISTRATOR_SECRETS[number])).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

/// Has administrators sign a file, one after the other; the last file.
fn approve(cluster: &Cluster, file: &Path, roster: Option<&Path>, who: &[usize]) -> PathBuf {
    let protocol = path(cluster, "protocol.json");
    let mut last = file.to_owned();
    for number in who {
        let next = last.with_extension(format!("{number}.json"));
        let key = key(cluster, *number);
        let mut arguments = vec!["approve", text(&last), "--key", text(&key)];
        arguments.extend(["--protocol", text(&protocol), "--to", text(&next)]);
        if let Some(roster) = roster {
            arguments.extend(["--roster", text(roster)]);
        }
        grail(cluster, &arguments).unwrap();
        last = next;
    }
    last
}

/// Writes a proposal: all of today's roster but the first signers, and whoever came.
fn propose(cluster: &Cluster, name: &str, leaving: usize) -> (PathBuf, PathBuf) {
    propose_with(cluster, name, leaving, &[])
}

fn propose_with(
    cluster: &Cluster,
    name: &str,
    leaving: usize,
    more: &[&str],
) -> (PathBuf, PathBuf) {
    let told = cluster.api().rotations().unwrap();
    let mut signers: Vec<Value> = told.basis.roster.signers()[leaving..]
        .iter()
        .map(|key| json!({ "public_key": key.to_string() }))
        .collect();
    for candidate in &told.candidates {
        signers.push(serde_json::to_value(candidate).unwrap());
    }
    let roster = path(cluster, &format!("{name}.roster.json"));
    let file = json!({ "threshold": told.basis.roster.threshold(), "signers": signers });
    fs::write(&roster, file.to_string()).unwrap();
    let proposal = path(cluster, &format!("{name}.json"));
    let arguments = ["--roster", text(&roster), "--to", text(&proposal)];
    let told = grail(cluster, &[&["propose"], &arguments[..], more].concat()).unwrap();
    assert_eq!(told["approvals_missing"], 4);
    (proposal, roster)
}

fn sponsor(cluster: &Cluster, user: &User, kind: Kind) -> grail_testkit::Asked {
    let asked = user.ask_sponsor(&cluster.api(), kind, SPONSORED).unwrap();
    cluster.node.fund(&asked.deposit_script, SPONSORED);
    asked
}

fn newest(rotations: &Rotations) -> RotationStatus {
    rotations.rotations[0].clone()
}

/// Waits until the newest rotation stands at a stage.
fn until_stage(cluster: &Cluster, stage: RotationStage) -> RotationStatus {
    cluster
        .until(&format!("the rotation to be {stage}"), || {
            let told = newest(&cluster.api().rotations()?);
            Ok((told.stage == stage).then_some(told))
        })
        .unwrap()
}

fn submit(cluster: &Cluster, file: &Path) -> Result<RotationStatus, ClientError> {
    let document = RotationDocument::from_json(&fs::read(file).unwrap()).unwrap();
    cluster.api().submit_rotation(&document)
}

fn problem(error: ClientError) -> ProblemCode {
    match error {
        ClientError::Problem(problem) => problem.code,
        other => panic!("expected a problem, got {other}"),
    }
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
    cluster
        .until("the newcomer to be a candidate", || {
            let told = cluster.api().rotations()?;
            let mut all = told.candidates.iter();
            Ok(all.any(|it| it.public_key == added).then_some(()))
        })
        .unwrap();

    // Without a quorum's consent nothing is taken, from the tool or from anybody.
    let (proposal, roster) = propose(&cluster, "first", 1);
    let two = approve(&cluster, &proposal, Some(&roster), &[0, 1]);
    assert_eq!(
        grail(&cluster, &["send", text(&two)]),
        Err("consent-too-few".into())
    );
    let refused = submit(&cluster, &two).unwrap_err();
    assert_eq!(problem(refused), ProblemCode::NotConsented);
    // New keys are not signed for without their evidence.
    let (key_file, to) = (key(&cluster, 2), path(&cluster, "blind.json"));
    let protocol = path(&cluster, "protocol.json");
    let mut blind = vec!["approve", text(&two), "--key", text(&key_file)];
    blind.extend(["--protocol", text(&protocol), "--to", text(&to)]);
    assert_eq!(grail(&cluster, &blind), Err("evidence-missing".into()));

    let four = approve(&cluster, &two, Some(&roster), &[2, 3]);
    let sent = grail(&cluster, &["send", text(&four)]).unwrap();
    assert_eq!(sent["standing"]["stage"], "consented");
    let paid = sponsor(&cluster, &payer, Kind::SponsorAnnounce);
    cluster.node.mine(1);
    let told = until_stage(&cluster, RotationStage::Announcing);
    assert_eq!((told.new_keys, told.approvals), (1, 4));
    cluster
        .until_published(Kind::SponsorAnnounce, &paid.id)
        .unwrap();
    cluster.node.mine(1);
    let told = until_stage(&cluster, RotationStage::Announced);
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
    let told = newest(&cluster.api().rotations().unwrap());
    assert_eq!(told.stage, RotationStage::Announced);
    let left = told.blocks_left.unwrap();
    assert!(left > 0 && left < wait);
    cluster.node.mine(left - 1);
    let told = until_stage(&cluster, RotationStage::Announced);
    assert_eq!(told.blocks_left, Some(1));
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorExecute, &execute.id)
        .unwrap();
    cluster.node.mine(cluster.params().settlement_confirmations);
    until_stage(&cluster, RotationStage::Executed);
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
    let cluster = Cluster::start(&ClusterConfig::default());
    let (alice, payer) = (User::new("alice"), User::new("payer"));
    // The same signers again: what changes is a parameter of none, so no evidence is needed.
    let (proposal, _) = propose(&cluster, "again", 0);
    let signed = approve(&cluster, &proposal, None, &[0, 1, 2, 3]);
    submit(&cluster, &signed).unwrap();
    let announce = sponsor(&cluster, &payer, Kind::SponsorAnnounce);
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorAnnounce, &announce.id)
        .unwrap();
    cluster.node.mine(1);
    until_stage(&cluster, RotationStage::Announced);

    let cancel = path(&cluster, "cancel.json");
    let told = grail(&cluster, &["cancel", "--to", text(&cancel)]).unwrap();
    // Where all must agree to announce, one is enough to take it back.
    assert_eq!(told["approvals_missing"], 1);
    let cancel = approve(&cluster, &cancel, None, &[2]);
    submit(&cluster, &cancel).unwrap();
    let paid = sponsor(&cluster, &payer, Kind::SponsorCancel);
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorCancel, &paid.id)
        .unwrap();
    cluster.node.mine(1);
    until_stage(&cluster, RotationStage::Cancelled);

    // What was signed for the first attempt is not good for another.
    let refused = submit(&cluster, &signed).unwrap_err();
    assert_eq!(problem(refused), ProblemCode::ForeignRotation);
    let refused = submit(&cluster, &cancel).unwrap_err();
    assert_eq!(problem(refused), ProblemCode::ForeignRotation);
    peg_in(&cluster, &alice);
    assert_eq!(cluster.api().roster().unwrap().epoch.0, 0);
    common::no_alarm(&cluster);
}

#[test]
fn a_rotation_brings_other_parameters_and_a_restart_takes_them() {
    let mut cluster = Cluster::start(&ClusterConfig::default());
    let (alice, payer) = (User::new("alice"), User::new("payer"));
    let changed = path(&cluster, "changed.json");
    fs::write(&changed, json!({ "notice": 7 }).to_string()).unwrap();
    let (proposal, _) = propose_with(&cluster, "other", 0, &["--params", text(&changed)]);
    let signed = approve(&cluster, &proposal, None, &[0, 1, 2, 3]);
    submit(&cluster, &signed).unwrap();
    let announce = sponsor(&cluster, &payer, Kind::SponsorAnnounce);
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorAnnounce, &announce.id)
        .unwrap();
    cluster.node.mine(1);
    let left = until_stage(&cluster, RotationStage::Announced).blocks_left;
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
    until_stage(&cluster, RotationStage::Executed);
    assert_eq!(cluster.api().params().unwrap().params.notice, 7);
    peg_in(&cluster, &alice);
    let told = cluster.request(Kind::SponsorExecute, &execute.id).unwrap();
    assert_eq!(told.holding_roster, Some(HoldingRoster::Gone));
    common::no_alarm(&cluster);
}
