//! Answers of `grail wallet explain`.

use std::fmt::{Display, Formatter, Result};

use bitcoin::{Amount, OutPoint, Txid};
use grail_wallet::step::ExplainedStep;
use serde::Serialize;

use super::PlaceView;

/// A side of the balance, and how much of it is this output's.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// `btc`, `btc-pending`, `zkbtc`, `zkbtc-pending`, `under-zkbtc` or `set-aside`.
    #[serde(rename = "as")]
    pub name: &'static str,
    /// Satoshis, of zkBTC or of BTC.
    pub sat: u64,
}

/// One reason.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Stable.
    pub code: &'static str,
    /// In words.
    pub text: String,
}

/// The spell that the verdict comes from.
#[derive(Debug, Serialize)]
pub struct SpellSummary {
    /// Version of the Charms protocol.
    pub version: u32,
    /// Whether its proof is a mock.
    pub is_mock: bool,
    /// Where it is.
    pub place: PlaceView,
    /// Apps whose charms the output carries, `tag/identity/vk`.
    pub apps: Vec<String>,
}

/// `wallet explain`.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The output.
    pub outpoint: String,
    /// Its coin.
    pub amount_sat: Option<u64>,
    /// zkBTC that it carries, counted or not.
    pub token_sat: Option<u64>,
    /// What the balance counts of it: nothing when empty.
    pub counted: Vec<Counted>,
    /// Why, in the order of judgement; the last one is about what it carries.
    pub reasons: Vec<Reason>,
    /// The spell of its transaction, if one was accepted.
    pub spell: Option<SpellSummary>,
    /// As of this block.
    pub height: u32,
}

impl Explanation {
    /// The wallet's explanation of an output, as of a block; says nothing of spells.
    pub fn new(outpoint: OutPoint, height: u32, why: grail_wallet::explain::Explanation) -> Self {
        let counted = |counted: grail_wallet::explain::Counted| Counted {
            name: counted.name,
            sat: counted.amount.to_sat(),
        };
        let reason = |reason: grail_wallet::explain::Reason| Reason {
            code: reason.code,
            text: reason.text,
        };
        Self {
            outpoint: outpoint.to_string(),
            amount_sat: why.amount.map(Amount::to_sat),
            token_sat: None,
            counted: why.counted.into_iter().map(counted).collect(),
            reasons: why.reasons.into_iter().map(reason).collect(),
            spell: None,
            height,
        }
    }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "output        {}", self.outpoint)?;
        if let Some(amount) = self.amount_sat {
            writeln!(f, "amount        {amount} sat")?;
        }
        if self.counted.is_empty() {
            writeln!(f, "counted       nowhere")?;
        }
        for counted in &self.counted {
            writeln!(f, "counted       {} sat as {}", counted.sat, counted.name)?;
        }
        write!(f, "as of block   {}\nbecause", self.height)?;
        for reason in &self.reasons {
            write!(f, "\n  {} [{}]", reason.text, reason.code)?;
        }
        Ok(())
    }
}

/// `wallet explain TXID`.
#[derive(Debug, Serialize)]
pub struct StepExplanation {
    /// The transaction.
    pub txid: String,
    /// `deploy`, `settle`, `announce`, `cancel` or `execute`; null where it moves no roster NFT.
    pub action: Option<&'static str>,
    /// Epoch of the roster that holds the NFT after it.
    pub epoch: Option<u64>,
    /// Of a mined announcement: the first block that may hold the hand-over.
    pub earliest_height: Option<u32>,
    /// What is known of it.
    pub reasons: Vec<Reason>,
}

impl StepExplanation {
    /// The wallet's explanation of a transaction.
    pub fn new(txid: Txid, explained: ExplainedStep) -> Self {
        let reason = |reason: grail_wallet::explain::Reason| Reason {
            code: reason.code,
            text: reason.text,
        };
        Self {
            txid: txid.to_string(),
            action: explained.action,
            epoch: explained.epoch,
            earliest_height: explained.earliest_height,
            reasons: explained.reasons.into_iter().map(reason).collect(),
        }
    }
}

impl Display for StepExplanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "transaction   {}", self.txid)?;
        for reason in &self.reasons {
            write!(f, "\n  {} [{}]", reason.text, reason.code)?;
        }
        Ok(())
    }
}
