//! The wallet's state on disk: a file of changes, one JSON object per line, each synced before the
//! wallet goes on.
//!
//! Holds no secret and nothing that the chain, or another file of the folder, could not give again.
//! A last line without its end is a write that a power cut interrupted: it is cut off, and the next
//! sync brings its content back.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use bdk_wallet::chain::Merge;
use bdk_wallet::{ChangeSet, WalletPersister};

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line that is no change.
    #[error("{} line {line}: {reason}; the file holds no secret: remove it and sync again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What does not fit.
        reason: String,
    },
}

/// The file.
#[derive(Clone, Debug)]
pub struct ChangeLog {
    path: PathBuf,
    /// Whether another command may be writing it: then nothing is cut or added here.
    is_only_read: bool,
}

impl ChangeLog {
    /// The log in this file, which need not exist.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            is_only_read: false,
        }
    }

    /// The same log for who has no right to write it: what he adds is not kept.
    pub fn to_read(path: PathBuf) -> Self {
        Self {
            path,
            is_only_read: true,
        }
    }

    fn io(&self, source: std::io::Error) -> LogError {
        LogError::Io {
            path: self.path.clone(),
            source,
        }
    }

    fn read(&self) -> Result<ChangeSet, LogError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(ChangeSet::default()),
            Err(error) => return Err(self.io(error)),
        };
        let mut reader = BufReader::new(file);
        let (mut all, mut sound_bytes, mut line_number) = (ChangeSet::default(), 0_u64, 0_usize);
        loop {
            let mut line = Vec::new();
            let read = reader
                .read_until(b'\n', &mut line)
                .map_err(|source| self.io(source))?;
            line_number = line_number.saturating_add(1);
            if line.last() != Some(&b'\n') {
                if read > 0 && !self.is_only_read {
                    self.cut(sound_bytes)?;
                }
                return Ok(all);
            }
            let change = serde_json::from_slice(&line).map_err(|error| LogError::Malformed {
                path: self.path.clone(),
                line: line_number,
                reason: error.to_string(),
            })?;
            all.merge(change);
            sound_bytes = sound_bytes.saturating_add(line.len() as u64);
        }
    }

    fn cut(&self, length: u64) -> Result<(), LogError> {
        OpenOptions::new()
            .write(true)
            .open(&self.path)
            .and_then(|file| file.set_len(length).and_then(|()| file.sync_all()))
            .map_err(|source| self.io(source))
    }

    fn append(&self, change: &ChangeSet) -> Result<(), LogError> {
        if self.is_only_read {
            return Ok(());
        }
        let mut line = serde_json::to_vec(change).map_err(|error| self.io(error.into()))?;
        line.push(b'\n');
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.path)
            .and_then(|mut file| file.write_all(&line).and_then(|()| file.sync_data()))
            .map_err(|source| self.io(source))
    }
}

impl WalletPersister for ChangeLog {
    type Error = LogError;

    fn initialize(log: &mut Self) -> Result<ChangeSet, LogError> {
        log.read()
    }

    fn persist(log: &mut Self, change: &ChangeSet) -> Result<(), LogError> {
        log.append(change)
    }
}
