//! What blocks say of the bridge's own outputs: the roster NFT, the vault, donations (reserves).
//!
//! Owns the rule that sorts them. Follows the NFT from its deployment by verified spells alone, so
//! that the numbers hold whatever the books of settlements say, and come out the same from an empty
//! database.

use bitcoin::{Amount, OutPoint, Transaction};
use grail_flow::BlockRef;
use grail_spell::{PrevTx, nft_app, roster_state};
use grail_store::{StoreError, StoreTx, VaultKind, VaultOutput};

use crate::backend::Backend;

/// Takes a transaction of `block` into account; whether it moves the NFT. Call it for every
/// transaction of a block, in order.
pub async fn connect(
    backend: &Backend,
    tx: &mut StoreTx,
    transaction: &Transaction,
    block: BlockRef,
) -> Result<bool, StoreError> {
    let txid = transaction.compute_txid();
    let mut moves_nft = false;
    for input in &transaction.input {
        let spent = tx
            .spend_vault_output(&input.previous_output, &txid, block)
            .await?;
        moves_nft |= matches!(spent, Some(VaultKind::Nft { .. }));
    }
    let deploys = txid == backend.deployment_tx.compute_txid();
    // Only here can the NFT be; reading any other spell would tell nothing.
    let read = (moves_nft || deploys).then(|| PrevTx::read(transaction.clone(), backend.mock()));
    for (output, vout) in transaction.output.iter().zip(0_u32..) {
        let supply = read
            .as_ref()
            .and_then(|read| supply_at(backend, read, vout));
        let kind = match supply {
            Some(supply) => VaultKind::Nft { supply },
            None if output.script_pubkey != backend.vault.script_pubkey => continue,
            None if moves_nft => VaultKind::Vault,
            None => VaultKind::Donation,
        };
        let output = VaultOutput {
            outpoint: OutPoint::new(txid, vout),
            amount: output.value,
            kind,
        };
        tx.record_vault_output(&output, block).await?;
    }
    Ok(moves_nft)
}

/// The supply on the NFT, where output `vout` carries it.
fn supply_at(backend: &Backend, read: &PrevTx, vout: u32) -> Option<Amount> {
    let nft = nft_app(&backend.bridge().app);
    // A state that cannot be read counts as absent: the contract lets no such NFT come to be.
    let state = roster_state(&read.charms_at(vout), &nft).ok().flatten()?;
    Some(Amount::from_sat(state.supply))
}
