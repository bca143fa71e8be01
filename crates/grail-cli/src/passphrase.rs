//! Where passphrases come from: a file, the environment, or who sits at the terminal. Never the
//! command line, which every program of the machine can read.

use std::path::{Path, PathBuf};

use console::Term;
use grail_wallet::encrypted::{Passphrase, PassphraseError};
use zeroize::Zeroizing;

use crate::home::{HomeError, read_passphrase};

/// The variable with the passphrase of a mnemonic.
pub const PASSPHRASE: &str = "GRAIL_PASSPHRASE";
/// The variable with the one that is to take its place.
pub const NEW_PASSPHRASE: &str = "GRAIL_NEW_PASSPHRASE";

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum NoPassphrase {
    /// Nobody can be asked.
    #[error(
        "the mnemonic is encrypted: give its passphrase by --passphrase-file or {PASSPHRASE}, or run this on a terminal"
    )]
    Needed,
    /// Two were typed, and they differ.
    #[error("the two passphrases that were typed differ")]
    Differ,
    /// The environment's.
    #[error("{0} is not text")]
    NoText(&'static str),
    /// It cannot be one.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The terminal.
    #[error("the terminal: {0}")]
    Terminal(#[from] std::io::Error),
    /// Its file.
    #[error(transparent)]
    File(#[from] Box<HomeError>),
}

impl NoPassphrase {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Needed => "passphrase-needed",
            Self::Differ => "passphrases-differ",
            Self::NoText(_) => "passphrase-no-text",
            Self::Passphrase(error) => error.code(),
            Self::Terminal(_) => "terminal-failed",
            Self::File(error) => error.code(),
        }
    }
}

failures!(NoPassphrase);

/// Where one comes from. Holds none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PassphraseSource {
    /// There is none, and nobody to ask.
    #[default]
    Nowhere,
    /// A file.
    File(PathBuf),
    /// A variable of the environment.
    Environment(&'static str),
    /// Whoever sits at the terminal.
    Terminal,
}

impl PassphraseSource {
    /// The file that was named, else the variable if it has content, else the terminal if there is
    /// one.
    pub fn of(file: Option<&Path>, variable: &'static str) -> Self {
        let is_set = std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        match file {
            Some(file) => Self::File(file.to_owned()),
            None if is_set => Self::Environment(variable),
            None if is_at_terminal() => Self::Terminal,
            None => Self::Nowhere,
        }
    }

    /// The passphrase of a mnemonic that is encrypted.
    pub fn known(&self) -> Result<Passphrase, NoPassphrase> {
        let text = match self {
            Self::Nowhere => return Err(NoPassphrase::Needed),
            Self::Terminal => ask("Passphrase of the mnemonic: ")?,
            Self::File(_) | Self::Environment(_) => self.read()?,
        };
        Ok(Passphrase::new(text)?)
    }

    /// A passphrase for a mnemonic that is to be written; `None` when its owner wants none.
    pub fn chosen(&self) -> Result<Option<Passphrase>, NoPassphrase> {
        let text = match self {
            Self::Nowhere => return Ok(None),
            Self::Terminal => {
                let text =
                    ask("New passphrase, to encrypt the mnemonic on this machine (empty: none): ")?;
                if text.is_empty() {
                    return Ok(None);
                }
                if *ask("The same again: ")? != *text {
                    return Err(NoPassphrase::Differ);
                }
                text
            }
            Self::File(_) | Self::Environment(_) => self.read()?,
        };
        Ok(Some(Passphrase::new(text)?))
    }

    fn read(&self) -> Result<Zeroizing<String>, NoPassphrase> {
        match self {
            Self::File(file) => Ok(read_passphrase(file).map_err(Box::new)?),
            Self::Environment(variable) => match std::env::var(variable) {
                Ok(text) => Ok(Zeroizing::new(text)),
                Err(_) => Err(NoPassphrase::NoText(variable)),
            },
            Self::Nowhere | Self::Terminal => Err(NoPassphrase::Needed),
        }
    }
}

/// Whether somebody reads what is asked, and can answer.
pub fn is_at_terminal() -> bool {
    use std::io::IsTerminal as _;
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// What is typed is not shown.
fn ask(question: &str) -> Result<Zeroizing<String>, NoPassphrase> {
    let terminal = Term::stderr();
    terminal.write_str(question)?;
    Ok(Zeroizing::new(terminal.read_secure_line()?))
}
