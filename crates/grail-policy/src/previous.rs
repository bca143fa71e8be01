//! The transactions behind a proposal's inputs, read one at a time.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{OutPoint, Txid};
use grail_spell::{CharmAmounts, PreviousBatch, SpentOutput};
use grail_types::{Bridge, MockAllowed};
use grail_wire::{ActionKind, PREVIOUS_MAX_BYTES, Proposal};

use crate::refusal::Refusal;

/// An enclave decides without randomness (I3, I7). The batch hashes its powers from all proofs as
/// well, which alone leaves a forger 2^128 attempts, more than the proofs' own curve does.
const BATCH_SEED: [u8; 32] = *b"grail/previous-proofs-of-a-spend";

/// The previous outputs that a decision looks at.
pub(crate) struct Previous {
    by_txid: BTreeMap<Txid, grail_spell::Previous>,
}

impl Previous {
    /// Reads every previous transaction once, each needed, in ascending order, all together of
    /// bounded size. Their ids are computed here, so that nobody's word is taken for what an
    /// outpoint stands for. Each is decoded, read and dropped before the next: a decoded
    /// transaction or spell needs many times its bytes.
    pub(crate) fn read(
        proposal: &Proposal,
        bridge: &Bridge,
        mock: Option<MockAllowed>,
    ) -> Result<Self, Refusal> {
        let needed = needed_outputs(proposal);
        let size: usize = proposal
            .previous
            .iter()
            .map(|previous| previous.as_bytes().len())
            .sum();
        if proposal.previous.len() > needed.len() || size > PREVIOUS_MAX_BYTES {
            return Err(Refusal::PreviousExcess);
        }
        let mut last = None;
        // What other apps' charms are costs memory, and is kept where it is asked for.
        let mut batch = match proposal.action.kind() {
            ActionKind::Clearing => PreviousBatch::of_any_app(&bridge.app, mock),
            _ => PreviousBatch::new(&bridge.app, mock),
        };
        for previous in &proposal.previous {
            let transaction = previous
                .decode()
                .map_err(|error| Refusal::PreviousMalformed(error.to_string()))?;
            let txid = transaction.compute_txid();
            // Strictly ascending: a second order would be a second name for the same proposal.
            if last >= Some(txid) {
                return Err(Refusal::PreviousExcess);
            }
            let vouts = needed.get(&txid).ok_or(Refusal::PreviousExcess)?;
            batch.read(&transaction, vouts);
            last = Some(txid);
        }
        let read = batch.finish(&BATCH_SEED).into_iter();
        Ok(Self {
            by_txid: read.map(|it| (it.txid(), it)).collect(),
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

    /// What the output at `outpoint` carries of any app, if that was kept and is known.
    pub(crate) fn charms(&self, outpoint: OutPoint) -> Option<CharmAmounts> {
        let previous = self.by_txid.get(&outpoint.txid)?;
        previous.charms(outpoint.vout).cloned()
    }

    /// The output at `outpoint` and what it carries.
    pub(crate) fn look(&self, outpoint: OutPoint) -> Option<SpentOutput> {
        self.by_txid
            .get(&outpoint.txid)?
            .spent(outpoint.vout)
            .cloned()
    }
}

/// The outputs that a decision looks at, by transaction: all that are spent, the vault's beside the
/// NFT, and of an execution those that may be the NFT beside the notice coin, which comes behind
/// NFT and vault.
fn needed_outputs(proposal: &Proposal) -> BTreeMap<Txid, Vec<u32>> {
    let inputs = &proposal.transaction.input;
    let spent = inputs.iter().map(|input| input.previous_output);
    let nft = inputs.first().map(|input| input.previous_output);
    let mut needed = BTreeMap::<Txid, BTreeSet<u32>>::new();
    let is_execution = proposal.action.kind() == ActionKind::Execution;
    let behind_nft = inputs.iter().skip(1).take(if is_execution { 2 } else { 0 });
    let makers = behind_nft.map(|input| OutPoint::new(input.previous_output.txid, 0));
    for outpoint in spent.chain(nft.and_then(Previous::vault_of)).chain(makers) {
        needed
            .entry(outpoint.txid)
            .or_default()
            .insert(outpoint.vout);
    }
    needed
        .into_iter()
        .map(|(txid, vouts)| (txid, vouts.into_iter().collect()))
        .collect()
}
