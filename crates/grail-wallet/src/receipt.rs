//! Receipts as a wallet keeps them: what a deposit can be taken back with.

use grail_api::{CheckedReceipt, RECEIPT_BYTES_MAX, Receipt, ReceiptError};
use serde::{Deserialize, Serialize};

/// A receipt as the wallet keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredReceipt {
    /// The receipt.
    pub receipt: Receipt,
    /// Index of its reclaim key.
    pub reclaim_key_index: u32,
    /// When it was stored, unix seconds.
    pub stored_at: u64,
}

/// Reads and checks a receipt: a bare one, or one as the wallet keeps it.
pub fn read_receipt(json: &str) -> Result<CheckedReceipt, ReceiptError> {
    if json.len() > RECEIPT_BYTES_MAX {
        return Err(ReceiptError::TooLong(json.len()));
    }
    let receipt = match serde_json::from_str::<StoredReceipt>(json) {
        Ok(stored) => stored.receipt,
        Err(_) => Receipt::from_json(json.as_bytes())?,
    };
    receipt.check()
}

/// The first reclaim key that none of these receipts uses.
pub fn next_reclaim_key_index<'a>(receipts: impl IntoIterator<Item = &'a StoredReceipt>) -> u32 {
    let last = receipts
        .into_iter()
        .map(|stored| stored.reclaim_key_index)
        .max();
    last.map_or(0, |index| index.saturating_add(1))
}
