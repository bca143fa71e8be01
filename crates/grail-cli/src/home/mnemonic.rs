//! The mnemonic's file: the words as they are, or encrypted (ADR 22).
//!
//! Replaced whole: whenever the machine stops, the file holds the old form or the new one, and each
//! opens. What cannot be read back never takes its place.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use grail_types::Network;
use grail_wallet::encrypted::{EncryptedMnemonic, Passphrase, Salting};
use grail_wallet::seed::Seed;
use zeroize::Zeroizing;

use super::files::{io, read_private, replace, write_secret};
use super::{Home, HomeError, MNEMONIC};
use crate::passphrase::PassphraseSource;

/// A mnemonic as its file has it.
#[derive(PartialEq, Eq)]
pub enum KeptMnemonic {
    /// The words.
    Plain(Zeroizing<String>),
    /// Encrypted.
    Encrypted(EncryptedMnemonic),
}

/// What opens the file, and what it held.
#[derive(Default)]
pub(super) struct Key {
    source: PassphraseSource,
    /// So that nobody is asked twice by one command.
    opened: OnceLock<Arc<Seed>>,
}

// What is opened is not shown.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl KeptMnemonic {
    /// Reads a file. One that others can read is refused, encrypted or not: what they know already
    /// no mode takes back.
    pub(super) fn read(path: &Path) -> Result<Self, HomeError> {
        let text = read_private(path)?;
        if EncryptedMnemonic::is_meant_by(&text) {
            Ok(Self::Encrypted(EncryptedMnemonic::parse(&text)?))
        } else {
            Ok(Self::Plain(text))
        }
    }

    /// Whether it takes a passphrase.
    pub const fn is_encrypted(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Encrypted(_) => true,
        }
    }

    /// The seed; asks for a passphrase only where it takes one.
    pub fn open(&self, network: Network, source: &PassphraseSource) -> Result<Seed, HomeError> {
        match self {
            Self::Plain(words) => Ok(Seed::parse(words, network)?),
            Self::Encrypted(encrypted) => Ok(encrypted.open(&source.known()?, network)?),
        }
    }
}

impl Home {
    /// Where the mnemonic is.
    pub fn mnemonic_path(&self) -> PathBuf {
        self.path().join(MNEMONIC)
    }

    /// The same wallet, which takes the passphrase of its mnemonic from there.
    #[must_use]
    pub fn opened_by(mut self, source: PassphraseSource) -> Self {
        self.key = Key {
            source,
            opened: OnceLock::new(),
        };
        self
    }

    /// The mnemonic as it lies in the folder.
    pub fn mnemonic(&self) -> Result<KeptMnemonic, HomeError> {
        KeptMnemonic::read(&self.mnemonic_path())
    }

    /// The seed. Of an encrypted mnemonic the passphrase is asked for, once.
    pub fn seed(&self) -> Result<Arc<Seed>, HomeError> {
        if let Some(seed) = self.key.opened.get() {
            return Ok(Arc::clone(seed));
        }
        let kept = self.mnemonic()?;
        let seed = Arc::new(kept.open(self.config().network, &self.key.source)?);
        Ok(Arc::clone(self.key.opened.get_or_init(|| seed)))
    }

    /// Asks for the passphrase now, where one is needed: before others are asked for anything.
    pub fn unlock(&self) -> Result<(), HomeError> {
        match self.mnemonic()? {
            KeptMnemonic::Plain(_) => Ok(()),
            KeptMnemonic::Encrypted(_) => self.seed().map(drop),
        }
    }

    /// Writes the mnemonic anew, under this passphrase or under none. One of both forms is in the
    /// file at any time.
    pub fn protect(&self, seed: &Seed, passphrase: Option<&Passphrase>) -> Result<(), HomeError> {
        let path = self.mnemonic_path();
        rewrite(&path, seed, passphrase, self.config().network)
    }
}

/// Writes a mnemonic where none is.
pub(super) fn write_new(
    path: &Path,
    seed: &Seed,
    passphrase: Option<&Passphrase>,
    network: Network,
) -> Result<(), HomeError> {
    write_secret(path, text_of(seed, passphrase, network)?.as_bytes())
}

/// Writes a mnemonic in the place of the same one in another form.
pub(super) fn rewrite(
    path: &Path,
    seed: &Seed,
    passphrase: Option<&Passphrase>,
    network: Network,
) -> Result<(), HomeError> {
    let text = text_of(seed, passphrase, network)?;
    replace(path, text.as_bytes()).map_err(|source| io(path, source))
}

fn text_of(
    seed: &Seed,
    passphrase: Option<&Passphrase>,
    network: Network,
) -> Result<Zeroizing<String>, HomeError> {
    let Some(passphrase) = passphrase else {
        return Ok(Zeroizing::new(format!("{}\n", *seed.words())));
    };
    let encrypted = EncryptedMnemonic::encrypt(seed, passphrase, &salting()?)?;
    let text = encrypted.to_text();
    let read_back = EncryptedMnemonic::parse(&text)?.open(passphrase, network)?;
    if *read_back.words() != *seed.words() {
        return Err(HomeError::NotReadBack);
    }
    Ok(Zeroizing::new(format!("{text}\n")))
}

fn salting() -> Result<Salting, HomeError> {
    let mut salting = Salting {
        salt: Default::default(),
        nonce: Default::default(),
    };
    getrandom::fill(&mut salting.salt)
        .and_then(|()| getrandom::fill(&mut salting.nonce))
        .map_err(|error| HomeError::NoRandomness(error.to_string()))?;
    Ok(salting)
}
