//! The wallet's folder: settings, mnemonic, wallet state, the protocol pinned and what was followed
//! from there, receipts.
//!
//! Owns every file of it and a lock, so that two commands never write at once; who only reads needs
//! none. Secrets are in one file, readable by its owner alone, and encrypted if its owner wants.
//! Files are replaced whole: written beside, synced, renamed.

mod contract;
mod error;
mod files;
mod handed_out;
mod lock;
mod log;
mod mempool_seen;
mod mnemonic;
mod payments;
mod private;
mod receipts;
mod slots;
mod vaults;

use std::fs::remove_file;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use grail_attest::Protocol;
use grail_types::Network;
use grail_wallet::encrypted::Passphrase;
use grail_wallet::seed::Seed;
use serde::{Deserialize, Serialize};

pub use contract::{ContractError, contract_of};
pub use error::HomeError;
pub use files::{
    read_history, read_json, read_passphrase, read_receipt, read_secret, write_new_json,
};
pub(crate) use files::{read_private, write_secret};
pub use handed_out::{HandedOut, HandedOutFile};
pub use log::{ChangeLog, LogError};
pub use mempool_seen::MempoolSeen;
pub use mnemonic::KeptMnemonic;
pub use payments::{OwnPayment, OwnPayments};
pub use private::keep_private;
pub use receipts::FoundReceipts;
pub use slots::{NextSlot, SlotFile};

use crate::progress::Note;
use files::{create_private, io, replace};
use lock::Lock;
use mnemonic::{Key, rewrite, write_new};

const ADDRESSES: &str = "addresses.json";
const CONFIG: &str = "config.json";
const MEMPOOL_SEEN: &str = "mempool.seen";
const MNEMONIC: &str = "mnemonic";
const PROTOCOL: &str = "protocol.json";
/// What the bridge goes by since a rotation.
const FOLLOWED: &str = "followed.json";
/// Where earlier releases pinned parameters, in another form.
const PINNED_BEFORE: &str = "params.json";
const RECEIPTS: &str = "receipts";
const SENT: &str = "sent";
const SLOTS: &str = "slots.json";
const VAULTS: &str = "vaults.json";
const WALLET: &str = "wallet.jsonl";

/// Local settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The wallet's network.
    pub network: Network,
    /// Blocks before this cannot hold anything of the wallet's.
    pub birthday_height: u32,
    /// Addresses that are looked for beyond the last one known to be in use.
    #[serde(default = "usual_look_ahead")]
    pub look_ahead: u32,
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

/// What wallets that hand out each address themselves need: BIP-44's gap limit, and some.
pub const LOOK_AHEAD_USUAL: u32 = 25;

const fn usual_look_ahead() -> u32 {
    LOOK_AHEAD_USUAL
}

/// A mnemonic that has no wallet yet, and the protocol that was pinned with it.
pub struct Begun {
    /// The mnemonic.
    pub mnemonic: KeptMnemonic,
    /// Whom it was told to trust already.
    pub protocol: Option<Protocol>,
}

/// A file that is not what its folder holds: left alone, and named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrayFile {
    /// The file.
    pub path: PathBuf,
    /// What does not fit.
    pub reason: String,
}

impl StrayFile {
    /// What is said of it.
    pub fn note(&self) -> Note {
        let path = self.path.display().to_string();
        // Errors of reading name the file themselves.
        let reason = self.reason.strip_prefix(&path).unwrap_or(&self.reason);
        let reason = reason.trim_start_matches([':', ' ']);
        Note::new("stray-file", format!("{path} is passed over: {reason}"))
    }
}

/// An open folder. Locked until dropped, unless it was opened to read.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    config: Config,
    lock: Option<Lock>,
    key: Key,
}

/// A wallet that is to be made.
pub struct NewWallet<'a> {
    /// Its settings.
    pub config: Config,
    /// Whom it trusts.
    pub protocol: Option<&'a Protocol>,
    /// Its keys.
    pub seed: &'a Seed,
    /// What its mnemonic is encrypted with, if its owner wants that.
    pub passphrase: Option<&'a Passphrase>,
    /// The mnemonic of `seed` that the folder has already, from an earlier try.
    pub begun: Option<&'a KeptMnemonic>,
}

impl Home {
    /// Makes a wallet folder, for its owner alone. The mnemonic is written with mode 0600; the
    /// protocol is pinned. Goes on from what an earlier try left, if it was of the same mnemonic.
    pub fn create(path: &Path, new: NewWallet<'_>) -> Result<Self, HomeError> {
        let network = new.config.network;
        if let Some(protocol) = new.protocol {
            check_network(&path.join(PROTOCOL), protocol, network)?;
        }
        create_private(path)?;
        create_private(&path.join(RECEIPTS))?;
        let lock = Lock::of(path)?;
        let mnemonic = path.join(MNEMONIC);
        match (Self::begun(path)?, new.begun) {
            (None, None) => write_new(&mnemonic, new.seed, new.passphrase, network)?,
            (Some(now), Some(before)) if now.mnemonic == *before => {
                if new.passphrase.is_some() {
                    rewrite(&mnemonic, new.seed, new.passphrase, network)?;
                }
            }
            // Another command was quicker.
            _ => return Err(HomeError::Exists(path.to_owned())),
        }
        let home = Self {
            path: path.to_owned(),
            config: new.config,
            lock: Some(lock),
            key: Key::default(),
        };
        if let Some(protocol) = new.protocol {
            home.pin_protocol(protocol)?;
        }
        // Last: a folder with settings is a wallet.
        home.write_json(CONFIG, &home.config)?;
        Ok(home)
    }

    /// What an earlier `init` left in a folder that is no wallet yet; refuses one that is.
    pub fn begun(path: &Path) -> Result<Option<Begun>, HomeError> {
        if path.join(CONFIG).exists() {
            return Err(HomeError::Exists(path.to_owned()));
        }
        let mnemonic = path.join(MNEMONIC);
        if !mnemonic.exists() {
            return Ok(None);
        }
        let protocol = path.join(PROTOCOL);
        Ok(Some(Begun {
            mnemonic: KeptMnemonic::read(&mnemonic)?,
            protocol: protocol
                .exists()
                .then(|| read_json(&protocol))
                .transpose()?,
        }))
    }

    /// Opens a wallet folder; with `network`, only one of that network.
    pub fn open(path: &Path, network: Option<Network>) -> Result<Self, HomeError> {
        let mut home = Self::open_to_read(path, network)?;
        home.lock = Some(Lock::of(path)?);
        Ok(home)
    }

    /// Opens a wallet folder that another command may have open: to read what is in it.
    pub fn open_to_read(path: &Path, network: Option<Network>) -> Result<Self, HomeError> {
        if !path.join(CONFIG).exists() {
            return Err(if path.join(MNEMONIC).exists() {
                HomeError::Unfinished(path.to_owned())
            } else {
                HomeError::Missing(path.to_owned())
            });
        }
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
                lock: None,
                key: Key::default(),
            }),
        }
    }

    /// Whether it was opened to read, perhaps beside another command.
    pub fn is_only_read(&self) -> bool {
        self.lock.is_none()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the wallet's state is kept.
    pub fn change_log(&self) -> ChangeLog {
        let path = self.path.join(WALLET);
        match self.lock {
            Some(_) => ChangeLog::new(path),
            None => ChangeLog::to_read(path),
        }
    }

    /// How many addresses were handed out.
    pub fn handed_out(&self) -> HandedOutFile {
        HandedOutFile::new(self.path.join(ADDRESSES), self.lock.is_none())
    }

    /// Which slots requests were made with.
    pub fn slots(&self) -> SlotFile {
        SlotFile::new(self.path.join(SLOTS), self.lock.is_none())
    }

    /// What was looked at of the mempool.
    pub fn mempool_seen(&self) -> MempoolSeen {
        MempoolSeen::new(self.path.join(MEMPOOL_SEEN))
    }

    /// From now on the chain is looked at anew from `birthday_height` on, and `look_ahead`
    /// addresses beyond the last known one are looked for. Payments, receipts and the numbers of
    /// addresses handed out stay.
    pub fn look_anew(&mut self, birthday_height: u32, look_ahead: u32) -> Result<(), HomeError> {
        let config = Config {
            birthday_height,
            look_ahead,
            ..self.config.clone()
        };
        self.write_json(CONFIG, &config)?;
        self.config = config;
        let log = self.path.join(WALLET);
        match remove_file(&log) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io(&log, error)),
            _ => Ok(()),
        }
    }

    /// The payments that were handed to a node from here.
    pub fn own_payments(&self) -> OwnPayments {
        OwnPayments::new(self.path.join(SENT))
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

    /// What the bridge of the pin goes by since, as this wallet has followed it.
    pub fn followed(&self, pinned: &Protocol) -> Result<Option<Protocol>, HomeError> {
        let path = self.path.join(FOLLOWED);
        if !path.exists() {
            return Ok(None);
        }
        let followed: Protocol = read_json(&path)?;
        // Of another pin, which a folder had before.
        Ok(Some(followed).filter(|it| it.bridge() == pinned.bridge()))
    }

    /// Keeps what the bridge goes by now, beside the pin.
    pub fn keep_followed(&self, followed: &Protocol) -> Result<(), HomeError> {
        self.write_json(FOLLOWED, followed)
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

    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), HomeError> {
        // Who opened the folder to read holds its lock for a write alone.
        let _held = match self.lock {
            Some(_) => None,
            None => Some(Lock::of(&self.path)?),
        };
        let path = self.path.join(name);
        let json = serde_json::to_vec_pretty(value).map_err(|error| HomeError::Malformed {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        replace(&path, &json).map_err(|source| io(&path, source))
    }
}

fn stray(path: &Path, reason: String) -> StrayFile {
    StrayFile {
        path: path.to_owned(),
        reason,
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
