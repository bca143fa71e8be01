//! A hand-over to other administrators and other parameters, as those see it who were there before:
//! a wallet that has pinned the old ones, somebody who watches, an administrator without a network,
//! and an auditor.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use bitcoin::Amount;
use grail_api::{Kind, RequestState, RotationStage, RotationStatus};
use grail_testkit::cluster::BackendConfig;
use grail_testkit::{CliWallet, Cluster, ClusterConfig, User, administrator_secret};
use serde_json::{Value, json};

/// What a sponsor pays: several times the fee of a step at regtest's rate.
const SPONSORED: Amount = Amount::from_sat(20_000);

/// `grail --json` with these words: its answer, or the code of its error.
fn grail(cluster: &Cluster, words: &[&str]) -> Result<Value, String> {
    let output = Command::new(cluster.programs.cli())
        .args(["--json", "--api", &cluster.backend.url()])
        .args(words)
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
fn key(cluster: &Cluster, number: u16) -> PathBuf {
    let file = path(cluster, &format!("administrator-{number}.key"));
    fs::write(&file, hex::encode(administrator_secret(number))).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

/// Signs with a key, offline, with what shows who holds the bridge; the answer, and the new file.
fn approve(cluster: &Cluster, file: &Path, key: &Path, history: &Path) -> (Value, PathBuf) {
    let name = key.file_stem().unwrap().to_str().unwrap();
    let next = file.with_extension(format!("{name}.json"));
    let protocol = path(cluster, "protocol.json");
    let mut words = vec!["operator", "approve", text(file), "--key", text(key)];
    words.extend(["--protocol", text(&protocol), "--to", text(&next)]);
    let deployment = cluster.deployment.transaction().compute_txid().to_string();
    words.extend(["--history", text(history), "--deployment", &deployment]);
    (grail(cluster, &words).unwrap(), next)
}

fn sponsor(cluster: &Cluster, user: &User, kind: Kind) -> grail_testkit::Asked {
    let asked = user.ask_sponsor(&cluster.api(), kind, SPONSORED).unwrap();
    cluster.node.fund(&asked.deposit_script, SPONSORED);
    asked
}

fn until_stage(cluster: &Cluster, stage: RotationStage) -> RotationStatus {
    cluster
        .until(&format!("the rotation to be {stage}"), || {
            let told = cluster.api().rotations()?.rotations[0].clone();
            Ok((told.stage == stage).then_some(told))
        })
        .unwrap()
}

/// Somebody who watches the rotation from the day it is handed in.
fn watch(cluster: &Cluster, file: &Path) -> Child {
    Command::new(cluster.programs.cli())
        .args(["--json", "--api", &cluster.backend.url(), "operator"])
        .args(["status", text(file), "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_pinned_wallet_goes_on_after_a_hand_over_to_others() {
    let mut cluster = Cluster::start(&ClusterConfig::default());
    let alice = CliWallet::init(&cluster, "alice").unwrap();
    let payer = User::new("payer");
    let own = alice.script().unwrap();
    cluster.node.fund(&own, Amount::from_sat(1_000_000));
    cluster.node.mine(1);
    let pegged = alice.peg_in(Amount::from_sat(100_000)).unwrap();
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[pegged.id]).unwrap();

    // One administrator goes, another comes, and the notice changes.
    let new_key = path(&cluster, "new.key");
    let made = grail(&cluster, &["operator", "key", "new", text(&new_key)]).unwrap();
    let basis = cluster.api().rotations().unwrap().basis;
    let mut administrators: Vec<String> = basis.governance.administrators()[1..]
        .iter()
        .map(ToString::to_string)
        .collect();
    administrators.push(made["public_key"].as_str().unwrap().to_owned());
    administrators.sort();
    let governance = path(&cluster, "governance.json");
    let file = json!({ "administrators": administrators, "threshold": 4 });
    fs::write(&governance, file.to_string()).unwrap();
    let params = path(&cluster, "params.json");
    fs::write(&params, json!({ "notice": 7 }).to_string()).unwrap();
    let signers: Vec<Value> = basis
        .roster
        .signers()
        .iter()
        .map(|key| json!({ "public_key": key.to_string() }))
        .collect();
    let roster = path(&cluster, "roster.json");
    let file = json!({ "threshold": basis.roster.threshold(), "signers": signers });
    fs::write(&roster, file.to_string()).unwrap();
    let proposal = path(&cluster, "proposal.json");
    let mut words = vec!["operator", "propose", "--roster", text(&roster)];
    words.extend(["--governance", text(&governance)]);
    words.extend(["--params", text(&params), "--to", text(&proposal)]);
    grail(&cluster, &words).unwrap();

    // Whoever signs without a network goes by the rosters' own history.
    let history = path(&cluster, "history-0.json");
    let _: Value = alice.run(&["rosters", "--to", text(&history)]).unwrap();
    let mut signed = proposal;
    let keys = (0..4).map(|number| key(&cluster, number));
    for key in keys.chain([new_key]).collect::<Vec<_>>() {
        let (told, next) = approve(&cluster, &signed, &key, &history);
        assert_eq!(told["changed_params"][0]["name"], "notice");
        assert!(told["believed"][0].as_str().unwrap().contains("epoch 0"));
        signed = next;
    }
    let sent = grail(&cluster, &["operator", "send", text(&signed)]).unwrap();
    assert_eq!(sent["standing"]["stage"], "consented");
    let watcher = watch(&cluster, &signed);

    let announce = sponsor(&cluster, &payer, Kind::SponsorAnnounce);
    cluster.node.mine(1);
    cluster
        .until_published(Kind::SponsorAnnounce, &announce.id)
        .unwrap();
    cluster.node.mine(1);
    let left = until_stage(&cluster, RotationStage::Announced).blocks_left;
    let execute = sponsor(&cluster, &payer, Kind::SponsorExecute);
    cluster.node.mine(left.unwrap());
    let executed = cluster
        .until_published(Kind::SponsorExecute, &execute.id)
        .unwrap();
    cluster.node.mine(cluster.params().settlement_confirmations);
    cluster
        .until("the backend to end", || {
            Ok((!cluster.backend.is_running()).then_some(()))
        })
        .unwrap();
    assert!(cluster.backend.stop().is_err());
    cluster.start_backend(&BackendConfig::default()).unwrap();
    let told = until_stage(&cluster, RotationStage::Executed);
    let output = watcher.wait_with_output().unwrap();
    assert!(output.status.success());
    let stages: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["standing"]["stage"].clone())
        .collect();
    assert_eq!(stages.first(), Some(&json!("consented")), "{stages:?}");
    assert_eq!(stages.last(), Some(&json!("executed")), "{stages:?}");
    assert!(stages.contains(&json!("announced")), "{stages:?}");

    // Who was removed sees for how long they are needed.
    let until = told.former_serves_until_height.unwrap();
    assert!(until > cluster.node.height() + 90);
    let shown = cluster.api().roster().unwrap().former;
    assert_eq!(shown.len(), 1);
    assert_eq!((shown[0].epoch.0, shown[0].serves_until_height), (0, until));

    // The API goes by the new ones, and a wallet that has pinned the old ones goes along.
    let served = cluster.api().params().unwrap();
    assert_eq!(served.params.notice, 7);
    assert_ne!(served.governance, basis.governance);
    let pegged = alice.peg_in(Amount::from_sat(200_000)).unwrap();
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[pegged.id]).unwrap();
    let shown: Value = alice.run(&["roster"]).unwrap();
    assert_eq!(
        (&shown["epoch"], &shown["nft"]),
        (&json!(1), &json!("verified"))
    );
    let reserves: Value = alice.run(&["reserves"]).unwrap();
    assert_eq!(reserves["agrees"], json!(true));
    let pin = fs::read_to_string(alice.home().join("protocol.json")).unwrap();
    let pin: Value = serde_json::from_str(&pin).unwrap();
    assert_eq!(pin["governance"], json!(basis.governance));
    let zkbtc = alice.balance().unwrap().zkbtc;
    assert!(zkbtc > 280_000, "{zkbtc}");
    let pegged = alice.peg_out(Amount::from_sat(50_000)).unwrap();
    cluster.node.mine(1);
    cluster.settle(Kind::PegOut, &[pegged.id]).unwrap();
    cluster
        .until_request(Kind::SponsorExecute, &execute.id, RequestState::Paid)
        .unwrap();
    assert_eq!(told.execute_txid, Some(executed.txid));

    // The auditor: with the old file alone it cannot know the new ones, with the history it does.
    let history = path(&cluster, "history-1.json");
    let _: Value = alice.run(&["rosters", "--to", text(&history)]).unwrap();
    let audit = |more: &[&str]| -> (bool, Value) {
        let protocol = path(&cluster, "protocol.json");
        let ended = Command::new(cluster.programs.cli())
            .env_clear()
            .args(["--json", "auditor", "--node", &cluster.node.rpc_url()])
            .arg("--node-cookie")
            .arg(cluster.node.cookie_path())
            .args(["--protocol", text(&protocol)])
            .args(more)
            .output()
            .unwrap();
        let report = serde_json::from_slice(&ended.stdout).unwrap();
        (ended.status.success(), report)
    };
    let (is_sound, report) = audit(&[]);
    assert!(!is_sound, "{report}");
    let (is_sound, report) = audit(&["--history", text(&history)]);
    assert!(is_sound, "{report}");
    assert_eq!(report["findings"], json!([]));
    assert_eq!(report["books"]["epoch"], json!(1), "{report}");
    common::no_alarm(&cluster);
}
