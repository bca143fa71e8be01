//! Answers of `grail spell verify`.

use std::fmt::{Display, Formatter, Result};

use serde::Serialize;

/// Verdict on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictName {
    /// A spell that Charms' own rules accept.
    Valid,
    /// A spell that is not accepted.
    Invalid,
    /// No spell.
    NoSpell,
    /// No transaction.
    Unreadable,
}

/// One file. Fields that do not apply are null.
#[derive(Debug, Serialize)]
pub struct FileVerdict {
    /// As given.
    pub file: String,
    /// The verdict.
    pub verdict: VerdictName,
    /// Why it is not valid: stable.
    pub code: Option<&'static str>,
    /// Why it is not valid, in words.
    pub reason: Option<String>,
    /// The transaction.
    pub txid: Option<String>,
    /// What an invalid spell says of itself.
    pub claimed: Option<Claimed>,
    /// The spell.
    pub spell: Option<SpellView>,
}

impl FileVerdict {
    /// A file of which no more is known.
    pub fn new(file: String, verdict: VerdictName) -> Self {
        Self {
            file,
            verdict,
            code: None,
            reason: None,
            txid: None,
            claimed: None,
            spell: None,
        }
    }
}

/// Where a spell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PlaceView {
    /// In an output.
    OpReturn {
        /// Which.
        output_index: u32,
    },
    /// In a witness.
    Witness {
        /// Whose.
        input_index: usize,
    },
}

/// What an unproven spell says of itself.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "see SpellView")]
pub struct Claimed {
    pub version: u32,
    pub is_mock: bool,
    pub place: PlaceView,
}

/// Whether the spell is also in the one form that operators sign.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "see FileVerdict")]
pub struct StrictView {
    pub is_strict: bool,
    pub code: Option<&'static str>,
    pub reason: Option<String>,
}

/// An app of a spell.
#[derive(Debug, Serialize)]
pub struct SpellApp {
    /// `tag/identity/vk`.
    pub app: String,
    /// `t`: token, `n`: NFT, others free.
    pub tag: char,
    /// CBOR diagnostic notation.
    pub public_input: String,
}

/// An app whose contract the spell names by a signature.
#[derive(Debug, Serialize)]
pub struct VersionedApp {
    /// Hash of the signing key.
    pub vk: String,
    /// Version that the spell binds it to.
    pub version: u32,
    /// Hash of that version's contract.
    pub wasm_hash: String,
}

/// What one app puts on an output.
#[derive(Debug, Serialize)]
pub struct Charm {
    /// `tag/identity/vk`.
    pub app: String,
    /// Of a token.
    pub amount: Option<u64>,
    /// CBOR diagnostic notation.
    pub data: String,
}

/// An output that the spell speaks of.
#[derive(Debug, Serialize)]
pub struct SpellOutput {
    /// Which.
    pub output_index: u32,
    /// Its coin.
    pub amount_sat: u64,
    /// Its script, hexadecimal.
    pub script: String,
    /// The same as an address of the network.
    pub address: Option<String>,
    /// Its charms.
    pub charms: Vec<Charm>,
    /// Hash of the output on another chain that its charms have moved to.
    pub beamed_to: Option<String>,
}

/// A verified spell.
#[derive(Debug, Serialize)]
pub struct SpellView {
    /// Version of the Charms protocol.
    pub version: u32,
    /// Whether its proof is a mock.
    pub is_mock: bool,
    /// Where it is.
    pub place: PlaceView,
    /// Whether operators would sign it.
    pub strict: StrictView,
    /// Outpoints that it commits to, in order.
    pub inputs: Vec<String>,
    /// Inputs of the transaction that it does not commit to (protocol versions before 10 leave out
    /// the last).
    pub uncommitted_inputs: Vec<String>,
    /// Outpoints read and not spent.
    pub references: Vec<String>,
    /// Whether it commits to amounts and scripts of `outputs` (protocol versions before 8 do not).
    pub has_committed_coins: bool,
    /// Every app and its public input, in the spell's order.
    pub apps: Vec<SpellApp>,
    /// Apps bound to a version.
    pub versioned_apps: Vec<VersionedApp>,
    /// Outputs that must pay to a script of the Charms project's "scrolls" service.
    pub scrolls: Vec<u32>,
    /// The outputs that it speaks of.
    pub outputs: Vec<SpellOutput>,
}

/// `spell verify`: one entry per file, in order.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct SpellsReport(pub Vec<FileVerdict>);

impl SpellsReport {
    /// Whether every file holds a valid spell.
    pub fn all_valid(&self) -> bool {
        self.0
            .iter()
            .all(|verdict| verdict.verdict == VerdictName::Valid)
    }
}

impl Display for SpellsReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (index, verdict) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            verdict.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for FileVerdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}: ", self.file)?;
        f.write_str(match self.verdict {
            VerdictName::Valid => "valid",
            VerdictName::Invalid => "INVALID",
            VerdictName::NoSpell => "no spell",
            VerdictName::Unreadable => "UNREADABLE",
        })?;
        if let (Some(reason), Some(code)) = (&self.reason, self.code) {
            write!(f, ": {reason} [{code}]")?;
        }
        if let Some(txid) = &self.txid {
            write!(f, "\n  transaction   {txid}")?;
        }
        if let Some(claimed) = &self.claimed {
            write!(
                f,
                "\n  claims        {}",
                headline(claimed.version, claimed.is_mock, claimed.place)
            )?;
        }
        match &self.spell {
            Some(spell) => spell.fmt(f),
            None => Ok(()),
        }
    }
}

impl Display for SpellView {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(
            f,
            "\n  spell         {}",
            headline(self.version, self.is_mock, self.place)
        )?;
        match (&self.strict.reason, self.strict.code) {
            (Some(reason), Some(code)) => {
                write!(f, "\n  strict form   no: {reason} [{code}]")?;
            }
            _ => write!(f, "\n  strict form   yes")?,
        }
        for (index, app) in self.apps.iter().enumerate() {
            let title = if index == 0 { "apps" } else { "" };
            write!(f, "\n  {title:<12}  {}", app.app)?;
            if app.public_input != "null" {
                write!(f, "\n                  public input {}", app.public_input)?;
            }
        }
        for app in &self.versioned_apps {
            let (vk, version, wasm) = (&app.vk, app.version, &app.wasm_hash);
            write!(
                f,
                "\n  versioned     {vk}: version {version}, contract {wasm}"
            )?;
        }
        list(f, "spends", &self.inputs)?;
        list(f, "uncommitted", &self.uncommitted_inputs)?;
        list(f, "reads", &self.references)?;
        for output in &self.outputs {
            output.fmt(f)?;
        }
        for index in &self.scrolls {
            write!(f, "\n  scroll        output {index}")?;
        }
        if !self.has_committed_coins && !self.outputs.is_empty() {
            f.write_str("\n  coins         not committed to by this version")?;
        }
        Ok(())
    }
}

impl Display for SpellOutput {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let to = self.address.as_ref().unwrap_or(&self.script);
        let (index, amount) = (self.output_index, self.amount_sat);
        write!(f, "\n  output {index:<6} {amount} sat to {to}")?;
        if let Some(destination) = &self.beamed_to {
            write!(f, "\n                  charms beamed to {destination}")?;
        }
        for charm in &self.charms {
            match charm.amount {
                Some(amount) => write!(f, "\n                  {amount} of {}", charm.app)?,
                None => write!(f, "\n                  {} of {}", charm.data, charm.app)?,
            }
        }
        Ok(())
    }
}

fn headline(version: u32, is_mock: bool, place: PlaceView) -> String {
    let place = match place {
        PlaceView::OpReturn { output_index } => format!("OP_RETURN output {output_index}"),
        PlaceView::Witness { input_index } => format!("witness of input {input_index}"),
    };
    let mock = if is_mock { ", MOCK proof" } else { "" };
    format!("version {version} in {place}{mock}")
}

fn list(f: &mut Formatter<'_>, title: &str, lines: &[String]) -> Result {
    for (index, line) in lines.iter().enumerate() {
        let title = if index == 0 { title } else { "" };
        write!(f, "\n  {title:<12}  {line}")?;
    }
    Ok(())
}
