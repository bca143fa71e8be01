//! A node's whole set of unspent outputs, searched for scripts (`scantxoutset`).

use bitcoin::{Amount, BlockHash, OutPoint, Script, ScriptBuf, Txid};
use grail_chain::{BitcoinCore, Chain as _, ChainError};
use serde::Deserialize;

/// `RPC_INVALID_PARAMETER`, with the words below: here, a second scan.
const CODE_BAD_PARAMETER: i32 = -8;
/// How Bitcoin Core says that it scans already.
const SCAN_RUNNING: &str = "Scan already in progress";
/// Scans whose block went away before the next: the node flaps.
const TRIES_MAX: u32 = 3;

/// Why unspent outputs are not told.
#[derive(Debug, thiserror::Error)]
pub enum ScanFailure {
    /// The node.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The node could not scan its outputs, for another scan is running.
    #[error("the node is already scanning its outputs: try again later")]
    Running,
    /// Somebody stopped the scan, or the node was shut down.
    #[error("the node's scan of its outputs was aborted: try again")]
    Aborted,
    /// What was scanned is not the chain any more.
    #[error("the node's best chain keeps changing: try again")]
    Unsettled,
}

impl ScanFailure {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Chain(error) => error.code(),
            Self::Running => "node-scan-running",
            Self::Aborted => "node-scan-aborted",
            Self::Unsettled => "node-unsettled",
        }
    }
}

failures!(ScanFailure);

/// What is unspent at the scripts asked for, as of a block.
#[derive(Debug, Deserialize)]
pub struct UnspentSet {
    success: bool,
    /// Height of the block.
    pub height: u32,
    /// The block.
    #[serde(rename = "bestblock")]
    pub block_hash: BlockHash,
    /// The outputs.
    pub unspents: Vec<Unspent>,
}

/// An unspent output.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Unspent {
    txid: Txid,
    vout: u32,
    /// Its script.
    #[serde(rename = "scriptPubKey")]
    pub script: ScriptBuf,
    /// Its coin.
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    pub amount: Amount,
    /// Height of its block.
    pub height: u32,
}

impl Unspent {
    /// Where it is.
    pub fn outpoint(&self) -> OutPoint {
        OutPoint::new(self.txid, self.vout)
    }
}

/// Scans the node's unspent outputs for these scripts. Takes minutes on a large chain, whatever
/// their number.
pub fn scan<'a>(
    node: &BitcoinCore,
    scripts: impl IntoIterator<Item = &'a Script>,
) -> Result<UnspentSet, ScanFailure> {
    let descriptors: Vec<String> = scripts
        .into_iter()
        .map(|script| format!("raw({})", script.to_hex_string()))
        .collect();
    let answer: UnspentSet = match node.rpc().call(
        "scantxoutset",
        &["start".into(), serde_json::json!(descriptors)],
    ) {
        Err(ChainError::Refused {
            code: CODE_BAD_PARAMETER,
            message,
            ..
        }) if message.starts_with(SCAN_RUNNING) => return Err(ScanFailure::Running),
        answer => answer?,
    };
    if answer.success {
        Ok(answer)
    } else {
        Err(ScanFailure::Aborted)
    }
}

/// The same, as of a block that is still in the node's best chain when the scan has ended.
pub fn scan_settled(node: &BitcoinCore, scripts: &[&Script]) -> Result<UnspentSet, ScanFailure> {
    for _ in 0..TRIES_MAX {
        let found = scan(node, scripts.iter().copied())?;
        let header = node.header(&found.block_hash)?;
        if header.is_some_and(|header| header.is_in_best_chain) {
            return Ok(found);
        }
    }
    Err(ScanFailure::Unsettled)
}
