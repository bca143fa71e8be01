//! Words, and what a request takes from them. The same paths as the CLI's.

use bitcoin::{Address, secp256k1::Secp256k1};
use grail_types::Network;
use grail_wallet::seed::{ENTROPY_BYTES, Seed};
use grail_wallet::slot::{Slot, SlotKeys, window_of};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Which core answers.
#[derive(Serialize)]
pub struct About {
    version: &'static str,
    /// Whether the development root is built in.
    is_development: bool,
}

/// Which core answers.
pub const fn about() -> About {
    About {
        version: env!("CARGO_PKG_VERSION"),
        is_development: cfg!(feature = "development"),
    }
}

/// New words from the browser's randomness.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWords {
    /// 16 bytes, hex.
    entropy: Zeroizing<String>,
    network: Network,
}

/// Words, to be written down.
#[derive(Serialize)]
pub struct Words {
    words: String,
}

impl NewWords {
    /// The words.
    pub fn make(&self) -> Result<Words, Failure> {
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        hex::decode_to_slice(self.entropy.as_str(), entropy.as_mut_slice())
            .map_err(|_| Failure::new("no-randomness", "expected 16 bytes of randomness in hex"))?;
        let seed = Seed::from_entropy(&entropy, self.network)?;
        Ok(Words {
            words: seed.words().to_string(),
        })
    }
}

/// Words that somebody typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckWords {
    words: Zeroizing<String>,
    network: Network,
}

/// The words are some.
#[derive(Serialize)]
pub struct WordCount {
    count: usize,
}

impl CheckWords {
    /// Whether they are words of a wallet.
    pub fn check(&self) -> Result<WordCount, Failure> {
        let seed = Seed::parse(&self.words, self.network)?;
        Ok(WordCount {
            count: seed.words().split(' ').count(),
        })
    }
}

/// The slots of a time.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotsAt {
    /// The highest block.
    height: u32,
}

impl SlotsAt {
    /// All of the window in which the block lies.
    pub fn list(&self) -> Vec<Slot> {
        Slot::of_window(window_of(self.height)).collect()
    }
}

/// A slot of somebody's words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotOf {
    words: Zeroizing<String>,
    network: Network,
    slot: Slot,
}

/// What its request is made of. Nothing of it is secret.
#[derive(Serialize)]
pub struct SlotAnswer {
    slot: Slot,
    reclaim_public_key: String,
    /// 16 bytes, hex.
    nonce: String,
    /// Of the words' own wallet: where `grail` finds what is paid there.
    address: String,
}

impl SlotOf {
    /// Derives it.
    pub fn terms(&self) -> Result<SlotAnswer, Failure> {
        let secp = Secp256k1::new();
        let seed = Seed::parse(&self.words, self.network)?;
        let terms = SlotKeys::new(&secp, &seed).terms(&secp, self.slot);
        let address =
            Address::from_script(&terms.destination, bitcoin::Network::from(self.network))
                .map_err(|error| Failure::new("bad-address", error.to_string()))?;
        Ok(SlotAnswer {
            slot: self.slot,
            reclaim_public_key: terms.reclaim_key.to_string(),
            nonce: hex::encode(terms.nonce),
            address: address.to_string(),
        })
    }
}
