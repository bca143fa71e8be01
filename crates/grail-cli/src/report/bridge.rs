//! Answers about requests, the roster and reserves.

use std::fmt::{Display, Formatter, Result};

use grail_api::{BridgeStatus, FormerRoster, Outflow};
use grail_wallet::roster::printable;
use serde::Serialize;

use super::{btc, zkbtc};

/// `bridge`.
#[derive(Debug, Serialize)]
pub struct BridgeReport {
    /// What the API says.
    #[serde(flatten)]
    pub status: BridgeStatus,
}

impl Display for BridgeReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let status = &self.status;
        write!(f, "state         {}", status.state)?;
        if let Some(seconds) = status.expected_wait_seconds {
            write!(
                f,
                ", about {seconds} s from a confirmed deposit to its settlement"
            )?;
        }
        for reason in &status.reasons {
            write!(
                f,
                "\nbecause       {} [{}]",
                printable(&reason.detail),
                reason.code
            )?;
        }
        write!(
            f,
            "\noperators     {} of {} heard of, {} must sign\nblock         {}",
            status.operators_heard, status.operators, status.threshold, status.height
        )?;
        match &status.outflow {
            Some(outflow) => leaving(f, outflow),
            None => write!(f, "\nmay leave     not known"),
        }
    }
}

/// What may leave now, and from when on more.
fn leaving(f: &mut Formatter<'_>, outflow: &Outflow) -> Result {
    write!(
        f,
        "\nmay leave     {} on balance by now, of {} at once and {} with every block",
        zkbtc(outflow.may_leave_sat),
        zkbtc(outflow.cap_sat),
        zkbtc(outflow.rate_sat_per_block)
    )?;
    match outflow.blocks_until_more {
        Some(blocks) => write!(
            f,
            "\n              more in {blocks} block(s), all of it in {}",
            outflow.blocks_until_empty
        ),
        None => Ok(()),
    }
}

/// `peg-in`, `peg-out`.
#[derive(Debug, Serialize)]
pub struct Pegged {
    /// The request.
    pub id: String,
    /// Direction.
    pub kind: String,
    /// What was deposited.
    pub amount_sat: u64,
    /// Who gets the other side.
    pub to: String,
    /// Where the deposit went.
    pub deposit_address: String,
    /// The deposit.
    pub deposit_outpoint: String,
    /// What the deposit itself cost.
    pub fee_sat: u64,
    /// Most that the settlement may cost.
    pub fee_cap_sat: u64,
    /// What it is expected to cost.
    pub estimated_fee_share_sat: u64,
    /// File with the receipt.
    pub receipt_file: String,
    /// Whether the words alone find the deposit, without the receipt.
    pub is_found_by_words: bool,
    /// Last height whose block may hold the deposit.
    pub deadline_height: u32,
}

impl Display for Pegged {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let amount = if self.kind == "peg-out" {
            zkbtc(self.amount_sat)
        } else {
            btc(self.amount_sat)
        };
        let is_sponsor = self.kind.starts_with("sponsor-");
        writeln!(f, "{} of {amount} to {}", self.kind, self.to)?;
        writeln!(f, "request       {}", self.id)?;
        writeln!(
            f,
            "deposit       {} at {}",
            self.deposit_outpoint, self.deposit_address
        )?;
        write!(f, "fee           {}; ", btc(self.fee_sat))?;
        if is_sponsor {
            writeln!(f, "all of the deposit goes to the miners, or is taken back")?;
        } else {
            writeln!(
                f,
                "the settlement's share about {}, at most {}",
                btc(self.estimated_fee_share_sat),
                btc(self.fee_cap_sat)
            )?;
        }
        writeln!(f, "receipt       {}", self.receipt_file)?;
        write!(f, "follow it with: grail status {} --watch", self.id)
    }
}

/// `reclaim`.
#[derive(Debug, Serialize)]
pub struct Reclaimed {
    /// The request.
    pub id: String,
    /// The transaction's name.
    pub txid: String,
    /// The transaction, hex.
    pub raw_transaction: String,
    /// Where the deposit goes.
    pub to: String,
    /// BTC that comes back to that address.
    pub amount_sat: u64,
    /// zkBTC that comes back.
    pub token_sat: Option<u64>,
    /// Confirmations that the deposit must have before this can be mined.
    pub delay: u16,
    /// Whether it was handed to the node.
    pub is_broadcast: bool,
}

impl Display for Reclaimed {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(
            f,
            "reclaims      {} to {}",
            self.token_sat.map_or_else(|| btc(self.amount_sat), zkbtc),
            self.to
        )?;
        writeln!(f, "transaction   {}", self.txid)?;
        if self.is_broadcast {
            write!(f, "sent")
        } else {
            write!(
                f,
                "valid once the deposit has {} confirmations:\n{}",
                self.delay, self.raw_transaction
            )
        }
    }
}

/// One signer in `roster`.
#[derive(Debug, Serialize)]
pub struct SignerReport {
    /// Position.
    pub index: u16,
    /// The operator's name for itself.
    pub name: String,
    /// The signer's key.
    pub public_key: String,
    /// Whether its evidence verifies.
    pub is_attested: bool,
    /// The enclave image.
    pub pcr0: Option<String>,
    /// When the evidence was made, unix seconds.
    pub attested_at: Option<u64>,
    /// Why it is not believed: `evidence-invalid`, or `clock-late` where only this computer's clock
    /// speaks against it.
    pub code: Option<&'static str>,
    /// The same in words.
    pub reason: Option<String>,
    /// The brake of its operator's own that keeps it from signing, by the server's word.
    pub fail_safe: Option<String>,
}

/// `roster`.
#[derive(Debug, Serialize)]
pub struct RosterReport {
    /// Number of the roster.
    pub epoch: u64,
    /// Signers that must agree.
    pub threshold: u16,
    /// The Grail address.
    pub address: String,
    /// Root that the evidence was verified under.
    pub trust_anchor: String,
    /// Every signer.
    pub signers: Vec<SignerReport>,
    /// Where the roster NFT is.
    pub nft_outpoint: String,
    /// `verified`, `not-checked` (no node), or the code of what does not fit.
    pub nft: String,
    /// Former rosters whose operators are still needed, by the API's word.
    pub former: Vec<FormerRoster>,
}

impl Display for RosterReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(
            f,
            "epoch         {}, {} of {} must sign",
            self.epoch,
            self.threshold,
            self.signers.len()
        )?;
        writeln!(f, "address       {}", self.address)?;
        writeln!(f, "roster NFT    {}: {}", self.nft_outpoint, self.nft)?;
        write!(f, "evidence      under {}", self.trust_anchor)?;
        for signer in &self.signers {
            write!(
                f,
                "\n{:>3}  {:<20} {}  ",
                signer.index, signer.name, signer.public_key
            )?;
            match (&signer.pcr0, &signer.reason) {
                (Some(pcr0), _) => write!(f, "attested, image {}", pcr0.get(..16).unwrap_or(pcr0))?,
                (None, reason) => write!(
                    f,
                    "NOT ATTESTED: {} [{}]",
                    reason.as_deref().unwrap_or("no reason"),
                    signer.code.unwrap_or("evidence-invalid")
                )?,
            }
            if let Some(code) = &signer.fail_safe {
                write!(f, ", signs nothing now: {code}")?;
            }
        }
        for former in &self.former {
            write!(
                f,
                "\nformer        epoch {}, whose operators are needed up to block {}",
                former.epoch, former.serves_until_height
            )?;
        }
        Ok(())
    }
}

/// A roster in `rosters`.
#[derive(Debug, Serialize)]
pub struct RosterEpochReport {
    /// Number of the roster.
    pub epoch: u64,
    /// Signers that must agree.
    pub threshold: u16,
    /// Signers.
    pub signer_count: usize,
    /// Signers that the roster before did not have.
    pub new_key_count: usize,
    /// The Grail address.
    pub address: String,
    /// The transaction that made it.
    pub txid: String,
    /// Height of its block, by the API.
    pub height: Option<u32>,
    /// `mined` by the node's own word, `unconfirmed`, or `not-checked` (no node).
    pub block: String,
    /// Of a former roster: its operators keep its keys and answer up to this height, by the API.
    pub serves_until_height: Option<u32>,
}

/// `rosters`: each followed from the one before.
#[derive(Debug, Serialize)]
pub struct RostersReport {
    /// From the deployment on.
    pub epochs: Vec<RosterEpochReport>,
    /// The file that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Display for RostersReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(
            f,
            "epoch   must sign  new keys   height  block        transaction"
        )?;
        for epoch in &self.epochs {
            let height = epoch
                .height
                .map_or_else(String::new, |height| height.to_string());
            write!(
                f,
                "\n{:>5}  {:>3} of {:>3}  {:>8}  {height:>7}  {:<11}  {}",
                epoch.epoch,
                epoch.threshold,
                epoch.signer_count,
                epoch.new_key_count,
                epoch.block,
                epoch.txid
            )?;
        }
        match &self.file {
            Some(file) => write!(f, "\nfile    {file}"),
            None => Ok(()),
        }
    }
}

/// Reserves from one source.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "see grail_api::Reserves")]
pub struct ReservesView {
    pub vault_sat: u64,
    pub supply_sat: u64,
    pub donations_sat: u64,
    pub nft_outpoint: String,
    pub output_count: usize,
    pub height: u32,
}

/// `reserves`.
#[derive(Debug, Serialize)]
pub struct ReservesReport {
    /// What the API says.
    pub api: ReservesView,
    /// What the chain says, with a node.
    pub chain: Option<ReservesView>,
    /// Whether the chain holds at least as much BTC as there is zkBTC; unknown without a node.
    pub is_backed: Option<bool>,
    /// Whether API and chain say the same, where both are of one block.
    pub agrees: Option<bool>,
}

impl Display for ReservesReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let line = |f: &mut Formatter<'_>, source: &str, view: &ReservesView| {
            write!(
                f,
                "{source:<13} locked {}, supply {}, donations {}, {} outputs, block {}",
                btc(view.vault_sat),
                zkbtc(view.supply_sat),
                btc(view.donations_sat),
                view.output_count,
                view.height
            )
        };
        line(f, "API", &self.api)?;
        match &self.chain {
            Some(chain) => {
                f.write_str("\n")?;
                line(f, "chain", chain)?;
            }
            None => write!(f, "\nchain         not checked: give --node")?,
        }
        if let Some(is_backed) = self.is_backed {
            write!(
                f,
                "\n{}",
                if is_backed {
                    "every zkBTC is backed"
                } else {
                    "NOT BACKED: more zkBTC than locked BTC"
                }
            )?;
        }
        match self.agrees {
            Some(true) => write!(f, "\nAPI and chain agree"),
            Some(false) => write!(f, "\nAPI AND CHAIN DISAGREE"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sponsor_gives_btc_and_all_of_it() {
        let mut pegged = Pegged {
            id: "7".to_owned(),
            kind: "sponsor-merge".to_owned(),
            amount_sat: 30_000,
            to: "the miners".to_owned(),
            deposit_address: "address".to_owned(),
            deposit_outpoint: "outpoint".to_owned(),
            fee_sat: 156,
            fee_cap_sat: 30_000,
            estimated_fee_share_sat: 2_625,
            receipt_file: "file".to_owned(),
            is_found_by_words: false,
            deadline_height: 9,
        };
        let told = pegged.to_string();
        assert!(told.starts_with("sponsor-merge of 0.0003 BTC to the miners\n"));
        assert!(told.contains("\nfee           0.00000156 BTC; all of the deposit goes"));
        pegged.kind = "peg-out".to_owned();
        let told = pegged.to_string();
        assert!(told.starts_with("peg-out of 0.0003 zkBTC to"));
        assert!(told.contains("share about 0.00002625 BTC, at most 0.0003 BTC"));
    }
}
