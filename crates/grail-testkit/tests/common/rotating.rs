//! Rotations of a cluster: documents made by the tool of the administrators, their sponsors, and
//! where they stand.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use bitcoin::{Amount, BlockHash};
use grail_api::{Kind, RotationDocument, RotationStage, RotationStatus};
use grail_testkit::{Asked, Cluster, User, administrator_secret};
use serde_json::{Value, json};

/// How many administrate a cluster that is started by default.
const ADMINISTRATORS: u16 = 4;
/// What a sponsor pays: several times the fee of a step at regtest's rate.
const SPONSORED: Amount = Amount::from_sat(20_000);

fn operator(cluster: &Cluster, words: &[&str]) -> Value {
    let output = Command::new(cluster.programs.cli())
        .args(["--json", "--api", &cluster.backend.url(), "operator"])
        .args(words)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A rotation that all four administrators have signed: today's roster without its first
/// `leaving` signers, and with every candidate.
pub fn consented(cluster: &Cluster, leaving: usize) -> RotationDocument {
    let told = cluster.api().rotations().unwrap();
    let today = told.basis.roster.signers().iter().skip(leaving);
    let mut signers: Vec<Value> = today
        .map(|key| json!({ "public_key": key.to_string() }))
        .collect();
    for candidate in &told.candidates {
        signers.push(serde_json::to_value(candidate).unwrap());
    }
    let folder = cluster.folder();
    let (roster, protocol) = (folder.join("to-come.json"), folder.join("protocol.json"));
    let file = json!({ "threshold": told.basis.roster.threshold(), "signers": signers });
    fs::write(&roster, file.to_string()).unwrap();
    let mut document = folder.join("rotation.json");
    let roster = text(&roster);
    operator(
        cluster,
        &["propose", "--roster", roster, "--to", text(&document)],
    );
    for number in 0..ADMINISTRATORS {
        let key = folder.join(format!("administrator-{number}.key"));
        fs::write(&key, hex::encode(administrator_secret(number))).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let signed: PathBuf = document.with_extension(format!("{number}.json"));
        let mut words = vec!["approve", text(&document), "--key", text(&key)];
        words.extend(["--protocol", text(&protocol), "--roster", roster]);
        words.extend(["--to", text(&signed)]);
        operator(cluster, &words);
        document = signed;
    }
    RotationDocument::from_json(&fs::read(document).unwrap()).unwrap()
}

/// Asks for a sponsor's deposit and pays it; not mined.
pub fn sponsor(cluster: &Cluster, user: &User, kind: Kind) -> Asked {
    let asked = user.ask_sponsor(&cluster.api(), kind, SPONSORED).unwrap();
    cluster.node.fund(&asked.deposit_script, SPONSORED);
    asked
}

/// Where the newest rotation stands.
pub fn newest(cluster: &Cluster) -> RotationStatus {
    cluster.api().rotations().unwrap().rotations.remove(0)
}

/// Waits until the newest rotation stands at a stage, by a backend that has read every block.
pub fn until_stage(cluster: &Cluster, stage: RotationStage) -> RotationStatus {
    cluster
        .until(&format!("the rotation to be {stage}"), || {
            // A backend that is being restarted does not answer for a while.
            let (Ok(told), Ok(status)) = (cluster.api().rotations(), cluster.api().status()) else {
                return Ok(None);
            };
            let newest = told.rotations.into_iter().next();
            let newest = newest.filter(|it| it.stage == stage);
            Ok(newest.filter(|_| status.height == cluster.node.height()))
        })
        .unwrap()
}

/// Takes the newest blocks back up to and with `hash`, and puts as many empty ones and one more in
/// their place.
pub fn replace_blocks(cluster: &Cluster, hash: &BlockHash) {
    let before = cluster.node.height();
    cluster.node.invalidate(hash);
    while cluster.node.height() <= before {
        cluster.node.mine_empty();
    }
}
