//! What users asked for and paid, and what became of it.

use anyhow::{Context, Result, bail};
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Amount, OutPoint, Transaction, TxOut, Txid};
use grail_api::client::ClientError;
use grail_api::{Kind, ProblemCode, RequestState, RequestStatus, RestoreRequest};
use grail_chain::{Chain as _, View};
use grail_charms::token_amount;
use grail_spell::token_app;
use serde_json::json;

use super::disturb::World;
use super::draw::Drawer;
use crate::cluster::Cluster;
use crate::ledger::Ledger;
use crate::user::{Asked, User};

/// Peg-outs of a round, at most.
const PEG_OUTS_MAX: u64 = 3;
/// Less zkBTC than this many peg-outs need is left where it is.
const PEG_OUT_MIN_SAT: u64 = 60_000;
/// BTC for the fees of a transfer.
const PURSE: Amount = Amount::from_sat(300_000);
/// Confirmations from which on no reorg of a run reaches a settlement.
pub(super) const BEYOND_REORGS: u32 = 25;

/// A request that was paid by its user.
#[derive(Debug)]
pub(super) struct Wanted {
    pub asked: Asked,
    /// What the user paid.
    pub deposit: OutPoint,
    /// What was in it: sat of BTC, or of zkBTC.
    pub amount: u64,
    /// Whether fees were high at some time since.
    pub had_high_fees: bool,
}

/// What became of a request in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Paid: so much was minted (peg-in) or paid out (peg-out).
    Paid { amount_out: u64, confirmations: u32 },
    /// A stranger's payment was served, which came first. The user's own, if it is in a block, is
    /// the user's to take back, or was served as well.
    PaidForAnother,
    /// The payment is in no block and can be in none.
    Unpaid,
    /// Its part of the fee was above its cap for too long.
    FeeAboveCap,
}

impl End {
    /// Whether no reorg of a run can change it any more.
    pub(super) const fn is_for_good(self) -> bool {
        match self {
            Self::Paid { confirmations, .. } => confirmations >= BEYOND_REORGS,
            Self::PaidForAnother | Self::Unpaid | Self::FeeAboveCap => false,
        }
    }
}

impl Wanted {
    /// What became of it; none yet.
    pub(super) fn end(&self, cluster: &Cluster) -> Result<Option<End>> {
        let status = match cluster.api().request(self.asked.kind, &self.asked.id) {
            Ok(status) => status,
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::NotFound => {
                return self.hand_in_receipt(cluster);
            }
            Err(error) => return passing(error).map(|()| None),
        };
        self.end_by(&status, cluster)
    }

    fn end_by(&self, status: &RequestStatus, cluster: &Cluster) -> Result<Option<End>> {
        match status.state {
            RequestState::Paid => {
                let settlement = status.settlement.as_ref().context("paid by nothing")?;
                let deposit = status.deposit.as_ref().context("paid for nothing")?;
                Ok(Some(if deposit.outpoint == self.deposit {
                    End::Paid {
                        amount_out: settlement.amount_out_sat,
                        confirmations: settlement.confirmations,
                    }
                } else {
                    End::PaidForAnother
                }))
            }
            RequestState::Unconfirmed | RequestState::Ready | RequestState::Settling => Ok(None),
            RequestState::AwaitingDeposit | RequestState::Expired => self.unpaid(cluster),
            RequestState::Reclaimable => match status.code {
                Some(grail_api::ReclaimCode::FeeAboveCap) if self.had_high_fees => {
                    Ok(Some(End::FeeAboveCap))
                }
                code => bail!("request {} is not served: {code:?}", status.id),
            },
            RequestState::Reclaimed => bail!("request {} was taken back by nobody", status.id),
            RequestState::Taken => bail!("the deposit of request {} was taken", status.id),
        }
    }

    /// That it was never paid, if so. One that was paid for, and is said not to be, shows in the
    /// sums.
    fn unpaid(&self, cluster: &Cluster) -> Result<Option<End>> {
        let chain = cluster.node.chain();
        let coin = chain.tx_out(&self.deposit, View::WithMempool)?;
        Ok(coin.is_none().then_some(End::Unpaid))
    }

    /// The database is a copy of before the request: its user hands in the receipt.
    fn hand_in_receipt(&self, cluster: &Cluster) -> Result<Option<End>> {
        let body = RestoreRequest {
            receipt: self.asked.receipt.clone(),
            deposit: Some(self.deposit),
        };
        match cluster.api().restore(&body) {
            Ok(_) => Ok(None),
            // It is in no block yet, or will be in none.
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::DepositNotFound => {
                self.unpaid(cluster)
            }
            Err(error) => passing(error).map(|()| None),
        }
    }
}

/// Passes over what passes by itself.
pub(super) fn passing(error: ClientError) -> Result<()> {
    match &error {
        ClientError::Unreachable { .. } => Ok(()),
        ClientError::Problem(problem)
            if matches!(
                problem.code,
                ProblemCode::RateLimited | ProblemCode::Unavailable
            ) =>
        {
            Ok(())
        }
        ClientError::Problem(_) | ClientError::Answer { .. } => Err(error.into()),
    }
}

impl World {
    /// Users ask for zkBTC and pay, all in one transaction.
    pub(super) fn peg_in(&mut self, count: u32, drawer: &mut Drawer) -> Result<()> {
        let api = self.cluster.api();
        let mut paid = Vec::new();
        for _ in 0..count {
            let (amount, cap) = (drawer.amount(), drawer.fee_cap());
            let user = &self.users[drawer.user(self.users.len())];
            match user.ask_peg_in_with(&api, cap) {
                Ok(asked) => paid.push((asked, amount)),
                Err(error) => self.report.turned_away += turned_away(error)?,
            }
        }
        if paid.is_empty() {
            return Ok(());
        }
        let outputs: Vec<TxOut> = paid
            .iter()
            .map(|(asked, value)| TxOut {
                value: *value,
                script_pubkey: asked.deposit_script.clone(),
            })
            .collect();
        let outpoints = self.cluster.node.fund_many(&outputs);
        self.remember_payment(outpoints[0].txid)?;
        for ((asked, amount), deposit) in paid.into_iter().zip(outpoints) {
            self.want(asked, deposit, amount.to_sat());
        }
        Ok(())
    }

    /// One user gives zkBTC back, if there is enough, and has BTC for the next time.
    pub(super) fn peg_out(&mut self, drawer: &mut Drawer) -> Result<()> {
        let user = &self.users[drawer.user(self.users.len())];
        let purse = user.script();
        let paid = ask_peg_outs(user, &self.cluster, drawer)?;
        if let Some((transaction, asked)) = paid {
            // A block may have been taken back since.
            if self.cluster.node.chain().send(&transaction).is_ok() {
                let txid = transaction.compute_txid();
                self.payments.push(transaction);
                for (vout, (asked, amount)) in (0..).zip(asked) {
                    self.want(asked, OutPoint::new(txid, vout), amount);
                }
            }
        }
        let coin = self.cluster.node.fund(&purse, PURSE);
        self.remember_payment(coin.txid)
    }

    fn want(&mut self, asked: Asked, deposit: OutPoint, amount: u64) {
        self.report.requests += 1;
        self.wanted.push(Wanted {
            asked,
            deposit,
            amount,
            had_high_fees: self.has_high_fees,
        });
    }

    /// Somebody pays the least amount to somebody else's deposit address.
    pub(super) fn strangers_dust(&mut self) -> Result<()> {
        let Some(wanted) = self.wanted.last() else {
            return Ok(());
        };
        let least = self.cluster.params().deposit_min;
        let coin = self.cluster.node.fund(&wanted.asked.deposit_script, least);
        self.dust.push(coin);
        self.remember_payment(coin.txid)
    }

    /// What was minted for this deposit, by the chain; nothing while no settlement spends it.
    pub(super) fn minted_for(&self, ledger: &Ledger, deposit: &OutPoint) -> Result<u64> {
        let Some(settlement) = ledger.spender(deposit) else {
            return Ok(0);
        };
        let mut inputs = settlement.input.iter();
        let input = inputs.position(|input| input.previous_output == *deposit);
        let input = input.context("a spender that does not spend")?;
        // By position (ADR 3): behind NFT and vault, which have one script, deposits and what is
        // paid for them are in the same order.
        let house = &settlement.output[0].script_pubkey;
        let spent = settlement
            .input
            .iter()
            .filter_map(|input| ledger.output(&input.previous_output));
        let inputs_before = spent
            .take_while(|output| output.script_pubkey == *house)
            .count();
        let mut outputs = settlement.output.iter();
        let outputs_before = outputs
            .position(|output| output.script_pubkey != *house)
            .context("a settlement that pays nobody")?;
        let vout = u32::try_from(input + outputs_before - inputs_before)?;
        let paid = ledger.charms(&OutPoint::new(settlement.compute_txid(), vout));
        Ok(token_amount(&paid, &token_app(&self.cluster.bridge().app))?)
    }

    /// Whoever pays hands the payment to the node again, should it be forgotten.
    fn remember_payment(&mut self, txid: Txid) -> Result<()> {
        let rpc = self.cluster.node.rpc();
        let hex: String = rpc.call("getrawtransaction", &[json!(txid)])?;
        self.payments.push(deserialize_hex(&hex)?);
        Ok(())
    }

    /// Hands every payment of late to the node again.
    pub(super) fn pay_again(&self) {
        for payment in &self.payments {
            // In a block, in the mempool, or spent otherwise: all as it should be.
            let _ = self.cluster.node.chain().send(payment);
        }
    }
}

type PegOuts = (Transaction, Vec<(Asked, u64)>);

/// A transfer that pays new peg-outs; none when the user has too little for one.
fn ask_peg_outs(user: &User, cluster: &Cluster, drawer: &mut Drawer) -> Result<Option<PegOuts>> {
    let ledger = cluster.ledger()?;
    let tokens: u64 = user.tokens(&ledger, cluster.bridge())?.values().sum();
    let count = (tokens / PEG_OUT_MIN_SAT).min(PEG_OUTS_MAX);
    if count == 0 || user.coins(&ledger).is_empty() {
        return Ok(None);
    }
    let count = drawer.up_to(count);
    let each = drawer.between(PEG_OUT_MIN_SAT, tokens / count);
    let asked = (0..count)
        .map(|_| Ok((user.ask_peg_out(&cluster.api())?, each)))
        .collect::<Result<Vec<_>>>()?;
    let to: Vec<_> = asked
        .iter()
        .map(|(asked, amount)| (asked.deposit_script.clone(), *amount))
        .collect();
    let transaction = user.transfer(&ledger, cluster.protocol(), &to)?;
    Ok(Some((transaction, asked)))
}

/// One request that nobody has, if the API said so in words that it may use under disturbance.
fn turned_away(error: anyhow::Error) -> Result<u64> {
    match error.downcast::<ClientError>() {
        Ok(ClientError::Problem(problem))
            if matches!(
                problem.code,
                ProblemCode::FeeCapTooLow | ProblemCode::Paused
            ) =>
        {
            Ok(1)
        }
        Ok(error) => passing(error).map(|()| 1),
        Err(error) => Err(error),
    }
}

/// What all paid requests got, against what the chain says.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sums {
    pub minted: u64,
    pub burned: u64,
}

impl Sums {
    pub(super) fn add(&mut self, wanted: &Wanted, amount_out: u64) {
        match wanted.asked.kind {
            Kind::PegIn => self.minted += amount_out,
            Kind::PegOut => self.burned += wanted.amount,
            Kind::SponsorAnnounce
            | Kind::SponsorCancel
            | Kind::SponsorExecute
            | Kind::SponsorMerge => {}
        }
    }
}
