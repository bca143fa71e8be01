//! The mnemonic under a passphrase, as it lies in a file (ADR 22).
//!
//! Argon2id (RFC 9106) makes a key of the passphrase, XChaCha20-Poly1305 encrypts the words with
//! it. What the file says that this costs is bounded before anything is reckoned. Does not know
//! whose file it is: randomness and passphrase are handed in.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use grail_types::Network;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::seed::{Seed, SeedError};

/// Longest passphrase; a longer one is some other file.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;

const FORMAT: &str = "grail-mnemonic";
const VERSION: u32 = 1;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// All mnemonics have one length on disk: that of their words would tell some of them. The longest,
/// 24 words of eight letters, has 215 bytes.
const PADDED_BYTES: usize = 256;

/// About a second on a laptop, and a quarter of a gigabyte for each guess.
const COST: Cost = Cost {
    memory_kib: 256 * 1_024,
    passes: 3,
    lanes: 1,
};
/// Most that a file may ask for: it can be anybody's.
const COST_MAX: Cost = Cost {
    memory_kib: 1_024 * 1_024,
    passes: 10,
    lanes: 16,
};

/// What a key costs to make of a passphrase (RFC 9106 3.1: m, t, p).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Why there is no passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// It would protect nothing.
    #[error("the passphrase is empty")]
    Empty,
    /// Longer than any that somebody types.
    #[error("expected a passphrase of at most {PASSPHRASE_BYTES_MAX} bytes, got {0}")]
    TooLong(usize),
}

impl PassphraseError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "passphrase-empty",
            Self::TooLong(_) => "passphrase-too-long",
        }
    }
}

/// What somebody chose to protect a mnemonic with. Wiped when dropped.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Every character counts, spaces too, as the bytes of UTF-8.
    pub fn new(text: Zeroizing<String>) -> Result<Self, PassphraseError> {
        match text.len() {
            0 => Err(PassphraseError::Empty),
            1..=PASSPHRASE_BYTES_MAX => Ok(Self(text)),
            length => Err(PassphraseError::TooLong(length)),
        }
    }
}

/// Why an encrypted mnemonic is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// The file has another form.
    #[error("expected an encrypted mnemonic: {0}")]
    Malformed(String),
    /// Written by a newer program.
    #[error("expected an encrypted mnemonic of version {VERSION}, got version {0}")]
    Version(u32),
    /// It asks for more than any file of ours does.
    #[error(
        "the file asks for {memory_kib} KiB of memory, {passes} passes and {lanes} lanes: expected at most \
         {max_kib} KiB, {max_passes} and {max_lanes}",
        max_kib = COST_MAX.memory_kib,
        max_passes = COST_MAX.passes,
        max_lanes = COST_MAX.lanes
    )]
    TooCostly {
        /// Memory.
        memory_kib: u32,
        /// How often it is filled.
        passes: u32,
        /// In how many parts.
        lanes: u32,
    },
    /// Argon2id does not run.
    #[error("no key can be made of the passphrase: {0}")]
    NoKey(String),
    /// It does not open with this passphrase.
    #[error(
        "the passphrase is not the one that the mnemonic was encrypted with (or its file was changed); without it, the \
         words on paper make the wallet again: `grail init --mnemonic-file` in another folder"
    )]
    WrongPassphrase,
    /// It opens, and holds no mnemonic.
    #[error(transparent)]
    Seed(#[from] SeedError),
}

impl EncryptionError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "mnemonic-malformed",
            Self::Version(_) => "mnemonic-version",
            Self::TooCostly { .. } => "mnemonic-too-costly",
            Self::NoKey(_) => "no-key",
            Self::WrongPassphrase => "passphrase-wrong",
            Self::Seed(error) => error.code(),
        }
    }
}

/// Randomness for one encryption: never used for a second one.
#[derive(Clone, Copy, Debug)]
pub struct Salting {
    /// Makes the key of a passphrase another one in each file.
    pub salt: [u8; SALT_BYTES],
    /// Of the cipher.
    pub nonce: [u8; NONCE_BYTES],
}

/// A mnemonic that opens with a passphrase alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedMnemonic {
    cost: Cost,
    salt: [u8; SALT_BYTES],
    nonce: [u8; NONCE_BYTES],
    ciphertext: Vec<u8>,
}

/// The file, whatever its version.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: String,
    version: u32,
    argon2id: StoredKey,
    xchacha20poly1305: StoredWords,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredWords {
    nonce: String,
    ciphertext: String,
}

impl EncryptedMnemonic {
    /// Encrypts the words of a seed.
    pub fn encrypt(
        seed: &Seed,
        passphrase: &Passphrase,
        salting: &Salting,
    ) -> Result<Self, EncryptionError> {
        Self::encrypt_at(COST, seed, passphrase, salting)
    }

    fn encrypt_at(
        cost: Cost,
        seed: &Seed,
        passphrase: &Passphrase,
        salting: &Salting,
    ) -> Result<Self, EncryptionError> {
        let mut encrypted = Self {
            cost,
            salt: salting.salt,
            nonce: salting.nonce,
            ciphertext: Vec::new(),
        };
        let padded = Zeroizing::new(format!("{:PADDED_BYTES$}", *seed.words()));
        let payload = Payload {
            msg: padded.as_bytes(),
            aad: &encrypted.associated_data(),
        };
        encrypted.ciphertext = encrypted
            .cipher(passphrase)?
            .encrypt(&XNonce::from(salting.nonce), payload)
            .expect("256 bytes are far below the cipher's 256 GiB");
        Ok(encrypted)
    }

    /// Opens it. Takes the time and the memory that its file says.
    pub fn open(&self, passphrase: &Passphrase, network: Network) -> Result<Seed, EncryptionError> {
        let payload = Payload {
            msg: &self.ciphertext,
            aad: &self.associated_data(),
        };
        let words = self
            .cipher(passphrase)?
            .decrypt(&XNonce::from(self.nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| EncryptionError::WrongPassphrase)?;
        let words = std::str::from_utf8(&words)
            .map_err(|_| EncryptionError::Malformed("what it holds is no text".to_owned()))?;
        Ok(Seed::parse(words, network)?)
    }

    /// Whether a file is meant to be one: words never begin so.
    pub fn is_meant_by(text: &str) -> bool {
        text.trim_start().starts_with('{')
    }

    /// Reads it from its file.
    pub fn parse(text: &str) -> Result<Self, EncryptionError> {
        let malformed = |error: serde_json::Error| EncryptionError::Malformed(error.to_string());
        let head: Head = serde_json::from_str(text).map_err(malformed)?;
        if head.format != FORMAT {
            return Err(EncryptionError::Malformed(format!(
                "its format is {:?}",
                head.format
            )));
        }
        if head.version != VERSION {
            return Err(EncryptionError::Version(head.version));
        }
        let stored: Stored = serde_json::from_str(text).map_err(malformed)?;
        let key = stored.argon2id;
        let cost = Cost {
            memory_kib: key.memory_kib,
            passes: key.passes,
            lanes: key.lanes,
        };
        cost.check()?;
        let mut ciphertext = vec![0; PADDED_BYTES + TAG_BYTES];
        read_hex(&stored.xchacha20poly1305.ciphertext, &mut ciphertext)?;
        let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_BYTES]);
        read_hex(&key.salt, &mut salt)?;
        read_hex(&stored.xchacha20poly1305.nonce, &mut nonce)?;
        Ok(Self {
            cost,
            salt,
            nonce,
            ciphertext,
        })
    }

    /// As its file has it.
    pub fn to_text(&self) -> String {
        let stored = Stored {
            format: FORMAT.to_owned(),
            version: VERSION,
            argon2id: StoredKey {
                memory_kib: self.cost.memory_kib,
                passes: self.cost.passes,
                lanes: self.cost.lanes,
                salt: hex::encode(self.salt),
            },
            xchacha20poly1305: StoredWords {
                nonce: hex::encode(self.nonce),
                ciphertext: hex::encode(&self.ciphertext),
            },
        };
        serde_json::to_string_pretty(&stored).expect("texts and numbers are JSON")
    }

    fn cipher(&self, passphrase: &Passphrase) -> Result<XChaCha20Poly1305, EncryptionError> {
        let no_key = |error: argon2::Error| EncryptionError::NoKey(error.to_string());
        let Cost {
            memory_kib,
            passes,
            lanes,
        } = self.cost;
        let params = Params::new(memory_kib, passes, lanes, Some(KEY_BYTES)).map_err(no_key)?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.0.as_bytes(), &self.salt, key.as_mut())
            .map_err(no_key)?;
        Ok(XChaCha20Poly1305::new((&*key).into()))
    }

    /// Bound to the ciphertext, so that it is of this use and of this cost alone.
    fn associated_data(&self) -> Vec<u8> {
        let Cost {
            memory_kib,
            passes,
            lanes,
        } = self.cost;
        let mut data = b"grail/mnemonic/v1".to_vec();
        for number in [memory_kib, passes, lanes] {
            data.extend(number.to_be_bytes());
        }
        data.extend(self.salt);
        data
    }
}

impl Cost {
    fn check(self) -> Result<(), EncryptionError> {
        let Self {
            memory_kib,
            passes,
            lanes,
        } = self;
        if memory_kib <= COST_MAX.memory_kib && passes <= COST_MAX.passes && lanes <= COST_MAX.lanes
        {
            return Ok(());
        }
        Err(EncryptionError::TooCostly {
            memory_kib,
            passes,
            lanes,
        })
    }
}

fn read_hex(text: &str, bytes: &mut [u8]) -> Result<(), EncryptionError> {
    hex::decode_to_slice(text, bytes).map_err(|error| {
        EncryptionError::Malformed(format!("expected {} bytes in hex: {error}", bytes.len()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::Value;

    use super::*;

    const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    const SALTING: Salting = Salting {
        salt: [7; SALT_BYTES],
        nonce: [9; NONCE_BYTES],
    };
    /// Too cheap to protect anything, and quick.
    const CHEAP: Cost = Cost {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };

    type Change<'a> = &'a dyn Fn(&mut Value);

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    fn seed(words: &str) -> Seed {
        Seed::parse(words, Network::Regtest).unwrap()
    }

    fn cheap() -> EncryptedMnemonic {
        EncryptedMnemonic::encrypt_at(CHEAP, &seed(WORDS), &passphrase("correct"), &SALTING)
            .unwrap()
    }

    fn open(encrypted: &EncryptedMnemonic, text: &str) -> Result<String, EncryptionError> {
        let seed = encrypted.open(&passphrase(text), Network::Regtest)?;
        Ok(seed.words().to_string())
    }

    fn changed(change: impl FnOnce(&mut Value)) -> Result<EncryptedMnemonic, EncryptionError> {
        let mut json = serde_json::from_str(&cheap().to_text()).unwrap();
        change(&mut json);
        EncryptedMnemonic::parse(&json.to_string())
    }

    #[test]
    fn words_come_back_with_the_passphrase_and_with_no_other() {
        let read = EncryptedMnemonic::parse(&cheap().to_text()).unwrap();
        assert_eq!(open(&read, "correct").unwrap(), WORDS);
        for wrong in ["Correct", "correct ", "c"] {
            assert_eq!(open(&read, wrong), Err(EncryptionError::WrongPassphrase));
        }
    }

    #[test]
    fn the_cost_that_is_written_is_the_one_that_is_meant() {
        let salting = SALTING;
        let encrypted =
            EncryptedMnemonic::encrypt(&seed(WORDS), &passphrase("x"), &salting).unwrap();
        let json: Value = serde_json::from_str(&encrypted.to_text()).unwrap();
        assert_eq!(json["argon2id"]["memory_kib"], 262_144);
        assert_eq!(json["argon2id"]["passes"], 3);
        assert_eq!(open(&encrypted, "x").unwrap(), WORDS);
    }

    /// Never to be changed: files of this version are read for ever.
    #[test]
    fn a_file_of_version_1_is_read_for_ever() {
        let text = include_str!("encrypted-v1.json");
        assert_eq!(text.trim_end(), cheap().to_text());
        let read = EncryptedMnemonic::parse(text).unwrap();
        assert_eq!(open(&read, "correct").unwrap(), WORDS);
    }

    #[test]
    fn the_length_of_the_words_does_not_show() {
        let long = format!("{} art", ["abandon"; 23].join(" "));
        let encrypt = |words: &str| {
            EncryptedMnemonic::encrypt_at(CHEAP, &seed(words), &passphrase("x"), &SALTING).unwrap()
        };
        let (short, long) = (encrypt(WORDS), encrypt(&long));
        assert_eq!(short.to_text().len(), long.to_text().len());
        assert_eq!(open(&long, "x").unwrap().split(' ').count(), 24);
    }

    #[test]
    fn a_file_that_was_changed_does_not_open() {
        let flip = |text: &mut Value| {
            let old = text.as_str().unwrap().to_owned();
            let first = if old.starts_with('0') { '1' } else { '0' };
            *text = format!("{first}{}", &old[1..]).into();
        };
        let changes: [Change<'_>; 5] = [
            &|json| flip(&mut json["argon2id"]["salt"]),
            &|json| flip(&mut json["xchacha20poly1305"]["nonce"]),
            &|json| flip(&mut json["xchacha20poly1305"]["ciphertext"]),
            &|json| json["argon2id"]["memory_kib"] = 65.into(),
            &|json| json["argon2id"]["passes"] = 2.into(),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let read = changed(change).unwrap();
            let opened = open(&read, "correct");
            assert_eq!(opened, Err(EncryptionError::WrongPassphrase), "{index}");
        }
    }

    #[test]
    fn what_a_file_may_cost_is_bounded_at_each_edge() {
        let max = [
            ("memory_kib", COST_MAX.memory_kib),
            ("passes", COST_MAX.passes),
            ("lanes", COST_MAX.lanes),
        ];
        for (name, most) in max {
            let asks = |number: u32| changed(|json| json["argon2id"][name] = number.into());
            assert!(asks(most).is_ok(), "{name}");
            for more in [most + 1, u32::MAX] {
                let refused = asks(more).unwrap_err();
                assert_eq!(refused.code(), "mnemonic-too-costly", "{name}");
            }
        }
        // Too little is said by Argon2 itself.
        let none = changed(|json| json["argon2id"]["memory_kib"] = 0.into()).unwrap();
        assert_eq!(open(&none, "correct").unwrap_err().code(), "no-key");
    }

    #[test]
    fn other_forms_and_versions_are_refused() {
        let code = |result: Result<EncryptedMnemonic, EncryptionError>| result.unwrap_err().code();
        // A newer version may have other fields.
        let newer = r#"{"format":"grail-mnemonic","version":2,"other":1}"#;
        assert_eq!(
            EncryptedMnemonic::parse(newer),
            Err(EncryptionError::Version(2))
        );
        for text in ["", "{", "{}", r#"{"format":"other","version":1}"#] {
            assert_eq!(code(EncryptedMnemonic::parse(text)), "mnemonic-malformed");
        }
        let malformed: [fn(&mut Value); 4] = [
            |json| json["extra"] = 1.into(),
            |json| json["argon2id"]["salt"] = "07".into(),
            |json| json["xchacha20poly1305"]["ciphertext"] = "00".repeat(1_000).into(),
            |json| json["argon2id"]["lanes"] = (-1).into(),
        ];
        for change in malformed {
            assert_eq!(code(changed(change)), "mnemonic-malformed");
        }
        assert!(EncryptedMnemonic::is_meant_by(&cheap().to_text()));
        assert!(!EncryptedMnemonic::is_meant_by(WORDS));
    }

    #[test]
    fn a_passphrase_is_neither_empty_nor_endless() {
        let code = |length: usize| {
            let passphrase = Passphrase::new(Zeroizing::new("x".repeat(length)));
            passphrase.err().map(|error| error.code())
        };
        assert_eq!(code(0), Some("passphrase-empty"));
        assert_eq!(code(1), None);
        assert_eq!(code(PASSPHRASE_BYTES_MAX), None);
        assert_eq!(code(PASSPHRASE_BYTES_MAX + 1), Some("passphrase-too-long"));
    }
}
