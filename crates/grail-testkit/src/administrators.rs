//! The administrators of a cluster's bridge at work: `grail operator`, with keys and documents in
//! files of the cluster's folder.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use bitcoin::XOnlyPublicKey;
use grail_api::client::ClientError;
use grail_api::{Problem, RotationDocument, RotationStage, RotationStatus};
use grail_types::Threshold;
use serde_json::{Value, json};

use crate::cli::{Answer, answer, code_of_failure};
use crate::cluster::{Cluster, administrator_secret};

/// Those who consent to rotations of a cluster's bridge.
#[derive(Debug)]
pub struct Administrators<'a> {
    cluster: &'a Cluster,
}

/// A proposal or a cancellation, as `grail operator` wrote it.
#[derive(Clone, Debug)]
pub struct RotationFile {
    /// The document.
    pub path: PathBuf,
    /// The signers to come, with the evidence of those who are new: for whoever signs.
    pub roster: Option<PathBuf>,
    /// What the command answered.
    pub told: Value,
}

impl RotationFile {
    /// What lies in it.
    pub fn read(&self) -> Result<RotationDocument> {
        Ok(RotationDocument::from_json(&fs::read(&self.path)?)?)
    }
}

impl<'a> Administrators<'a> {
    /// Those of this cluster.
    pub const fn of(cluster: &'a Cluster) -> Self {
        Self { cluster }
    }

    /// Runs `grail operator` and reads its answer.
    pub fn run(&self, arguments: &[&str]) -> Result<Value> {
        self.attempt(arguments)?
            .map_err(|error| anyhow!("grail operator {}: {error}", arguments.join(" ")))
    }

    /// Runs `grail operator`, which must fail, and returns the code of the failure.
    pub fn fail(&self, arguments: &[&str]) -> Result<String> {
        code_of_failure(self.attempt(arguments)?, arguments)
    }

    /// Proposes today's roster without those that are `leaving` and with every candidate.
    /// `threshold` must agree; `more` are further arguments.
    pub fn propose(
        &self,
        name: &str,
        leaving: &[XOnlyPublicKey],
        threshold: Threshold,
        more: &[&str],
    ) -> Result<RotationFile> {
        let told = self.cluster.api().rotations()?;
        let today = told.basis.roster.signers().iter();
        let mut signers: Vec<Value> = today
            .filter(|key| !leaving.contains(key))
            .map(|key| json!({ "public_key": key.to_string() }))
            .collect();
        for candidate in &told.candidates {
            signers.push(serde_json::to_value(candidate)?);
        }
        let roster = self.path(&format!("{name}.roster.json"));
        let to_come = json!({ "threshold": threshold, "signers": signers });
        fs::write(&roster, to_come.to_string())?;
        let path = self.path(&format!("{name}.json"));
        let arguments = ["propose", "--roster", text(&roster)?, "--to", text(&path)?];
        let told = self.run(&[&arguments[..], more].concat())?;
        let roster = Some(roster);
        Ok(RotationFile { path, roster, told })
    }

    /// Proposes to take back what is announced.
    pub fn cancel(&self, name: &str) -> Result<RotationFile> {
        let path = self.path(&format!("{name}.json"));
        let told = self.run(&["cancel", "--to", text(&path)?])?;
        let roster = None;
        Ok(RotationFile { path, roster, told })
    }

    /// Has administrators sign, one after the other.
    pub fn approve(
        &self,
        file: &RotationFile,
        who: impl IntoIterator<Item = u16>,
    ) -> Result<RotationFile> {
        let mut last = file.clone();
        for number in who {
            let path = last.path.with_extension(format!("{number}.json"));
            let told = self.run(&self.approval(&last, number, &path)?.words())?;
            last = RotationFile { path, told, ..last };
        }
        Ok(last)
    }

    /// The code with which `grail operator approve` refuses to sign.
    pub fn approve_refused(&self, file: &RotationFile, number: u16) -> Result<String> {
        let path = file.path.with_extension(format!("{number}.json"));
        self.fail(&self.approval(file, number, &path)?.words())
    }

    /// Hands a signed document in.
    pub fn send(&self, file: &RotationFile) -> Result<Value> {
        self.run(&["send", text(&file.path)?])
    }

    /// The code with which `grail operator send` does not hand a document in.
    pub fn send_refused(&self, file: &RotationFile) -> Result<String> {
        self.fail(&["send", text(&file.path)?])
    }

    /// The problem with which the API, asked without the tool, does not take a document.
    pub fn api_refuses(&self, file: &RotationFile) -> Result<Problem> {
        match self.cluster.api().submit_rotation(&file.read()?) {
            Err(ClientError::Problem(problem)) => Ok(*problem),
            other => bail!("expected a problem, got {other:?}"),
        }
    }

    /// Where the newest rotation stands, by the API.
    pub fn newest(&self) -> Result<RotationStatus> {
        let told = self.cluster.api().rotations()?.rotations;
        told.into_iter().next().context("no rotation")
    }

    /// Waits until the newest rotation stands at a stage.
    pub fn until_stage(&self, stage: RotationStage) -> Result<RotationStatus> {
        let what = format!("the rotation to be {stage}");
        self.cluster.until(&what, || {
            // A backend that is being restarted does not answer for a while.
            let Ok(told) = self.newest() else {
                return Ok(None);
            };
            Ok((told.stage == stage).then_some(told))
        })
    }

    /// Waits until the API names these keys as candidates.
    pub fn until_candidates(&self, keys: &[XOnlyPublicKey]) -> Result<()> {
        self.cluster.until("the newcomers to be candidates", || {
            let told = self.cluster.api().rotations()?.candidates;
            let known = |key: &XOnlyPublicKey| told.iter().any(|it| it.public_key == *key);
            Ok(keys.iter().all(known).then_some(()))
        })
    }

    fn approval(&self, file: &RotationFile, number: u16, to: &Path) -> Result<Approval> {
        let owned = |path: &Path| Ok::<_, anyhow::Error>(text(path)?.to_owned());
        Ok(Approval {
            document: owned(&file.path)?,
            key: owned(&self.key(number)?)?,
            protocol: owned(&self.path("protocol.json"))?,
            roster: file.roster.as_deref().map(owned).transpose()?,
            to: owned(to)?,
        })
    }

    /// The key file of an administrator.
    fn key(&self, number: u16) -> Result<PathBuf> {
        let file = self.path(&format!("administrator-{number}.key"));
        fs::write(&file, hex::encode(administrator_secret(number)))?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        Ok(file)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.cluster.folder().join(name)
    }

    fn attempt(&self, arguments: &[&str]) -> Result<Answer> {
        let mut command = Command::new(self.cluster.programs.cli());
        let api = self.cluster.backend.url();
        command.args(["--json", "--api", &api, "operator"]);
        answer(command.args(arguments))
    }
}

/// Arguments of `grail operator approve`.
struct Approval {
    document: String,
    key: String,
    protocol: String,
    roster: Option<String>,
    to: String,
}

impl Approval {
    fn words(&self) -> Vec<&str> {
        let mut words = vec!["approve", &self.document, "--key", &self.key];
        words.extend(["--protocol", &self.protocol, "--to", &self.to]);
        if let Some(roster) = &self.roster {
            words.extend(["--roster", roster]);
        }
        words
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}
