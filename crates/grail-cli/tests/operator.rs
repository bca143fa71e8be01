//! `grail operator`, offline: keys, proposals, approvals, and what each refuses.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::XOnlyPublicKey;
use common::{evidence, genuine_evidence, protocol, public_key, roster};
use grail_api::{AnnouncedRoster, Hash32, RotationBasis};
use grail_attest::Protocol;
use grail_cli::arguments::{
    Approve, BasisArguments, CancelRotation, NewOperatorKey, OperatorStatus, Propose,
};
use grail_cli::commands::operator;
use grail_cli::report::RotationReport;
use grail_cli::{Failure, Settings};
use grail_types::Governance;
use serde_json::{Value, json};
use tempfile::TempDir;

type Change = fn(&mut Value);

/// The scene: four administrators with key files, the bridge's basis, a new signer.
struct Desk {
    folder: TempDir,
    basis: RotationBasis,
}

/// When the new signer's evidence was made.
const BORN: u64 = 1_790_000_000;
const NEW_SIGNER: u8 = 77;

impl Desk {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut keys: Vec<XOnlyPublicKey> = (1..=4)
            .map(|number| {
                let file = folder.path().join(format!("{number}.key"));
                let made = operator::new_key(&NewOperatorKey { file }).unwrap();
                made.public_key.parse().unwrap()
            })
            .collect();
        keys.sort_by_key(XOnlyPublicKey::serialize);
        let of_tests = protocol();
        let basis = RotationBasis {
            bridge: *of_tests.bridge(),
            roster: roster(2),
            governance: Governance::new(keys, 3).unwrap(),
            params: of_tests.params().clone(),
            images: of_tests.images().get().clone(),
            attempt: 4,
            next: None,
            supply_sat: 5_000,
            spell_min: 15,
            spell_max: 15,
        };
        let desk = Self { folder, basis };
        desk.write("basis.json", &json!(desk.basis));
        desk.write("protocol.json", &json!(desk.protocol()));
        desk.write(
            "roster.json",
            &desk.roster_file(&genuine_evidence(&new_signer(), BORN)),
        );
        desk
    }

    fn protocol(&self) -> Protocol {
        let RotationBasis {
            bridge,
            params,
            images,
            governance,
            ..
        } = self.basis.clone();
        Protocol::new(bridge, params, images, governance).unwrap()
    }

    /// Today's signers but the first, and a new one.
    fn roster_file(&self, document: &[u8]) -> Value {
        let today = self.basis.roster.signers();
        let mut signers: Vec<Value> = today[1..]
            .iter()
            .map(|key| json!({ "public_key": key.to_string() }))
            .collect();
        signers.push(json!({
            "public_key": new_signer().to_string(),
            "attestation": { "evidence": BASE64.encode(document), "attested_at": BORN },
        }));
        json!({ "threshold": self.basis.roster.threshold(), "signers": signers })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, value: &Value) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, value.to_string()).unwrap();
        path
    }

    fn basis_arguments(&self) -> BasisArguments {
        BasisArguments {
            basis: Some(self.path("basis.json")),
        }
    }

    fn propose_with(&self, change: impl FnOnce(&mut Propose)) -> Result<RotationReport, Failure> {
        let mut asked = Propose {
            basis: self.basis_arguments(),
            roster: self.path("roster.json"),
            governance: None,
            params: None,
            images: None,
            spell_min: None,
            spell_max: None,
            to: self.path("proposal.json"),
        };
        change(&mut asked);
        operator::propose(&Settings::default(), &asked)
    }

    fn approve_with(
        &self,
        (file, key, to): (&str, &str, &str),
        change: impl FnOnce(&mut Approve),
    ) -> Result<RotationReport, Failure> {
        let mut asked = Approve {
            file: self.path(file),
            key: self.path(key),
            protocol: self.path("protocol.json"),
            roster: Some(self.path("roster.json")),
            history: None,
            deployment: None,
            basis: Some(self.path("basis.json")),
            to: self.path(to),
        };
        change(&mut asked);
        operator::approve(&asked)
    }

    fn edit(&self, file: &str, to: &str, change: impl FnOnce(&mut Value)) {
        let mut value: Value = serde_json::from_slice(&fs::read(self.path(file)).unwrap()).unwrap();
        change(&mut value);
        self.write(to, &value);
    }
}

fn new_signer() -> XOnlyPublicKey {
    public_key(NEW_SIGNER)
}

fn code<T>(outcome: Result<T, Failure>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(failure) => failure.code,
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_key_is_its_owners_alone_and_is_never_overwritten() {
    let desk = Desk::new();
    let file = desk.path("1.key");
    assert_eq!(mode(&file), 0o600);
    let before = fs::read(&file).unwrap();
    let again = operator::new_key(&NewOperatorKey { file: file.clone() });
    assert_eq!(code(again), "file-failed");
    assert_eq!(fs::read(&file).unwrap(), before);
    desk.propose_with(|_| ()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let open = desk.approve_with(("proposal.json", "1.key", "a.json"), |_| ());
    assert_eq!(code(open), "secret-readable");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, "no key").unwrap();
    let malformed = desk.approve_with(("proposal.json", "1.key", "a.json"), |_| ());
    assert_eq!(code(malformed), "file-malformed");
}

#[test]
fn a_proposal_is_signed_by_one_after_the_other_and_says_who_is_missing() {
    let desk = Desk::new();
    let told = desk.propose_with(|_| ()).unwrap();
    assert_eq!((told.epoch, told.attempt), (2, 5));
    assert_eq!((told.approvals, told.approvals_missing), (0, 3));
    let to_come = told.roster.as_ref().unwrap();
    assert_eq!(to_come.new_keys, [new_signer().to_string()]);
    assert_eq!(to_come.leaving_keys.len(), 1);
    assert_eq!(told.wait_blocks, Some(desk.basis.params.notice));
    assert!(
        told.to_string().contains("1 of them with new keys"),
        "{told}"
    );
    let mut file = "proposal.json".to_owned();
    for number in 1..=3 {
        let (key, to) = (format!("{number}.key"), format!("{number}.json"));
        let told = desk.approve_with((&file, &key, &to), |_| ()).unwrap();
        assert_eq!(told.approvals, number);
        file = to;
    }
    let status = OperatorStatus {
        file: desk.path(&file),
        backend: false,
        watch: false,
    };
    let told = operator::status(&Settings::default(), &status).unwrap();
    assert_eq!((told.approvals, told.approvals_missing), (3, 0));
    let twice = desk.approve_with((&file, "2.key", "twice.json"), |_| ());
    assert_eq!(code(twice), "already-signed");
    let stranger = desk.path("stranger.key");
    operator::new_key(&NewOperatorKey { file: stranger }).unwrap();
    let foreign = desk.approve_with((&file, "stranger.key", "foreign.json"), |_| ());
    assert_eq!(code(foreign), "not-administrator");
    // What others have signed is never overwritten.
    let over = desk.approve_with((&file, "4.key", "1.json"), |_| ());
    assert_eq!(code(over), "file-failed");
}

#[test]
fn new_keys_are_neither_proposed_nor_signed_for_without_their_evidence() {
    let desk = Desk::new();
    let genuine = fs::read(desk.path("roster.json")).unwrap();
    let mut bare = desk.roster_file(&[]);
    bare["signers"].as_array_mut().unwrap().last_mut().unwrap()["attestation"] = Value::Null;
    desk.write("roster.json", &bare);
    assert_eq!(code(desk.propose_with(|_| ())), "evidence-missing");
    // Of another program than the images say.
    let other = evidence(b"another enclave", &desk.basis.bridge, &new_signer());
    desk.write("roster.json", &desk.roster_file(&other));
    assert_eq!(code(desk.propose_with(|_| ())), "evidence-invalid");
    fs::write(desk.path("roster.json"), genuine).unwrap();
    desk.propose_with(|_| ()).unwrap();

    let files = ("proposal.json", "1.key", "a.json");
    let blind = desk.approve_with(files, |asked| asked.roster = None);
    assert_eq!(code(blind), "evidence-missing");
    desk.write("other.json", &desk.roster_file(&other));
    let other = desk.path("other.json");
    let differs = desk.approve_with(files, |asked| asked.roster = Some(other));
    assert_eq!(code(differs), "evidence-differs");
    // A proposal that leaves the evidence out.
    desk.edit("proposal.json", "without.json", |it| {
        it["paper"]["announce"]["evidence"] = json!([]);
    });
    let without = desk.approve_with(("without.json", "1.key", "a.json"), |_| ());
    assert_eq!(code(without), "evidence-missing");
    assert!(!desk.path("a.json").exists());
}

#[test]
fn a_hostile_document_is_signed_by_nobody() {
    let desk = Desk::new();
    desk.propose_with(|_| ()).unwrap();
    desk.approve_with(("proposal.json", "1.key", "one.json"), |_| ())
        .unwrap();
    let changes: [(Change, &str); 6] = [
        (
            |it| it["bridge"]["app"]["vk"] = json!("11".repeat(32)),
            "consent-invalid",
        ),
        (|it| it["attempt"] = json!(6), "consent-invalid"),
        (
            |it| it["paper"]["announce"]["spell_max"] = json!(16),
            "consent-invalid",
        ),
        (
            |it| {
                let first = it["consents"][0].clone();
                it["consents"].as_array_mut().unwrap().push(first);
            },
            "consent-unsorted",
        ),
        (|it| it["extra"] = json!(1), "rotation-malformed"),
        (|it| it["version"] = json!(2), "rotation-version"),
    ];
    for (change, expected) in changes {
        desk.edit("one.json", "hostile.json", change);
        let outcome = desk.approve_with(("hostile.json", "2.key", "b.json"), |_| ());
        assert_eq!(code(outcome), expected);
    }
    // Without a signature in it that an alteration could void, its own sources tell.
    let unsigned: [(Change, &str); 3] = [
        (
            |it| it["bridge"]["app"]["identity"] = json!("11".repeat(32)),
            "rotation-bridge",
        ),
        (|it| it["attempt"] = json!(6), "rotation-attempt"),
        (
            |it| it["governance"]["threshold"] = json!(4),
            "rotation-differs",
        ),
    ];
    for (change, expected) in unsigned {
        desk.edit("proposal.json", "hostile.json", change);
        let outcome = desk.approve_with(("hostile.json", "2.key", "b.json"), |_| ());
        assert_eq!(code(outcome), expected);
    }
    assert!(!desk.path("b.json").exists());
}

#[test]
fn only_what_could_take_over_is_proposed() {
    let desk = Desk::new();
    let other = desk.write("params.json", &json!({ "nft_carrier": 2_000 }));
    let outcome = desk.propose_with(|asked| asked.params = Some(other));
    assert_eq!(code(outcome), "rotation-unfit");
    let bad = desk.write("bad.json", &json!({ "nothing": 1 }));
    let outcome = desk.propose_with(|asked| asked.params = Some(bad));
    assert_eq!(code(outcome), "params-invalid");
    let outcome = desk.propose_with(|asked| asked.spell_min = Some(16));
    assert_eq!(code(outcome), "rotation-unfit");
    assert!(!desk.path("proposal.json").exists());
    let longer = desk.write("longer.json", &json!({ "notice": 12 }));
    let told = desk
        .propose_with(|asked| asked.params = Some(longer))
        .unwrap();
    let changed = told.changed_params.unwrap();
    assert_eq!(changed.len(), 1);
    assert_eq!(
        (changed[0].name.as_str(), &changed[0].to_come),
        ("notice", &json!(12))
    );
}

#[test]
fn a_cancellation_is_of_what_is_announced_and_needs_two_of_four() {
    let mut desk = Desk::new();
    let asked = |desk: &Desk, to: &str| CancelRotation {
        basis: desk.basis_arguments(),
        to: desk.path(to),
    };
    let nothing = operator::cancel(&Settings::default(), &asked(&desk, "no.json"));
    assert_eq!(code(nothing), "rotation-step");
    desk.basis.next = Some(AnnouncedRoster {
        hash: Hash32([8; 32]),
        serial: 30,
        wait: 6,
    });
    desk.write("basis.json", &json!(desk.basis));
    let told = operator::cancel(&Settings::default(), &asked(&desk, "cancel.json")).unwrap();
    assert_eq!((told.attempt, told.approvals_missing), (4, 2));
    assert_eq!(code(desk.propose_with(|_| ())), "rotation-step");
    let no_roster = |it: &mut Approve| it.roster = None;
    let files = ("cancel.json", "3.key", "c.json");
    assert_eq!(
        desk.approve_with(files, no_roster)
            .unwrap()
            .approvals_missing,
        1
    );
    let files = ("c.json", "4.key", "d.json");
    assert_eq!(
        desk.approve_with(files, no_roster)
            .unwrap()
            .approvals_missing,
        0
    );
    // Of another announcement than stands.
    desk.basis.next = None;
    desk.write("basis.json", &json!(desk.basis));
    let files = ("c.json", "4.key", "e.json");
    assert_eq!(code(desk.approve_with(files, no_roster)), "rotation-step");
}
