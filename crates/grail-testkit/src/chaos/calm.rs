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
/// Blocks that must be read before a request is taken for unpaid: until then a coin that the
/// backend has not seen may be one that a settlement has spent, in a block that is yet to be read
/// or in the mempool, which a restored backend does not know.
const BLOCKS_UNPAID: u32 = 2;
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
        let mut unpaid_since: Vec<Option<u32>> = vec![None; self.wanted.len()];
        loop {
            self.pay_again();
            let has_waiting = !self.cluster.node.chain().mempool_txids()?.is_empty();
            if has_waiting || last_block.elapsed() >= IDLE_BLOCK_INTERVAL {
                self.cluster.node.mine(1);
                last_block = Instant::now();
            }
            let height_read = self.height_read()?;
            let height = self.cluster.node.height();
            let mut open = Vec::new();
            // No end is asked for more often than it must be: the API hears only so many receipts.
            for ((wanted, end), since) in self.wanted.iter().zip(&mut ends).zip(&mut unpaid_since) {
                let is_due = since.is_none_or(|since| height_read >= since + BLOCKS_UNPAID);
                if end.is_none() && is_due {
                    *end = wanted.end(&self.cluster)?;
                    if *end == Some(End::Unpaid) && since.is_none() {
                        (*since, *end) = (Some(height), None);
                    }
                }
                match end {
                    // Nobody tries any more, or it might be paid after all, and not be counted.
                    Some(End::Unpaid) => self
                        .payments
                        .retain(|payment| payment.compute_txid() != wanted.deposit.txid),
                    Some(End::Paid { .. } | End::PaidForAnother | End::FeeAboveCap) => {}
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

    /// The height that the backend has read; 0 while it does not say.
    fn height_read(&self) -> Result<u32> {
        match self.cluster.api().reserves() {
            Ok(reserves) => Ok(reserves.height),
            Err(error) => passing(error).map(|()| 0),
        }
    }

    fn judge(&mut self, ends: &[End]) -> Result<()> {
        let alarms = self.alarms()?;
        ensure!(alarms.is_empty(), "alarms that stop the bridge: {alarms:?}");

        let ledger = self.cluster.ledger()?;
        let mut sums = self.settled;
        for (wanted, end) in self.wanted.iter().zip(ends) {
            match end {
                End::Paid { amount_out, .. } => sums.add(wanted, *amount_out),
                // Of two deposits that were served the API tells one.
                End::PaidForAnother => sums.minted += self.minted_for(&ledger, &wanted.deposit)?,
                End::Unpaid | End::FeeAboveCap => {}
            }
        }
        // What strangers paid is nobody's request, and is told by the chain alone.
        for dust in &self.dust {
            sums.minted += self.minted_for(&ledger, dust)?;
        }
        let audit = ledger.audit(&self.cluster.deployment)?;
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
                End::PaidForAnother => self.report.paid_for_another += 1,
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
