//! Raising an alarm: into the rows, and into the log for whoever reads that first.

use grail_flow::Alarm;
use grail_store::{StoreError, StoreTx};

/// Raises an alarm with the step that met the fact.
pub async fn raise(tx: &mut StoreTx, alarm: &Alarm, now: u64) -> Result<(), StoreError> {
    let code = alarm.code();
    tracing::error!(
        code = code.name(),
        severity = code.severity().name(),
        subject = %alarm.subject(),
        details = %alarm,
        "alarm"
    );
    tx.raise_alarm(alarm, now).await.map(|_| ())
}
