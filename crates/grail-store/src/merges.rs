//! Settlements that move donations into the vault's coin.

use grail_flow::SettlementId;

use crate::{
    Reader, Settlement, StoreError, StoreTx,
    column::{after, page},
};

impl Reader {
    /// The merges that were ever planned here, newest first.
    pub async fn merges(&mut self, limit: u32) -> Result<Vec<Settlement>, StoreError> {
        let rows = sqlx::query("SELECT settlement FROM merges ORDER BY settlement DESC LIMIT $1")
            .bind(page(limit))
            .fetch_all(self.connection())
            .await?;
        self.settlements_of(&rows, "merges.settlement").await
    }
}

impl StoreTx {
    /// Notes that a settlement is a merge.
    pub async fn note_merge(&mut self, settlement: SettlementId) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO merges (settlement) VALUES ($1)")
            .bind(after(settlement.0))
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
