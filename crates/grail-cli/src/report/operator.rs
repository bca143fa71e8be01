//! Answers of `grail operator`.

use std::fmt::{Display, Formatter, Result};
use std::path::Path;

use grail_api::{CheckedRotation, RotationStatus};
use grail_types::Params;
use serde::Serialize;
use serde_json::Value;

/// `operator key new`.
#[derive(Debug, Serialize)]
pub struct OperatorKeyMade {
    /// What the other administrators put into the governance.
    pub public_key: String,
    /// Where the key is.
    pub file: String,
}

impl Display for OperatorKeyMade {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(
            f,
            "public key  {}\nkey file    {} (who has it can sign: keep it offline, and a copy)",
            self.public_key, self.file
        )
    }
}

/// A value that a roster to come changes.
#[derive(Debug, Serialize)]
pub struct ChangedValue {
    /// Its name in the parameters.
    pub name: String,
    /// Today.
    pub today: Value,
    /// From then on.
    pub to_come: Value,
}

/// A proposal or a cancellation, in words.
#[derive(Debug, Serialize)]
pub struct RotationReport {
    /// `announce` or `cancel`.
    pub step: &'static str,
    /// Identity of the bridge, hex.
    pub bridge: String,
    /// Its network.
    pub network: String,
    /// Epoch of the roster that hands over.
    pub epoch: u64,
    /// Number of the announcement.
    pub attempt: u64,
    /// Hash of everything that is consented to of the roster to come.
    pub next: String,
    /// What administrators sign.
    pub digest: String,
    /// The roster to come; none in a cancellation.
    pub roster: Option<RosterToCome>,
    /// Administrators of today that have signed.
    pub approvals: usize,
    /// How many must.
    pub approvals_needed: usize,
    /// How many are missing.
    pub approvals_missing: usize,
    /// Administrators to come that have to sign their own admission yet, by position.
    pub newcomers_missing: Vec<u16>,
    /// Parameters that change; unknown where today's were not given.
    pub changed_params: Option<Vec<ChangedValue>>,
    /// Blocks between announcement and hand-over, by the supply of now.
    pub wait_blocks: Option<u16>,
    /// Where the rotation stands, by the API's word.
    pub standing: Option<RotationStatus>,
    /// Whether the API was asked where it stands.
    pub asked: bool,
    /// What was believed when it was signed, because nothing that was given shows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub believed: Vec<String>,
    /// The file that was written.
    pub file: Option<String>,
}

/// The roster to come, in words.
#[derive(Debug, Serialize)]
pub struct RosterToCome {
    /// Signers that must agree.
    pub threshold: u16,
    /// All signers.
    pub signers: Vec<String>,
    /// Those whose keys today's roster, as the document has it, does not have.
    pub new_keys: Vec<String>,
    /// Keys of today that are not in it.
    pub leaving_keys: Vec<String>,
    /// Administrators that must agree.
    pub governance_threshold: u16,
    /// All administrators.
    pub administrators: Vec<String>,
    /// Whether they are others than today's.
    pub changes_governance: bool,
    /// Hash of the parameters' images.
    pub images: String,
    /// Lowest and highest protocol version of the bridge's spells.
    pub spells: [u32; 2],
    /// Hash of the list of evidence.
    pub evidence: String,
    /// All parameters.
    pub params: Params,
}

impl RotationReport {
    /// What a document says.
    pub fn of(rotation: &CheckedRotation) -> Self {
        let document = rotation.document();
        let today = &document.roster;
        let roster = rotation.proposed().map(|proposed| {
            let to_come = &proposed.roster;
            let leaving = today.signers().iter();
            let leaving = leaving.filter(|key| !to_come.signers().contains(key));
            RosterToCome {
                threshold: to_come.threshold().0,
                signers: to_come.signers().iter().map(ToString::to_string).collect(),
                new_keys: rotation
                    .new_keys()
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                leaving_keys: leaving.map(ToString::to_string).collect(),
                governance_threshold: proposed.governance.threshold(),
                administrators: proposed
                    .governance
                    .administrators()
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                changes_governance: proposed.governance != document.governance,
                images: proposed.images.hash().to_string(),
                spells: [proposed.spell_min, proposed.spell_max],
                evidence: hex::encode(proposed.evidence_hash()),
                params: proposed.params.clone(),
            }
        });
        Self {
            step: if roster.is_some() {
                "announce"
            } else {
                "cancel"
            },
            bridge: hex::encode(document.bridge.app.identity),
            network: document.bridge.network.to_string(),
            epoch: today.epoch().0,
            attempt: document.attempt,
            next: rotation.next().to_string(),
            digest: hex::encode(rotation.consent().digest().as_ref()),
            roster,
            approvals: document.consents.len(),
            approvals_needed: rotation.needed(),
            approvals_missing: rotation.missing(),
            newcomers_missing: rotation.newcomers_missing(),
            changed_params: None,
            wait_blocks: None,
            standing: None,
            asked: false,
            believed: Vec::new(),
            file: None,
        }
    }

    /// With what changes of today's parameters.
    #[must_use]
    pub fn compared_with(mut self, today: &Params) -> Self {
        self.changed_params = self
            .roster
            .as_ref()
            .map(|to_come| changes(today, &to_come.params));
        self
    }

    /// With the time of notice.
    #[must_use]
    pub fn waiting(mut self, wait: u16) -> Self {
        self.wait_blocks = Some(wait);
        self
    }

    /// With what the API says.
    #[must_use]
    pub fn standing(mut self, standing: Option<RotationStatus>) -> Self {
        self.standing = standing;
        self.asked = true;
        self
    }

    /// With what stays believed.
    #[must_use]
    pub fn believing(mut self, believed: Vec<String>) -> Self {
        self.believed = believed;
        self
    }

    /// With the file that was written.
    #[must_use]
    pub fn written_to(mut self, file: &Path) -> Self {
        self.file = Some(file.display().to_string());
        self
    }
}

fn changes(today: &Params, to_come: &Params) -> Vec<ChangedValue> {
    let values = |params: &Params| match serde_json::to_value(params) {
        Ok(Value::Object(values)) => values,
        Ok(_) | Err(_) => serde_json::Map::new(),
    };
    let (today, to_come) = (values(today), values(to_come));
    to_come
        .into_iter()
        .filter_map(|(name, to_come)| {
            let today = today.get(&name).cloned().unwrap_or_default();
            (today != to_come).then_some(ChangedValue {
                name,
                today,
                to_come,
            })
        })
        .collect()
}

impl Display for RotationReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(
            f,
            "{} of attempt {}, bridge {} on {}, epoch {}",
            if self.roster.is_some() {
                "announcement"
            } else {
                "cancellation"
            },
            self.attempt,
            self.bridge,
            self.network,
            self.epoch
        )?;
        match &self.roster {
            Some(roster) => self.show(f, roster)?,
            None => write!(
                f,
                "\nconsents to     taking back the announcement of roster {}",
                self.next
            )?,
        }
        if let Some(wait) = self.wait_blocks {
            write!(
                f,
                "\nwait            {wait} blocks between announcement and hand-over, by today's supply"
            )?;
        }
        write!(
            f,
            "\napprovals       {} of {} needed, {} missing",
            self.approvals, self.approvals_needed, self.approvals_missing
        )?;
        for position in &self.newcomers_missing {
            write!(
                f,
                "\n                new administrator {position} has not signed"
            )?;
        }
        match (&self.standing, self.asked) {
            (Some(standing), _) => {
                write!(f, "\nstands at       {}", standing.stage)?;
                if let Some(left) = standing.blocks_left {
                    write!(f, ", {left} blocks before it can be executed")?;
                }
                if let Some(height) = standing.former_serves_until_height {
                    write!(
                        f,
                        "\nformer roster   its operators keep their keys and hosts running up to block {height}"
                    )?;
                }
            }
            (None, true) => write!(f, "\nstands at       the API does not know it")?,
            (None, false) => {}
        }
        for believed in &self.believed {
            write!(f, "\nbelieved        {believed}")?;
        }
        if let Some(file) = &self.file {
            write!(f, "\nfile            {file}")?;
        }
        Ok(())
    }
}

impl RotationReport {
    fn show(&self, f: &mut Formatter<'_>, roster: &RosterToCome) -> Result {
        write!(
            f,
            "\nconsents to     {} of {} signers, {} of them with new keys",
            roster.threshold,
            roster.signers.len(),
            roster.new_keys.len()
        )?;
        for key in &roster.signers {
            let is_new = roster.new_keys.contains(key);
            write!(
                f,
                "\n                {key}{}",
                if is_new { "  new" } else { "" }
            )?;
        }
        for key in &roster.leaving_keys {
            write!(f, "\nleaves          {key}")?;
        }
        write!(
            f,
            "\nadministrators  {} of {}{}",
            roster.governance_threshold,
            roster.administrators.len(),
            if roster.changes_governance {
                ", others than today's:"
            } else {
                ", as today"
            }
        )?;
        if roster.changes_governance {
            for key in &roster.administrators {
                write!(f, "\n                {key}")?;
            }
        }
        write!(
            f,
            "\nimages          {}\nspells          version {} to {}\nevidence        {}",
            roster.images, roster.spells[0], roster.spells[1], roster.evidence
        )?;
        match &self.changed_params {
            Some(changed) if changed.is_empty() => write!(f, "\nparameters      as today"),
            Some(changed) => changed.iter().try_for_each(|it| {
                write!(
                    f,
                    "\nparameter       {}: {} in place of {}",
                    it.name, it.to_come, it.today
                )
            }),
            None => write!(
                f,
                "\nparameters      {} (not compared with today's: give --history)",
                serde_json::to_string(&roster.params).unwrap_or_default()
            ),
        }
    }
}
