//! `grail receipts`.

use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::{ReceiptLine, Receipts};
use crate::session::Session;

/// Receipts of requests made here.
pub fn receipts(session: &Session, progress: &mut dyn Progress) -> Result<Receipts, Failure> {
    let found = session.home.receipts()?;
    for stray in &found.strays {
        progress.note(stray.note());
    }
    let lines = found.receipts.iter().map(|(stored, checked)| {
        let deposits = session.wallet.outputs_at(checked.script_pubkey());
        ReceiptLine {
            id: checked.request().to_string(),
            kind: stored.receipt.kind.to_string(),
            deposit_address: stored.receipt.deposit_address.clone(),
            reclaim_delay: stored.receipt.terms.reclaim_delay,
            deposits: deposits
                .iter()
                .map(|(outpoint, _)| outpoint.to_string())
                .collect(),
            stored_at: stored.stored_at,
        }
    });
    Ok(Receipts {
        receipts: lines.collect(),
    })
}
