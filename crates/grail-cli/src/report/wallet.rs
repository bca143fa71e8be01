//! Answers about the wallet itself.

use std::fmt::{Display, Formatter, Result};

use serde::Serialize;

use super::{btc, decimal, zkbtc};

/// `init`.
#[derive(Debug, Serialize)]
pub struct Created {
    /// The folder.
    pub home: String,
    /// Its network.
    pub network: String,
    /// File with the mnemonic.
    pub mnemonic_file: String,
    /// Blocks before this are never read.
    pub birthday_height: u32,
    /// Hash of the pinned parameters.
    pub params_hash: Option<String>,
    /// First address.
    pub address: String,
}

impl Display for Created {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "wallet        {} ({})", self.home, self.network)?;
        writeln!(
            f,
            "mnemonic      {}: copy it to paper; who has it has the money",
            self.mnemonic_file
        )?;
        if let Some(hash) = &self.params_hash {
            writeln!(f, "params hash   {hash}: compare it with the published one")?;
        }
        write!(f, "address       {}", self.address)
    }
}

/// `address`.
#[derive(Debug, Serialize)]
pub struct FreshAddress {
    /// The address.
    pub address: String,
}

impl Display for FreshAddress {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(&self.address)
    }
}

/// `balance`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "see Balance")]
pub struct BalanceReport {
    pub btc_sat: u64,
    pub btc_pending_sat: u64,
    pub zkbtc_sat: u64,
    pub zkbtc_pending_sat: u64,
    pub carriers_sat: u64,
    pub set_aside_sat: u64,
    /// Whether the wallet knows which token is zkBTC.
    pub knows_zkbtc: bool,
    pub height: u32,
}

impl Display for BalanceReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "BTC           {}", btc(self.btc_sat))?;
        if self.btc_pending_sat > 0 {
            writeln!(f, "  pending     {}", btc(self.btc_pending_sat))?;
        }
        if self.knows_zkbtc {
            writeln!(f, "zkBTC         {}", zkbtc(self.zkbtc_sat))?;
        } else {
            writeln!(
                f,
                "zkBTC         not known: no params are pinned, give --api once"
            )?;
        }
        if self.zkbtc_pending_sat > 0 {
            writeln!(f, "  pending     {}", zkbtc(self.zkbtc_pending_sat))?;
        }
        if self.carriers_sat > 0 {
            writeln!(f, "under zkBTC   {}", btc(self.carriers_sat))?;
        }
        if self.set_aside_sat > 0 {
            writeln!(
                f,
                "set aside     {} under charms that cannot be moved (see `grail list`)",
                btc(self.set_aside_sat)
            )?;
        }
        write!(f, "as of block   {}", self.height)
    }
}

/// One line of `list`.
#[derive(Debug, Serialize)]
pub struct ListedOutput {
    /// Where.
    pub outpoint: String,
    /// The coin.
    pub amount_sat: u64,
    /// `nothing`, `zkbtc`, `other-charms` or `unverified-spell`.
    pub carries: &'static str,
    /// zkBTC that it carries.
    pub token_sat: Option<u64>,
    /// Why a spell is not believed.
    pub code: Option<&'static str>,
    /// 0 while not in a block.
    pub confirmations: u32,
    /// Whether it may be spent now.
    pub is_spendable: bool,
}

/// `list`.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// Every unspent output.
    pub outputs: Vec<ListedOutput>,
}

impl Display for Listing {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{:<66} {:>16} {:>6}  carries", "output", "BTC", "conf")?;
        for output in &self.outputs {
            let amount = decimal(output.amount_sat);
            write!(
                f,
                "\n{:<66} {amount:>16} {:>6}  ",
                output.outpoint, output.confirmations
            )?;
            match (output.token_sat, output.code) {
                (Some(token), _) => f.write_str(&zkbtc(token))?,
                (None, Some(code)) => write!(f, "{} ({code})", output.carries)?,
                (None, None) => f.write_str(output.carries)?,
            }
        }
        Ok(())
    }
}

/// `send`, `send-zkbtc`.
#[derive(Debug, Serialize)]
pub struct Sent {
    /// The transaction.
    pub txid: String,
    /// What was sent.
    pub amount_sat: u64,
    /// `btc` or `zkbtc`.
    pub asset: &'static str,
    /// To whom.
    pub to: String,
    /// What it cost.
    pub fee_sat: u64,
}

impl Display for Sent {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let amount = if self.asset == "btc" {
            btc(self.amount_sat)
        } else {
            zkbtc(self.amount_sat)
        };
        writeln!(f, "sent {amount} to {}", self.to)?;
        writeln!(f, "fee           {}", btc(self.fee_sat))?;
        write!(f, "transaction   {}", self.txid)
    }
}

/// One line of `receipts`.
#[derive(Debug, Serialize)]
pub struct ReceiptLine {
    /// The request.
    pub id: String,
    /// Direction.
    pub kind: String,
    /// Where its deposit goes.
    pub deposit_address: String,
    /// Blocks after which the deposit can be taken back.
    pub reclaim_delay: u16,
    /// Deposits that the wallet knows of.
    pub deposits: Vec<String>,
    /// When it was stored, unix seconds.
    pub stored_at: u64,
}

/// `receipts`.
#[derive(Debug, Serialize)]
pub struct Receipts {
    /// Oldest first.
    pub receipts: Vec<ReceiptLine>,
}

impl Display for Receipts {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.receipts.is_empty() {
            return f.write_str("no receipts");
        }
        for (index, receipt) in self.receipts.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(
                f,
                "{end}{} {} to {} ({})",
                receipt.kind,
                receipt.id,
                receipt.deposit_address,
                if receipt.deposits.is_empty() {
                    "not paid from here".to_owned()
                } else {
                    receipt.deposits.join(", ")
                }
            )?;
        }
        Ok(())
    }
}
