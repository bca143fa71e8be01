//! Whole transactions by txid: those whose outputs a settlement may spend.

use bitcoin::{Transaction, Txid, consensus::encode};

use crate::{Reader, StoreError, StoreTx, column::Columns};

impl Reader {
    /// A transaction as stored.
    pub async fn transaction(&mut self, txid: &Txid) -> Result<Option<Transaction>, StoreError> {
        let row = sqlx::query("SELECT raw FROM transactions WHERE txid = $1")
            .bind(txid.to_string())
            .fetch_optional(self.connection())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let transaction = decode("transactions.raw", &row.bytes("raw")?)?;
        if transaction.compute_txid() == *txid {
            Ok(Some(transaction))
        } else {
            Err(StoreError::corrupt(
                "transactions.raw",
                "hashes to another txid",
            ))
        }
    }
}

impl StoreTx {
    /// Stores a transaction; one that is stored stays as it was.
    pub async fn put_transaction(&mut self, transaction: &Transaction) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO transactions (txid, raw) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(transaction.compute_txid().to_string())
            .bind(encode::serialize(transaction))
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

/// A stored transaction, decoded whole.
pub(crate) fn decode(what: &'static str, bytes: &[u8]) -> Result<Transaction, StoreError> {
    encode::deserialize(bytes).map_err(|error| StoreError::corrupt(what, error))
}
