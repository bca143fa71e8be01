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
    /// Whether it takes a passphrase.
    pub is_encrypted: bool,
    /// Blocks before this are never read.
    pub birthday_height: u32,
    /// Addresses that are looked for beyond the last one known to be in use.
    pub look_ahead: u32,
    /// Whether the mnemonic may be older than the folder.
    pub is_restored: bool,
    /// Hash of the pinned parameters.
    pub params_hash: Option<String>,
    /// First address.
    pub address: String,
}

impl Display for Created {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "wallet        {} ({})", self.home, self.network)?;
        let advice = if self.is_encrypted {
            "encrypted; `grail words` shows the words: copy them to paper, who has them has the money"
        } else {
            "copy it to paper; who has it has the money"
        };
        writeln!(f, "mnemonic      {}: {advice}", self.mnemonic_file)?;
        if let Some(hash) = &self.params_hash {
            writeln!(f, "params hash   {hash}: compare it with the published one")?;
        }
        if self.is_restored {
            writeln!(
                f,
                "looks for     the first {} addresses, from block {} on, and as many beyond the last one in use; further \
                 with `grail rescan`, and deposits that are not settled with `grail recover`",
                self.look_ahead, self.birthday_height
            )?;
        }
        write!(f, "address       {}", self.address)
    }
}

/// `rescan`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "see Balance")]
pub struct Rescanned {
    /// First block read.
    pub from_height: u32,
    /// Last block read.
    pub height: u32,
    /// Addresses known to be in use, to receive at.
    pub address_count: u32,
    /// Addresses that were looked for.
    pub looked_for_count: u32,
    pub btc_sat: u64,
    pub btc_pending_sat: u64,
    pub zkbtc_sat: u64,
    pub zkbtc_pending_sat: u64,
}

impl Display for Rescanned {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(
            f,
            "looked for    the first {} addresses, in blocks {} to {}; {} are in use",
            self.looked_for_count, self.from_height, self.height, self.address_count
        )?;
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

/// `passphrase set`, `passphrase remove`.
#[derive(Debug, Serialize)]
pub struct Protected {
    /// File with the mnemonic.
    pub mnemonic_file: String,
    /// Whether it takes a passphrase now.
    pub is_encrypted: bool,
}

impl Display for Protected {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let how = if self.is_encrypted {
            "encrypted under the new passphrase. Whoever had a copy of the file, or of the disk, still has what was in it"
        } else {
            "the plain words: who can read the file has the money"
        };
        write!(f, "mnemonic      {}: {how}", self.mnemonic_file)
    }
}

/// `words`.
#[derive(Debug, Serialize)]
pub struct WordsShown {
    /// The file with them, if they were written to one.
    pub file: Option<String>,
}

impl Display for WordsShown {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.file {
            Some(file) => write!(
                f,
                "words         {file}: copy them to paper and remove the file; who has them has the money"
            ),
            None => f.write_str("the words were shown; who has them has the money"),
        }
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

/// `bump`.
#[derive(Debug, Serialize)]
pub struct BumpedPayment {
    /// The transaction that now waits.
    pub txid: String,
    /// The one in whose place it does.
    pub replaced: String,
    /// What it costs.
    pub fee_sat: u64,
    /// What the other one did.
    pub old_fee_sat: u64,
}

impl Display for BumpedPayment {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(
            f,
            "fee           {} in place of {}",
            btc(self.fee_sat),
            btc(self.old_fee_sat)
        )?;
        writeln!(f, "replaces      {}", self.replaced)?;
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
                    "no payment is known here".to_owned()
                } else {
                    receipt.deposits.join(", ")
                }
            )?;
        }
        Ok(())
    }
}
