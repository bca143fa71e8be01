//! The real transactions and the mutations of them, where they are.

use std::fs;
use std::path::{Path, PathBuf};

use bitcoin::Transaction;
use bitcoin::consensus::encode::deserialize_hex;
use serde::Deserialize;

use crate::mutation::Base;

/// A transaction from a public chain.
#[derive(Deserialize)]
struct Vector {
    file: String,
}

/// A change of one, with upstream's verdict.
#[derive(Deserialize)]
pub struct Recorded {
    /// Id of the transaction.
    pub base: String,
    /// What was done.
    #[serde(rename = "mutation")]
    pub name: String,
    /// What upstream said: `valid`, or an error.
    pub upstream: String,
    hex: String,
}

impl Recorded {
    /// The changed transaction.
    ///
    /// # Panics
    /// When the file is damaged.
    pub fn tx(&self) -> Transaction {
        deserialize_hex(&self.hex).expect("recorded mutations are transactions")
    }
}

/// The folder of spell vectors, or `None` (said aloud) in a clone of the project alone.
pub fn folder() -> Option<PathBuf> {
    let root = std::env::var_os("GRAIL_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let spells = root.join("spells");
    if spells.join("index.json").is_file() {
        return Some(spells);
    }
    println!(
        "skipped: no spell vectors at {} (set GRAIL_VECTORS)",
        spells.display()
    );
    None
}

/// Every vector.
///
/// # Panics
/// When a file is damaged.
pub fn bases(folder: &Path) -> Vec<Base> {
    let index = fs::read_to_string(folder.join("index.json")).expect("an index");
    let vectors: Vec<Vector> = serde_json::from_str(&index).expect("an index of vectors");
    vectors
        .into_iter()
        .map(|Vector { file }| {
            let hex = fs::read_to_string(folder.join(&file)).expect("a listed vector");
            let tx = deserialize_hex(hex.trim()).expect("a transaction");
            Base::new(file, tx)
        })
        .collect()
}

/// Every recorded mutation.
///
/// # Panics
/// When the file is damaged.
pub fn recorded(folder: &Path) -> Vec<Recorded> {
    fs::read_to_string(folder.join("mutations.jsonl"))
        .expect("recorded mutations")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a recorded mutation"))
        .collect()
}
