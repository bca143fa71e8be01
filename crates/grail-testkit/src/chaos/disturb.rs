//! Disturbances, done to a running system.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result};
use bitcoin::{OutPoint, ScriptBuf, Transaction};
use grail_chain::BlockSource as _;
use serde_json::json;

use super::BACKEND;
use super::draw::{Disturbance, Drawer, NodeLie};
use super::report::Report;
use super::requests::{Sums, Wanted};
use crate::cluster::Cluster;
use crate::gate::Tale;
use crate::prover::ProverServer;
use crate::relay::Weather;
use crate::user::User;

/// Users of a run: each has several requests under way.
const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];
/// Fees above this may exceed somebody's cap.
const HIGH_FEES_SAT_PER_VB: u32 = 3;
/// Files of a database.
const DATABASE_ENDS: [&str; 3] = ["", "-wal", "-shm"];

/// A system under disturbance, and what is expected of it.
pub(super) struct World {
    pub cluster: Cluster,
    pub prover: ProverServer,
    pub report: Report,
    pub users: Vec<User>,
    /// Requests whose end a reorg may still change.
    pub wanted: Vec<Wanted>,
    /// Of those whose end it cannot change.
    pub settled: Sums,
    /// Payments of this round and the ones before that reorgs reach.
    pub payments: Vec<Transaction>,
    /// Payments of strangers to addresses of others.
    pub dust: Vec<OutPoint>,
    pub has_high_fees: bool,
    /// No block up to here is taken back: the deployment is in it.
    floor: u32,
    paused: BTreeSet<usize>,
    backup: Option<PathBuf>,
}

impl World {
    pub(super) fn new(cluster: Cluster, prover: ProverServer) -> Self {
        Self {
            floor: cluster.node.height(),
            report: Report::default(),
            users: USERS.into_iter().map(User::new).collect(),
            wanted: Vec::new(),
            settled: Sums::default(),
            payments: Vec::new(),
            dust: Vec::new(),
            has_high_fees: false,
            paused: BTreeSet::new(),
            backup: None,
            cluster,
            prover,
        }
    }

    pub(super) fn disturb(&mut self, what: &Disturbance, drawer: &mut Drawer) -> Result<()> {
        self.report.count(what);
        match *what {
            Disturbance::PegIns(count) => self.peg_in(count, drawer)?,
            Disturbance::StrangersDust => self.strangers_dust()?,
            Disturbance::Blocks(count) => _ = self.cluster.node.mine(count),
            Disturbance::EmptyBlock => _ = self.cluster.node.mine_empty(),
            Disturbance::Reorg { depth, is_empty } => self.reorg(depth, is_empty)?,
            Disturbance::KillBackend => {
                self.cluster.backend.kill();
                self.start_backend()?;
            }
            Disturbance::RestartBackend => {
                self.cluster.backend.stop()?;
                self.start_backend()?;
            }
            Disturbance::BackUp => self.back_up()?,
            Disturbance::Restore => self.restore()?,
            Disturbance::KillHost(operator) => {
                let index = operator % self.cluster.operators.len();
                self.cluster.operators[index].kill();
                self.paused.remove(&index);
            }
            Disturbance::KillEnclave(operator) => {
                let operator = &self.cluster.operators[operator % self.cluster.operators.len()];
                // Its host may be gone, or its enclave not have booted since the last time.
                let _ = operator.kill_enclave();
            }
            Disturbance::PauseHost(operator) => {
                let index = operator % self.cluster.operators.len();
                if self.cluster.operators[index].is_running() {
                    self.cluster.operators[index].pause()?;
                    self.paused.insert(index);
                }
            }
            Disturbance::ReviveOperators => self.revive_operators()?,
            Disturbance::RestartNode => {
                self.cluster.node.restart();
                self.pay_again();
            }
            Disturbance::KillNode => {
                self.cluster.node.kill();
                self.cluster.node.restart();
                self.pay_again();
            }
            Disturbance::NodeLies(lie) => self.lie(lie)?,
            Disturbance::NodeIsHonest => self.be_honest()?,
            Disturbance::ProverLies(lie) => self.prover.lie(lie),
            Disturbance::ProverIsHonest => self.prover.be_honest(),
            Disturbance::FeeRate(rate) => self.set_fee_rate(rate)?,
            Disturbance::Weather(is_bad) => self.set_weather(is_bad)?,
        }
        Ok(())
    }

    fn start_backend(&mut self) -> Result<()> {
        // It says that it is ready once it has seen what the node really has.
        self.be_honest()?;
        self.cluster.start_backend(&BACKEND)
    }

    pub(super) fn be_honest(&mut self) -> Result<()> {
        self.gate()?.be_honest();
        self.has_high_fees = false;
        Ok(())
    }

    fn gate(&self) -> Result<&crate::gate::Gate> {
        self.cluster.gate.as_ref().context("no gate")
    }

    fn reorg(&self, depth: u32, is_empty: bool) -> Result<()> {
        let node = &self.cluster.node;
        let tip = node.height();
        let depth = depth.min(tip.saturating_sub(self.floor));
        if depth == 0 {
            return Ok(());
        }
        let first = node.chain().block_hash(tip + 1 - depth)?;
        node.invalidate(&first.context("the chain moved")?);
        // Not to be the very block that is no longer valid.
        let other = ScriptBuf::new_op_return(tip.to_be_bytes());
        if is_empty {
            node.mine_only_to(&[], &other);
        } else {
            node.mine_to(1, &other);
        }
        while node.height() <= tip {
            if is_empty {
                node.mine_empty();
            } else {
                node.mine(1);
            }
        }
        Ok(())
    }

    fn database_files(&self, folder: &std::path::Path) -> Vec<(PathBuf, PathBuf)> {
        let database = self.cluster.backend.database();
        DATABASE_ENDS
            .iter()
            .map(|end| {
                let mut file = database.clone().into_os_string();
                file.push(end);
                let copy = folder.join(format!("backend.sqlite{end}"));
                (PathBuf::from(file), copy)
            })
            .collect()
    }

    fn back_up(&mut self) -> Result<()> {
        let folder = self.cluster.folder().join("backup");
        std::fs::create_dir_all(&folder)?;
        self.cluster.backend.kill();
        for (file, copy) in self.database_files(&folder) {
            replace(&file, &copy)?;
        }
        self.backup = Some(folder);
        self.start_backend()
    }

    fn restore(&mut self) -> Result<()> {
        let Some(folder) = self.backup.clone() else {
            return Ok(());
        };
        self.cluster.backend.kill();
        for (file, copy) in self.database_files(&folder) {
            replace(&copy, &file)?;
        }
        self.start_backend()
    }

    pub(super) fn revive_operators(&mut self) -> Result<()> {
        for index in 0..self.cluster.operators.len() {
            if self.paused.remove(&index) {
                self.cluster.operators[index].resume()?;
            }
            if !self.cluster.operators[index].is_running() {
                self.cluster.start_operator(index)?;
            }
        }
        Ok(())
    }

    fn lie(&self, lie: NodeLie) -> Result<()> {
        let gate = self.gate()?;
        match lie {
            NodeLie::Vanished => gate.shut(),
            NodeLie::Lags => gate.say("getblockchaininfo", Tale::Stale),
            NodeLie::NoCoin => gate.say("gettxout", Tale::Result(json!(null))),
            NodeLie::InputsMissing => refuse_to_send(gate, -25, "bad-txns-inputs-missingorspent"),
            NodeLie::UnknownReject => refuse_to_send(gate, -26, "bad-weather"),
            NodeLie::MempoolFull => refuse_to_send(gate, -26, "mempool full"),
        }
        Ok(())
    }

    fn set_fee_rate(&mut self, sat_per_vb: u32) -> Result<()> {
        let btc_per_kvb = f64::from(sat_per_vb) / 100_000.0;
        let answer = json!({ "feerate": btc_per_kvb, "blocks": 2 });
        self.gate()?.say("estimatesmartfee", Tale::Result(answer));
        if sat_per_vb > HIGH_FEES_SAT_PER_VB {
            self.has_high_fees = true;
            for wanted in &mut self.wanted {
                wanted.had_high_fees = true;
            }
        }
        Ok(())
    }

    pub(super) fn set_weather(&self, is_bad: bool) -> Result<()> {
        let weather = if is_bad {
            Weather {
                lost_percent: 20,
                twice_percent: 20,
                gathering: Some(std::time::Duration::from_millis(50)),
            }
        } else {
            Weather::default()
        };
        let relay = self.cluster.relay.as_ref().context("no relay")?;
        relay.set_weather(weather);
        Ok(())
    }
}

fn refuse_to_send(gate: &crate::gate::Gate, code: i32, words: &str) {
    gate.say("sendrawtransaction", Tale::Error(code, words.to_owned()));
}

/// Makes `to` what `from` is: a copy of it, or nothing.
fn replace(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    if from.exists() {
        std::fs::copy(from, to)?;
    } else if to.exists() {
        std::fs::remove_file(to)?;
    }
    Ok(())
}
