//! The wallet's own payments on disk: each is written here before it is handed to a node.
//!
//! The one thing of the wallet's state that the chain cannot give again: a node may forget what it
//! was handed while others still know it, and whoever pays anew then pays twice. So these files
//! stay until a block has the payment for good. They hold no secret.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Transaction, Txid};
use serde::{Deserialize, Serialize};

use super::files::{create_private, io, read_json, replace};
use super::{HomeError, StrayFile, stray};

/// A payment of the wallet's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPayment {
    /// The transaction, signed.
    pub transaction: Transaction,
    /// When it was first handed to a node, unix seconds.
    pub sent_at: u64,
    /// Whether a command that ended said that it was sent. Where none did, whoever gave the command
    /// may be about to give it again.
    pub is_told: bool,
}

/// Their folder.
#[derive(Clone, Debug)]
pub struct OwnPayments {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    transaction: String,
    sent_at: u64,
    is_told: bool,
}

impl OwnPayments {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes a payment down. It is on disk when this returns.
    pub fn keep(&self, payment: &OwnPayment) -> Result<(), HomeError> {
        create_private(&self.folder)?;
        let path = self.path(&payment.transaction.compute_txid());
        let stored = Stored {
            transaction: serialize_hex(&payment.transaction),
            sent_at: payment.sent_at,
            is_told: payment.is_told,
        };
        let json = serde_json::to_vec(&stored).map_err(|error| HomeError::Malformed {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        replace(&path, &json).map_err(|source| io(&path, source))
    }

    /// Whether a payment is written down.
    pub fn keeps(&self, txid: &Txid) -> bool {
        self.path(txid).exists()
    }

    /// Forgets a payment: a block has it for good, or no node ever took it.
    pub fn forget(&self, txid: &Txid) -> Result<(), HomeError> {
        let path = self.path(txid);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io(&path, error)),
            _ => Ok(()),
        }
    }

    /// All of them, oldest first, and what else lies in their folder.
    pub fn all(&self) -> Result<(Vec<OwnPayment>, Vec<StrayFile>), HomeError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok((Vec::new(), Vec::new()));
            }
            Err(error) => return Err(io(&self.folder, error)),
        };
        let (mut payments, mut strays) = (Vec::<OwnPayment>::new(), Vec::new());
        for entry in entries {
            let path = entry.map_err(|source| io(&self.folder, source))?.path();
            // What a power cut left of a file that never became one.
            if path.extension().is_some_and(|extension| extension == "new") {
                continue;
            }
            match read(&path) {
                Ok(payment) => payments.push(payment),
                Err(reason) => strays.push(stray(&path, reason)),
            }
        }
        payments.sort_by_key(|payment| (payment.sent_at, payment.transaction.compute_txid()));
        Ok((payments, strays))
    }

    fn path(&self, txid: &Txid) -> PathBuf {
        self.folder.join(format!("{txid}.json"))
    }
}

fn read(path: &Path) -> Result<OwnPayment, String> {
    let stored: Stored = read_json(path).map_err(|error| error.to_string())?;
    let transaction: Transaction =
        deserialize_hex(&stored.transaction).map_err(|error| error.to_string())?;
    let expected = format!("{}.json", transaction.compute_txid());
    if path.file_name().is_some_and(|name| *name == *expected) {
        Ok(OwnPayment {
            transaction,
            sent_at: stored.sent_at,
            is_told: stored.is_told,
        })
    } else {
        Err(format!("its transaction belongs into {expected}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::TxIn;
    use bitcoin::absolute::LockTime;
    use bitcoin::transaction::Version;

    use super::*;

    fn payment(lock_time: u32, sent_at: u64) -> OwnPayment {
        OwnPayment {
            transaction: Transaction {
                version: Version::TWO,
                lock_time: LockTime::from_consensus(lock_time),
                input: vec![TxIn::default()],
                output: Vec::new(),
            },
            sent_at,
            is_told: false,
        }
    }

    #[test]
    fn payments_come_back_oldest_first_until_forgotten() {
        let folder = tempfile::TempDir::new().unwrap();
        let payments = OwnPayments::new(folder.path().join("sent"));
        assert_eq!(payments.all().unwrap(), (vec![], vec![]));
        let (older, newer) = (payment(1, 10), payment(2, 20));
        payments.keep(&newer).unwrap();
        payments.keep(&older).unwrap();
        assert_eq!(payments.all().unwrap().0, [older.clone(), newer.clone()]);
        payments.forget(&older.transaction.compute_txid()).unwrap();
        payments.forget(&older.transaction.compute_txid()).unwrap();
        assert_eq!(payments.all().unwrap().0, [newer]);
    }

    #[test]
    fn other_files_are_named_and_passed_over() {
        let folder = tempfile::TempDir::new().unwrap();
        let payments = OwnPayments::new(folder.path().to_owned());
        let kept = payment(1, 10);
        payments.keep(&kept).unwrap();
        let txid = kept.transaction.compute_txid();
        fs::copy(payments.path(&txid), folder.path().join("copy.json")).unwrap();
        fs::write(folder.path().join("._x.json"), b"\0\x05\x16\x07").unwrap();
        fs::write(folder.path().join("half.new"), b"{").unwrap();
        let (found, strays) = payments.all().unwrap();
        assert_eq!(found, [kept]);
        let mut names: Vec<_> = strays
            .iter()
            .map(|stray| stray.path.file_name().unwrap().to_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["._x.json", "copy.json"]);
    }
}
