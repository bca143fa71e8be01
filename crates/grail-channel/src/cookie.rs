//! Cookies: under load, a stranger's first hello costs one hash and is not remembered.

use std::sync::Arc;

use grail_types::TaggedHasher;
use zeroize::Zeroizing;

use crate::{bucket::Address, time::Millis};

/// A cookie is good in the slice of time that it was made in and in the next.
const SLICE_MILLIS: u64 = 30_000;

/// What an enclave's cookies are made with: drawn at start, kept nowhere.
pub struct CookieKey(Box<Zeroizing<[u8; 32]>>);

impl CookieKey {
    /// From fresh randomness of the caller.
    pub const fn from_random(bytes: Box<Zeroizing<[u8; 32]>>) -> Self {
        Self(bytes)
    }

    /// The cookie for a hello, whose bytes are those without a cookie, from `address` at `now`.
    pub(crate) fn cookie(&self, address: Address, hello: &[u8], now: Millis) -> [u8; 32] {
        self.of_slice(address, hello, slice(now))
    }

    /// Whether `shown` is a cookie for this hello, of this slice or the one before.
    pub(crate) fn is_good(
        &self,
        address: Address,
        hello: &[u8],
        now: Millis,
        shown: &[u8],
    ) -> bool {
        let now = slice(now);
        [Some(now), now.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|slice| equal(&self.of_slice(address, hello, slice), shown))
    }

    fn of_slice(&self, address: Address, hello: &[u8], slice: u64) -> [u8; 32] {
        TaggedHasher::new("grail/mesh/cookie/v1")
            .bytes(self.0.as_slice())
            .bytes(&address.0)
            .u64(slice)
            .bytes(hello)
            .finish()
    }
}

/// Asks whoever dials from `address` for a cookie first.
#[derive(Clone)]
pub struct Gate {
    /// What cookies are made with.
    pub key: Arc<CookieKey>,
    /// Where the stream comes from, by the host's word.
    pub address: Address,
}

const fn slice(now: Millis) -> u64 {
    now.0 / SLICE_MILLIS
}

/// Compares without telling by its time where the first difference is.
fn equal(one: &[u8; 32], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_its_hello_and_address_for_one_slice_more() {
        let key = CookieKey::from_random(Box::new(Zeroizing::new([1; 32])));
        let (here, there) = (Address([1; 16]), Address([2; 16]));
        let at = Millis(10 * SLICE_MILLIS);
        let cookie = key.cookie(here, b"hello", at);
        let later = |millis| Millis(at.0 + millis);
        assert!(key.is_good(here, b"hello", at, &cookie));
        assert!(key.is_good(here, b"hello", later(2 * SLICE_MILLIS - 1), &cookie));
        assert!(!key.is_good(here, b"hello", later(2 * SLICE_MILLIS), &cookie));
        assert!(!key.is_good(here, b"hello", Millis(at.0 - 1), &cookie));
        assert!(!key.is_good(there, b"hello", at, &cookie));
        assert!(!key.is_good(here, b"hallo", at, &cookie));
        let cut = cookie
            .split_last()
            .map(|(_, rest)| rest)
            .unwrap_or_default();
        assert!(!key.is_good(here, b"hello", at, cut));
        let other = CookieKey::from_random(Box::new(Zeroizing::new([2; 32])));
        assert!(!other.is_good(here, b"hello", at, &cookie));
    }
}
