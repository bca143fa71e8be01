//! Receipts as a wallet keeps them: what a deposit can be taken back with.

use grail_api::{CheckedReceipt, RECEIPT_BYTES_MAX, Receipt, ReceiptError};
use serde::{Deserialize, Serialize};

use crate::slot::Slot;

/// A receipt as the wallet keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredReceipt {
    /// The receipt.
    pub receipt: Receipt,
    /// Its slot, which says reclaim key and nonce. Absent of a request that has none: then the
    /// words alone do not find its deposit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// Number of its reclaim key, where it has no slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaim_key_index: Option<u32>,
    /// When it was stored, unix seconds.
    pub stored_at: u64,
}

/// Reads and checks a receipt: a bare one, or one as the wallet keeps it.
pub fn read_receipt(json: &str) -> Result<CheckedReceipt, ReceiptError> {
    Ok(read_kept(json)?.0)
}

/// The same, with the slot that the wallet keeps beside it.
pub fn read_kept(json: &str) -> Result<(CheckedReceipt, Option<Slot>), ReceiptError> {
    if json.len() > RECEIPT_BYTES_MAX {
        return Err(ReceiptError::TooLong(json.len()));
    }
    let (receipt, slot) = match serde_json::from_str::<StoredReceipt>(json) {
        Ok(stored) => (stored.receipt, stored.slot),
        Err(_) => (Receipt::from_json(json.as_bytes())?, None),
    };
    Ok((receipt.check()?, slot))
}

/// The first counted reclaim key that none of these receipts uses.
pub fn next_reclaim_key_index<'a>(receipts: impl IntoIterator<Item = &'a StoredReceipt>) -> u32 {
    let last = receipts
        .into_iter()
        .filter_map(|stored| stored.reclaim_key_index)
        .max();
    last.map_or(0, |index| index.saturating_add(1))
}
