//! What rows know of a block or of the mempool: asked at once for all of it, so that what is asked
//! does not grow with the number of inputs, and nothing is kept that grows with history.

use std::collections::{HashMap, HashSet};

use bitcoin::{OutPoint, Script, ScriptBuf, Transaction, Txid};
use grail_store::{Reader, StoreError};
use grail_types::RequestId;

/// Deposit addresses among outputs, with their requests.
#[derive(Debug, Default)]
pub(super) struct Addresses(HashMap<ScriptBuf, RequestId>);

impl Addresses {
    /// Those that these transactions pay to. Every deposit address is a taproot output's.
    pub(super) async fn of(
        reader: &mut Reader,
        transactions: impl IntoIterator<Item = &Transaction>,
    ) -> Result<Self, StoreError> {
        let outputs = transactions.into_iter().flat_map(|it| &it.output);
        let scripts: HashSet<&Script> = outputs
            .map(|output| output.script_pubkey.as_script())
            .filter(|script| script.is_p2tr())
            .collect();
        if scripts.is_empty() {
            return Ok(Self::default());
        }
        reader.requests_at(scripts).await.map(Self)
    }

    /// The request whose deposit address a script is.
    pub(super) fn request(&self, script: &Script) -> Option<RequestId> {
        self.0.get(script).copied()
    }
}

/// What rows know of a block that is being taken.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) addresses: Addresses,
    /// Deposits and the bridge's own outputs that the block spends.
    spent: HashSet<OutPoint>,
    settlements: HashSet<Txid>,
    /// Transactions of the block with outputs that have come into the rows since.
    made: HashSet<Txid>,
}

impl Known {
    /// Asks about all transactions of a block.
    pub(super) async fn of(
        reader: &mut Reader,
        block: &[(Txid, &Transaction)],
    ) -> Result<Self, StoreError> {
        let inputs = block.iter().flat_map(|(_, transaction)| &transaction.input);
        let spent = inputs.map(|input| &input.previous_output);
        Ok(Self {
            addresses: Addresses::of(reader, block.iter().map(|(_, it)| *it)).await?,
            spent: reader.known_outpoints(spent).await?,
            settlements: reader
                .known_settlements(block.iter().map(|(txid, _)| txid))
                .await?,
            made: HashSet::new(),
        })
    }

    /// Takes note that outputs of a transaction of the block are in the rows now.
    pub(super) fn note_made(&mut self, txid: Txid) {
        self.made.insert(txid);
    }

    /// Whether rows may know an output: where not, nobody need ask them again.
    pub(super) fn may_hold(&self, outpoint: &OutPoint) -> bool {
        self.spent.contains(outpoint) || self.made.contains(&outpoint.txid)
    }

    /// Whether a transaction is a settlement of the rows.
    pub(super) fn is_settlement(&self, txid: &Txid) -> bool {
        self.settlements.contains(txid)
    }
}
