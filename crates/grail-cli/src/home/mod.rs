//! The wallet's folder: settings, mnemonic, wallet state, pinned parameters, receipts.
//!
//! Owns every file of it and a lock, so that two commands never write at once. Secrets are in one file, readable by its
//! owner alone. Files are replaced whole: written beside, synced, renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use grail_api::{CheckedReceipt, Receipt};
use grail_types::{Network, Params, RequestId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::log::ChangeLog;
use crate::seed::{Seed, SeedError};

/// Longest settings, parameters or mnemonic file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const CONFIG: &str = "config.json";
const MNEMONIC: &str = "mnemonic";
const PARAMS: &str = "params.json";
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
            Self::Io { .. } => "file-failed",
            Self::Malformed { .. } => "file-malformed",
            Self::Readable { .. } => "secret-readable",
            Self::Network { .. } => "wrong-network",
            Self::NoReceipt(_) => "no-receipt",
            Self::Seed(error) => error.code(),
        }
    }
}

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

/// A receipt as the wallet keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredReceipt {
    /// The receipt.
    pub receipt: Receipt,
    /// Index of its reclaim key.
    pub reclaim_key_index: u32,
    /// When it was stored, unix seconds.
    pub stored_at: u64,
}

/// An open folder. Locked until dropped.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    config: Config,
    _lock: File,
}

impl Home {
    /// Makes a wallet folder. `seed` is written with mode 0600; `params` are pinned.
    pub fn create(
        path: &Path,
        config: Config,
        params: Option<&Params>,
        seed: &Seed,
    ) -> Result<Self, HomeError> {
        if let Some(params) = params {
            check_params(&path.join(PARAMS), params, config.network)?;
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
        if let Some(params) = params {
            home.pin_params(params)?;
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

    /// The parameters that were pinned, if any were.
    pub fn params(&self) -> Result<Option<Params>, HomeError> {
        let path = self.path.join(PARAMS);
        if !path.exists() {
            return Ok(None);
        }
        let params: Params = read_json(&path)?;
        check_params(&path, &params, self.config.network)?;
        Ok(Some(params))
    }

    /// Pins parameters: from now on this wallet knows what zkBTC is and who may attest what.
    pub fn pin_params(&self, params: &Params) -> Result<(), HomeError> {
        check_params(&self.path.join(PARAMS), params, self.config.network)?;
        self.write_json(PARAMS, params)
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
        let last = self
            .receipts()?
            .iter()
            .map(|stored| stored.reclaim_key_index)
            .max();
        Ok(last.map_or(0, |index| index.saturating_add(1)))
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

/// Reads a receipt file: a receipt, or a receipt as the wallet keeps it.
pub fn read_receipt(path: &Path) -> Result<CheckedReceipt, crate::Failure> {
    let file = File::open(path).map_err(|source| io(path, source))?;
    let text = read_text(path, file)?;
    let receipt = match serde_json::from_str::<StoredReceipt>(&text) {
        Ok(stored) => stored.receipt,
        Err(_) => Receipt::from_json(text.as_bytes())?,
    };
    Ok(receipt.check()?)
}

/// Reads a text file that holds one secret.
pub fn read_secret(path: &Path) -> Result<Zeroizing<String>, HomeError> {
    let file = File::open(path).map_err(|source| io(path, source))?;
    let text = read_text(path, file)?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// Reads JSON from a file of bounded length.
pub fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, HomeError> {
    let file = File::open(path).map_err(|source| io(path, source))?;
    let text = read_text(path, file)?;
    serde_json::from_str(&text).map_err(|error| HomeError::Malformed {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn check_params(path: &Path, params: &Params, network: Network) -> Result<(), HomeError> {
    let malformed = |reason: String| HomeError::Malformed {
        path: path.to_owned(),
        reason,
    };
    params
        .validate()
        .map_err(|error| malformed(error.to_string()))?;
    if params.network == network {
        Ok(())
    } else {
        Err(malformed(format!(
            "expected params of {network}, got {}",
            params.network
        )))
    }
}

fn read_text(path: &Path, file: File) -> Result<Zeroizing<String>, HomeError> {
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX.saturating_add(1))
        .read_to_string(&mut text)
        .map_err(|source| io(path, source))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(HomeError::Malformed {
            path: path.to_owned(),
            reason: format!("expected at most {FILE_BYTES_MAX} bytes"),
        });
    }
    Ok(text)
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

/// Never over an existing file: it could be somebody's money.
fn write_secret(path: &Path, secret: &[u8]) -> Result<(), HomeError> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(secret)?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    write().map_err(|source| io(path, source))
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        // The rename itself must survive a power cut too.
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn io(path: &Path, source: std::io::Error) -> HomeError {
    HomeError::Io {
        path: path.to_owned(),
        source,
    }
}
