//! Receipts in the wallet's folder.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use grail_api::CheckedReceipt;
use grail_types::RequestId;
use grail_wallet::receipt::StoredReceipt;
use grail_wallet::slot::Slot;

use super::files::{io, read_json, read_kept_receipt};
use super::{Home, HomeError, RECEIPTS, StrayFile, stray};
use crate::failure::Failure;

/// What the folder of receipts holds.
#[derive(Debug, Default)]
pub struct FoundReceipts {
    /// Those that this wallet stored and that check, oldest first.
    pub receipts: Vec<(StoredReceipt, CheckedReceipt)>,
    /// Other files. They may be worth money, so they are named; they stop nothing.
    pub strays: Vec<StrayFile>,
}

impl Home {
    /// Saves a receipt. It is on disk when this returns.
    pub fn save_receipt(&self, stored: &StoredReceipt) -> Result<PathBuf, HomeError> {
        let name = format!("{RECEIPTS}/{}.json", stored.receipt.terms.id());
        self.write_json(&name, stored)?;
        Ok(self.path.join(name))
    }

    /// The receipt of a request, in either form.
    pub fn receipt(&self, request: &RequestId) -> Result<CheckedReceipt, Failure> {
        Ok(self.kept_receipt(request)?.0)
    }

    /// The same, with its slot.
    pub fn kept_receipt(
        &self,
        request: &RequestId,
    ) -> Result<(CheckedReceipt, Option<Slot>), Failure> {
        let path = self.path.join(RECEIPTS).join(format!("{request}.json"));
        if path.exists() {
            read_kept_receipt(&path)
        } else {
            Err(HomeError::NoReceipt(*request).into())
        }
    }

    /// The receipt that a user names: a file, or the id of a request made here.
    pub fn named_receipt(&self, name: &str) -> Result<CheckedReceipt, Failure> {
        Ok(self.named_kept_receipt(name)?.0)
    }

    /// The same, with its slot.
    pub fn named_kept_receipt(
        &self,
        name: &str,
    ) -> Result<(CheckedReceipt, Option<Slot>), Failure> {
        match name.parse::<RequestId>() {
            Ok(id) => self.kept_receipt(&id),
            Err(_) => read_kept_receipt(Path::new(name)),
        }
    }

    /// All receipts, and whatever else is called `.json` there.
    pub fn receipts(&self) -> Result<FoundReceipts, HomeError> {
        let folder = self.path.join(RECEIPTS);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(FoundReceipts::default());
            }
            Err(error) => return Err(io(&folder, error)),
        };
        let mut found = FoundReceipts::default();
        for entry in entries {
            let path = entry.map_err(|source| io(&folder, source))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let read = read_json::<StoredReceipt>(&path).map_err(|error| error.to_string());
            let checked = read.and_then(|stored| match stored.receipt.check() {
                Ok(checked) => Ok((stored, checked)),
                Err(error) => Err(error.to_string()),
            });
            match checked {
                Ok(receipt) => found.receipts.push(receipt),
                Err(reason) => found.strays.push(stray(&path, reason)),
            }
        }
        found
            .receipts
            .sort_by_key(|(stored, _)| (stored.stored_at, stored.slot, stored.reclaim_key_index));
        Ok(found)
    }
}
