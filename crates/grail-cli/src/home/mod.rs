//! The wallet's folder: settings, mnemonic, wallet state, pinned protocol, receipts.
//!
//! Owns every file of it and a lock, so that two commands never write at once. Secrets are in one
//! file, readable by its owner alone. Files are replaced whole: written beside, synced, renamed.

mod contract;
mod files;
mod log;

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use grail_attest::Protocol;
use grail_files::FileError;
use grail_types::{Network, RequestId};
use grail_wallet::receipt::{StoredReceipt, next_reclaim_key_index};
use grail_wallet::seed::{Seed, SeedError};
use serde::{Deserialize, Serialize};

pub use contract::{ContractError, contract_of};
pub use files::{read_json, read_receipt, read_secret};
pub use log::{ChangeLog, LogError};

use files::{io, read_text, replace, write_secret};

const CONFIG: &str = "config.json";
const MNEMONIC: &str = "mnemonic";
const PROTOCOL: &str = "protocol.json";
/// Where earlier releases pinned parameters, in another form.
const PINNED_BEFORE: &str = "params.json";
const RECEIPTS: &str = "receipts";
const WALLET: &str = "wallet.jsonl";
const LOCK: &str = "lock";

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// No wallet there.
    #[error("no wallet in {}: run `grail init`", .0.display())]
    Missing(PathBuf),
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
}

impl HomeError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "no-wallet",
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
        }
    }
}

failures!(HomeError);

/// Local settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The wallet's network.
    pub network: Network,
    /// Blocks before this cannot hold anything of the wallet's.
    pub birthday_height: u32,
    /// Public descriptors of received outputs and of change.
    pub descriptors: [String; 2],
    /// Bitcoin Core's RPC address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Bitcoin Core's cookie file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_cookie: Option<PathBuf>,
    /// Bitcoin Core's RPC user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_user: Option<String>,
    /// File with that user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_password_file: Option<PathBuf>,
    /// Grail's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
}

/// An open folder. Locked until dropped.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    config: Config,
    _lock: File,
}

impl Home {
    /// Makes a wallet folder. `seed` is written with mode 0600; `protocol` is pinned.
    pub fn create(
        path: &Path,
        config: Config,
        protocol: Option<&Protocol>,
        seed: &Seed,
    ) -> Result<Self, HomeError> {
        if let Some(protocol) = protocol {
            check_network(&path.join(PROTOCOL), protocol, config.network)?;
        }
        fs::create_dir_all(path.join(RECEIPTS)).map_err(|source| io(path, source))?;
        let lock = lock(path)?;
        if path.join(CONFIG).exists() || path.join(MNEMONIC).exists() {
            return Err(HomeError::Exists(path.to_owned()));
        }
        write_secret(&path.join(MNEMONIC), seed.words().as_bytes())?;
        let home = Self {
            path: path.to_owned(),
            config,
            _lock: lock,
        };
        if let Some(protocol) = protocol {
            home.pin_protocol(protocol)?;
        }
        // Last: a folder with settings is a wallet.
        home.write_json(CONFIG, &home.config)?;
        Ok(home)
    }

    /// Opens a wallet folder; with `network`, only one of that network.
    pub fn open(path: &Path, network: Option<Network>) -> Result<Self, HomeError> {
        if !path.join(CONFIG).exists() {
            return Err(HomeError::Missing(path.to_owned()));
        }
        let lock = lock(path)?;
        let config: Config = read_json(&path.join(CONFIG))?;
        match network {
            Some(got) if got != config.network => Err(HomeError::Network {
                path: path.to_owned(),
                expected: config.network,
                got,
            }),
            _ => Ok(Self {
                path: path.to_owned(),
                config,
                _lock: lock,
            }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the mnemonic is.
    pub fn mnemonic_path(&self) -> PathBuf {
        self.path.join(MNEMONIC)
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Reads the mnemonic. Refuses a file that others can read.
    pub fn seed(&self) -> Result<Seed, HomeError> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.mnemonic_path();
        let file = File::open(&path).map_err(|source| io(&path, source))?;
        let mode = file
            .metadata()
            .map_err(|source| io(&path, source))?
            .permissions()
            .mode()
            & 0o777;
        if mode & 0o077 != 0 {
            return Err(HomeError::Readable { path, mode });
        }
        let words = read_text(&path, file)?;
        Ok(Seed::parse(&words, self.config.network)?)
    }

    /// Where the wallet's state is kept.
    pub fn change_log(&self) -> ChangeLog {
        ChangeLog::new(self.path.join(WALLET))
    }

    /// Bridge, parameters and images that were pinned, if any were.
    pub fn protocol(&self) -> Result<Option<Protocol>, HomeError> {
        let path = self.path.join(PROTOCOL);
        if !path.exists() {
            return Ok(None);
        }
        let protocol: Protocol = read_json(&path)?;
        check_network(&path, &protocol, self.config.network)?;
        Ok(Some(protocol))
    }

    /// Pins a protocol: from now on this wallet knows what zkBTC is and who may attest what.
    pub fn pin_protocol(&self, protocol: &Protocol) -> Result<(), HomeError> {
        check_network(&self.path.join(PROTOCOL), protocol, self.config.network)?;
        // Whom an earlier release trusted must not be replaced by what the API says today. Refused
        // here, where it would be, and not when the wallet is opened: to take a deposit
        // back needs no pin.
        let before = self.path.join(PINNED_BEFORE);
        if before.exists() && !self.path.join(PROTOCOL).exists() {
            return Err(HomeError::OldPin(before));
        }
        self.write_json(PROTOCOL, protocol)
    }

    /// Saves a receipt. It is on disk when this returns.
    pub fn save_receipt(&self, stored: &StoredReceipt) -> Result<PathBuf, HomeError> {
        let name = format!("{RECEIPTS}/{}.json", stored.receipt.terms.id());
        self.write_json(&name, stored)?;
        Ok(self.path.join(name))
    }

    /// The receipt of a request.
    pub fn receipt(&self, request: &RequestId) -> Result<StoredReceipt, HomeError> {
        let path = self.path.join(RECEIPTS).join(format!("{request}.json"));
        if path.exists() {
            read_json(&path)
        } else {
            Err(HomeError::NoReceipt(*request))
        }
    }

    /// All receipts, oldest first. One that cannot be read is an error: it may be worth money.
    pub fn receipts(&self) -> Result<Vec<StoredReceipt>, HomeError> {
        let folder = self.path.join(RECEIPTS);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(&folder, error)),
        };
        let mut receipts = Vec::<StoredReceipt>::new();
        for entry in entries {
            let path = entry.map_err(|source| io(&folder, source))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                receipts.push(read_json(&path)?);
            }
        }
        receipts.sort_by_key(|stored| (stored.stored_at, stored.reclaim_key_index));
        Ok(receipts)
    }

    /// The first reclaim key that no receipt uses.
    pub fn next_reclaim_key_index(&self) -> Result<u32, HomeError> {
        Ok(next_reclaim_key_index(&self.receipts()?))
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), HomeError> {
        let path = self.path.join(name);
        let json = serde_json::to_vec_pretty(value).map_err(|error| HomeError::Malformed {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        replace(&path, &json).map_err(|source| io(&path, source))
    }
}

fn check_network(path: &Path, protocol: &Protocol, network: Network) -> Result<(), HomeError> {
    let got = protocol.bridge().network;
    if got == network {
        return Ok(());
    }
    Err(HomeError::Malformed {
        path: path.to_owned(),
        reason: format!("expected a bridge on {network}, got one on {got}"),
    })
}

fn lock(path: &Path) -> Result<File, HomeError> {
    let file_path = path.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file_path)
        .map_err(|source| io(&file_path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(HomeError::Busy(path.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(io(&file_path, source)),
    }
}
