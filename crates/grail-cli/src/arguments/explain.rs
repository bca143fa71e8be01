//! `grail wallet explain`.

use std::str::FromStr;

use bitcoin::{BlockHash, OutPoint, Txid};
use clap::Args;

/// `grail wallet explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The output, `txid:vout`; or a transaction, `txid`, of which is said what it did to the
    /// bridge's roster.
    pub what: Explained,
    /// The block that holds the transaction, by its hash or its height [default: looked for in the
    /// mempool, and by unspent outputs].
    #[arg(long)]
    pub block: Option<AtBlock>,
}

/// What is to be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explained {
    /// Why an output counts or not.
    Output(OutPoint),
    /// What a transaction did.
    Transaction(Txid),
}

impl FromStr for Explained {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            |error: &dyn std::fmt::Display| format!("expected txid:vout or txid: {error}");
        if text.contains(':') {
            let outpoint = text.parse().map_err(|error| expected(&error))?;
            return Ok(Self::Output(outpoint));
        }
        let txid = text.parse().map_err(|error| expected(&error))?;
        Ok(Self::Transaction(txid))
    }
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtBlock {
    /// By its hash.
    Hash(BlockHash),
    /// By its height in the best chain.
    Height(u32),
}

impl FromStr for AtBlock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(height) = text.parse() {
            return Ok(Self::Height(height));
        }
        let hash = text.parse();
        hash.map(Self::Hash)
            .map_err(|error| format!("expected the hash or the height of a block: {error}"))
    }
}
