//! Where a request stands.

use std::fmt::{Display, Formatter, Result};

use grail_api::{HoldingRoster, Kind, ReclaimCode, RequestState, RequestStatus};
use serde::Serialize;

use super::{btc, zkbtc};

/// `status`.
#[derive(Debug, Serialize)]
pub struct StatusReport {
    /// What the API says.
    #[serde(flatten)]
    pub status: RequestStatus,
    /// Deposits that this wallet sent, or may have: the API sees them later, or never.
    pub sent_here: Vec<String>,
}

impl Display for StatusReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let status = &self.status;
        let is_peg_in = status.kind == Kind::PegIn;
        let amount_out = |sat| if is_peg_in { zkbtc(sat) } else { btc(sat) };
        writeln!(f, "{}       {}", status.kind, status.id)?;
        write!(
            f,
            "state         {}{}",
            status.state,
            explained(status.state, status.code, self.sent_here.is_empty())
        )?;
        match &status.deposit {
            Some(deposit) => {
                write!(
                    f,
                    "\ndeposit       {} at {}, {} of {} confirmations",
                    paid_in(deposit.amount_sat, deposit.token_sat),
                    deposit.outpoint,
                    deposit.confirmations,
                    deposit.confirmations_needed
                )?;
            }
            None if !self.sent_here.is_empty() => write!(
                f,
                "\ndeposit       sent from here, not seen by the API yet: {}",
                self.sent_here.join(", ")
            )?,
            None => write!(
                f,
                "\ndeposit       none yet; expected at {} up to block {}",
                status.deposit_address, status.deadline_height
            )?,
        }
        if let Some(settlement) = &status.settlement {
            write!(
                f,
                "\nsettlement    {} ({}), {} of {} confirmations\npays          {}{}, fee share {}",
                settlement.txid,
                settlement.state,
                settlement.confirmations,
                settlement.confirmations_needed,
                amount_out(settlement.amount_out_sat),
                settlement
                    .output_index
                    .map_or_else(String::new, |index| format!(" at output {index}")),
                btc(settlement.fee_share_sat)
            )?;
        }
        if !status.state.is_terminal() {
            let told = match status.holding_roster {
                Some(HoldingRoster::Leaving) => {
                    "\nroster        is about to hand over: its signers are asked then too"
                }
                Some(HoldingRoster::Former) => {
                    "\nroster        has handed over: its signers are asked still"
                }
                Some(HoldingRoster::Gone) => {
                    "\nroster        has handed over and is not asked: take back what it holds"
                }
                Some(HoldingRoster::Holds) | None => "",
            };
            f.write_str(told)?;
        }
        if let Some(wait) = &status.fee_wait {
            write!(
                f,
                "\nwaits         for lower fees since block {}, until block {}",
                wait.since_height, wait.until_height
            )?;
        }
        if let Some(wait) = &status.outflow_wait {
            write!(
                f,
                "\nwaits         {} may leave by now, so much {} [{}]",
                zkbtc(wait.may_leave_sat),
                wait.blocks.map_or_else(
                    || "only with others that come in".to_owned(),
                    |blocks| format!("in {blocks} block(s) at the earliest")
                ),
                wait.code
            )?;
        }
        for refused in &status.refusals {
            write!(
                f,
                "\nrefused       by signer {}: {} ({})",
                refused.signer,
                refused.code,
                grail_wallet::roster::printable(&refused.details)
            )?;
        }
        for other in &status.other_deposits {
            write!(
                f,
                "\nnot served    {} at {}: {}",
                paid_in(other.amount_sat, other.token_sat),
                other.outpoint,
                other.code
            )?;
        }
        if let (Some(reclaim), RequestState::Reclaimable) = (&status.reclaim, status.state) {
            match reclaim.possible_at_height {
                Some(height) => write!(
                    f,
                    "\nreclaim       from block {height} on: grail reclaim {}",
                    status.id
                )?,
                None => write!(
                    f,
                    "\nreclaim       {} blocks after the deposit confirms: grail reclaim {}",
                    reclaim.delay, status.id
                )?,
            }
        }
        Ok(())
    }
}

/// What an output brings, whatever its request was for: zkBTC where it carries some, else its coin.
fn paid_in(amount_sat: u64, token_sat: Option<u64>) -> String {
    token_sat.map_or_else(|| btc(amount_sat), zkbtc)
}

fn explained(state: RequestState, code: Option<ReclaimCode>, is_unpaid: bool) -> String {
    match code {
        _ if state == RequestState::Taken => {
            " (operators spent its deposit against the bridge's rules)".to_owned()
        }
        Some(code) => format!(" ({code})"),
        None if is_unpaid && state == RequestState::AwaitingDeposit => {
            " (pay it before the deadline)".to_owned()
        }
        None => String::new(),
    }
}
