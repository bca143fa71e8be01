//! What several answers show of rows.

use bitcoin::Transaction;
use grail_store::{Reader, StoreError};
use grail_types::Epoch;

use super::answer::{Answer, Failure};
use crate::backend::Backend;

/// Height of the newest block taken.
pub(super) async fn tip_height(backend: &Backend, reader: &mut Reader) -> Answer<u32> {
    let block = reader.last_block().await?;
    Ok(block.map_or(backend.deployment.start_height, |block| block.height))
}

/// Where the output of an item is: items are the last outputs but the spell, in their order (ADR
/// 3).
pub(super) fn output_index_of_item(
    transaction: &Transaction,
    item_count: usize,
    position: usize,
) -> Option<u32> {
    let first = transaction
        .output
        .len()
        .checked_sub(1)?
        .checked_sub(item_count)?;
    u32::try_from(first.checked_add(position)?).ok()
}

/// Requests of former rosters that still wait for what only those could do.
pub(super) async fn former_requests(reader: &mut Reader, newest: Epoch) -> Result<u64, StoreError> {
    let open = reader.open_request_epochs().await?;
    let former = open.iter().filter(|(epoch, _)| *epoch < newest);
    Ok(former.fold(0, |sum, (_, count)| sum.saturating_add(*count)))
}

/// Something that the store's rules say is there.
pub(super) fn required<T>(value: Option<T>, what: &str) -> Answer<T> {
    value.ok_or_else(|| Failure::internal(&format!("{what} is missing")))
}
