//! What a transaction did to the bridge.

use std::fmt::{Display, Formatter, Result};

use bitcoin::{Amount, Transaction, Txid};
use grail_bridge_contract::Next;

use crate::finding::{Finding, Severity};
use crate::witness::SignedInput;

/// A number of outputs and what they come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PegTotal {
    /// How many.
    pub count: usize,
    /// Satoshis.
    pub sat: u64,
}

impl PegTotal {
    pub(crate) fn add(&mut self, sat: u64) {
        self.count = self.count.saturating_add(1);
        self.sat = self.sat.saturating_add(sat);
    }
}

/// From one roster to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterChange {
    /// Signers that must agree, before and after.
    pub threshold: (u16, u16),
    /// Signers, before and after.
    pub signer_count: (usize, usize),
    /// Keys that are new.
    pub added: Vec<[u8; 32]>,
    /// Keys that are gone.
    pub removed: Vec<[u8; 32]>,
}

/// A move of the roster NFT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Epoch after it.
    pub epoch: u64,
    /// Its number.
    pub serial: u64,
    /// Present when the epoch changes.
    pub roster_change: Option<RosterChange>,
    /// Outputs with zkBTC.
    pub peg_ins: PegTotal,
    /// Outputs with BTC alone that the spell speaks of: payouts. None of a step of a rotation,
    /// whose notice coin is nobody's.
    pub peg_outs: PegTotal,
    /// Donations that became part of the vault's coin.
    pub merged: PegTotal,
    /// The roster that is announced after it.
    pub next: Option<Next>,
    /// zkBTC in existence before and after, in satoshis.
    pub supply: (u64, u64),
    /// Coins that settlements left at the vault, before and after, in satoshis.
    pub vault: (u64, u64),
    /// zkBTC that left on balance, less what time let go of, before and after, in satoshis.
    pub outflow: (u64, u64),
    /// Roster inputs and who signed them.
    pub signed: Vec<SignedInput>,
}

/// What kind of step it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// Creates the roster NFT.
    Deployment {
        /// Signers of the first roster.
        signer_count: usize,
        /// How many must agree.
        threshold: u16,
    },
    /// Moves the NFT: mints, burns, moves the vault.
    Settlement(Box<Settlement>),
    /// A settlement that serves nobody: donations become part of the vault's coin.
    Merge(Box<Settlement>),
    /// Moves the NFT and says which roster comes next.
    Announcement(Box<Settlement>),
    /// Moves the NFT and takes back what was announced.
    Cancellation(Box<Settlement>),
    /// Moves the NFT to the next epoch.
    Rotation(Box<Settlement>),
    /// Spends coins of the vault without the NFT.
    VaultSpend,
    /// Makes bridge charms out of nothing.
    Forgery,
    /// A user takes a deposit back. Known by its shape: of zkBTC surely this bridge's, of BTC any
    /// that works so.
    Reclaim,
    /// Moves zkBTC between users.
    Transfer,
    /// Destroys zkBTC and makes none.
    Burn,
    /// Gives coins to the vault.
    Donation,
    /// Spends coins at the address of another roster than the current one.
    StraySpend,
}

impl StepKind {
    /// Stable name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Deployment { .. } => "deployment",
            Self::Settlement(_) => "settlement",
            Self::Merge(_) => "merge",
            Self::Announcement(_) => "announcement",
            Self::Cancellation(_) => "cancellation",
            Self::Rotation(_) => "rotation",
            Self::VaultSpend => "vault-spend",
            Self::Forgery => "forgery",
            Self::Reclaim => "reclaim",
            Self::Transfer => "transfer",
            Self::Burn => "burn",
            Self::Donation => "donation",
            Self::StraySpend => "stray-spend",
        }
    }

    /// What a move of the NFT is for.
    fn write_purpose(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Settlement(step) => {
                let (peg_ins, peg_outs) = (step.peg_ins.count, step.peg_outs.count);
                write!(f, "{peg_ins} in {peg_outs} out, ")
            }
            Self::Merge(step) => {
                let PegTotal { count, sat } = step.merged;
                write!(f, "{sat} sat in {count} donations, ")
            }
            Self::Announcement(step) => match &step.next {
                Some(next) => write!(f, "a roster after {} blocks, ", next.wait),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// A transaction that touches the bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Height of its block.
    pub height: u32,
    /// Its name.
    pub txid: Txid,
    /// What it does.
    pub kind: StepKind,
    /// Inputs.
    pub input_count: usize,
    /// Outputs.
    pub output_count: usize,
    /// Virtual size.
    pub vsize: usize,
    /// Its fee. Blocks alone do not tell what inputs are worth: whoever has the node fills it in.
    pub fee: Option<Amount>,
    /// zkBTC spent, in satoshis.
    pub tokens_in: u64,
    /// zkBTC made, in satoshis.
    pub tokens_out: u64,
    /// Coins given to the vault.
    pub donated: Amount,
    /// What does not hold.
    pub findings: Vec<Finding>,
}

impl Step {
    pub(crate) fn new(height: u32, txid: Txid, transaction: &Transaction, kind: StepKind) -> Self {
        Self {
            height,
            txid,
            kind,
            input_count: transaction.input.len(),
            output_count: transaction.output.len(),
            vsize: transaction.vsize(),
            fee: None,
            tokens_in: 0,
            tokens_out: 0,
            donated: Amount::ZERO,
            findings: Vec::new(),
        }
    }

    /// The move of the roster NFT that it is.
    pub fn settlement(&self) -> Option<&Settlement> {
        match &self.kind {
            StepKind::Settlement(settlement)
            | StepKind::Merge(settlement)
            | StepKind::Announcement(settlement)
            | StepKind::Cancellation(settlement)
            | StepKind::Rotation(settlement) => Some(settlement),
            _ => None,
        }
    }

    /// The findings that break a rule.
    pub fn alarms(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.severity() == Severity::Alarm)
    }
}

/// One line, and one more per finding.
impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(
            f,
            "{:>7}  {}  {:<12}",
            self.height,
            self.txid,
            self.kind.name()
        )?;
        match &self.kind {
            StepKind::Deployment {
                signer_count,
                threshold,
            } => write!(f, " {threshold} of {signer_count} must sign")?,
            StepKind::Transfer | StepKind::Burn | StepKind::Reclaim | StepKind::Forgery
                if self.tokens_in > 0 || self.tokens_out > 0 =>
            {
                write!(f, " zkBTC {} -> {} sat", self.tokens_in, self.tokens_out)?;
            }
            _ => (),
        }
        if let Some(settlement) = self.settlement() {
            let (epoch, serial) = (settlement.epoch, settlement.serial);
            write!(f, " epoch {epoch} serial {serial}: ")?;
            self.kind.write_purpose(f)?;
            write!(f, "{settlement}")?;
        }
        if self.donated > Amount::ZERO {
            write!(f, " {} sat given to the vault", self.donated.to_sat())?;
        }
        if let Some(fee) = self.fee {
            write!(f, ", fee {} sat, {} vB", fee.to_sat(), self.vsize)?;
        }
        for finding in &self.findings {
            write!(f, "\n         {finding} [{}]", finding.code())?;
        }
        Ok(())
    }
}

/// What every move of the NFT tells.
impl Display for Settlement {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "supply {} -> {}, ", self.supply.0, self.supply.1)?;
        write!(f, "vault {} -> {}", self.vault.0, self.vault.1)?;
        if self.outflow != (0, 0) {
            write!(f, ", outflow {} -> {}", self.outflow.0, self.outflow.1)?;
        }
        if let Some(change) = &self.roster_change {
            let (old, new) = (change.threshold.0, change.threshold.1);
            let (old_count, new_count) = (change.signer_count.0, change.signer_count.1);
            write!(f, ", roster {old} of {old_count} -> {new} of {new_count}")?;
        }
        if let Some(first) = self.signed.first() {
            let names: Vec<String> = first.signers.iter().map(ToString::to_string).collect();
            write!(f, ", signed by {}", names.join(" "))?;
        }
        Ok(())
    }
}
