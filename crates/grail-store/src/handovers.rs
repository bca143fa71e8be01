//! Rotations of the roster as blocks hold them: the evidence from which rosters are read.

use bitcoin::{OutPoint, Txid};
use grail_flow::BlockRef;
use grail_types::Epoch;

use crate::{
    Conflict, Reader, StoreError, StoreTx,
    column::{Columns, after, at_most, integer, page},
    db::DbRow,
    form::{read_bytes, write_bytes},
};

/// Longest handover: a standard transaction with its witness, and what it spends.
pub const HANDOVER_BYTES_MAX: usize = 512 << 10;

/// A rotation in a block, without its evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Of the roster that it made.
    pub epoch: Epoch,
    /// The epoch under which coins at its vault are kept: its own, or an earlier one that had the
    /// same vault.
    pub vault_epoch: Epoch,
    /// Its transaction.
    pub txid: Txid,
    /// The NFT's output that it spends.
    pub nft_input: OutPoint,
    /// Its block.
    pub block: BlockRef,
}

impl Rotation {
    /// The NFT's output that it makes: the layout has it first.
    pub fn nft_output(&self) -> OutPoint {
        OutPoint::new(self.txid, 0)
    }
}

/// The newest epoch, in SQL: zero before the first rotation.
pub(crate) const NEWEST_EPOCH: &str = "COALESCE((SELECT MAX(epoch) FROM handovers), 0)";
/// The epoch under which coins at the vault of now are kept, in SQL.
pub(crate) const VAULT_EPOCH: &str =
    "COALESCE((SELECT vault_epoch FROM handovers ORDER BY epoch DESC LIMIT 1), 0)";

/// The columns of a [`Rotation`].
const COLUMNS: &str = "epoch, vault_epoch, txid, nft_input, height, hash";

impl Reader {
    /// Rotations to epochs above `after_epoch`, in order.
    pub async fn rotations(
        &mut self,
        after_epoch: Epoch,
        limit: u32,
    ) -> Result<Vec<Rotation>, StoreError> {
        let rows = sqlx::query(crate::db::sql(format!(
            "SELECT {COLUMNS} FROM handovers WHERE epoch > $1 ORDER BY epoch LIMIT $2"
        )))
        .bind(after(after_epoch.0))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// The rotation to the newest epoch.
    pub async fn newest_rotation(&mut self) -> Result<Option<Rotation>, StoreError> {
        let row = sqlx::query(crate::db::sql(format!(
            "SELECT {COLUMNS} FROM handovers ORDER BY epoch DESC LIMIT 1"
        )))
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The evidence of the rotation to `epoch`, as given by [`StoreTx::record_rotation`].
    pub async fn handover(&mut self, epoch: Epoch) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT handover FROM handovers WHERE epoch = $1")
            .bind(after(epoch.0))
            .fetch_optional(self.connection())
            .await?;
        row.map(|row| read_bytes("handovers.handover", row.bytes("handover")?))
            .transpose()
    }
}

impl StoreTx {
    /// Records the rotation to the epoch after the newest, with its evidence as the caller encodes
    /// it.
    ///
    /// # Errors
    /// [`Conflict::RotationDoesNotFollow`]; [`StoreError::OutOfRange`].
    pub async fn record_rotation(
        &mut self,
        rotation: &Rotation,
        handover: &[u8],
    ) -> Result<(), StoreError> {
        at_most("length of the handover", handover.len(), HANDOVER_BYTES_MAX)?;
        let newest = self.newest_rotation().await?;
        let newest = newest.map_or(0, |newest| newest.epoch.0);
        let expected = Epoch(newest.saturating_add(1));
        if rotation.epoch != expected {
            return Err(Conflict::RotationDoesNotFollow {
                expected,
                got: rotation.epoch,
            }
            .into());
        }
        sqlx::query(
            "INSERT INTO handovers (epoch, txid, nft_input, handover, height, hash, vault_epoch) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(integer("epoch", rotation.epoch.0)?)
        .bind(rotation.txid.to_string())
        .bind(rotation.nft_input.to_string())
        .bind(write_bytes(handover))
        .bind(i64::from(rotation.block.height))
        .bind(rotation.block.hash.to_string())
        .bind(integer("vault epoch", rotation.vault_epoch.0)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Forgets rotations in blocks above `height`; the NFT's outputs that they made.
    pub(crate) async fn rewind_rotations(
        &mut self,
        height: i64,
    ) -> Result<Vec<OutPoint>, StoreError> {
        let rows = sqlx::query("DELETE FROM handovers WHERE height > $1 RETURNING txid")
            .bind(height)
            .fetch_all(self.connection())
            .await?;
        rows.iter()
            .map(|row| Ok(OutPoint::new(row.parsed("txid")?, 0)))
            .collect()
    }
}

fn read(row: &DbRow) -> Result<Rotation, StoreError> {
    Ok(Rotation {
        epoch: Epoch(row.u64("epoch")?),
        vault_epoch: Epoch(row.u64("vault_epoch")?),
        txid: row.parsed("txid")?,
        nft_input: row.outpoint("nft_input")?,
        block: row
            .maybe_block("height", "hash")?
            .ok_or_else(|| StoreError::corrupt("handovers.height", "is null"))?,
    })
}
