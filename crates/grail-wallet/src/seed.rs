//! The user's keys, all from one BIP-39 mnemonic.
//!
//! Owns the derivation paths. The wallet itself is watch-only: keys exist only while something is
//! signed. Outputs are BIP-86 (`m/86'/coin'/0'`); reclaim keys lie on a hardened path of their own,
//! so that a leaked reclaim key together with public data never leads to a wallet key. Under it,
//! account 0 holds keys by number, accounts 1 and 2 the keys and nonces of [`Slot`](crate::slot)s.

use bip39::Mnemonic;
use bitcoin::bip32::{ChildNumber, Xpriv, Xpub};
use bitcoin::key::{TapTweak, TweakedKeypair};
use bitcoin::secp256k1::{All, Keypair, Secp256k1};
use bitcoin::{NetworkKind, XOnlyPublicKey};
use grail_types::Network;
use zeroize::Zeroizing;

/// Bytes of entropy of a new mnemonic: twelve words.
pub const ENTROPY_BYTES: usize = 16;
/// Reclaim keys that are looked through for the one that a receipt names.
pub const RECLAIM_KEYS_MAX: u32 = 1_000;

/// BIP-86.
const TAPROOT_PURPOSE: u32 = 86;
/// Purpose of reclaim keys: `grail` on a telephone's keys. No standard uses it.
const RECLAIM_PURPOSE: u32 = 47_245;
/// Account of reclaim keys that are counted by receipts.
const NUMBERED_KEYS: u32 = 0;
/// Account of reclaim keys of slots.
const SLOT_KEYS: u32 = 1;
/// Account of keys that nonces of slots are hashes of.
const SLOT_NONCES: u32 = 2;

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// The words are no mnemonic. They are not repeated here.
    #[error("the mnemonic is not valid (BIP-39, English): {0}")]
    Mnemonic(WordsFault),
    /// None of the first reclaim keys is the one asked for.
    #[error("none of this wallet's first {RECLAIM_KEYS_MAX} reclaim keys is {0}")]
    NoReclaimKey(XOnlyPublicKey),
}

impl SeedError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Mnemonic(_) => "bad-mnemonic",
            Self::NoReclaimKey(_) => "no-reclaim-key",
        }
    }
}

/// What is wrong with words, without repeating one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsFault {
    /// Too few or too many.
    #[error("expected 12, 15, 18, 21 or 24 words, got {0}")]
    Count(usize),
    /// One is not in the list.
    #[error("word {0} is not in the list of words")]
    Unknown(usize),
    /// Each is a word, and together they are not what was written down.
    #[error(
        "the words do not fit together: one is another than was written down, or two are swapped"
    )]
    Checksum,
}

impl WordsFault {
    fn of(error: &bip39::Error) -> Self {
        match error {
            bip39::Error::BadWordCount(count) => Self::Count(*count),
            bip39::Error::UnknownWord(index) => Self::Unknown(index.saturating_add(1)),
            _ => Self::Checksum,
        }
    }
}

impl From<WordsFault> for SeedError {
    fn from(fault: WordsFault) -> Self {
        Self::Mnemonic(fault)
    }
}

/// Words as people keep them, as BIP-39 writes them: numbers, signs, capitals and byte-order marks
/// say nothing, and none of the words has any.
fn tidied(text: &str) -> Zeroizing<String> {
    let mut tidy = Zeroizing::new(String::with_capacity(text.len()));
    for word in text.split(|character: char| !character.is_ascii_alphabetic()) {
        if word.is_empty() {
            continue;
        }
        if !tidy.is_empty() {
            tidy.push(' ');
        }
        tidy.extend(word.chars().map(|character| character.to_ascii_lowercase()));
    }
    tidy
}

/// Which of the wallet's chains of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// Addresses handed out.
    Receive,
    /// The wallet's own change.
    Change,
    /// Where requests pay to, by their slot.
    Request,
}

impl Branch {
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Receive => 0,
            Self::Change => 1,
            Self::Request => 2,
        }
    }
}

/// The secret that all keys come from. Wiped when dropped.
pub struct Seed {
    mnemonic: Mnemonic,
    network: Network,
}

impl Seed {
    /// A new seed. The keys are as hard to guess as `entropy` is.
    pub fn from_entropy(
        entropy: &Zeroizing<[u8; ENTROPY_BYTES]>,
        network: Network,
    ) -> Result<Self, SeedError> {
        let mnemonic =
            Mnemonic::from_entropy(entropy.as_slice()).map_err(|error| WordsFault::of(&error))?;
        Ok(Self { mnemonic, network })
    }

    /// The seed that these words are: in lower case or capitals, in any lines, numbered or not.
    pub fn parse(words: &str, network: Network) -> Result<Self, SeedError> {
        let words = tidied(words);
        let mnemonic = Mnemonic::parse_in_normalized(bip39::Language::English, &words)
            .map_err(|error| WordsFault::of(&error))?;
        Ok(Self { mnemonic, network })
    }

    /// The words, to be written to a file of the owner's.
    pub fn words(&self) -> Zeroizing<String> {
        Zeroizing::new(self.mnemonic.to_string())
    }

    /// Public descriptor of a branch (BIP-386 `tr()` over an extended public key).
    pub fn descriptor(&self, branch: Branch) -> String {
        let secp = Secp256k1::new();
        let master = self.master();
        let account = derive(&secp, &master, &self.account_path());
        format!(
            "tr([{}/{TAPROOT_PURPOSE}'/{}'/0']{}/{}/*)",
            master.fingerprint(&secp),
            self.coin(),
            Xpub::from_priv(&secp, &account),
            branch.number()
        )
    }

    /// The key of one of the wallet's outputs, tweaked for a key-path spend.
    pub fn output_key(&self, secp: &Secp256k1<All>, branch: Branch, index: u32) -> TweakedKeypair {
        let mut path = self.account_path().to_vec();
        path.extend([normal(branch.number()), normal(index)]);
        derive(secp, &self.master(), &path)
            .to_keypair(secp)
            .tap_tweak(secp, None)
    }

    /// The reclaim key at `index`.
    pub fn reclaim_key(&self, secp: &Secp256k1<All>, index: u32) -> Keypair {
        let mut path = self.reclaim_path(NUMBERED_KEYS).to_vec();
        path.push(hardened(index));
        derive(secp, &self.master(), &path).to_keypair(secp)
    }

    /// The reclaim key that a receipt names.
    pub fn find_reclaim_key(
        &self,
        secp: &Secp256k1<All>,
        wanted: &XOnlyPublicKey,
    ) -> Result<Keypair, SeedError> {
        let parent = derive(secp, &self.master(), &self.reclaim_path(NUMBERED_KEYS));
        (0..RECLAIM_KEYS_MAX)
            .map(|index| derive(secp, &parent, &[hardened(index)]).to_keypair(secp))
            .find(|key| key.x_only_public_key().0 == *wanted)
            .ok_or(SeedError::NoReclaimKey(*wanted))
    }

    /// Where the keys and nonces of slots come from.
    pub(crate) fn slot_parents(&self, secp: &Secp256k1<All>) -> SlotParents {
        let master = self.master();
        SlotParents {
            account: Xpub::from_priv(secp, &derive(secp, &master, &self.account_path())),
            keys: derive(secp, &master, &self.reclaim_path(SLOT_KEYS)),
            nonces: derive(secp, &master, &self.reclaim_path(SLOT_NONCES)),
        }
    }

    fn master(&self) -> Xpriv {
        let kind = match self.network {
            Network::Mainnet => NetworkKind::Main,
            Network::Regtest | Network::Signet | Network::Testnet4 => NetworkKind::Test,
        };
        let seed = Zeroizing::new(self.mnemonic.to_seed(""));
        Xpriv::new_master(kind, seed.as_ref())
            .expect("64 bytes make a master key, but with negligible probability")
    }

    /// SLIP-44.
    const fn coin(&self) -> u32 {
        match self.network {
            Network::Mainnet => 0,
            Network::Regtest | Network::Signet | Network::Testnet4 => 1,
        }
    }

    fn account_path(&self) -> [ChildNumber; 3] {
        [
            hardened(TAPROOT_PURPOSE),
            hardened(self.coin()),
            hardened(0),
        ]
    }

    fn reclaim_path(&self, account: u32) -> [ChildNumber; 3] {
        [
            hardened(RECLAIM_PURPOSE),
            hardened(self.coin()),
            hardened(account),
        ]
    }
}

/// The parents of all that a slot has.
pub(crate) struct SlotParents {
    /// Of the wallet's addresses; public.
    pub account: Xpub,
    /// Of reclaim keys.
    pub keys: Xpriv,
    /// Of nonces.
    pub nonces: Xpriv,
}

pub(crate) fn derive(secp: &Secp256k1<All>, parent: &Xpriv, path: &[ChildNumber]) -> Xpriv {
    parent
        .derive_priv(secp, &path)
        .expect("a child of a private key exists, but with negligible probability")
}

pub(crate) fn hardened(index: u32) -> ChildNumber {
    ChildNumber::Hardened { index }
}

fn normal(index: u32) -> ChildNumber {
    ChildNumber::Normal { index }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

    #[test]
    fn derives_the_first_receiving_key_of_bip86() {
        let seed = Seed::parse(WORDS, Network::Mainnet).unwrap();
        let key = seed.output_key(&Secp256k1::new(), Branch::Receive, 0);
        let address = bitcoin::Address::p2tr_tweaked(
            bitcoin::key::TweakedPublicKey::from_keypair(key),
            bitcoin::Network::Bitcoin,
        );
        // BIP-86, "Account 0, first receiving address".
        assert_eq!(
            address.to_string(),
            "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"
        );
    }

    #[test]
    fn descriptors_are_public() {
        let seed = Seed::parse(WORDS, Network::Regtest).unwrap();
        for branch in [Branch::Receive, Branch::Change] {
            let descriptor = seed.descriptor(branch);
            assert!(
                descriptor.starts_with("tr([73c5da0a/86'/1'/0']tpub"),
                "{descriptor}"
            );
            assert!(!descriptor.contains("prv"), "{descriptor}");
        }
    }

    #[test]
    fn a_reclaim_key_is_found_by_its_public_key_up_to_the_last() {
        let secp = Secp256k1::new();
        let seed = Seed::parse(WORDS, Network::Regtest).unwrap();
        for index in [0, 7, RECLAIM_KEYS_MAX - 1] {
            let key = seed.reclaim_key(&secp, index);
            let public = key.x_only_public_key().0;
            assert_eq!(seed.find_reclaim_key(&secp, &public).unwrap(), key);
        }
        let beyond = seed
            .reclaim_key(&secp, RECLAIM_KEYS_MAX)
            .x_only_public_key()
            .0;
        assert_eq!(
            seed.find_reclaim_key(&secp, &beyond),
            Err(SeedError::NoReclaimKey(beyond))
        );
    }

    #[test]
    fn networks_have_different_reclaim_keys() {
        let secp = Secp256k1::new();
        let key = |network| Seed::parse(WORDS, network).unwrap().reclaim_key(&secp, 0);
        assert_ne!(key(Network::Mainnet), key(Network::Signet));
    }

    #[test]
    fn words_come_back_and_wrong_ones_are_refused_without_repeating_them() {
        let entropy = Zeroizing::new([7; ENTROPY_BYTES]);
        let seed = Seed::from_entropy(&entropy, Network::Regtest).unwrap();
        let words = seed.words();
        assert_eq!(words.split(' ').count(), 12);
        let again = Seed::parse(
            &format!("  {}\n", words.replace(' ', "\n ")),
            Network::Regtest,
        )
        .unwrap();
        assert_eq!(*again.words(), *words);
        let error = Seed::parse("abandon secretword", Network::Regtest)
            .err()
            .unwrap();
        assert!(!error.to_string().contains("secretword"));
    }

    #[test]
    fn words_may_be_in_capitals_numbered_and_in_quotes() {
        let plain = Seed::parse(WORDS, Network::Regtest).unwrap();
        let numbered: Vec<String> = (1..)
            .zip(WORDS.split(' '))
            .map(|(number, word)| format!("{number}. {word}"))
            .collect();
        let columns: Vec<String> = (1..)
            .zip(WORDS.split(' '))
            .map(|(number, word)| format!("{number:02}){word}\r\n"))
            .collect();
        for text in [
            WORDS.to_uppercase(),
            numbered.join("\n"),
            columns.concat(),
            format!("\u{feff}\"{WORDS}\"\n"),
            WORDS.replace(' ', ", "),
        ] {
            let seed = Seed::parse(&text, Network::Regtest).unwrap();
            assert_eq!(*seed.words(), *plain.words(), "{text}");
        }
    }

    #[test]
    fn wrong_words_are_explained_by_their_place() {
        let fault = |words: &str| match Seed::parse(words, Network::Regtest).err() {
            Some(SeedError::Mnemonic(fault)) => fault,
            other => panic!("{other:?}"),
        };
        assert_eq!(fault(""), WordsFault::Count(0));
        assert_eq!(fault(&WORDS.replace(" about", "")), WordsFault::Count(11));
        let unknown = format!("1. x{WORDS}");
        assert_eq!(fault(&unknown), WordsFault::Unknown(1));
        assert_eq!(
            fault(&WORDS.replace("about", "above")),
            WordsFault::Checksum
        );
    }
}
