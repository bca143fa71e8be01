//! The way out: a deposit taken back with the user's words, by nobody's leave.

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Amount, FeeRate, OutPoint, Transaction};
use grail_api::CheckedReceipt;
use grail_wallet::amount::parse_address;
use grail_wallet::charms::CharmReader;
use grail_wallet::receipt::read_kept;
use grail_wallet::reclaim::{Deposit, reclaim_plain};
use grail_wallet::seed::Seed;
use grail_wallet::slot::find_reclaim_key;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Highest rate that is signed for, satoshis per vbyte: a typing error must not burn a deposit.
const FEE_RATE_MAX: u64 = 2_000;
/// Longest transaction that is read, hex: a block's worth.
const TRANSACTION_CHARS_MAX: usize = 8_000_000;

/// A deposit to be taken back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reclaim {
    /// The receipt's file.
    receipt: String,
    words: Zeroizing<String>,
    /// The deposit's transaction, hex: with it the core sees what the deposit carries.
    #[serde(default)]
    transaction: Option<String>,
    /// The deposit; needed where the transaction is absent, or has several.
    #[serde(default)]
    outpoint: Option<OutPoint>,
    /// Its coin; needed where the transaction is absent.
    #[serde(default)]
    amount_sat: Option<u64>,
    /// Where it goes.
    to: String,
    fee_rate_sat_per_vb: u64,
    /// The highest block, where it is known: keys up to its time are tried.
    #[serde(default)]
    height: Option<u32>,
}

/// A signed transaction.
#[derive(Serialize)]
pub struct Reclaimed {
    id: String,
    txid: String,
    raw_transaction: String,
    amount_sat: u64,
    fee_sat: u64,
    outpoint: OutPoint,
    /// Confirmations that the deposit must have before a block can hold it.
    delay: u16,
}

impl Reclaim {
    /// Builds and signs it.
    pub fn make(&self) -> Result<Reclaimed, Failure> {
        let (receipt, slot) = read_kept(&self.receipt)?;
        let network = receipt.terms().network;
        let deposit = self.deposit(&receipt)?;
        let to = parse_address(&self.to, network)?;
        let rate = Some(self.fee_rate_sat_per_vb)
            .filter(|rate| (1..=FEE_RATE_MAX).contains(rate))
            .and_then(FeeRate::from_sat_per_vb)
            .ok_or_else(|| {
                let detail = format!(
                    "expected a fee rate of 1 to {FEE_RATE_MAX} sat/vB, got {}",
                    self.fee_rate_sat_per_vb
                );
                Failure::new("bad-fee-rate", detail)
            })?;
        let secp = Secp256k1::new();
        let seed = Seed::parse(&self.words, network)?;
        let wanted = &receipt.terms().reclaim_key;
        let key = find_reclaim_key(&secp, &seed, wanted, slot, self.height)?;
        let signed = reclaim_plain(&secp, &receipt, &deposit, to, rate, &key)?;
        let amount = signed
            .output
            .iter()
            .map(|output| output.value)
            .sum::<Amount>();
        let fee = deposit.output.value.checked_sub(amount);
        Ok(Reclaimed {
            id: receipt.request().to_string(),
            txid: signed.compute_txid().to_string(),
            raw_transaction: serialize_hex(&signed),
            amount_sat: amount.to_sat(),
            fee_sat: fee.unwrap_or(Amount::ZERO).to_sat(),
            outpoint: deposit.outpoint,
            delay: deposit.confirmations_needed(&receipt),
        })
    }

    fn deposit(&self, receipt: &CheckedReceipt) -> Result<Deposit, Failure> {
        if let Some(hex) = self.transaction.as_deref() {
            let transaction = read_transaction(hex)?;
            let vout = Deposit::vout_in(receipt, &transaction, self.outpoint)?;
            let terms = receipt.terms();
            let mut reader = CharmReader::new(terms.network, Some(&terms.bridge));
            let carried = reader.carried(&transaction, vout);
            return Ok(Deposit::from_transaction(
                receipt,
                &transaction,
                vout,
                carried,
            )?);
        }
        match (self.outpoint, self.amount_sat) {
            (Some(outpoint), Some(amount)) => {
                Ok(Deposit::plain(receipt, outpoint, Amount::from_sat(amount))?)
            }
            _ => Err(Failure::new(
                "no-deposit",
                "expected the deposit's transaction, or its outpoint and amount",
            )),
        }
    }
}

fn read_transaction(hex: &str) -> Result<Transaction, Failure> {
    let hex = hex.trim();
    if hex.len() > TRANSACTION_CHARS_MAX {
        let detail = format!("{} characters are more than a block holds", hex.len());
        return Err(Failure::new("bad-transaction", detail));
    }
    deserialize_hex(hex).map_err(|error| {
        Failure::new(
            "bad-transaction",
            format!("expected a transaction in hex: {error}"),
        )
    })
}
