//! `grail receipts`.

use crate::failure::Failure;
use crate::report::{ReceiptLine, Receipts};
use crate::session::Session;

/// Receipts of requests made here.
pub fn receipts(session: &Session) -> Result<Receipts, Failure> {
    let mut lines = Vec::new();
    for stored in session.home.receipts()? {
        let checked = stored.receipt.check()?;
        let deposits = session.wallet.outputs_at(checked.script_pubkey());
        lines.push(ReceiptLine {
            id: checked.request().to_string(),
            kind: stored.receipt.kind.to_string(),
            deposit_address: stored.receipt.deposit_address.clone(),
            reclaim_delay: stored.receipt.terms.reclaim_delay,
            deposits: deposits
                .iter()
                .map(|(outpoint, _)| outpoint.to_string())
                .collect(),
            stored_at: stored.stored_at,
        });
    }
    Ok(Receipts { receipts: lines })
}
