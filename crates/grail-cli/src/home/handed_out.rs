//! How many addresses were handed out: kept apart from the log, so that without the log too every
//! one of them is looked for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::HomeError;
use super::files::{io, read_json, replace};

/// Numbers of addresses, of each branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandedOut {
    /// To receive at.
    pub receive: u32,
    /// For the wallet's own change.
    pub change: u32,
}

/// Their file.
#[derive(Clone, Debug)]
pub struct HandedOutFile {
    path: PathBuf,
    is_only_read: bool,
}

impl HandedOutFile {
    pub(super) fn new(path: PathBuf, is_only_read: bool) -> Self {
        Self { path, is_only_read }
    }

    /// What it says.
    pub fn read(&self) -> Result<HandedOut, HomeError> {
        if self.path.exists() {
            read_json(&self.path)
        } else {
            Ok(HandedOut::default())
        }
    }

    /// Writes it, where that is this command's to do. It is on disk when this returns.
    pub fn write(&self, handed_out: HandedOut) -> Result<(), HomeError> {
        if self.is_only_read {
            return Ok(());
        }
        let json = serde_json::to_vec(&handed_out).map_err(|error| HomeError::Malformed {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        replace(&self.path, &json).map_err(|source| io(&self.path, source))
    }
}
