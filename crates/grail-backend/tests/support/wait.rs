//! Waiting for something that happens elsewhere.

use std::time::Duration;

/// Longest wait for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Polls until `holds`.
pub async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "what was waited for did not happen"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
