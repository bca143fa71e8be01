//! What blocks say of the bridge's own outputs: the roster NFT, the vault, donations (reserves),
//! and of its rosters.
//!
//! Owns the rule that sorts them. Follows the NFT from its deployment by verified spells alone, so
//! that the numbers hold whatever the books of settlements say, and come out the same from an empty
//! database.

use bitcoin::{Amount, OutPoint, Transaction, Txid};
use grail_flow::{Alarm, BlockRef};
use grail_policy::adoption::AdoptedRoster;
use grail_store::{VaultKind, VaultOutput};
use grail_types::{Epoch, ParamsHash};

use super::{
    known::Known,
    nft::{Effect, NftMove, NftWalk},
};
use crate::{backend::Backend, rotations, step::Step};

/// Takes a transaction of `block` into account. Call it for every transaction of a block, in order.
pub(super) async fn connect(
    step: &mut Step<'_>,
    backend: &Backend,
    walk: &NftWalk,
    (txid, transaction): (Txid, &Transaction),
    known: &mut Known,
    block: BlockRef,
) -> anyhow::Result<()> {
    for input in &transaction.input {
        let spent = &input.previous_output;
        if known.may_hold(spent) {
            step.tx.spend_vault_output(spent, &txid, block).await?;
        }
    }
    let moved = walk.of(&txid);
    if let Some(moved) = moved {
        // The next settlement builds on it, whoever made it.
        step.tx.put_transaction(transaction).await?;
        change_roster(step, backend, walk, moved, transaction, block).await?;
    }
    let nft = moved.and_then(|moved| moved.output.as_ref());
    for (output, vout) in transaction.output.iter().zip(0_u32..) {
        let at = walk.rosters.vault_epoch(&output.script_pubkey);
        let (epoch, kind) = match (nft, at) {
            (Some((nft, state)), _) if *nft == vout => {
                let supply = Amount::from_sat(state.supply);
                (Epoch(state.epoch), VaultKind::Nft { supply })
            }
            (Some((_, state)), Some(epoch))
                if output.script_pubkey.as_bytes() == state.vault_script =>
            {
                (epoch, VaultKind::Vault)
            }
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
        known.note_made(txid);
    }
    Ok(())
}

async fn change_roster(
    step: &mut Step<'_>,
    backend: &Backend,
    walk: &NftWalk,
    moved: &NftMove,
    transaction: &Transaction,
    block: BlockRef,
) -> anyhow::Result<()> {
    let txid = transaction.compute_txid();
    match &moved.effect {
        Effect::Deploys
        | Effect::Settles
        | Effect::ServesNobody(_)
        | Effect::Adopts(_)
        | Effect::Breaks(_) => {}
        Effect::Rotates(rotation, handover) => {
            step.tx.record_rotation(rotation, handover).await?;
            let epoch = rotation.epoch;
            tracing::warn!(epoch = epoch.0, %txid, height = block.height, "the roster has changed");
            let bound = walk.rosters.of(epoch).map(AdoptedRoster::params_hash);
            let got = backend.protocol().hash();
            if let Some(expected) = bound.filter(|expected: &ParamsHash| *expected != got)
                && rotations::protocol_of(backend, &mut step.tx, expected)
                    .await?
                    .is_none()
            {
                step.raise(&Alarm::ParamsUnknown { expected, got }).await?;
            }
        }
        Effect::NotAdopted { code, reason } => {
            let alarm = Alarm::RotationNotAdopted {
                txid,
                block,
                code,
                reason: reason.clone(),
            };
            step.raise(&alarm).await?;
        }
    }
    Ok(())
}
