//! The one place where the backend reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use grail_attest::UnixTime;

/// Now, in unix seconds.
pub fn now() -> u64 {
    unix_time().as_secs()
}

/// Now, as attestation reckons.
pub fn unix_time() -> UnixTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
