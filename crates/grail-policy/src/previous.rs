//! The transactions behind a proposal's inputs, read one at a time.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{OutPoint, Transaction, Txid};
use grail_spell::PrevTx;
use grail_types::{Bridge, MockAllowed};
use grail_wire::{PREVIOUS_MAX_BYTES, Proposal};

use crate::{outline::Spent, refusal::Refusal};

/// An enclave decides without randomness (I3, I7). The batch hashes its powers from all proofs as well, which alone leaves a
/// forger 2^128 attempts, more than the proofs' own curve does.
const BATCH_SEED: [u8; 32] = *b"grail/previous-proofs-of-a-spend";

/// Previous outputs by outpoint.
pub(crate) struct Previous {
    by_txid: BTreeMap<Txid, PrevTx>,
    bridge: Bridge,
}

impl Previous {
    /// Reads every previous transaction once, each needed, in ascending order, all together of bounded size. Their ids are
    /// computed here, so that nobody's word is taken for what an outpoint stands for.
    pub(crate) fn read(
        proposal: &Proposal,
        bridge: &Bridge,
        mock: Option<MockAllowed>,
    ) -> Result<Self, Refusal> {
        let needed: BTreeSet<Txid> = proposal
            .transaction
            .input
            .iter()
            .map(|input| input.previous_output.txid)
            .collect();
        let size: usize = proposal
            .previous
            .iter()
            .map(|previous| previous.as_bytes().len())
            .sum();
        if proposal.previous.len() > needed.len() || size > PREVIOUS_MAX_BYTES {
            return Err(Refusal::PreviousExcess);
        }
        let mut last = None;
        let mut transactions = Vec::new();
        for previous in &proposal.previous {
            let transaction: Transaction = previous
                .decode()
                .map_err(|error| Refusal::PreviousMalformed(error.to_string()))?;
            let txid = transaction.compute_txid();
            // Strictly ascending: a second order would be a second name for the same proposal.
            if last >= Some(txid) || !needed.contains(&txid) {
                return Err(Refusal::PreviousExcess);
            }
            last = Some(txid);
            transactions.push(transaction);
        }
        let read = PrevTx::read_committed_batch(&transactions, mock, &BATCH_SEED);
        Ok(Self {
            by_txid: read.into_iter().map(|it| (it.txid(), it)).collect(),
            bridge: *bridge,
        })
    }

    /// Where the transaction that made the NFT's output left the vault, if it made one.
    pub(crate) fn vault_of(nft: OutPoint) -> Option<OutPoint> {
        // The layout has the NFT on output 0 and the vault on output 1.
        (nft.vout == 0).then_some(OutPoint {
            txid: nft.txid,
            vout: 1,
        })
    }

    /// The output at `outpoint` and what it carries.
    pub(crate) fn look(&self, outpoint: OutPoint) -> Option<Spent> {
        let transaction = self.by_txid.get(&outpoint.txid)?;
        Some(Spent {
            output: transaction.output(outpoint.vout)?.clone(),
            carried: transaction.bridge_charms(outpoint.vout, &self.bridge.app),
        })
    }
}
