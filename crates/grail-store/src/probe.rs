//! What rows know of a block: one statement for all of its scripts, one for its coins, one for its
//! transactions. Nothing of it need be kept in memory between two blocks.

use std::collections::{HashMap, HashSet};

use bitcoin::{OutPoint, Script, ScriptBuf, Txid};
use grail_types::RequestId;

use crate::{
    Reader, StoreError,
    column::Columns,
    db::{list, sql},
    requests,
};

impl Reader {
    /// Requests whose deposit addresses have one of these scripts, however long ago they were made:
    /// a deposit may come late.
    pub async fn requests_at(
        &mut self,
        scripts: impl IntoIterator<Item = &Script>,
    ) -> Result<HashMap<ScriptBuf, RequestId>, StoreError> {
        let is_listed = self.engine().is_listed_text();
        let rows = sqlx::query(sql(format!(
            "SELECT deposit_script, id FROM requests WHERE deposit_script {is_listed}"
        )))
        .bind(list(scripts.into_iter().map(Script::to_hex_string)))
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| Ok((requests::script(row)?, row.parsed("id")?)))
            .collect()
    }

    /// Those of these outpoints that are deposits, or outputs of the bridge, in rows.
    pub async fn known_outpoints(
        &mut self,
        outpoints: impl IntoIterator<Item = &OutPoint>,
    ) -> Result<HashSet<OutPoint>, StoreError> {
        let is_listed = self.engine().is_listed_text();
        let rows = sqlx::query(sql(format!(
            "SELECT outpoint FROM deposits WHERE outpoint {is_listed} \
             UNION ALL SELECT outpoint FROM vault_outputs WHERE outpoint {is_listed}"
        )))
        .bind(list(outpoints.into_iter().map(OutPoint::to_string)))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row.outpoint("outpoint")).collect()
    }

    /// Those of these transactions that are settlements in rows, given up or not.
    pub async fn known_settlements(
        &mut self,
        txids: impl IntoIterator<Item = &Txid>,
    ) -> Result<HashSet<Txid>, StoreError> {
        let is_listed = self.engine().is_listed_text();
        let rows = sqlx::query(sql(format!(
            "SELECT txid FROM settlements WHERE txid {is_listed}"
        )))
        .bind(list(txids.into_iter().map(Txid::to_string)))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row.parsed("txid")).collect()
    }
}
