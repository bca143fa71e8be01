//! The contract of the wallet's bridge, which runs whenever zkBTC moves.
//!
//! Trusts nobody: a contract is the one whose hash the bridge's parameters name, wherever it comes
//! from.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use bitcoin::hashes::{Hash as _, sha256};
use grail_prover::BRIDGE_WASM;
use grail_types::BridgeApp;
use thiserror::Error;

use super::Home;

/// Folder of contracts of bridges that this program was not built with, in the wallet's.
const CONTRACTS: &str = "contracts";
/// Most that a contract can have: the payload cap of a prover's request leaves no room for more.
const CONTRACT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Why there is no contract to run.
#[derive(Debug, Error)]
pub enum ContractError {
    /// The bridge was deployed with another build than this program's.
    #[error(
        "this program was built with another version of the bridge's contract: put the one that hashes to {vk} at {}",
        path.display()
    )]
    Unknown {
        /// The hash, hexadecimal.
        vk: String,
        /// Where it is looked for.
        path: PathBuf,
    },
    /// It is there and cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is there and is another one.
    #[error("{} hashes to {got}, expected {expected}", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// The bridge's.
        expected: String,
        /// The file's.
        got: String,
    },
}

impl ContractError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "contract-unknown",
            Self::Io { .. } => "file-failed",
            Self::Hash { .. } => "contract-hash-mismatch",
        }
    }
}

failures!(ContractError);

/// The contract of `bridge`: the one that this program was built with, or one that the user put
/// into the wallet's folder.
pub fn contract_of(bridge: &BridgeApp, home: &Home) -> Result<Vec<u8>, ContractError> {
    if hash(BRIDGE_WASM) == bridge.vk {
        return Ok(BRIDGE_WASM.to_vec());
    }
    let vk = hex::encode(bridge.vk);
    let path = home.path().join(CONTRACTS).join(format!("{vk}.wasm"));
    if !path.exists() {
        return Err(ContractError::Unknown { vk, path });
    }
    let mut wasm = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(CONTRACT_BYTES_MAX).read_to_end(&mut wasm))
        .map_err(|source| ContractError::Io {
            path: path.clone(),
            source,
        })?;
    let got = hash(&wasm);
    if got == bridge.vk {
        Ok(wasm)
    } else {
        Err(ContractError::Hash {
            path,
            expected: vk,
            got: hex::encode(got),
        })
    }
}

fn hash(wasm: &[u8]) -> [u8; 32] {
    sha256::Hash::hash(wasm).to_byte_array()
}
