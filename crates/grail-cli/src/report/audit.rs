//! Answers of `grail auditor`.

use std::fmt::{Display, Formatter, Result};

use bitcoin::{Address, ScriptBuf};
use grail_audit::{Books, Finding, Next, PegTotal, Role, RosterChange, Settlement, Step, StepKind};
use grail_types::Network;
use serde::Serialize;

use super::{btc, zkbtc};

/// Something that does not hold.
#[derive(Debug, Serialize)]
pub struct FindingView {
    /// Stable.
    pub code: &'static str,
    /// `alarm` or `note`.
    pub severity: &'static str,
    /// In words.
    pub text: String,
}

impl From<&Finding> for FindingView {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code(),
            severity: finding.severity().name(),
            text: finding.to_string(),
        }
    }
}

/// A number of outputs and their sum.
#[derive(Debug, Serialize)]
pub struct TotalView {
    /// How many.
    pub count: usize,
    /// Satoshis.
    pub sat: u64,
}

impl From<PegTotal> for TotalView {
    fn from(total: PegTotal) -> Self {
        Self {
            count: total.count,
            sat: total.sat,
        }
    }
}

/// A roster input and who signed it.
#[derive(Debug, Serialize)]
pub struct SignedView {
    /// The input.
    pub input_index: usize,
    /// `vault` (the NFT's too) or `deposit`.
    pub role: &'static str,
    /// Positions in the roster.
    pub signers: Vec<u16>,
    /// How many had to sign.
    pub threshold: usize,
}

/// A change of roster.
#[derive(Debug, Serialize)]
pub struct RosterChangeView {
    /// Signers that had to agree.
    pub threshold_before: u16,
    /// Signers that must agree now.
    pub threshold_after: u16,
    /// Keys that are new.
    pub added: Vec<String>,
    /// Keys that are gone.
    pub removed: Vec<String>,
}

impl From<&RosterChange> for RosterChangeView {
    fn from(change: &RosterChange) -> Self {
        let keys = |keys: &[[u8; 32]]| keys.iter().map(hex::encode).collect();
        Self {
            threshold_before: change.threshold.0,
            threshold_after: change.threshold.1,
            added: keys(&change.added),
            removed: keys(&change.removed),
        }
    }
}

/// A roster that is announced.
#[derive(Debug, Serialize)]
pub struct NextView {
    /// Hash of the state to come, hexadecimal.
    pub hash: String,
    /// Number of the announcement.
    pub serial: u64,
    /// Blocks from the announcement to the hand-over, at least.
    pub wait: u16,
}

impl From<&Next> for NextView {
    fn from(next: &Next) -> Self {
        Self {
            hash: hex::encode(next.hash),
            serial: next.serial,
            wait: next.wait,
        }
    }
}

/// A move of the roster NFT.
#[derive(Debug, Serialize)]
pub struct SettlementView {
    /// Epoch after it.
    pub epoch: u64,
    /// Its number.
    pub serial: u64,
    /// Of a rotation.
    pub roster_change: Option<RosterChangeView>,
    /// Outputs with zkBTC.
    pub peg_ins: TotalView,
    /// Payouts.
    pub peg_outs: TotalView,
    /// Donations that became part of the vault's coin.
    pub merged: TotalView,
    /// The roster that is announced after it.
    pub next: Option<NextView>,
    /// zkBTC in existence before.
    pub supply_before_sat: u64,
    /// zkBTC in existence after.
    pub supply_after_sat: u64,
    /// The vault before.
    pub vault_before_sat: u64,
    /// The vault after.
    pub vault_after_sat: u64,
    /// zkBTC that left on balance, less what time let go of, before.
    pub outflow_before_sat: u64,
    /// The same after.
    pub outflow_after_sat: u64,
    /// Roster inputs.
    pub signed: Vec<SignedView>,
}

impl From<&Settlement> for SettlementView {
    fn from(settlement: &Settlement) -> Self {
        Self {
            epoch: settlement.epoch,
            serial: settlement.serial,
            roster_change: settlement.roster_change.as_ref().map(Into::into),
            peg_ins: settlement.peg_ins.into(),
            peg_outs: settlement.peg_outs.into(),
            merged: settlement.merged.into(),
            next: settlement.next.as_ref().map(Into::into),
            supply_before_sat: settlement.supply.0,
            supply_after_sat: settlement.supply.1,
            vault_before_sat: settlement.vault.0,
            vault_after_sat: settlement.vault.1,
            outflow_before_sat: settlement.outflow.0,
            outflow_after_sat: settlement.outflow.1,
            signed: settlement
                .signed
                .iter()
                .map(|input| SignedView {
                    input_index: input.input_index,
                    role: match input.role {
                        Role::Vault => "vault",
                        Role::Deposit => "deposit",
                    },
                    signers: input.signers.iter().map(|signer| signer.0).collect(),
                    threshold: input.threshold,
                })
                .collect(),
        }
    }
}

/// A transaction that touches the bridge.
#[derive(Debug, Serialize)]
pub struct StepView {
    /// Height of its block.
    pub height: u32,
    /// Its name.
    pub txid: String,
    /// `deployment`, `settlement`, `merge`, `announcement`, `cancellation`, `rotation`, `transfer`,
    /// `reclaim`, `burn`, `donation`, `stray-spend`, `vault-spend` or `forgery`.
    pub kind: &'static str,
    /// Virtual size.
    pub vsize: usize,
    /// Its fee, where the node tells.
    pub fee_sat: Option<u64>,
    /// zkBTC spent.
    pub tokens_in_sat: u64,
    /// zkBTC made.
    pub tokens_out_sat: u64,
    /// Coins given to the vault.
    pub donated_sat: u64,
    /// Of what moves the roster NFT.
    pub settlement: Option<SettlementView>,
    /// What does not hold.
    pub findings: Vec<FindingView>,
    #[serde(skip)]
    line: String,
}

impl From<&Step> for StepView {
    fn from(step: &Step) -> Self {
        Self {
            height: step.height,
            txid: step.txid.to_string(),
            kind: step.kind.name(),
            vsize: step.vsize,
            fee_sat: step.fee.map(bitcoin::Amount::to_sat),
            tokens_in_sat: step.tokens_in,
            tokens_out_sat: step.tokens_out,
            donated_sat: step.donated.to_sat(),
            settlement: step.settlement().map(Into::into),
            findings: step.findings.iter().map(Into::into).collect(),
            line: step.to_string(),
        }
    }
}

/// How many steps of each kind there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "see grail_audit::StepKind")]
pub struct Tally {
    pub settlements: u64,
    pub merges: u64,
    pub announcements: u64,
    pub cancellations: u64,
    pub rotations: u64,
    pub transfers: u64,
    pub reclaims: u64,
    pub donations: u64,
    pub burns: u64,
}

impl Tally {
    /// Counts a step.
    pub fn add(&mut self, step: &Step) {
        let count = match step.kind {
            StepKind::Settlement(_) => &mut self.settlements,
            StepKind::Merge(_) => &mut self.merges,
            StepKind::Announcement(_) => &mut self.announcements,
            StepKind::Cancellation(_) => &mut self.cancellations,
            StepKind::Rotation(_) => &mut self.rotations,
            StepKind::Transfer => &mut self.transfers,
            StepKind::Reclaim => &mut self.reclaims,
            StepKind::Donation => &mut self.donations,
            StepKind::Burn => &mut self.burns,
            StepKind::Deployment { .. }
            | StepKind::VaultSpend
            | StepKind::Forgery
            | StepKind::StraySpend => return,
        };
        *count = count.saturating_add(1);
    }
}

/// The kinds of which there were any.
impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let counts = [
            (self.settlements, "settlements"),
            (self.merges, "merges"),
            (self.announcements, "announcements"),
            (self.cancellations, "cancellations"),
            (self.rotations, "rotations"),
            (self.transfers, "transfers"),
            (self.reclaims, "reclaims"),
            (self.donations, "donations"),
            (self.burns, "burns"),
        ];
        let some = counts.into_iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = some
            .map(|(count, kind)| format!("{count} {kind}"))
            .collect();
        f.write_str(&words.join(", "))
    }
}

/// The books as of the last block.
#[derive(Debug, Serialize)]
pub struct BooksView {
    /// The bridge's identity, hexadecimal.
    pub identity: String,
    /// Hash of its contract, hexadecimal.
    pub vk: String,
    /// The transaction that created the NFT.
    pub deployment_txid: String,
    /// Where the roster NFT is; null when it is gone.
    pub nft_outpoint: Option<String>,
    /// Number of the roster.
    pub epoch: u64,
    /// Settlements so far.
    pub serial: u64,
    /// Signers that must agree.
    pub threshold: u16,
    /// Their keys.
    pub signers: Vec<String>,
    /// The Grail address.
    pub address: Option<String>,
    /// Hash of the parameters.
    pub params_hash: String,
    /// Hash of the administrators' keys and threshold.
    pub governance: String,
    /// Rotations that were ever announced.
    pub attempt: u64,
    /// The one that is announced now, if any.
    pub announced: Option<AnnouncedView>,
    /// zkBTC burned on balance, less what time has let go of.
    pub outflow_sat: u64,
    /// zkBTC in existence, by the NFT.
    pub supply_sat: u64,
    /// Coins that settlements left at the vault.
    pub vault_sat: u64,
    /// In so many outputs.
    pub vault_output_count: usize,
    /// Of these, donations that settlements merged, less backing that rotations left behind.
    pub merged_donations_sat: i64,
    /// Coins given to the vault.
    pub donations_sat: u64,
    /// zkBTC in unspent outputs.
    pub circulating_sat: u64,
    /// In so many outputs.
    pub circulating_output_count: usize,
    /// zkBTC that owners destroyed outside settlements.
    pub burnt_sat: u64,
}

/// A rotation that is announced.
#[derive(Debug, Serialize)]
pub struct AnnouncedView {
    /// Hash of the roster to come and its rules.
    pub hash: String,
    /// Serial of the announcement.
    pub serial: u64,
    /// Blocks that it has to wait.
    pub wait_blocks: u16,
}

impl BooksView {
    /// The books for people of a network.
    pub fn new(books: &Books, network: Network) -> Self {
        let state = &books.state;
        let script = ScriptBuf::from_bytes(state.vault_script.clone());
        let merged = books.merged;
        Self {
            identity: hex::encode(books.bridge.identity),
            vk: hex::encode(books.bridge.vk),
            deployment_txid: books.deployment.to_string(),
            nft_outpoint: books.nft.map(|nft| nft.to_string()),
            epoch: state.epoch,
            serial: state.serial,
            threshold: state.threshold,
            signers: state.signers.iter().map(hex::encode).collect(),
            address: Address::from_script(&script, bitcoin::Network::from(network))
                .ok()
                .map(|address| address.to_string()),
            params_hash: hex::encode(state.params_hash),
            governance: hex::encode(state.governance),
            attempt: state.attempt,
            announced: state.next.as_ref().map(|next| AnnouncedView {
                hash: hex::encode(next.hash),
                serial: next.serial,
                wait_blocks: next.wait,
            }),
            outflow_sat: state.outflow,
            supply_sat: state.supply,
            vault_sat: books.locked().to_sat(),
            vault_output_count: books.vault.len(),
            merged_donations_sat: i64::try_from(merged).unwrap_or(if merged < 0 {
                i64::MIN
            } else {
                i64::MAX
            }),
            donations_sat: books.donated().to_sat(),
            circulating_sat: books.circulating(),
            circulating_output_count: books.tokens.len(),
            burnt_sat: books.burnt,
        }
    }
}

/// `auditor`.
#[derive(Debug, Serialize)]
pub struct AuditReport {
    /// The chain's network.
    pub network: String,
    /// First block read.
    pub from_height: u32,
    /// Last block read.
    pub height: u32,
    /// Its hash.
    pub block_hash: String,
    /// What happened; transfers and reclaims only when asked for or when something is wrong with
    /// them.
    pub steps: Vec<StepView>,
    /// How many steps of each kind.
    pub tally: Tally,
    /// The books; null when the bridge was never deployed.
    pub books: Option<BooksView>,
    /// What does not hold as of the last block.
    pub findings: Vec<FindingView>,
    /// Rules broken, in all.
    pub alarm_count: u64,
}

impl AuditReport {
    /// Whether no rule was broken.
    pub fn is_sound(&self) -> bool {
        self.alarm_count == 0
    }
}

impl Display for AuditReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for step in &self.steps {
            writeln!(f, "{}", step.line)?;
        }
        writeln!(
            f,
            "\nread          blocks {} to {} of {} ({})",
            self.from_height, self.height, self.network, self.block_hash
        )?;
        writeln!(f, "steps         {}", self.tally)?;
        if let Some(books) = &self.books {
            books.fmt(f)?;
        }
        for finding in &self.findings {
            writeln!(
                f,
                "{:<13} {} [{}]",
                finding.severity, finding.text, finding.code
            )?;
        }
        match self.alarm_count {
            0 => f.write_str("every check holds"),
            count => write!(f, "{count} CHECK(S) FAILED"),
        }
    }
}

impl Display for BooksView {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let nft = self.nft_outpoint.as_deref().unwrap_or("gone");
        writeln!(f, "roster NFT    {nft}")?;
        writeln!(
            f,
            "roster        epoch {}, {} of {} must sign, at {}",
            self.epoch,
            self.threshold,
            self.signers.len(),
            self.address.as_deref().unwrap_or("no address")
        )?;
        writeln!(f, "supply        {}", zkbtc(self.supply_sat))?;
        writeln!(
            f,
            "vault         {} in {} output(s)",
            btc(self.vault_sat),
            self.vault_output_count
        )?;
        writeln!(
            f,
            "circulating   {} in {} output(s)",
            zkbtc(self.circulating_sat),
            self.circulating_output_count
        )?;
        if self.burnt_sat > 0 {
            writeln!(f, "burnt         {} by their owners", zkbtc(self.burnt_sat))?;
        }
        if self.outflow_sat > 0 {
            writeln!(f, "outflow       {}", zkbtc(self.outflow_sat))?;
        }
        if self.donations_sat > 0 || self.merged_donations_sat != 0 {
            writeln!(
                f,
                "donations     {}, and {} sat merged into the vault",
                btc(self.donations_sat),
                self.merged_donations_sat
            )?;
        }
        Ok(())
    }
}
