//! What blocks say of the bridge's own outputs: the roster NFT, the vault, donations (reserves), and
//! of its rosters.
//!
//! Owns the rule that sorts them. Follows the NFT from its deployment by verified spells alone, so
//! that the numbers hold whatever the books of settlements say, and come out the same from an empty
//! database.

use std::collections::HashMap;

use anyhow::Context;
use bitcoin::{Amount, Block, BlockHash, OutPoint, Transaction, TxOut, Txid};
use grail_bridge_contract::RosterState;
use grail_flow::{Alarm, BlockRef};
use grail_policy::adoption::Handover;
use grail_spell::{PrevTx, nft_app, roster_state};
use grail_store::{Rotation, VaultKind, VaultOutput};
use grail_types::Epoch;

use crate::{backend::Backend, rosters::Rosters, step::Step};

/// What a transaction does to the roster NFT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NftMove {
    /// Nothing.
    Stays,
    /// Moves it within its epoch.
    Settles,
    /// Moves it to the vault of the next roster, which is adopted.
    Rotates(Rotation),
    /// Moves it to a roster that does not follow from the one before it: an alarm is raised.
    Unknown,
}

/// What the rotations of a block spend, by transaction: their signatures commit to it, and a block
/// does not hold it. Asked of the node before the step that takes the block begins.
pub type SpentByRotations = HashMap<Txid, Vec<TxOut>>;

/// The rotations in a block, found by following the NFT through it.
pub async fn spent_by_rotations(
    backend: &Backend,
    block: &Block,
) -> anyhow::Result<SpentByRotations> {
    let mut reader = backend.store.read().await?;
    let mut nft = reader.vault_totals().await?.nft;
    let mut epoch = backend.rosters(&mut reader).await?.newest().epoch();
    drop(reader);
    let hash = block.block_hash();
    let mut found = HashMap::new();
    for transaction in &block.txdata {
        let txid = transaction.compute_txid();
        let moves = transaction
            .input
            .iter()
            .any(|input| Some(input.previous_output) == nft);
        if !moves && txid != backend.deployment_tx.compute_txid() {
            continue;
        }
        let Some((vout, state)) = nft_output(backend, transaction) else {
            nft = None;
            continue;
        };
        nft = Some(OutPoint::new(txid, vout));
        if Epoch(state.epoch) > epoch {
            epoch = Epoch(state.epoch);
            found.insert(txid, spent(backend, txid, hash).await?);
        }
    }
    Ok(found)
}

async fn spent(backend: &Backend, txid: Txid, block: BlockHash) -> anyhow::Result<Vec<TxOut>> {
    let spent = backend
        .node
        .call(move |chain| chain.spent_in_block(&txid, &block))
        .await?;
    // A pruned node keeps what recent blocks undo; one that has dropped it cannot tell.
    spent.with_context(|| {
        format!("the node does not tell what rotation {txid} in block {block} spends")
    })
}

/// Where a transaction leaves the NFT, and its state.
fn nft_output(backend: &Backend, transaction: &Transaction) -> Option<(u32, RosterState)> {
    let nft = nft_app(&backend.bridge().app);
    let read = PrevTx::read(transaction.clone(), backend.mock());
    let outputs = transaction.output.iter().zip(0_u32..);
    outputs.map(|(_, vout)| vout).find_map(|vout| {
        // A state that cannot be read counts as absent: the contract lets no such NFT come to be.
        let state = roster_state(&read.charms_at(vout), &nft).ok().flatten()?;
        Some((vout, state))
    })
}

/// Takes a transaction of `block` into account. Call it for every transaction of a block, in order;
/// `rosters` follows along.
pub async fn connect(
    step: &mut Step<'_>,
    backend: &Backend,
    rosters: &mut Rosters,
    transaction: &Transaction,
    spent: &SpentByRotations,
    block: BlockRef,
) -> anyhow::Result<NftMove> {
    let txid = transaction.compute_txid();
    let mut moves_nft = false;
    for input in &transaction.input {
        let spent = step
            .tx
            .spend_vault_output(&input.previous_output, &txid, block)
            .await?;
        moves_nft |= matches!(spent, Some(VaultKind::Nft { .. }));
    }
    let deploys = txid == backend.deployment_tx.compute_txid();
    // Only here can the NFT be; reading any other spell would tell nothing.
    let nft = (moves_nft || deploys)
        .then(|| nft_output(backend, transaction))
        .flatten();
    let outcome = match &nft {
        _ if !moves_nft => NftMove::Stays,
        Some((_, state)) if Epoch(state.epoch) != rosters.newest().epoch() => {
            rotate(step, backend, rosters, transaction, spent.get(&txid), block).await?
        }
        Some(_) | None => NftMove::Settles,
    };
    let current = rosters.newest().epoch();
    for (output, vout) in transaction.output.iter().zip(0_u32..) {
        let at = rosters.at(&output.script_pubkey).map(|it| it.epoch());
        let (epoch, kind) = match (&nft, at) {
            (Some((nft, state)), _) if *nft == vout => {
                let supply = Amount::from_sat(state.supply);
                (Epoch(state.epoch), VaultKind::Nft { supply })
            }
            (_, Some(epoch)) if moves_nft && epoch == current => (epoch, VaultKind::Vault),
            (_, Some(epoch)) => (epoch, VaultKind::Donation),
            (_, None) => continue,
        };
        let output = VaultOutput {
            outpoint: OutPoint::new(txid, vout),
            amount: output.value,
            epoch,
            kind,
        };
        step.tx.record_vault_output(&output, block).await?;
    }
    Ok(outcome)
}

/// Adopts the roster that a transaction hands over to. A block holds it, so consensus has seen the
/// quorum's witness; what no consensus sees (keys on the curve, the address, the epoch) is checked
/// here as everywhere else.
async fn rotate(
    step: &mut Step<'_>,
    backend: &Backend,
    rosters: &mut Rosters,
    transaction: &Transaction,
    spent: Option<&Vec<TxOut>>,
    block: BlockRef,
) -> anyhow::Result<NftMove> {
    let txid = transaction.compute_txid();
    let handover = Handover {
        transaction: transaction.clone(),
        spent: spent.cloned().unwrap_or_default(),
    };
    match rosters.adopt(&backend.secp, backend.bridge(), &handover, block) {
        Ok(rotation) => {
            step.tx
                .record_rotation(&rotation, &handover.to_bytes())
                .await?;
            // The next settlement builds on it.
            step.tx.put_transaction(transaction).await?;
            tracing::warn!(
                epoch = rotation.epoch.0,
                %txid,
                height = block.height,
                "the roster has changed"
            );
            Ok(NftMove::Rotates(rotation))
        }
        Err(error) => {
            let alarm = Alarm::RotationNotAdopted {
                txid,
                block,
                code: error.code(),
                reason: error.to_string(),
            };
            step.raise(&alarm).await?;
            Ok(NftMove::Unknown)
        }
    }
}
