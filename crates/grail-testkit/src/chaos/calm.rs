//! Calm: everything runs and is honest, and each request has its end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use grail_chain::Chain as _;
use grail_flow::Severity;

use super::disturb::World;
use super::draw::Drawer;
use super::report::Report;
use super::requests::{End, Sums, passing};

/// Everybody has an end by then; on a busy machine it takes a tenth.
const PATIENCE: Duration = Duration::from_mins(4);
/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Without anything in the mempool a block comes so often.
const IDLE_BLOCK_INTERVAL: Duration = Duration::from_secs(1);
/// Payments kept: those of a few rounds.
const PAYMENTS_MAX: usize = 120;

impl World {
    pub(super) fn begin_round(&mut self, drawer: &mut Drawer) -> Result<()> {
        let old = self.payments.len().saturating_sub(PAYMENTS_MAX);
        self.payments.drain(..old);
        self.peg_out(drawer).context("peg-outs")
    }

    /// Ends all disturbances, waits until every request has its end, and compares with the chain.
    pub(super) fn calm(&mut self) -> Result<()> {
        self.be_honest()?;
        self.prover.be_honest();
        self.set_weather(false)?;
        self.revive_operators()?;
        let began = Instant::now();
        let ends = self.until_all_have_ended(began + PATIENCE)?;
        self.report.calm_took(began.elapsed());
        self.judge(&ends)
    }

    fn until_all_have_ended(&mut self, deadline: Instant) -> Result<Vec<End>> {
        let mut last_block = Instant::now();
        let mut ends: Vec<Option<End>> = vec![None; self.wanted.len()];
        loop {
            self.pay_again();
            let has_waiting = !self.cluster.node.chain().mempool_txids()?.is_empty();
            if has_waiting || last_block.elapsed() >= IDLE_BLOCK_INTERVAL {
                self.cluster.node.mine(1);
                last_block = Instant::now();
            }
            let is_quiet = self.is_quiet()?;
            let mut open = Vec::new();
            // Each end is asked for once: the API hears only so many receipts a second.
            for (wanted, end) in self.wanted.iter().zip(&mut ends) {
                if end.is_none() {
                    *end = wanted.end(&self.cluster)?;
                }
                // A backend that still reads the chain says of a coin that is spent already that it
                // has never seen it, and a restored one knows no settlement that waits.
                if !is_quiet && *end == Some(End::Unpaid) {
                    *end = None;
                }
                match end {
                    // Nobody tries any more, or it might be paid after all, and not be counted.
                    Some(End::Unpaid) => self
                        .payments
                        .retain(|payment| payment.compute_txid() != wanted.deposit.txid),
                    Some(End::Paid { .. } | End::FeeAboveCap) => {}
                    None => open.push(wanted.asked.id),
                }
            }
            if open.is_empty() {
                return Ok(ends.into_iter().flatten().collect());
            }
            ensure!(
                Instant::now() < deadline,
                "{} requests have no end after {PATIENCE:?} of calm, {} among them; alarms: {:?}",
                open.len(),
                open[0],
                self.alarms()?
            );
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Whether the backend has read all blocks, and nothing waits for one.
    fn is_quiet(&self) -> Result<bool> {
        let height = match self.cluster.api().reserves() {
            Ok(reserves) => reserves.height,
            Err(error) => return passing(error).map(|()| false),
        };
        let node = &self.cluster.node;
        Ok(height >= node.height() && node.chain().mempool_txids()?.is_empty())
    }

    fn judge(&mut self, ends: &[End]) -> Result<()> {
        let alarms = self.alarms()?;
        ensure!(alarms.is_empty(), "alarms that stop the bridge: {alarms:?}");

        let mut sums = self.settled;
        for (wanted, end) in self.wanted.iter().zip(ends) {
            if let End::Paid { amount_out, .. } = end {
                sums.add(wanted, *amount_out);
            }
        }
        let audit = self.cluster.ledger()?.audit(&self.cluster.deployment)?;
        audit.check().context("the books by the chain")?;
        // Nobody got twice, and nobody's money is anywhere else.
        ensure!(
            audit.state.supply + sums.burned == sums.minted,
            "supply {} by the chain; {} minted and {} burned by what users were told",
            audit.state.supply,
            sums.minted,
            sums.burned
        );

        let mut ends = ends.iter();
        let (settled, report) = (&mut self.settled, &mut self.report);
        self.wanted.retain(|wanted| {
            let Some(end) = ends.next() else { return true };
            if let End::Paid { amount_out, .. } = end
                && end.is_for_good()
            {
                settled.add(wanted, *amount_out);
                report.paid += 1;
            }
            !end.is_for_good()
        });
        Ok(())
    }

    /// Alarms that stop the bridge.
    fn alarms(&self) -> Result<Vec<String>> {
        let alarms = self.cluster.rows()?.alarms()?;
        Ok(alarms
            .into_iter()
            .filter(|alarm| alarm.code.severity() == Severity::Stop)
            .map(|alarm| format!("{}: {}", alarm.code.name(), alarm.details))
            .collect())
    }

    /// After the last round: blocks until no reorg reaches anything, and the whole is told.
    pub(super) fn finish(mut self) -> Result<Report> {
        self.cluster.node.mine(super::requests::BEYOND_REORGS);
        let cluster = &self.cluster;
        cluster.until("the backend to follow the chain", || {
            let height = cluster.api().reserves()?.height;
            Ok((height >= cluster.node.height()).then_some(()))
        })?;
        self.calm()?;
        let mut sums = Sums::default();
        for wanted in &self.wanted {
            match wanted.end(&self.cluster)?.context("an end")? {
                End::Paid { amount_out, .. } => sums.add(wanted, amount_out),
                End::Unpaid => self.report.unpaid += 1,
                End::FeeAboveCap => self.report.fee_above_cap += 1,
            }
        }
        ensure!(
            sums == Sums::default(),
            "paid requests that are not yet beyond all reorgs: {sums:?}"
        );
        for alarm in self.cluster.rows()?.alarms()? {
            *self
                .report
                .alarms
                .entry(alarm.code.name().to_owned())
                .or_default() += alarm.seen;
        }
        self.report.blocks = self.cluster.node.height();
        Ok(self.report)
    }
}
