//! One command at a time writes in a wallet's folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::HomeError;
use super::files::io;

pub(super) const LOCK: &str = "lock";

/// A lock that is held.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Locks a folder, or says at once that another command has it.
    pub(super) fn of(folder: &Path) -> Result<Self, HomeError> {
        let path = folder.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| io(&path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(HomeError::Busy(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(io(&path, source)),
        }
    }
}

impl Drop for Lock {
    /// Closing is not enough: a process that is just being started holds the file too.
    fn drop(&mut self) {
        let _closed_anyway = self.0.unlock();
    }
}
