//! How fast one peer may send: a token bucket over messages and bytes.
//!
//! Without it one peer could fill the queue that all share, and every other peer's messages would
//! be lost.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// What a peer may send, on average; a burst of one second's worth is free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) messages_per_second: u32,
    pub(crate) bytes_per_second: u32,
}

/// One peer's bucket. Waiting stops the reading of its connection, so that its own sending slows
/// down.
pub(crate) struct Throttle {
    rate: Rate,
    /// Until when what was sent so far takes at the allowed rate.
    paid_until: Instant,
}

impl Throttle {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            paid_until: Instant::now(),
        }
    }

    /// Waits until a message of so many bytes is within the rate.
    pub(crate) async fn admit(&mut self, bytes: usize) {
        let wait = self.charge(bytes, Instant::now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    fn charge(&mut self, bytes: usize, now: Instant) -> Duration {
        const BURST: Duration = Duration::from_secs(1);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let by_count = Duration::from_secs(1) / self.rate.messages_per_second.max(1);
        let by_bytes = Duration::from_secs_f64(
            f64::from(bytes) / f64::from(self.rate.bytes_per_second.max(1)),
        );
        self.paid_until = self.paid_until.max(now) + by_count.max(by_bytes);
        self.paid_until.duration_since(now).saturating_sub(BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        messages_per_second: 10,
        bytes_per_second: 1000,
    };

    #[tokio::test]
    async fn a_burst_passes_and_what_follows_waits() {
        let mut throttle = Throttle::new(RATE);
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!(throttle.charge(1, now), Duration::ZERO);
        }
        assert!(throttle.charge(1, now) >= Duration::from_millis(90));
        // After a rest it may burst again.
        assert_eq!(
            throttle.charge(1, now + Duration::from_secs(5)),
            Duration::ZERO
        );
    }

    #[tokio::test]
    async fn large_messages_are_charged_by_bytes() {
        let mut throttle = Throttle::new(RATE);
        let now = Instant::now();
        assert_eq!(throttle.charge(1000, now), Duration::ZERO);
        assert!(throttle.charge(1000, now) >= Duration::from_millis(900));
    }
}
