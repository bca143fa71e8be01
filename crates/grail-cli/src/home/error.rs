//! Why a wallet's folder cannot be used.

use std::path::PathBuf;

use grail_files::FileError;
use grail_types::{Network, RequestId};
use grail_wallet::encrypted::EncryptionError;
use grail_wallet::seed::SeedError;

use crate::passphrase::NoPassphrase;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// No wallet there.
    #[error("no wallet in {}: run `grail init`", .0.display())]
    Missing(PathBuf),
    /// A mnemonic without settings: `init` ended half-way, or somebody put it there.
    #[error("there is a mnemonic in {} and no wallet yet: run `grail init`, which goes on from it", .0.display())]
    Unfinished(PathBuf),
    /// A wallet is there already.
    #[error("there is a wallet in {} already", .0.display())]
    Exists(PathBuf),
    /// Another command has it open.
    #[error("another grail command uses {}", .0.display())]
    Busy(PathBuf),
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Others can read the mnemonic.
    #[error("{} can be read by others (mode {mode:o}): expected mode 600", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The wallet was made for another network.
    #[error("the wallet in {} is of {expected}, not {got}", path.display())]
    Network {
        /// The folder.
        path: PathBuf,
        /// The wallet's.
        expected: Network,
        /// Asked for.
        got: Network,
    },
    /// A pin of an earlier release, which names a bridge that this release cannot serve.
    #[error(
        "{} was pinned by an earlier release: its bridge is served by that release alone; move the file away to use \
         another bridge",
        .0.display()
    )]
    OldPin(PathBuf),
    /// A file that is read whole.
    #[error(transparent)]
    File(#[from] FileError),
    /// No receipt of this name.
    #[error("no receipt of request {0} here")]
    NoReceipt(RequestId),
    /// The mnemonic.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The mnemonic, encrypted.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// No passphrase for it.
    #[error(transparent)]
    Passphrase(#[from] NoPassphrase),
    /// Encrypted, and other words came back: nothing was written.
    #[error("the mnemonic that was encrypted could not be read back; nothing was changed")]
    NotReadBack,
    /// The machine gives no randomness.
    #[error("no randomness: {0}")]
    NoRandomness(String),
}

impl HomeError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "no-wallet",
            Self::Unfinished(_) => "wallet-unfinished",
            Self::Exists(_) => "wallet-exists",
            Self::Busy(_) => "wallet-busy",
            Self::Io { .. } | Self::File(FileError::Io { .. }) => "file-failed",
            Self::Malformed { .. }
            | Self::File(FileError::TooLarge { .. } | FileError::Malformed { .. }) => {
                "file-malformed"
            }
            Self::Readable { .. } => "secret-readable",
            Self::Network { .. } => "wrong-network",
            Self::OldPin(_) => "old-pin",
            Self::NoReceipt(_) => "no-receipt",
            Self::Seed(error) => error.code(),
            Self::Encryption(error) => error.code(),
            Self::Passphrase(error) => error.code(),
            Self::NotReadBack => "mnemonic-not-read-back",
            Self::NoRandomness(_) => "no-randomness",
        }
    }
}

failures!(HomeError);
