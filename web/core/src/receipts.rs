//! Receipts, and what the API says of the requests that they name.

use grail_api::{CheckedReceipt, Receipt, RequestStatus};
use grail_types::RequestId;
use grail_wallet::receipt::read_kept;
use grail_wallet::slot::Slot;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// A receipt as it lies in a file: bare, or as a wallet keeps it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckReceipt {
    text: String,
    /// The request that it should be of, where one is expected.
    #[serde(default)]
    id: Option<String>,
}

/// A receipt that fits itself.
#[derive(Serialize)]
pub struct ReceiptVerdict {
    id: String,
    kind: &'static str,
    network: String,
    deposit_address: String,
    destination: Option<String>,
    reclaim_public_key: String,
    reclaim_delay: u16,
    fee_cap_sat: u64,
    slot: Option<Slot>,
    receipt: Receipt,
}

impl CheckReceipt {
    /// Recomputes its address.
    pub fn check(&self) -> Result<ReceiptVerdict, Failure> {
        let (checked, slot) = read_kept(&self.text)?;
        is_of(&checked, self.id.as_deref())?;
        Ok(ReceiptVerdict::new(&checked, slot))
    }
}

/// What the API says of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckStatus {
    /// The request that was asked about.
    id: RequestId,
    /// The answer.
    status: RequestStatus,
}

impl CheckStatus {
    /// Whether the answer is of that request, and its receipt and address belong together. Where
    /// the request stands is the API's word.
    pub fn check(&self) -> Result<ReceiptVerdict, Failure> {
        let checked = self.status.receipt.check()?;
        is_of(&checked, Some(&self.id.to_string()))?;
        let parts = [
            ("id", self.status.id == self.id),
            ("kind", self.status.kind == checked.receipt().kind),
            (
                "deposit address",
                self.status.deposit_address == checked.receipt().deposit_address,
            ),
        ];
        match parts.into_iter().find(|(_, agrees)| !agrees) {
            Some((what, _)) => Err(Failure::new(
                "answer-contradicts",
                format!("the answer's {what} is not its receipt's"),
            )),
            None => Ok(ReceiptVerdict::new(&checked, None)),
        }
    }
}

fn is_of(checked: &CheckedReceipt, id: Option<&str>) -> Result<(), Failure> {
    let got = checked.request().to_string();
    match id {
        Some(expected) if expected != got => Err(Failure::new(
            "receipt-of-another",
            format!("expected the receipt of request {expected}, got that of {got}"),
        )),
        _ => Ok(()),
    }
}

impl ReceiptVerdict {
    fn new(checked: &CheckedReceipt, slot: Option<Slot>) -> Self {
        let terms = checked.terms();
        let network = bitcoin::Network::from(terms.network);
        let destination = bitcoin::Address::from_script(terms.destination.script(), network);
        Self {
            id: checked.request().to_string(),
            kind: checked.receipt().kind.name(),
            network: terms.network.to_string(),
            deposit_address: checked.receipt().deposit_address.clone(),
            destination: destination.ok().map(|address| address.to_string()),
            reclaim_public_key: terms.reclaim_key.to_string(),
            reclaim_delay: terms.reclaim_delay,
            fee_cap_sat: terms.fee_cap.to_sat(),
            slot,
            receipt: checked.receipt().clone(),
        }
    }
}
