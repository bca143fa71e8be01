//! Settlements of deposits that a former roster holds.

use grail_flow::SettlementId;
use grail_types::Epoch;

use crate::{
    Reader, Settlement, StoreError, StoreTx,
    column::{Columns, after, integer, page},
};

impl Reader {
    /// The epoch of the former roster that holds the deposits of a settlement, if one does.
    pub async fn former_epoch(
        &mut self,
        settlement: SettlementId,
    ) -> Result<Option<Epoch>, StoreError> {
        let row = sqlx::query("SELECT epoch FROM former_settlements WHERE settlement = $1")
            .bind(after(settlement.0))
            .fetch_optional(self.connection())
            .await?;
        row.map(|row| Ok(Epoch(row.u64("epoch")?))).transpose()
    }

    /// The settlements of a former roster's deposits that were ever planned here, newest first.
    pub async fn former_settlements(
        &mut self,
        epoch: Epoch,
        limit: u32,
    ) -> Result<Vec<Settlement>, StoreError> {
        let rows = sqlx::query(
            "SELECT settlement FROM former_settlements WHERE epoch = $1 \
             ORDER BY settlement DESC LIMIT $2",
        )
        .bind(after(epoch.0))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        self.settlements_of(&rows, "former_settlements.settlement")
            .await
    }

    /// Whether the newest settlement of all is one of a former roster's deposits.
    pub async fn is_newest_settlement_former(&mut self) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT 1 FROM former_settlements \
             WHERE settlement = (SELECT MAX(id) FROM settlements)",
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.is_some())
    }
}

impl StoreTx {
    /// Notes that a settlement's deposits are of the former roster of this epoch.
    pub async fn note_former_settlement(
        &mut self,
        settlement: SettlementId,
        epoch: Epoch,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO former_settlements (settlement, epoch) VALUES ($1, $2)")
            .bind(after(settlement.0))
            .bind(integer("epoch", epoch.0)?)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
