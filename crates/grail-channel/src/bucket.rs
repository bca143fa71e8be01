//! Token buckets: how often one address may begin a handshake.

use std::{collections::BTreeMap, time::Duration};

use crate::time::Millis;

/// Where a stream comes from, by the host's word: an IPv6 address, or an IPv4 one mapped into it.
/// Whoever has a whole IPv6 network counts as one by zeroing the last eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 16]);

/// One token comes back in this time.
const EVERY: Duration = Duration::from_secs(2);

/// Tokens of a bucket that was left alone: more than a host with all of an operator's clones needs
/// after a restart.
const BURST: u32 = 8;

/// Addresses that are remembered; all others then share one bucket.
const ADDRESSES_MAX: usize = 4_096;

/// Buckets that are full again are swept away at most this often.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A bucket per address, and one for whoever finds no room.
#[derive(Debug, Default)]
pub struct Buckets {
    table: BTreeMap<Address, Bucket>,
    shared: Bucket,
    swept: Millis,
}

/// When its last token will have come back.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: Millis,
}

impl Bucket {
    /// Takes a token, if there is one.
    fn take(&mut self, now: Millis) -> bool {
        let full_at = self.full_at.max(now).after(EVERY);
        let is_allowed = full_at.since(now) <= EVERY.saturating_mul(BURST);
        if is_allowed {
            self.full_at = full_at;
        }
        is_allowed
    }
}

impl Buckets {
    /// Takes one of `address`'s tokens; false if it has none.
    #[must_use]
    pub fn take(&mut self, now: Millis, address: Address) -> bool {
        if self.table.len() >= ADDRESSES_MAX && now.since(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            self.table.retain(|_, bucket| bucket.full_at > now);
        }
        let has_room = self.table.len() < ADDRESSES_MAX;
        match self.table.get_mut(&address) {
            Some(bucket) => bucket.take(now),
            None if has_room => self.table.entry(address).or_default().take(now),
            None => self.shared.take(now),
        }
    }

    /// Addresses that are remembered.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u64) -> Address {
        let mut bytes = [0; 16];
        let (_, low) = bytes.split_at_mut(8);
        low.copy_from_slice(&number.to_be_bytes());
        Address(bytes)
    }

    #[test]
    fn a_burst_passes_then_one_every_two_seconds() {
        let mut buckets = Buckets::default();
        let now = Millis(1_000_000);
        let burst = (0..20).filter(|_| buckets.take(now, address(1))).count();
        assert_eq!(burst, 8);
        assert!(!buckets.take(Millis(now.0 + 1_999), address(1)));
        assert!(buckets.take(Millis(now.0 + 2_000), address(1)));
        assert!(!buckets.take(Millis(now.0 + 2_000), address(1)));
        // Another address is not touched by it, and rest fills up to the burst and no further.
        assert!(buckets.take(now, address(2)));
        let rested = Millis(now.0 + 1_000_000);
        let burst = (0..20).filter(|_| buckets.take(rested, address(1))).count();
        assert_eq!(burst, 8);
    }

    #[test]
    fn many_addresses_cost_bounded_memory_and_share_a_bucket() {
        let mut buckets = Buckets::default();
        let now = Millis(1_000_000);
        let passed = (0..100_000)
            .filter(|&number| buckets.take(now, address(number)))
            .count();
        assert_eq!(buckets.len(), ADDRESSES_MAX);
        assert_eq!(passed, ADDRESSES_MAX + 8);
        // Who was remembered keeps a bucket of its own, and all are forgotten once they are full.
        assert!(buckets.take(now, address(5)));
        assert!(buckets.take(Millis(now.0 + 60_000), address(200_000)));
        assert_eq!(buckets.len(), 1);
    }

    #[test]
    fn a_clock_that_goes_back_gives_no_tokens() {
        let mut buckets = Buckets::default();
        while buckets.take(Millis(1_000_000), address(1)) {}
        assert!(!buckets.take(Millis(0), address(1)));
    }
}
