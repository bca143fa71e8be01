//! The bridge's own outputs as blocks tell: the roster NFT, the vault, donations. Independent of
//! settlements' rows.

use bitcoin::{Amount, OutPoint, Txid};
use grail_flow::BlockRef;

use crate::{
    Reader, StoreError, StoreTx,
    column::{Columns, page, sat},
    db::DbRow,
};

/// An output of the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaultOutput {
    /// Where.
    pub outpoint: OutPoint,
    /// Its coin.
    pub amount: Amount,
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

impl VaultKind {
    /// Stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nft { .. } => "nft",
            Self::Vault => "vault",
            Self::Donation => "donation",
        }
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
}

impl Reader {
    /// What is unspent, in sum.
    pub async fn vault_totals(&mut self) -> Result<VaultTotals, StoreError> {
        let nft = sqlx::query(
            "SELECT outpoint, supply_sat FROM vault_outputs WHERE kind = 'nft' AND spent_txid IS NULL",
        )
        .fetch_optional(self.connection())
        .await?;
        let rows = sqlx::query(
            "SELECT kind, CAST(SUM(amount_sat) AS BIGINT) AS total FROM vault_outputs \
             WHERE kind <> 'nft' AND spent_txid IS NULL GROUP BY kind",
        )
        .fetch_all(self.connection())
        .await?;
        let mut totals = VaultTotals {
            nft: None,
            supply: Amount::ZERO,
            vault: Amount::ZERO,
            donations: Amount::ZERO,
        };
        if let Some(row) = nft {
            totals.nft = Some(row.outpoint("outpoint")?);
            totals.supply = row.amount("supply_sat")?;
        }
        for row in rows {
            let total = row.amount("total")?;
            match row.text("kind")?.as_str() {
                "vault" => totals.vault = total,
                "donation" => totals.donations = total,
                other => return Err(StoreError::corrupt("vault_outputs.kind", other)),
            }
        }
        Ok(totals)
    }

    /// Unspent coins at the vault, the NFT's excepted: settlements' first, then donations, largest
    /// first.
    pub async fn vault_outputs(&mut self, limit: u32) -> Result<Vec<VaultOutput>, StoreError> {
        let rows = sqlx::query(
            "SELECT outpoint, kind, amount_sat, supply_sat FROM vault_outputs \
             WHERE kind <> 'nft' AND spent_txid IS NULL ORDER BY kind DESC, amount_sat DESC, outpoint LIMIT $1",
        )
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
            "INSERT INTO vault_outputs (outpoint, kind, amount_sat, supply_sat, height, hash) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(output.outpoint.to_string())
        .bind(output.kind.name())
        .bind(sat("amount", output.amount)?)
        .bind(supply)
        .bind(i64::from(block.height))
        .bind(block.hash.to_string())
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
    match (row.text("kind")?.as_str(), row.maybe_amount("supply_sat")?) {
        ("nft", Some(supply)) => Ok(VaultKind::Nft { supply }),
        ("vault", None) => Ok(VaultKind::Vault),
        ("donation", None) => Ok(VaultKind::Donation),
        (other, _) => Err(StoreError::corrupt("vault_outputs.kind", other)),
    }
}

fn read(row: &DbRow) -> Result<VaultOutput, StoreError> {
    Ok(VaultOutput {
        outpoint: row.outpoint("outpoint")?,
        amount: row.amount("amount_sat")?,
        kind: kind(row)?,
    })
}
