//! Makes evidence of one's own, true but for what a test changes.
#![allow(dead_code, clippy::unwrap_used)]

pub mod der;
pub mod issue;
mod rsa_key;
pub mod snp;
pub mod tdx;

use grail_attest::UnixTime;
use grail_types::{DevelopmentAllowed, Network};

/// When everything is good.
pub const AT: UnixTime = UnixTime::from_secs(1_795_000_000);
pub const DAY_MS: u64 = 24 * 3600 * 1000;
pub const USER_DATA: &[u8] = b"user data";
pub const NONCE: &[u8] = b"a challenge";

pub fn allowed() -> DevelopmentAllowed {
    DevelopmentAllowed::on(Network::Regtest).unwrap()
}

/// The codes that a source of errors names, from its text: `Self::A { .. } => "a-code"`.
pub fn codes_of(source: &str) -> Vec<&str> {
    source
        .lines()
        .filter_map(|line| line.split_once("=> \"")?.1.split_once('"'))
        .map(|(code, _)| code)
        .collect()
}
