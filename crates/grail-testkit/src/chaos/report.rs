//! What a run did and saw.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::draw::Disturbance;

/// Counts of a run.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Requests that were made and paid by their users.
    pub requests: u64,
    /// Requests that the API did not take under disturbance.
    pub turned_away: u64,
    /// Requests paid, beyond the reach of reorgs.
    pub paid: u64,
    /// Requests for which a stranger's payment was served, since it was in a block first.
    pub paid_for_another: u64,
    /// Requests whose payment came into no block.
    pub unpaid: u64,
    /// Requests whose part of the fee was above their cap for too long.
    pub fee_above_cap: u64,
    /// Processes killed: backend, hosts, enclaves, node.
    pub kills: u64,
    /// Reorgs.
    pub reorgs: u64,
    /// Databases replaced by an older copy.
    pub restores: u64,
    /// Times that the prover refused, stood still, lied or went away.
    pub prover_faults: u64,
    /// Other disturbances.
    pub others: u64,
    /// Height at the end.
    pub blocks: u32,
    /// Longest time from the end of disturbances until every request had its end, milliseconds.
    pub longest_calm_ms: u128,
    /// Alarms, by code: how often each was raised.
    pub alarms: BTreeMap<String, u64>,
}

impl Report {
    pub(super) const fn count(&mut self, what: &Disturbance) {
        match what {
            Disturbance::KillBackend
            | Disturbance::KillHost(_)
            | Disturbance::KillEnclave(_)
            | Disturbance::KillNode => self.kills += 1,
            Disturbance::Reorg { .. } => self.reorgs += 1,
            Disturbance::Restore => self.restores += 1,
            Disturbance::ProverLies(_) => self.prover_faults += 1,
            Disturbance::PegIns(_)
            | Disturbance::StrangersDust
            | Disturbance::Blocks(_)
            | Disturbance::EmptyBlock
            | Disturbance::RestartBackend
            | Disturbance::BackUp
            | Disturbance::PauseHost(_)
            | Disturbance::ReviveOperators
            | Disturbance::RestartNode
            | Disturbance::NodeLies(_)
            | Disturbance::NodeIsHonest
            | Disturbance::ProverIsHonest
            | Disturbance::FeeRate(_)
            | Disturbance::Weather(_) => self.others += 1,
        }
    }

    pub(super) fn calm_took(&mut self, time: Duration) {
        self.longest_calm_ms = self.longest_calm_ms.max(time.as_millis());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {} paid for good, {} turned away; {} kills, {} reorgs, {} restores, {} faults of the prover; longest calm {} ms",
            self.requests,
            self.paid,
            self.turned_away,
            self.kills,
            self.reorgs,
            self.restores,
            self.prover_faults,
            self.longest_calm_ms
        )
    }
}
