//! Files of bounded length read, and written whole.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use grail_api::CheckedReceipt;
use grail_wallet::history::{HISTORY_BYTES_MAX, RosterHistory};
use grail_wallet::slot::Slot;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::HomeError;
use crate::failure::Failure;

/// Mode of the wallet's files.
const PRIVATE: u32 = 0o600;
/// Longest settings, protocol, receipt or mnemonic file that is read.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Reads a receipt file: a receipt, or a receipt as the wallet keeps it.
pub fn read_receipt(path: &Path) -> Result<CheckedReceipt, Failure> {
    Ok(read_kept_receipt(path)?.0)
}

/// The same, with the slot that the wallet keeps beside it.
pub fn read_kept_receipt(path: &Path) -> Result<(CheckedReceipt, Option<Slot>), Failure> {
    let file = File::open(path).map_err(|source| io(path, source))?;
    let text = read_text(path, file)?;
    Ok(grail_wallet::receipt::read_kept(&text)?)
}

/// Reads a file that holds a passphrase: all of it but the end of its line.
pub fn read_passphrase(path: &Path) -> Result<Zeroizing<String>, HomeError> {
    let file = File::open(path).map_err(|source| io(path, source))?;
    let text = read_text(path, file)?;
    Ok(Zeroizing::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

/// Reads a text file that holds one secret.
pub fn read_secret(path: &Path) -> Result<Zeroizing<String>, HomeError> {
    let file = File::open(path).map_err(|source| io(path, source))?;
    let text = read_text(path, file)?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// Reads JSON from a file of bounded length.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, HomeError> {
    Ok(grail_files::read_json(path, FILE_BYTES_MAX)?)
}

/// Writes JSON to a file that is not there yet: what is there is not lost.
pub fn write_new_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new("file-failed", format!("{}: {error}", path.display()))
    };
    let json = serde_json::to_vec_pretty(value).map_err(|error| failed(&error))?;
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(&json)?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    write().map_err(|error: std::io::Error| failed(&error))
}

/// Reads the history of a bridge's rosters.
pub fn read_history(path: &Path) -> Result<RosterHistory, HomeError> {
    Ok(grail_files::read_json(path, HISTORY_BYTES_MAX)?)
}

/// Reads a secret of the wallet's own. Refuses a file that others can read.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, HomeError> {
    let file = File::open(path).map_err(|source| io(path, source))?;
    let metadata = file.metadata().map_err(|source| io(path, source))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(HomeError::Readable {
            path: path.to_owned(),
            mode,
        });
    }
    read_text(path, file)
}

/// Makes a folder that only its owner can look into; one that is there stays as it is.
pub(super) fn create_private(path: &Path) -> Result<(), HomeError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| io(path, source))
}

fn read_text(path: &Path, file: File) -> Result<Zeroizing<String>, HomeError> {
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|source| io(path, source))?;
    if text.len() > FILE_BYTES_MAX {
        return Err(HomeError::Malformed {
            path: path.to_owned(),
            reason: format!("expected at most {FILE_BYTES_MAX} bytes"),
        });
    }
    Ok(text)
}

/// Never over an existing file: it could be somebody's money.
pub(crate) fn write_secret(path: &Path, secret: &[u8]) -> Result<(), HomeError> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PRIVATE)
            .open(path)?;
        file.write_all(secret)?;
        file.sync_all()
    };
    write().map_err(|source| io(path, source))
}

/// The file holds the old bytes or the new ones whenever the machine stops; it is its owner's
/// alone.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(PRIVATE)
        .open(&beside)?;
    // One that was left by a command that did not end may have another mode.
    file.set_permissions(Permissions::from_mode(PRIVATE))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        // The rename itself must survive a power cut too.
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

pub(super) fn io(path: &Path, source: std::io::Error) -> HomeError {
    HomeError::Io {
        path: path.to_owned(),
        source,
    }
}
