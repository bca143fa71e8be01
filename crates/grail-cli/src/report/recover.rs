//! What the words alone found.

use std::fmt::{Display, Formatter, Result};

use serde::Serialize;

use super::{btc, zkbtc};

/// `recover`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "see Balance")]
pub struct Recovered {
    /// First block read.
    pub from_height: u32,
    /// Last block read.
    pub height: u32,
    /// Addresses known to be in use, to receive at.
    pub address_count: u32,
    /// Addresses that were looked for.
    pub looked_for_count: u32,
    /// Requests made above this block were looked for.
    pub requests_from_height: u32,
    /// Deposit addresses that were looked for.
    pub script_count: u64,
    /// Rosters with which they were made.
    pub roster_count: usize,
    /// The block as of which deposits were looked for.
    pub scanned_height: u32,
    /// Deposits that nobody has spent.
    pub deposits: Vec<RecoveredDeposit>,
    pub btc_sat: u64,
    pub btc_pending_sat: u64,
    pub zkbtc_sat: u64,
    pub zkbtc_pending_sat: u64,
}

/// A deposit that the words found.
#[derive(Debug, Serialize)]
pub struct RecoveredDeposit {
    /// The request. Its receipt is in the wallet's folder now.
    pub id: String,
    /// Direction.
    pub kind: String,
    /// The deposit.
    pub outpoint: String,
    /// Its coin.
    pub amount_sat: u64,
    /// zkBTC that it carries.
    pub token_sat: Option<u64>,
    /// Code of what it carries.
    pub carries: &'static str,
    /// Height of its block.
    pub height: u32,
    /// The block that may hold its reclaim, at the earliest.
    pub reclaimable_at_height: u32,
}

impl Display for Recovered {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(
            f,
            "looked for    the first {} addresses, in blocks {} to {}; {} are in use",
            self.looked_for_count, self.from_height, self.height, self.address_count
        )?;
        writeln!(
            f,
            "deposits      of requests made since block {}, with default terms, as of block {}: {} addresses of {} \
             rosters; further back with --from-height, other terms with their receipt alone",
            self.requests_from_height, self.scanned_height, self.script_count, self.roster_count
        )?;
        if self.deposits.is_empty() {
            writeln!(f, "  found       none")?;
        }
        for deposit in &self.deposits {
            let amount = deposit
                .token_sat
                .map_or_else(|| btc(deposit.amount_sat), zkbtc);
            writeln!(
                f,
                "  {}     {amount} ({}); from block {} on: grail reclaim {} --outpoint {} --broadcast",
                deposit.kind,
                deposit.carries,
                deposit.reclaimable_at_height,
                deposit.id,
                deposit.outpoint
            )?;
        }
        writeln!(f, "BTC           {}", btc(self.btc_sat))?;
        if self.btc_pending_sat > 0 {
            writeln!(f, "  pending     {}", btc(self.btc_pending_sat))?;
        }
        write!(f, "zkBTC         {}", zkbtc(self.zkbtc_sat))?;
        if self.zkbtc_pending_sat > 0 {
            write!(f, "\n  pending     {}", zkbtc(self.zkbtc_pending_sat))?;
        }
        Ok(())
    }
}
