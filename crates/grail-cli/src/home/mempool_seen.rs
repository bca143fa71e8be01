//! Which transactions of the mempool were looked at and do not concern the wallet, so that the next
//! command need not fetch them again. Only spares time: a file that is lost or torn costs a look.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use bitcoin::Txid;
use bitcoin::hashes::Hash as _;

use super::files::replace;

/// Most transactions that are remembered: several times a full mempool's, in 10 MB.
const REMEMBERED_MAX: usize = 300_000;
const TXID_BYTES: usize = 32;
const HORIZON_BYTES: usize = 4;

/// Their file.
#[derive(Clone, Debug)]
pub struct MempoolSeen {
    path: PathBuf,
}

impl MempoolSeen {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Those that were looked at with the same `horizon`: the number of the last address that was
    /// looked for. With another one they may concern the wallet after all.
    pub fn read(&self, horizon: u32) -> HashSet<Txid> {
        let longest = HORIZON_BYTES + REMEMBERED_MAX * TXID_BYTES;
        let mut bytes = Vec::new();
        let read = File::open(&self.path)
            .and_then(|file| file.take(longest as u64).read_to_end(&mut bytes));
        match bytes.split_at_checked(HORIZON_BYTES) {
            Some((written, txids)) if read.is_ok() && *written == horizon.to_le_bytes() => txids
                .chunks_exact(TXID_BYTES)
                .filter_map(|txid| Txid::from_slice(txid).ok())
                .collect(),
            _ => HashSet::new(),
        }
    }

    /// Remembers these and no other. Failing costs time, and nothing else.
    pub fn write<'a>(&self, horizon: u32, txids: impl IntoIterator<Item = &'a Txid>) {
        let mut bytes = horizon.to_le_bytes().to_vec();
        for txid in txids.into_iter().take(REMEMBERED_MAX) {
            bytes.extend(txid.as_byte_array());
        }
        let _unwritten = replace(&self.path, &bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_believed_for_the_addresses_that_were_looked_for() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let seen = MempoolSeen::new(folder.path().join("seen"));
        assert!(seen.read(7).is_empty());
        let txids: HashSet<Txid> = [Txid::all_zeros(), Txid::from_byte_array([7; 32])].into();
        seen.write(7, &txids);
        assert_eq!(seen.read(7), txids);
        assert!(seen.read(8).is_empty());
    }
}
