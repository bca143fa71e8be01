//! The bridge's own outputs as blocks tell: the roster NFT, the vault, donations. Independent of
//! settlements' rows.

use bitcoin::{Amount, OutPoint, Txid};
use grail_flow::{BlockRef, named_enum};
use grail_types::Epoch;

use crate::{
    Reader, StoreError, StoreTx,
    column::{Columns, integer, listed, page, sat},
    db::{DbRow, sql},
    handovers::VAULT_EPOCH,
};

/// An output of the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaultOutput {
    /// Where.
    pub outpoint: OutPoint,
    /// Its coin.
    pub amount: Amount,
    /// The epoch of the roster at whose address it lies: the first whose address it is. Of the NFT
    /// that of its state.
    pub epoch: Epoch,
    /// What it is.
    pub kind: VaultKind,
}

/// What an output of the bridge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultKind {
    /// It carries the roster NFT.
    Nft {
        /// zkBTC in existence, by the NFT's state.
        supply: Amount,
    },
    /// Locked coins, made by a settlement.
    Vault,
    /// Sent to the vault's address outside a settlement.
    Donation,
}

named_enum! {
    /// Which [`VaultKind`], as stored.
    enum KindName {
        /// [`VaultKind::Nft`].
        Nft = "nft",
        /// [`VaultKind::Vault`].
        Vault = "vault",
        /// [`VaultKind::Donation`].
        Donation = "donation",
    }
}

/// All but the NFT, as a list of SQL.
fn coins() -> String {
    listed([KindName::Vault, KindName::Donation].map(KindName::name))
}

impl VaultKind {
    const fn kind_name(self) -> KindName {
        match self {
            Self::Nft { .. } => KindName::Nft,
            Self::Vault => KindName::Vault,
            Self::Donation => KindName::Donation,
        }
    }

    /// Stable name.
    pub const fn name(self) -> &'static str {
        self.kind_name().name()
    }
}

/// Sums over everything unspent, as of the newest block taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaultTotals {
    /// Where the roster NFT is; none while its deployment is in no block.
    pub nft: Option<OutPoint>,
    /// zkBTC in existence; zero without the NFT.
    pub supply: Amount,
    /// Coins of settlements' vault outputs.
    pub vault: Amount,
    /// Coins of donations.
    pub donations: Amount,
    /// Coins that rotations left at addresses of former rosters. They back nothing.
    pub former: Amount,
}

impl Reader {
    /// What is unspent, in sum. The vault is that of the newest epoch.
    pub async fn vault_totals(&mut self) -> Result<VaultTotals, StoreError> {
        let nft = sqlx::query(
            "SELECT outpoint, supply_sat FROM vault_outputs WHERE kind = $1 AND spent_txid IS NULL",
        )
        .bind(KindName::Nft.name())
        .fetch_optional(self.connection())
        .await?;
        let rows = sqlx::query(sql(format!(
            "SELECT kind, CAST(CASE WHEN epoch = {VAULT_EPOCH} THEN 1 ELSE 0 END AS BIGINT) \
             AS is_current, CAST(SUM(amount_sat) AS BIGINT) AS total FROM vault_outputs \
             WHERE kind IN ({}) AND spent_txid IS NULL GROUP BY kind, is_current",
            coins()
        )))
        .fetch_all(self.connection())
        .await?;
        let mut totals = VaultTotals {
            nft: None,
            supply: Amount::ZERO,
            vault: Amount::ZERO,
            donations: Amount::ZERO,
            former: Amount::ZERO,
        };
        if let Some(row) = nft {
            totals.nft = Some(row.outpoint("outpoint")?);
            totals.supply = row.amount("supply_sat")?;
        }
        for row in rows {
            let total = row.amount("total")?;
            let sum = match (row.parsed("kind")?, row.u64("is_current")?) {
                (KindName::Vault, 1) => &mut totals.vault,
                (KindName::Donation, 1) => &mut totals.donations,
                (KindName::Vault | KindName::Donation | KindName::Nft, _) => &mut totals.former,
            };
            *sum = sum
                .checked_add(total)
                .ok_or_else(|| StoreError::corrupt("vault_outputs.amount_sat", "sum too large"))?;
        }
        Ok(totals)
    }

    /// The epoch in the state of the NFT's unspent output; none while that is in no block.
    pub async fn nft_epoch(&mut self) -> Result<Option<Epoch>, StoreError> {
        let row =
            sqlx::query("SELECT epoch FROM vault_outputs WHERE kind = $1 AND spent_txid IS NULL")
                .bind(KindName::Nft.name())
                .fetch_optional(self.connection())
                .await?;
        row.map(|row| Ok(Epoch(row.u64("epoch")?))).transpose()
    }

    /// The block that made the NFT's unspent output; none while that is in no block.
    pub async fn nft_block(&mut self) -> Result<Option<BlockRef>, StoreError> {
        let row = sqlx::query(
            "SELECT height, hash FROM vault_outputs WHERE kind = $1 AND spent_txid IS NULL",
        )
        .bind(KindName::Nft.name())
        .fetch_optional(self.connection())
        .await?;
        match row {
            Some(row) => row.maybe_block("height", "hash"),
            None => Ok(None),
        }
    }

    /// Whether a transaction in a block spends an output of the bridge.
    pub async fn is_vault_output_spent(&mut self, outpoint: &OutPoint) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT outpoint FROM vault_outputs WHERE outpoint = $1 AND spent_txid IS NOT NULL",
        )
        .bind(outpoint.to_string())
        .fetch_optional(self.connection())
        .await?;
        Ok(row.is_some())
    }

    /// The block that made an output of the bridge, spent or not.
    pub async fn vault_output_block(
        &mut self,
        outpoint: &OutPoint,
    ) -> Result<Option<BlockRef>, StoreError> {
        let row = sqlx::query("SELECT height, hash FROM vault_outputs WHERE outpoint = $1")
            .bind(outpoint.to_string())
            .fetch_optional(self.connection())
            .await?;
        match row {
            Some(row) => row.maybe_block("height", "hash"),
            None => Ok(None),
        }
    }

    /// Unspent coins at the vault of the newest epoch, the NFT's excepted: settlements' first, then
    /// donations, largest first.
    pub async fn vault_outputs(&mut self, limit: u32) -> Result<Vec<VaultOutput>, StoreError> {
        let rows = sqlx::query(sql(format!(
            "SELECT outpoint, epoch, kind, amount_sat, supply_sat FROM vault_outputs \
             WHERE kind IN ({}) AND spent_txid IS NULL AND epoch = {VAULT_EPOCH} \
             ORDER BY kind DESC, amount_sat DESC, outpoint LIMIT $1",
            coins()
        )))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Unspent donations at the vault of the newest epoch, largest first, from behind `after`.
    pub async fn donations(
        &mut self,
        after: Option<&VaultOutput>,
        limit: u32,
    ) -> Result<Vec<VaultOutput>, StoreError> {
        let (amount, outpoint) = match after {
            Some(last) => (last.amount, last.outpoint.to_string()),
            None => (Amount::MAX_MONEY, String::new()),
        };
        let rows = sqlx::query(sql(format!(
            "SELECT outpoint, epoch, kind, amount_sat, supply_sat FROM vault_outputs \
             WHERE kind IN ({}) AND spent_txid IS NULL AND epoch = {VAULT_EPOCH} \
             AND amount_sat <= $1 AND (amount_sat < $1 OR outpoint > $2) \
             ORDER BY amount_sat DESC, outpoint LIMIT $3",
            listed([KindName::Donation.name()])
        )))
        .bind(sat("amount", amount)?)
        .bind(outpoint)
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }
}

impl StoreTx {
    /// Records an output that `block` holds. Doing so again changes nothing.
    pub async fn record_vault_output(
        &mut self,
        output: &VaultOutput,
        block: BlockRef,
    ) -> Result<(), StoreError> {
        let supply = match output.kind {
            VaultKind::Nft { supply } => Some(sat("supply", supply)?),
            VaultKind::Vault | VaultKind::Donation => None,
        };
        sqlx::query(
            "INSERT INTO vault_outputs (outpoint, kind, amount_sat, supply_sat, height, hash, epoch) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        )
        .bind(output.outpoint.to_string())
        .bind(output.kind.name())
        .bind(sat("amount", output.amount)?)
        .bind(supply)
        .bind(i64::from(block.height))
        .bind(block.hash.to_string())
        .bind(integer("epoch", output.epoch.0)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Notes that a transaction of `block` spends an outpoint; what that was, if it was the
    /// bridge's and unspent.
    pub async fn spend_vault_output(
        &mut self,
        outpoint: &OutPoint,
        spender: &Txid,
        block: BlockRef,
    ) -> Result<Option<VaultKind>, StoreError> {
        let row = sqlx::query(
            "UPDATE vault_outputs SET spent_txid = $2, spent_height = $3, spent_hash = $4 \
             WHERE outpoint = $1 AND spent_txid IS NULL RETURNING kind, supply_sat",
        )
        .bind(outpoint.to_string())
        .bind(spender.to_string())
        .bind(i64::from(block.height))
        .bind(block.hash.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(kind).transpose()
    }

    /// Forgets what blocks above `height` made or spent.
    pub(crate) async fn rewind_vault_outputs(&mut self, height: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM vault_outputs WHERE height > $1")
            .bind(height)
            .execute(self.connection())
            .await?;
        sqlx::query(
            "UPDATE vault_outputs SET spent_txid = NULL, spent_height = NULL, spent_hash = NULL \
             WHERE spent_height > $1",
        )
        .bind(height)
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

fn kind(row: &DbRow) -> Result<VaultKind, StoreError> {
    match (row.parsed("kind")?, row.maybe_amount("supply_sat")?) {
        (KindName::Nft, Some(supply)) => Ok(VaultKind::Nft { supply }),
        (KindName::Vault, None) => Ok(VaultKind::Vault),
        (KindName::Donation, None) => Ok(VaultKind::Donation),
        (other, _) => Err(StoreError::corrupt("vault_outputs.kind", other)),
    }
}

fn read(row: &DbRow) -> Result<VaultOutput, StoreError> {
    Ok(VaultOutput {
        outpoint: row.outpoint("outpoint")?,
        amount: row.amount("amount_sat")?,
        epoch: Epoch(row.u64("epoch")?),
        kind: kind(row)?,
    })
}
