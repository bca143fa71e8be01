//! A node that does not keep what must be read (it prunes): said with a name, not only in the log.

use grail_chain::{ChainError, ScanError};
use grail_flow::Alarm;
use grail_store::StoreError;

use crate::{alarm, backend::Backend, clock, receipts::NotRestored};

/// What the node says, if an error is that it does not keep a block.
pub(crate) fn words(error: &anyhow::Error) -> Option<String> {
    let of_scan = error.downcast_ref().and_then(|error| match error {
        ScanError::Chain(error) => Some(error),
        ScanError::ReorgTooDeep { .. } => None,
    });
    let of_receipt = error.downcast_ref().and_then(|error| match error {
        NotRestored::Node(error) => Some(error),
        _ => None,
    });
    let chain = of_scan.or(of_receipt).or(error.downcast_ref());
    chain
        .filter(|error| matches!(error, ChainError::NotKept { .. }))
        .map(ChainError::to_string)
}

/// Raises the alarm if that is what an error says; each further time is counted.
pub(super) async fn note(backend: &Backend, error: &anyhow::Error) -> Result<(), StoreError> {
    let Some(words) = words(error) else {
        return Ok(());
    };
    let alarm = Alarm::NodeLacksBlocks { words };
    let mut tx = backend.store.begin().await?;
    let now = tx.now(clock::now());
    alarm::raise(&mut tx, &alarm, now).await?;
    tx.commit().await
}
